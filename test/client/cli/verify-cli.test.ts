import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { skips } from '../../support/skip.ts';
import { type BundleCases, bundleCases } from '../../support/vectors.ts';

/** What `npm run build` made: the command line as users run it. */
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const STELE = join(ROOT, 'dist/client/cli/main.js');
const joined: Record<string, string[]> = JSON.parse(readFileSync(join(ROOT, 'dist/joined.json'), 'utf8'));
const IDENTITY = [
  ...['--identity-regexp', 'https://github\\.com/.*@refs/heads/main'],
  ...['--issuer', 'https://token.actions.githubusercontent.com'],
];

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

let dir: string;
let server: ChildProcess;
let log: { url: string; vkey: string };

function run(command: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd: dir }, (error, out, err) => {
      resolve({ status: error === null ? 0 : Number(error.code), out, err });
    });
  });
}
const stele = (...args: readonly string[]) => run(process.execPath, [STELE, ...args]);
const json = ({ out }: Ran) => JSON.parse(out);
const path = (name: string) => join(dir, name);
/** Writes a bundle with its file and its trusted root. */
function certified(cases: BundleCases, name: string): { file: string; how: string[] } {
  const { bundle, artifact, trustedRoot } = cases.named(name);
  const file = `certified-${cases.source.replace(' ', '-')}`;
  writeFileSync(path(file), artifact);
  writeFileSync(path(`${file}.sigstore.json`), bundle);
  writeFileSync(path(`${file}.root.json`), trustedRoot);
  return { file, how: ['--bundle', `${file}.sigstore.json`, '--trusted-root', `${file}.root.json`] };
}

const TRUST = ['--key', 'key.pub', '--policy', 'policy'];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'stele-verify-'));
  server = spawn(
    process.execPath,
    [STELE, 'serve', '--json', '--origin', 'localhost', '--listen-port', '0', '--admin-port', '0'],
    { cwd: dir },
  );
  let out = '';
  const started = await new Promise<string>((resolve, reject) => {
    server.stdout!.on('data', (text) => {
      out += text;
      if (out.endsWith('}\n')) resolve(out);
    });
    server.on('exit', () => reject(new Error('the log did not start')));
  });
  const { url, verifierKeys } = JSON.parse(started);
  log = { url, vkey: verifierKeys[0] };
  writeFileSync(path('policy'), `log ${log.vkey}\nquorum none\n`);
  for (const name of ['a', 'b', 'c', 'empty']) writeFileSync(path(name), name === 'empty' ? '' : `file ${name}`);
  const how = [
    '--log',
    log.url,
    '--log-key',
    log.vkey,
    '--new-key',
    'key.pem',
    '--public-out',
    'key.pub',
    '--tlog-proof',
  ];
  for (const name of ['a', 'b', 'c', 'empty']) {
    const signed = await stele('sign', name, ...how);
    if (signed.status !== 0) throw new Error(signed.err);
  }
}, 60_000);

afterAll(async () => {
  const ended = new Promise((resolve) => server.on('exit', resolve));
  server.kill('SIGTERM');
  await ended;
  rmSync(dir, { recursive: true });
});

