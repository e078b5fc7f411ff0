/** The commands with the trust of a followed repository, built (`npm run build` first), with a real log and a real mirror. */
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trustFiles } from '../../../../client/trust/trust-files.ts';
import { parseVerifierKey } from '../../../../merkle/note.ts';
import { tempDir } from '../../../support/log.ts';
import { CLI, type ServeProcess, startServer, stele, steleJson } from '../../../support/serve.ts';
import { skips } from '../../../support/skip.ts';
import { TufMaker, targetPath } from '../../../support/tuf-maker.ts';
import { startMirror, type TufMirror } from '../../../support/tuf-mirror.ts';
import { contentOf } from '../../trust/tuf/followed.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: ServeProcess;
let maker: TufMaker;
let mirror: TufMirror;
const at = (name: string) => join(dir.path, name);
/** Each test follows in a directory of its own. */
const env = (name: string) => ({ STELE_TRUST: at(name) });

beforeAll(async () => {
  dir = await tempDir();
  log = await startServer(at('log'));
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(at('key.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  writeFileSync(at('file'), 'content');
  maker = repository();
  mirror = await startMirror(maker.files, '/trust');
  writeFileSync(at('root.json'), maker.root());
});

afterAll(async () => {
  await mirror.close();
  await log.stop();
  await dir.remove();
});

/** The trust files of the log, as its operator publishes them. */
function repository(change: (maker: TufMaker) => void = () => {}): TufMaker {
  const made = new TufMaker();
  const [key] = log.verifierKeys.map(parseVerifierKey);
  const shard = { origin: log.origin, url: log.url, rekor: true, policy: undefined, start: 0 };
  for (const { name, text } of trustFiles([{ ...shard, keys: [key!] }])) made.target(name, text);
  change(made);
  made.publish();
  return made;
}

/** What `work` does with a mirror of its own. */
async function withMirror<T>(made: TufMaker, work: (mirror: TufMirror) => Promise<T>): Promise<T> {
  const own = await startMirror(made.files);
  try {
    return await work(own);
  } finally {
    await own.close();
  }
}

const use = async (name: string, root = at('root.json'), url = mirror.url) =>
  await stele(['trust', 'use', url, '--root', root], { env: env(name) });
const sign = ['sign', '--key', 'key.pem', '--public-out', 'key.pub', 'file'];
const verify = ['verify', 'file', '--key', 'key.pub'];
const run = (args: readonly string[], name: string) => stele(args, { cwd: dir.path, env: env(name) });

describe('stele trust', () => {
  it('follows a repository, says which, and forgets it', async () => {
    const { code, stdout, stderr } = await use('a');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain('is followed from now on');
    expect(stdout).toMatch(/root +version 1, expires .* 3 of 5 keys must sign/);
    const shown = await steleJson(['trust', 'show'], { env: env('a') });
    expect(shown).toMatchObject({ mirror: `${mirror.url}/`, root: { version: 1 }, dir: at('a') });
    expect(shown.targets).toContainEqual(expect.objectContaining({ name: 'trusted_root.json', here: true }));
    expect((await stele(['trust', 'update'], { env: env('a') })).stdout).toContain('nothing new');
    expect((await stele(['trust', 'forget'], { env: env('a') })).code).toBe(0);
    expect(contentOf(at('a'))).toEqual({});
    expect((await stele(['trust', 'show'], { env: env('a') })).stderr).toContain(
      'error [trust]: no repository is followed',
    );
  });

  it('keeps nothing of a wrong root, and says what is wrong', async () => {
    writeFileSync(at('other.json'), repository().root());
    const { code, stderr } = await use('b', at('other.json'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/error \[tuf-mismatch\]: .* serves another 1\.root\.json than the root that you name/);
    expect(contentOf(at('b'))).toEqual({});
    expect((await use('b', at('file'))).stderr).toContain(`error [tuf-malformed]: ${at('file')} cannot be used`);
    expect((await use('b', at('no-file'))).code).toBe(2);
    expect((await use('b', at('root.json'), 'http://127.0.0.1:9/trust')).stderr).toContain('error [network]');
    expect((await use('b', at('root.json'), `${mirror.url}/elsewhere`)).stderr).toContain('error [tuf-missing]');
    expect((await use('b', at('root.json'), 'ftp://example.com')).code).toBe(2);
    expect(contentOf(at('b'))).toEqual({});
  });

  it('takes another repository with --force alone', async () => {
    await use('c');
    const other = repository();
    writeFileSync(at('other.json'), other.root());
    await withMirror(other, async ({ url }) => {
      const refused = await use('c', at('other.json'), url);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain('replace it with --force');
      expect(await steleJson(['trust', 'show'], { env: env('c') })).toMatchObject({ mirror: `${mirror.url}/` });
      const forced = ['trust', 'use', url, '--root', at('other.json'), '--force'];
      expect(await steleJson(forced, { env: env('c') })).toMatchObject({ mirror: `${url}/` });
    });
  });

  it('refuses local trust that others may write, or that was changed', async () => {
    await use('d');
    await run(sign, 'd');
    for (const [path, mode] of [
      ['.', 0o777],
      ['state.json', 0o666],
      ['files', 0o775],
    ] as const) {
      chmodSync(join(at('d'), path), mode);
      const { code, stderr } = await run(verify, 'd');
      expect(stderr).toMatch(/error \[trust\]: .* can be written by others .*chmod go-w/);
      expect(code).toBe(2);
      chmodSync(join(at('d'), path), mode & 0o755);
    }
    const { targets } = (await steleJson(['trust', 'show'], { env: env('d') })) as {
      targets: { name: string; sha256: string }[];
    };
    const file = join(at('d'), 'files', targets.find(({ name }) => name === 'trusted_root.v0.2.json')!.sha256);
    const good = readFileSync(file);
    writeFileSync(file, `${good}\n`);
    expect((await run(verify, 'd')).stderr).toMatch(/error \[trust\]: .* was changed/);
    expect((await stele(['trust', 'update'], { env: env('d') })).code).toBe(0);
    expect((await run(verify, 'd')).code).toBe(0);
    writeFileSync(join(at('d'), 'state.json'), '{');
    expect((await run(verify, 'd')).stderr).toMatch(
      /error \[trust\]: .*state\.json is damaged.*To repair it, run `.*stele trust forget`/,
    );
  });

  it('says that a path of the local trust is no directory', async () => {
    for (const command of ['show', 'update', 'forget']) {
      for (const path of ['file', join('file', 'below')]) {
        const { code, stderr } = await run(['trust', command, '--trust', path], 'nowhere');
        expect(stderr).toMatch(/error \[trust\]: .*file.* (is no directory|cannot be read \(ENOTDIR\))/);
        expect(code).toBe(2);
      }
    }
  });

  it('refuses local trust without its files, and does not go on as if nothing were followed', async () => {
    await use('half');
    rmSync(join(at('half'), 'files'), { recursive: true });
    // A log is trusted by what it says of itself only where nothing is followed.
    for (const args of [verify, [...sign, '--log', log.url]]) {
      const { code, stderr } = await run(args, 'half');
      expect(stderr).toMatch(/error \[trust\]: the local trust cannot be used: .* is not there/);
      expect(code).toBe(2);
    }
  });

  const other = process.getuid?.() === 0 ? undefined : 'root, who can be another user';
  it.skipIf(skips('a user who may read the local trust alone', other))(
    'says that another user may not update',
    async () => {
      await use('of-root');
      chmodSync(dir.path, 0o755);
      const as = { uid: 54_321, gid: 54_321, cwd: '/', env: env('of-root'), encoding: 'utf8' } as const;
      expect(spawnSync(process.execPath, [CLI, 'trust', 'get', 'log.vkey'], as).status).toBe(0);
      const { stderr } = spawnSync(process.execPath, [CLI, 'trust', 'update'], as);
      expect(stderr).toMatch(/this user may not write .*lock \(EACCES\).*run as the user that it belongs to/);
    },
  );

  const asNobody = process.getuid?.() === 0 ? undefined : 'root, who can be another user';
  it.skipIf(skips('a user without an entry and without a home', asNobody))('needs no home', () => {
    const { status, stderr } = spawnSync(process.execPath, [CLI, 'trust', 'show'], {
      ...{ uid: 54_321, gid: 54_321, cwd: '/', env: {}, encoding: 'utf8' },
    });
    expect(stderr).toContain('no repository is followed in /.local/share/stele/trust');
    expect(status).toBe(2);
  });
});

describe('stele trust get', () => {
  it('gives a target of a delegated role, later also without the mirror', async () => {
    const made = repository((maker) => {
      maker.delegate('team', ['policies/*']);
      maker.target('policies/admission.yaml', 'allow: []\n', 'team');
      maker.target('binary', new Uint8Array([0, 255, 10]));
    });
    writeFileSync(at('team.json'), made.root());
    await withMirror(made, async (own) => {
      await use('get', at('team.json'), own.url);
      expect(await run(['trust', 'get', 'policies/admission.yaml'], 'get')).toMatchObject({
        code: 0,
        stdout: 'allow: []\n',
        stderr: '',
      });
      own.misbehave(targetPath('binary', new Uint8Array([0, 255, 10])), (response) => response.end('bad'));
      const bad = await run(['trust', 'get', 'binary', '--out', 'binary'], 'get');
      expect(bad).toMatchObject({ code: 1, stdout: '' });
      expect(bad.stderr).toContain('error [tuf-mismatch]');
      expect(existsSync(at('binary'))).toBe(false);
      own.reset();
      const { stdout } = await run(['trust', 'get', 'binary', '--out', 'binary', '--json'], 'get');
      expect(JSON.parse(stdout)).toMatchObject({ ok: true, name: 'binary', length: 3 });
      expect([...readFileSync(at('binary'))]).toEqual([0, 255, 10]);
    });
    const offline = await run(['trust', 'get', 'policies/admission.yaml'], 'get');
    expect(offline).toMatchObject({ code: 0, stdout: 'allow: []\n' });
    expect((await run(['trust', 'get', 'policies/other.yaml'], 'get')).stderr).toMatch(
      /error \[network\]: .* The local trust alone does not give it: policies\/other\.yaml is not here/,
    );
  });

  it('says that the repository has no such target, or that none is followed', async () => {
    await use('get-none');
    const none = await run(['trust', 'get', 'no-such'], 'get-none');
    expect(none.code).toBe(2);
    expect(none.stderr).toMatch(/error \[trust\]: the followed repository .* has no no-such/);
    expect((await run(['trust', 'get', 'policy'], 'nowhere')).stderr).toContain('no repository is followed');
    expect((await run(['trust', 'get', 'log.vkey', '--json'], 'get-none')).stderr).toContain('error [usage]');
  });
});

describe('with a followed repository', () => {
  it('sign, attest, submit, verify and audit need no other trust', async () => {
    await use('e');
    const signed = await run(sign, 'e');
    expect(signed.stderr).toBe('');
    expect(signed.code).toBe(0);
    expect(await run(verify, 'e')).toMatchObject({ code: 0, stderr: '' });
    writeFileSync(at('p.json'), '{"a": 1}');
    const attest = [
      'attest',
      'file',
      '--predicate',
      'p.json',
      '--type',
      'custom',
      '--key',
      'key.pem',
      '--public-out',
      'key.pub',
    ];
    expect(await run(attest, 'e')).toMatchObject({ code: 0, stderr: '' });
    writeFileSync(at('later'), 'later');
    await run(['sign', 'later', '--key', 'key.pem', '--no-log'], 'e');
    expect(await run(['submit', 'later.sigstore.json', '--key', 'key.pub'], 'e')).toMatchObject({ code: 0 });
    expect(await run(['verify', 'later', '--key', 'key.pub'], 'e')).toMatchObject({ code: 0 });
  });

  it('sign fetches news, and verify never goes online', async () => {
    await use('f');
    await run(sign, 'f');
    mirror.reset();
    await run(verify, 'f');
    expect(mirror.requests).toEqual([]);
    await run(sign, 'f');
    expect(mirror.requests).toEqual(['2.root.json', 'timestamp.json']);
  });

  it('a mirror that is away is a warning, and one that lies is an error', async () => {
    const own = repository();
    writeFileSync(at('own.json'), own.root());
    await withMirror(own, async (other) => {
      await use('g', at('own.json'), other.url);
      other.misbehave('timestamp.json', 503);
      const away = await run(sign, 'g');
      expect(away.stderr).toContain('warning: the news of the followed repository could not be fetched');
      expect(away.code).toBe(0);
      other.reset();
      own.write('timestamp', { signers: own.newKeys(1) });
      const lie = await run(sign, 'g');
      expect(lie.stderr).toContain('error [tuf-signatures]');
      expect(lie.code).toBe(1);
    });
    // The mirror is gone.
    expect(await run(sign, 'g')).toMatchObject({ code: 0 });
    expect(await run(verify, 'g')).toMatchObject({ code: 0, stderr: '' });
  });

  it('an option for trust or log wins over it', async () => {
    await use('h');
    mirror.reset();
    const explicit = ['--log', log.url, '--log-key', log.verifierKeys[0]!];
    expect((await run([...sign, ...explicit], 'h')).code).toBe(0);
    const other = 'other.example+5b1a8f8e+AY8fkh8YF6NYSVQBBpYfW/hsLBhsLBhsLBhsLBhsLBhs';
    expect((await run([...verify, '--log-key', other], 'h')).code).not.toBe(0);
    expect((await run([...verify, '--log-key', log.verifierKeys[0]!], 'h')).code).toBe(0);
    expect(mirror.requests).toEqual([]);
    expect((await run([...sign, '--log', log.url], 'h')).stderr).toBe('');
    expect((await run([...verify, '--log-key', log.verifierKeys[0]!, '--trust', at('h')], 'h')).code).toBe(2);
  });

  it('audit takes the log, its address and its keys from it, and every log where none is named', async () => {
    await use('n');
    await run(sign, 'n');
    type Report = { ok: boolean; signedBy: string[]; tree: { origin: string }; logs: Report[] };
    const audit = async (...args: string[]) =>
      (await steleJson(['audit', ...args], { cwd: dir.path, env: env('n') })) as unknown as Report;
    for (const named of [log.url, log.origin]) {
      expect(await audit(named)).toMatchObject({ tree: { origin: log.origin }, signedBy: [log.verifierKeys[0]] });
    }
    const all = await audit('--state', 'audits');
    expect(all).toMatchObject({ ok: true, logs: [{ ok: true, signedBy: [log.verifierKeys[0]] }] });
    expect(readdirSync(at('audits'))).toEqual([`${log.origin}.audit`]);
    expect((await run(['audit', 'unknown.example'], 'n')).stderr).toContain('names no log of API v2 with the origin');
    expect((await run(['audit'], 'none')).stderr).toContain('stele trust use');
  });

  it('a log that the repository does not know is trusted as without a repository', async () => {
    await use('i');
    const other = await startServer(at('other-log'));
    try {
      const { code, stderr } = await run([...sign, '--log', other.url, '--out', at('other.bundle')], 'i');
      expect(stderr).toContain('without --log-key this command trusts the key');
      expect(code).toBe(0);
    } finally {
      await other.stop();
    }
    expect((await run([...verify, '--bundle', at('other.bundle')], 'i')).code).toBe(1);
  });

  it('an expired timestamp is a warning with its age, and an error with --max-trust-age', async () => {
    const own = repository((made) => {
      made.bodies.timestamp.expires = made.expiry(1);
    });
    writeFileSync(at('own.json'), own.root());
    await withMirror(own, async ({ url }) => {
      expect((await use('j', at('own.json'), url)).code).toBe(0);
      await run([...sign, '--log', log.url, '--log-key', log.verifierKeys[0]!], 'j');
    });
    const later = new Date(Date.now() + 5.5 * 86_400_000).toISOString();
    const old = await run([...verify, '--at', later], 'j');
    expect(old.stderr).toMatch(/warning: the timestamp of the followed repository expired 4 days ago/);
    expect(old.code).toBe(0);
    const refused = await run([...verify, '--at', later, '--max-trust-age', '2d'], 'j');
    expect(refused.stderr).toContain('error [tuf-expired]');
    expect(refused.code).toBe(1);
    expect((await run([...verify, '--at', later, '--max-trust-age', '30d'], 'j')).code).toBe(0);
    expect((await run([...verify, '--max-trust-age', 'soon'], 'j')).code).toBe(2);
  });

  it('an expired root and expired targets are errors, with what to do', async () => {
    await use('k');
    await run(sign, 'k');
    const { code, stderr } = await run([...verify, '--at', new Date(Date.now() + 40 * 86_400_000).toISOString()], 'k');
    expect(stderr).toMatch(/error \[tuf-expired\]: .*run `.*trust update`/);
    expect(code).toBe(1);
  });

  it('--trust names a directory, and must hold a repository', async () => {
    await use('l');
    expect((await stele([...verify, '--trust', at('l')], { cwd: dir.path })).code).toBe(0);
    const none = await stele([...verify, '--trust', at('nothing')], { cwd: dir.path });
    expect(none.stderr).toContain('error [trust]: no repository is followed');
    expect(none.code).toBe(2);
    expect(readdirSync(dir.path)).not.toContain('nothing');
  });

  it('a queue takes log and trust without going online', async () => {
    await use('m');
    mirror.reset();
    writeFileSync(at('queued'), 'queued');
    const queued = await run(['sign', 'queued', '--key', 'key.pem', '--queue', 'queue'], 'm');
    expect(queued.code).toBe(0);
    expect(mirror.requests).toEqual([]);
    expect((await run(['submit', '--flush', '--queue', 'queue'], 'm')).code).toBe(0);
    expect((await run(['verify', 'queued', '--key', 'key.pub'], 'm')).code).toBe(0);
  });

  it('says how to follow one where nothing says whom to trust', async () => {
    expect((await run(verify, 'none')).stderr).toContain('stele trust use');
    expect((await run(sign, 'none')).stderr).toContain('stele trust use');
    expect((await run(verify, 'none')).code).toBe(2);
  });
});