describe('stele verify', () => {
  it('says what it checked and by which key, and what it does not prove', async () => {
    const { status, out, err } = await stele('verify', 'a', ...TRUST);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    for (const part of [
      'OK: a is signed',
      'Checked:',
      'entry 0 of',
      `by ${log.vkey}`,
      'Not proven:',
      'who holds the key',
    ]) {
      expect(out).toContain(part);
    }
    const result = json(await stele('verify', 'a', ...TRUST, '--json'));
    expect(result).toMatchObject({
      ok: true,
      file: 'a',
      digest: { algorithm: 'SHA2_256', hex: createHash('sha256').update('file a').digest('hex') },
      log: { origin: 'localhost', verifierKey: log.vkey },
      index: 0,
      signer: { kind: 'key', key: 'ECDSA P-256' },
    });
    expect(result.checks.length).toBeGreaterThan(4);
    expect(result.notProven.length).toBeGreaterThan(1);
  });

  /** The packages that a command line loads, as ES modules or as CommonJS. */
  const packagesOf = async (...args: readonly string[]) => {
    const list = path('loaded');
    writeFileSync(list, '');
    const hooks = `import { appendFileSync } from 'node:fs';
      export async function load(url, context, next) {
        appendFileSync(${JSON.stringify(list)}, url + '\\n');
        return next(url, context);
      }`;
    writeFileSync(path('hooks.mjs'), hooks);
    writeFileSync(
      path('spy.mjs'),
      `import { appendFileSync } from 'node:fs';
      import { createRequire, register } from 'node:module';
      register('./hooks.mjs', import.meta.url);
      const { cache } = createRequire(import.meta.url);
      process.on('exit', () => appendFileSync(${JSON.stringify(list)}, Object.keys(cache).join('\\n')));`,
    );
    const { status, err } = await run(process.execPath, ['--import', `file://${path('spy.mjs')}`, STELE, ...args]);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    const sources = readFileSync(list, 'utf8').split('\n').flatMap(sourcesOf).join('\n');
    const rooms = sources.matchAll(/^(?:client\/(?:monitor|audit|queue)|server|witness)\//gm);
    const packages = sources.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)\//g);
    return [...new Set([...[...rooms].map(([room]) => room), ...[...packages].map(([, name]) => name!)])].sort();
  };

  /** What a built file was joined of, or the file itself; relative to the root. */
  const sourcesOf = (loaded: string): string[] => {
    const file = relative(ROOT, loaded.replace(/^file:\/\//, ''));
    return joined[relative('dist', file)] ?? [file];
  };

  it('loads what it needs, and nothing else', async () => {
    expect(await packagesOf('verify', 'a', ...TRUST)).toEqual(['commander']);
    expect(await packagesOf('verify', 'a', '--tlog-proof', 'a.tlog-proof', ...TRUST)).toEqual(['commander']);
    expect(await packagesOf('verify', '--help')).toEqual(['commander']);
    // koffi is the way to the OpenSSL in Node, which checks a signature over a digest.
    expect(await packagesOf('verify', 'a', 'b', ...TRUST)).toEqual([
      `@koromix/koffi-${process.platform}-${process.arch}`,
      'commander',
    ]);
    const heavy =
      /^(?:piscina|find-my-way|prom-client|abstract-level|nodemailer|@noble\/(?:curves|ed25519|post-quantum))$|server|witness/;
    const trying = await packagesOf('monitor', 'test', '--help');
    expect(trying).toContain('commander');
    expect(trying.filter((name) => heavy.test(name))).toEqual([]);
    const { file, how } = certified(bundleCases()[0]!, 'happy-path-v0.3-new-mediaType');
    expect(await packagesOf('verify', file, ...how, ...IDENTITY)).toEqual(['commander', 'node-forge', 're2js']);
  });

  it.each([
    ['no conditions', undefined, ['commander', 'typebox', 'yaml']],
    ['a condition', 'size(entries) == 1', ['@bufbuild/cel', 'commander', 'typebox', 'yaml']],
    [
      'a condition with a pattern',
      "entries[0].origin.matches('^l.*t$')",
      ['@bufbuild/cel', 'commander', 're2js', 'typebox', 'yaml'],
    ],
  ])('of a decision it loads what that needs: %s', async (_, cel, packages) => {
    const conditions = cel === undefined ? '' : `, conditions: [ ${JSON.stringify(cel)} ]`;
    const rule = `{ name: signed, type: signature, signers: [ me ]${conditions} }`;
    writeFileSync(
      path('policy.yaml'),
      `version: 1\nname: p\nsigners: { me: { keyFile: key.pub } }\nrules: [ ${rule} ]\n`,
    );
    const how = ['--policy', 'policy.yaml', '--evidence', 'a.sigstore.json', '--quorum-policy', 'policy'];
    expect(await packagesOf('decide', 'a', ...how)).toEqual(packages);
  });

  it('takes many files in one call, with a summary, and the graver status', async () => {
    const good = await stele('verify', 'a', 'b', 'c', ...TRUST);
    expect(good).toMatchObject({ status: 0, err: '' });
    expect(good.out).toContain('3 files: 3 verified, 0 refused, 0 could not be tried');
    copyFileSync(path('b'), path('swapped'));
    copyFileSync(path('a.sigstore.json'), path('swapped.sigstore.json'));
    const mixed = await stele('verify', 'a', 'swapped', 'absent', ...TRUST, '--json');
    expect(mixed.status).toBe(1);
    expect(json(mixed)).toMatchObject([
      { ok: true, file: 'a' },
      { ok: false, file: 'swapped', error: { code: 'digest-mismatch' } },
      { ok: false, file: 'absent', error: { code: 'file' } },
    ]);
    const untried = await stele('verify', 'a', 'absent', ...TRUST);
    expect(untried.status).toBe(2);
    expect(untried.out).toContain('1 verified, 0 refused, 1 could not be tried');
  });

  it('checks a tlog-proof, by the same key and file', async () => {
    const proof = ['--tlog-proof', 'a.tlog-proof', ...TRUST];
    const { status, out } = await stele('verify', 'a', ...proof);
    expect(status).toBe(0);
    expect(out).toContain('OK: a is signed');
    expect(await stele('verify', 'b', ...proof)).toMatchObject({
      status: 1,
      err: expect.stringContaining('digest-mismatch'),
    });
    const { leafHash } = json(await stele('verify', 'a', ...proof, '--json'));
    const other = readFileSync(path('b.tlog-proof'), 'utf8').replace(
      /^extra .*$/m,
      readFileSync(path('a.tlog-proof'), 'utf8').split('\n')[1]!,
    );
    writeFileSync(path('mixed.tlog-proof'), other);
    const mixed = await stele('verify', 'a', '--tlog-proof', 'mixed.tlog-proof', ...TRUST);
    expect(mixed).toMatchObject({ status: 1, err: expect.stringContaining('bad-proof') });

    const leaf = (hash: string, file = 'a.tlog-proof') =>
      stele('verify', '--leaf-hash', hash, '--tlog-proof', file, '--policy', 'policy');
    expect(await leaf(leafHash)).toMatchObject({
      status: 0,
      out: expect.stringContaining('OK: the leaf is in the log'),
    });
    expect((await leaf(Buffer.from(leafHash, 'base64').toString('hex'))).status).toBe(0);
    expect(await leaf(leafHash, 'b.tlog-proof')).toMatchObject({
      status: 1,
      err: expect.stringContaining('bad-proof'),
    });
    expect(await leaf('00')).toMatchObject({ status: 2, err: expect.stringContaining('usage') });
  });

  it('holds a tlog-proof and a leaf to the key of the log as well, and passes over nothing that is given', async () => {
    const proof = ['--tlog-proof', 'a.tlog-proof', '--policy', 'policy'];
    expect((await stele('verify', 'a', ...proof, '--key', 'key.pub', '--log-key', log.vkey)).status).toBe(0);
    const { leafHash } = json(await stele('verify', 'a', ...proof, '--key', 'key.pub', '--json'));
    const leaf = ['--leaf-hash', leafHash, ...proof];
    expect((await stele('verify', ...leaf, '--log-key', log.vkey)).status).toBe(0);
    // The specification's own (c2sp.org/signed-note).
    const other = ['--log-key', 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'];
    for (const args of [['a', '--key', 'key.pub', ...proof], leaf]) {
      const ran = await stele('verify', ...args, ...other);
      expect(ran).toMatchObject({ status: 2, err: expect.stringContaining('whose key was given') });
    }
    for (const given of [['--identity', 'me@example.com'], ['--issuer', 'https://example.com'], ['--witness-time']]) {
      const ran = await stele('verify', ...leaf, ...given);
      expect(ran, given[0]!).toMatchObject({ status: 2, err: expect.stringContaining(given[0]!) });
    }
    const evidence = await stele('verify', '--evidence', 'a', '--key', 'key.pub');
    expect(evidence).toMatchObject({ status: 2, err: expect.stringContaining('--key') });
  });

  it('ends with 2 and a clear error where it cannot be tried', async () => {
    mkdirSync(path('folder'));
    writeFileSync(path('nothing'), '');
    writeFileSync(path('huge'), '');
    truncateSync(path('huge'), 100 * 1024 * 1024);
    const cases: [string[], string][] = [
      [['absent', '--bundle', 'a.sigstore.json', ...TRUST], 'there is no such file'],
      [['folder', '--bundle', 'a.sigstore.json', ...TRUST], 'is a directory'],
      [['absent', ...TRUST], 'absent.sigstore.json cannot be read: there is no such file'],
      [['a', '--bundle', 'folder', ...TRUST], 'folder cannot be read'],
      [['a', '--bundle', 'huge', ...TRUST], 'huge is larger than 67108864 bytes, the most that a bundle may have'],
      [['a', '--key', 'key.pub'], 'which log you trust'],
      [['a', '--policy', 'policy'], 'whose signature'],
      [['a', ...TRUST, '--identity', 'me@example.com'], 'not both'],
      [['a', '--issuer', 'https://example.com', '--policy', 'policy'], 'an issuer vouches for many'],
      [['a', '--identity', 'me@example.com', '--policy', 'policy'], 'authority'],
      [['a', ...TRUST, '--witness-time'], 'quorum of witnesses'],
      [['a', 'b', '--bundle', 'a.sigstore.json', ...TRUST], 'of one file'],
      [[], 'name the file'],
      [['a', ...TRUST, '--trusted-root', 'policy'], 'trusted-root'],
      [['a', '--key', 'key.pub', '--policy', 'key.pub'], 'policy'],
      [['--leaf-hash', '00', ...TRUST], '--tlog-proof'],
      [['a', ...TRUST, '--require-sct'], '--require-sct is about the certificate'],
      [['a', ...TRUST, '--insecure-ignore-sct'], '--insecure-ignore-sct is about the certificate'],
      [['a', ...TRUST, '--require-logs', '0'], '--require-logs 0 is not a number from 1 to 32'],
      [['a', ...TRUST, '--require-logs', '33'], '--require-logs 33'],
      [['a', ...TRUST, '--require-timestamps', 'many'], '--require-timestamps many'],
      [['a', ...TRUST, '--require-timestamps', '1'], '--require-timestamps needs a --trusted-root'],
      [['a', ...TRUST, '--at', 'yesterday'], '--at yesterday is not a time of RFC 3339'],
      [['a', ...TRUST, '--at', '2026-02-30T00:00:00Z'], 'is not a time of RFC 3339'],
      [['a', '--tlog-proof', 'a.tlog-proof', ...TRUST, '--require-logs', '1'], 'a tlog-proof is of one log'],
    ];
    for (const [args, message] of cases) {
      const ran = await stele('verify', ...args);
      expect(ran, args.join(' ')).toMatchObject({ status: 2, err: expect.stringContaining(message) });
      expect(ran.err, args.join(' ')).not.toContain('    at ');
    }
  });

  it('ends with 1 where something does not hold', async () => {
    writeFileSync(path('latin1.json'), Buffer.from([0x7b, 0x22, 0xff, 0x22]));
    writeFileSync(path('deep.json'), '['.repeat(10_000));
    const cases: [string[], string][] = [
      [['a', '--bundle', 'nothing', ...TRUST], 'is empty'],
      [['a', '--bundle', 'latin1.json', ...TRUST], 'not UTF-8'],
      [['a', '--bundle', 'deep.json', ...TRUST], 'nested deeper'],
      [['nothing', '--bundle', 'a.sigstore.json', ...TRUST], 'nothing is empty'],
      [['b', '--bundle', 'a.sigstore.json', ...TRUST], 'not the one that was signed'],
    ];
    for (const [args, message] of cases) {
      expect(await stele('verify', ...args), args.join(' ')).toMatchObject({
        status: 1,
        err: expect.stringContaining(message),
      });
    }
    expect((await stele('verify', 'empty', ...TRUST)).status).toBe(0);
  });

  it.each(bundleCases())('asks certificate transparency as the root says, and takes the clock: %s', async (cases) => {
    const { file, how } = certified(cases, 'happy-path-v0.3-new-mediaType');
    const root = `${file}.root.json`;
    const said = JSON.parse(readFileSync(path(root), 'utf8'));
    writeFileSync(path('no-ct.json'), JSON.stringify({ ...said, ctlogs: [] }));
    const under = (name: string, ...more: string[]) =>
      stele('verify', file, ...how.slice(0, 2), '--trusted-root', name, ...IDENTITY, ...more);
    const notAsked = (why: string) => `certificate transparency: not asked, ${why}`;
    const open = await under('no-ct.json');
    expect(open).toMatchObject({ status: 0, out: expect.stringContaining(notAsked('the trusted root names no log')) });
    expect(json(await under('no-ct.json', '--json')).notProven).toContain(notAsked('the trusted root names no log'));
    expect(await under('no-ct.json', '--require-sct')).toMatchObject({
      status: 1,
      err: expect.stringContaining('[bad-sct]'),
    });
    const ignored = json(await under(root, '--insecure-ignore-sct', '--json'));
    expect(ignored.notProven).toContain(notAsked('--insecure-ignore-sct was given'));
    const strict = json(await under(root, '--require-sct', '--json'));
    expect(JSON.stringify(strict.notProven)).not.toContain('certificate transparency');
    expect(await under(root, '--require-sct', '--insecure-ignore-sct')).toMatchObject({ status: 2 });

    expect(await under(root, '--require-logs', '2')).toMatchObject({
      status: 1,
      err: expect.stringContaining('2 different logs are required'),
    });
    expect(await under(root, '--require-timestamps', '1')).toMatchObject({
      status: 1,
      err: expect.stringContaining('1 different time-stamp authorities are required'),
    });
    const [{ time }] = strict.times;
    expect(await under(root, '--at', time)).toMatchObject({ status: 0 });
    expect(await under(root, '--at', '2021-01-01T00:00:00+01:00')).toMatchObject({
      status: 1,
      err: expect.stringMatching(/\[future-time\].*is dated .*2020-12-31T23:00:00\.000Z/),
    });
  });

  it.each(bundleCases())('checks an identity, its issuer and its extensions: %s', async (cases) => {
    const { file, how } = certified(cases, 'happy-path-intoto-in-dsse-v3');
    for (const copy of ['x', 'y']) {
      copyFileSync(path(file), path(copy));
      copyFileSync(path(`${file}.sigstore.json`), path(`${copy}.sigstore.json`));
    }
    const ref = ['--extension', 'sourceRepositoryRef=refs/heads/main'];
    const good = await stele('verify', file, ...how, ...IDENTITY, ...ref);
    expect(good).toMatchObject({ status: 0, err: '', out: expect.stringContaining('has a signed attestation') });
    const open = await stele('verify', 'x', 'y', ...how.slice(2), ...IDENTITY.slice(0, 2), '--json');
    for (const { ok, notProven } of json(open)) {
      expect({ ok, note: notProven[0] }).toEqual({ ok: true, note: expect.stringContaining('no issuer') });
    }
    for (const wrong of [
      ['--identity', 'me@example.com'],
      [...IDENTITY, '--extension', 'sourceRepositoryRef=refs/heads/other'],
      ['--identity-regexp', 'github'],
      [...IDENTITY.slice(0, 2), '--issuer', 'https://example.com'],
    ]) {
      expect(await stele('verify', file, ...how, ...wrong)).toMatchObject({
        status: 1,
        err: expect.stringContaining('[identity]'),
      });
    }
  });

  const isolated = spawnSync('unshare', ['-rn', 'true']).status === 0;
  const why = isolated ? undefined : 'unshare makes no network namespace here';
  it.skipIf(skips('verify without a network', why))('needs no network: runs in an empty namespace', async () => {
    const inside = (...args: readonly string[]) => run('unshare', ['-rn', process.execPath, ...args]);
    // The network is really away.
    const probe = `fetch('${log.url}/checkpoint').then(() => process.exit(0), () => process.exit(7))`;
    expect((await inside('-e', probe)).status).toBe(7);
    expect((await inside(STELE, 'verify', 'a', 'b', ...TRUST)).status).toBe(0);
    expect((await inside(STELE, 'verify', 'a', '--tlog-proof', 'a.tlog-proof', ...TRUST)).status).toBe(0);
    expect((await inside(STELE, 'verify', 'b', '--bundle', 'a.sigstore.json', ...TRUST)).status).toBe(1);
  });

  // `npm run test:long` reads more than 2^32 bytes, which takes 10 seconds of a core.
  const [size, bytes] = process.env.TEST_LONG === undefined ? ['512 MB', 512 * 1024 ** 2] : ['5 GB', 5 * 1024 ** 3];
  it(`reads ${size} in pieces: memory stays flat`, async () => {
    writeFileSync(path('large'), '');
    truncateSync(path('large'), bytes);
    const hook = `process.on('exit', () => process.stderr.write('rss ' + process.resourceUsage().maxRSS + '\\n'))`;
    writeFileSync(path('hook.cjs'), hook);
    const peak = async (file: string) => {
      const ran = await run(process.execPath, [
        '-r',
        './hook.cjs',
        STELE,
        'verify',
        file,
        '--bundle',
        'a.sigstore.json',
        ...TRUST,
      ]);
      expect(ran.err).toContain('digest-mismatch');
      return Number(/rss ([0-9]+)/.exec(ran.err)![1]);
    };
    // Kilobytes.
    expect((await peak('large')) - (await peak('b'))).toBeLessThan(64 * 1024);
  });
});
