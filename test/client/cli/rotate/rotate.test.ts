/** `stele log rotate` on real processes. Built first (`npm test` does). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { stageTargets } from '../../../../client/trust/tuf/staging.ts';
import { createKeyFile } from '../../../../merkle/runtime/keys/keyfile.ts';
import { later, tempDir } from '../../../support/log-files.ts';
import { CLI, type Ran, run as ranBy, type ServeProcess, stele } from '../../../support/serve.ts';
import { startWitness } from '../../../support/witness-process.ts';
import { makeRepository, type Repository, type TwoNames, twoNames } from './rotating.ts';

const KILL_AT = fileURLToPath(new URL('../../../support/kill-at.mjs', import.meta.url));
/** Every change of a rotation, or some of them. */
const STRIDE = process.env.STELE_ROTATE_KILLS === 'all' ? 1 : 97;

let dir: string;
let log: TwoNames;
let repository: Repository;
const at = (...names: string[]) => join(dir, ...names);

beforeEach(async () => {
  dir = await tempDir();
  log = await twoNames(at('data'));
  repository = await makeRepository(dir);
});

async function started(two = log): Promise<ServeProcess> {
  const server = await two.start();
  later(() => server.kill());
  return server;
}

/** A log with one entry, and with a witness that knows its key and no other. `add` tells the witness a further key. */
async function startedWithWitness() {
  const witness = await startWitness(at('witness'), 'w.test/w', []);
  later(() => witness.stop());
  writeFileSync(at('policy'), `witness w ${witness.verifierKeys[0]} ${witness.url}\nquorum w\n`);
  log = await twoNames(at('data'), ['--policy', at('policy')]);
  const server = await started();
  const add = (vkey: string) => stele(['witness', 'log', 'add', vkey, '--data', at('witness')]);
  await add(server.verifierKeys[0]!);
  expect(await sign('old', log.first)).toMatchObject({ code: 0 });
  return { server, witness, add };
}

const rotate = (...args: string[]): Promise<Ran> => stele(['log', 'rotate', ...args, ...log.settings]);
const result = ({ stdout }: Ran) => JSON.parse(stdout) as Record<string, unknown>;

async function sign(name: string, url: string): Promise<Ran> {
  writeFileSync(at(name), name);
  return await stele(['sign', at(name), '--log', url, '--log-key', await keyAt(url)]);
}

/** Verifies with the files that clients get. */
async function verify(name: string): Promise<Ran> {
  const targets = repository.targets();
  writeFileSync(at('root.json'), targets['trusted_root.json']!);
  writeFileSync(at('last'), targets['localhost.last-checkpoint'] ?? '');
  const pinned = targets['localhost.last-checkpoint'] === undefined ? [] : ['--last-checkpoint', at('last')];
  return await stele([
    'verify',
    at(name),
    '--key',
    at(`${name}.pub.pem`),
    '--trusted-root',
    at('root.json'),
    ...pinned,
  ]);
}

interface About {
  readonly verifierKeys: readonly string[];
  readonly status: string;
  readonly shards?: readonly { readonly origin: string; readonly status: string }[];
}
const about = async (url: string) => (await (await fetch(`${url}/stele/v1/log`)).json()) as About;
const keyAt = async (url: string) => (await about(url)).verifierKeys[0]!;

/** The statuses of the shards; at most one takes entries. */
async function statuses(): Promise<string[]> {
  const { shards, status } = await about(log.first);
  const all = shards?.map((shard) => shard.status) ?? [status];
  expect(all.filter((one) => one === 'open').length, all.join()).toBeLessThanOrEqual(1);
  return all;
}

describe('a rotation', () => {
  it('of a running log goes through in one command, and is repeated without harm', async () => {
    await started();
    expect(await sign('old', log.first)).toMatchObject({ code: 0 });
    const [old] = (await about(log.first)).verifierKeys;
    const args = [log.next, ...repository.options, '--yes', '--json'];
    const ran = await rotate(...args);
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    expect(ran.stderr.match(/rotate \d\/6, \w+/g)).toEqual(
      ['1/6, prepare', '3/6, announce', '4/6, freeze', '5/6, trust', '6/6, open'].map((step) => `rotate ${step}`),
    );
    expect(result(ran)).toMatchObject({ ok: true, from: 'localhost', to: '127.0.0.1', url: log.next, step: 'done' });
    expect(await statuses()).toEqual(['frozen', 'open']);
    const next = await keyAt(log.next);
    expect(next).not.toBe(old);

    const targets = repository.targets();
    expect(targets['log.vkey']).toBe(`${next}\n`);
    expect(targets['localhost.last-checkpoint']).toBe(result(ran).lastCheckpoint);
    const { tlogs } = JSON.parse(targets['trusted_root.json']!);
    expect(tlogs).toHaveLength(2);
    expect(Date.parse(tlogs[0].publicKey.validFor.end)).toBeLessThanOrEqual(Date.now() + 1000);
    expect(tlogs[1].publicKey.validFor.end).toBeUndefined();

    expect(await sign('refused', log.first)).toMatchObject({ code: 1, stderr: expect.stringContaining('frozen') });
    expect(await sign('new', log.next)).toMatchObject({ code: 0 });
    for (const name of ['old', 'new']) expect(await verify(name)).toMatchObject({ code: 0 });

    const again = await rotate(...args);
    expect(result(again)).toMatchObject({ ok: true, step: 'done', lastCheckpoint: result(ran).lastCheckpoint });
    expect(repository.targets()).toEqual(targets);
    expect(result(await rotate('--dry-run', '--json'))).toMatchObject({ step: 'done' });
    // A crash in the last moment leaves nothing to do, and the repeat says so.
    const repeated = await rotate(...repository.options, '--yes', '--json');
    expect(repeated, repeated.stderr).toMatchObject({ code: 0 });
    expect(result(repeated)).toMatchObject({ ok: true, step: 'done', to: '127.0.0.1' });

    const freeze = await stele(['log', 'freeze', '--yes', ...log.settings]);
    expect(freeze, freeze.stderr).toMatchObject({ code: 0 });
    // It takes no entries any more, and the command must not say that it does.
    for (const url of [[log.next], []]) {
      const ended = await rotate(...url, ...repository.options, '--yes', '--json');
      expect(ended).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/is a shard of this log already|no rotation is/),
      });
    }
    expect(repository.targets()).toEqual(targets);
  });

  it('of a log that does not run goes through too, into a directory', async () => {
    const server = await started();
    expect(await sign('old', log.first)).toMatchObject({ code: 0 });
    await server.stop();
    const ran = await rotate(log.next, '--trust-dir', at('trust'), '--yes', '--json');
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    expect(await readdir(at('trust'))).toEqual(
      expect.arrayContaining(['signing_config.v0.2.json', 'localhost.last-checkpoint', '127.0.0.1.vkey']),
    );
    await started();
    expect(await statuses()).toEqual(['frozen', 'open']);
    expect(await sign('new', log.next)).toMatchObject({ code: 0 });
  });

  it('can be announced first: clients know the key, and still write to the old shard', async () => {
    await started();
    const ran = await rotate(log.next, ...repository.options, '--announce', '--json');
    expect(result(ran)).toMatchObject({ ok: true, step: 'freeze', waitsFor: 'time' });
    expect(await statuses()).toEqual(['open', 'prepared']);
    const targets = repository.targets();
    expect(JSON.parse(targets['trusted_root.json']!).tlogs).toHaveLength(2);
    expect(JSON.parse(targets['signing_config.v0.2.json']!).rekorTlogUrls).toHaveLength(1);
    expect(result(await rotate('--dry-run', '--json'))).toMatchObject({ step: 'announce', to: '127.0.0.1' });
    // A repeat has the last word about the address, until the rotation is done and after it.
    const addresses = () =>
      (JSON.parse(repository.targets()['trusted_root.json']!).tlogs as { baseUrl: string }[])[1]?.baseUrl;
    const mistyped = 'https://127.0.0.1:1';
    const again = await rotate(mistyped, ...repository.options, '--announce', '--json');
    expect(result(again), again.stderr).toMatchObject({ ok: true, step: 'freeze', url: mistyped });
    expect(addresses()).toBe(mistyped);
    await createKeyFile(at('other.pem'), 'ed25519');
    const otherKey = await rotate(log.next, '--next-key-file', at('other.pem'), ...repository.options, '--yes');
    expect(otherKey).toMatchObject({ code: 2, stderr: expect.stringContaining('was prepared with the key') });
    expect(await statuses()).toEqual(['open', 'prepared']);
    expect(result(await rotate(...repository.options, '--yes', '--json'))).toMatchObject({ ok: true, step: 'done' });
    expect(await statuses()).toEqual(['frozen', 'open']);
    expect(result(await rotate(log.next, ...repository.options, '--yes', '--json'))).toMatchObject({
      ok: true,
      step: 'done',
      url: log.next,
    });
    expect(addresses()).toBe(log.next);
  });

  it('stops for holders who sign elsewhere, and goes on when they have', async () => {
    await started();
    const only = ['--trust-repo', repository.dir, ...repository.online, '--yes', '--json'];
    const one = repository.holders.slice(0, 2);
    for (const step of ['announce', 'trust']) {
      const first = await rotate(...(step === 'announce' ? [log.next] : []), ...only, ...one);
      expect(result(first)).toMatchObject({ ok: false, step, waitsFor: 'signatures' });
      expect(first.code).toBe(1);
      expect(JSON.stringify(result(first).todo)).toMatch(/2 holders must sign.* 1 have.*holder-2.*stele trust sign /);
      expect(await statuses()).toEqual(step === 'announce' ? ['open', 'prepared'] : ['frozen', 'prepared']);
      // The second holder, and the online key where it is.
      const keys = step === 'announce' ? repository.holders : [...repository.holders, ...repository.online];
      const second = await rotate('--trust-repo', repository.dir, ...keys, '--yes', '--json');
      if (step === 'announce') expect(result(second)).toMatchObject({ step: 'announce', waitsFor: 'publication' });
      else expect(result(second)).toMatchObject({ ok: true, step: 'done' });
    }
  });

  it('stops before anything is frozen where the witnesses do not know the new key', async () => {
    const { server, witness, add } = await startedWithWitness();
    const ran = await rotate(log.next, ...repository.options, '--yes', '--json');
    expect(ran.code).toBe(1);
    expect(result(ran)).toMatchObject({ ok: false, step: 'witness', waitsFor: 'witnesses' });
    expect(await statuses()).toEqual(['open', 'prepared']);
    expect(Object.keys(repository.targets())).toEqual([]);
    const [vkey] = result(ran).verifierKeys as string[];
    expect(JSON.stringify(result(ran).todo)).toContain(`stele witness log add ${vkey}`);
    expect(await add(vkey!)).toMatchObject({ code: 0 });
    await witness.stop();
    const away = await rotate(...repository.options, '--yes', '--json');
    expect(JSON.stringify(result(away).todo)).toContain('start them');
    expect(JSON.stringify(result(away).todo)).not.toContain('witness log add');
    const back = await startWitness(at('witness'), 'w.test/w', [server.verifierKeys[0]!, vkey!], witness.port);
    later(() => back.stop());
    const done = await rotate(...repository.options, '--yes', '--json');
    expect(result(done), done.stderr).toMatchObject({ ok: true, step: 'done' });
    expect(await sign('new', log.next)).toMatchObject({ code: 0 });
    writeFileSync(at('new-policy'), repository.targets().policy!);
    for (const name of ['old', 'new']) {
      const args = ['verify', at(name), '--key', at(`${name}.pub.pem`), '--policy', at('new-policy')];
      expect(await stele(args)).toMatchObject({ code: 0, stdout: expect.stringContaining('of the policy is met') });
    }
  });
});

describe('of a log that was frozen by hand, a rotation', () => {
  it('asks the witnesses too, before clients are led to a shard that they do not cosign', async () => {
    const witness = await startWitness(at('witness'), 'w.test/w', []);
    later(() => witness.stop());
    writeFileSync(at('policy'), `witness w ${witness.verifierKeys[0]} ${witness.url}\nquorum w\n`);
    log = await twoNames(at('data'), ['--policy', at('policy')]);
    const server = await started();
    const add = (vkey: string) => stele(['witness', 'log', 'add', vkey, '--data', at('witness')]);
    await add(server.verifierKeys[0]!);
    expect(await stele(['log', 'freeze', '--yes', ...log.settings])).toMatchObject({ code: 0 });
    const ran = await rotate(log.next, ...repository.options, '--yes', '--json');
    expect(ran.code).toBe(1);
    expect(result(ran)).toMatchObject({ ok: false, step: 'witness', waitsFor: 'witnesses' });
    expect(result(await rotate('--dry-run', '--json'))).toMatchObject({ step: 'witness' });
    expect(await statuses()).toEqual(['frozen', 'prepared']);
    expect(repository.targets()).toEqual({});
    const [vkey] = result(ran).verifierKeys as string[];
    expect(await add(vkey!)).toMatchObject({ code: 0 });
    const done = await rotate(...repository.options, '--yes', '--json');
    expect(result(done), done.stderr).toMatchObject({ ok: true, step: 'done' });
    expect(await sign('new', log.next)).toMatchObject({ code: 0 });
  });
});

describe('is refused before anything happens', () => {
  const untouched = async () => {
    expect(await statuses()).toEqual(['open']);
    expect(existsSync(at('data', 'shards'))).toBe(false);
    expect(repository.targets()).toEqual({});
  };

  it('for an origin that is taken, no URL, no place for clients, and a key that was used', async () => {
    await started();
    const tried: [readonly string[], RegExp][] = [
      [[], /no rotation is under way.*name the address of the next shard/],
      [[log.first], /"localhost" is a shard of this log already/],
      [['ftp://127.0.0.1'], /usage/],
      [['http://[::1]'], /"\[::1\]" is no origin of a shard: take the bare host name/],
      [['http://[::1]', '--dry-run'], /"\[::1\]" is no origin of a shard/],
      [['http://localhost.', '--dry-run'], /"localhost\." is no origin of a shard/],
      [[log.next, '--next-key-file', at('data', 'key.pem')], /the given key is the one of "localhost"/],
      [[log.next, '--next-key-file', at('none.pem')], /none\.pem/],
      [[log.next, '--next-pin-env', 'PIN'], /--pkcs11-module/],
    ];
    for (const [args, why] of tried) {
      const ran = await rotate(...args, ...repository.options, '--yes');
      expect(ran, args.join(' ')).toMatchObject({ code: 2, stderr: expect.stringMatching(why) });
    }
    expect(await rotate(log.next, '--yes')).toMatchObject({ code: 2, stderr: expect.stringContaining('--trust-repo') });
    await untouched();
  });

  it('where the repository has other changes staged, or is none', async () => {
    await started();
    await stageTargets(repository.dir, { files: [{ name: 'admission.rego', bytes: Buffer.from('x') }] }, Date.now());
    const ran = await rotate(log.next, ...repository.options, '--yes');
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringMatching(/other changes staged.*admission\.rego/) });
    const none = await rotate(log.next, '--trust-repo', at('nothing'), '--yes');
    expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('[trust]') });
    expect(existsSync(at('nothing'))).toBe(false);
    expect(await statuses()).toEqual(['open']);
    expect(existsSync(at('data', 'shards'))).toBe(false);
  });

  it('without a terminal and --yes at the freeze, which is the only step that nothing undoes', async () => {
    await started();
    const ran = await rotate(log.next, ...repository.options);
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringMatching(/a rotation ends the log for ever.*--yes/) });
    expect(await statuses()).toEqual(['open', 'prepared']);
  });

  it('for another next shard while one is prepared', async () => {
    await started();
    await rotate(log.next, ...repository.options, '--announce');
    const ran = await rotate('https://log3.example.com', ...repository.options, '--yes');
    expect(ran).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/the rotation to "127\.0\.0\.1" is under way/),
    });
    expect(await statuses()).toEqual(['open', 'prepared']);
  });
});

describe('a kill', () => {
  /** A repeat comes to the end, and old and new proofs hold. */
  async function finishes(): Promise<void> {
    const again = await rotate(log.next, ...repository.options, '--yes', '--json');
    expect(again, again.stderr).toMatchObject({ code: 0 });
    expect(result(again)).toMatchObject({ ok: true, step: 'done' });
    expect(await statuses()).toEqual(['frozen', 'open']);
    expect(repository.targets()['localhost.last-checkpoint']).toBe(result(again).lastCheckpoint);
    expect(await sign('new', log.next)).toMatchObject({ code: 0 });
    for (const name of ['old', 'new']) expect(await verify(name)).toMatchObject({ code: 0 });
    expect(readFileSync(at('data', 'stele.json'), 'utf8')).toContain('localhost');
  }

  const STEPS = ['prepare', 'announce', 'freeze', 'trust', 'open'] as const;

  /** Kills the command, and the log where it is given, when the step is announced. */
  async function killedAt(step: string, server: ServeProcess | undefined): Promise<void> {
    const args = [CLI, 'log', 'rotate', log.next, ...log.settings, ...repository.options, '--yes'];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(child, 'close');
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      if (!text.includes(`, ${step}: `)) return;
      child.kill('SIGKILL');
      void server?.kill();
    });
    await ended;
    expect(text).toContain(`, ${step}: `);
    if (server !== undefined) await server.kill();
  }

  it.each(
    STEPS.flatMap(
      (step) =>
        [
          [step, 'the command'],
          [step, 'the command and the log'],
        ] as const,
    ),
  )(
    'at the step %s of %s leaves at most one writable log and one repository, and a repeat finishes',
    async (step, what) => {
      let server = await started();
      expect(await sign('old', log.first)).toMatchObject({ code: 0 });
      await killedAt(step, what === 'the command' ? undefined : server);
      if (!server.running()) server = await started();
      const left = await statuses();
      const targets = repository.targets();
      // Clients are sent to no shard whose key they do not know, nor to one that no shard follows.
      const services = targets['signing_config.v0.2.json'];
      if (services !== undefined) {
        const urls = (JSON.parse(services).rekorTlogUrls as { url: string }[]).map(({ url }) => url);
        const known = (JSON.parse(targets['trusted_root.json']!).tlogs as { baseUrl: string }[]).map(
          (one) => one.baseUrl,
        );
        expect(known).toEqual(expect.arrayContaining(urls));
        if (urls.length === 2) expect(left[0]).toBe('frozen');
      }
      await finishes();
    },
  );

  it('at the step witness leaves the log as it was, and a repeat finishes', async () => {
    const { server, add } = await startedWithWitness();
    await killedAt('witness', server);
    const again = await started();
    expect(await statuses()).toEqual(['open', 'prepared']);
    expect(repository.targets()).toEqual({});
    expect(await add((await about(log.next)).verifierKeys[0]!)).toMatchObject({ code: 0 });
    expect(again.running()).toBe(true);
    await finishes();
  });

  // The command does every step itself where the log does not run.
  it('right before some of its changes leaves at most one writable log and one repository, and a repeat finishes', async () => {
    const server = await started();
    expect(await sign('old', log.first)).toMatchObject({ code: 0 });
    await server.stop();
    for (const place of ['data', 'repo']) await cp(at(place), at(`${place}-before`), { recursive: true });
    const args = [log.next, ...repository.options, '--yes', '--json'];
    const run = (killAt: number) =>
      ranBy(process.execPath, ['--import', KILL_AT, CLI, 'log', 'rotate', ...args, ...log.settings], {
        env: { KILL_AT: String(killAt) },
      });
    const seen = new Set<string>();
    for (let killAt = 1; ; killAt += STRIDE) {
      for (const place of ['data', 'repo']) {
        await rm(at(place), { recursive: true });
        await cp(at(`${place}-before`), at(place), { recursive: true });
      }
      const { code, stderr } = await run(killAt);
      if (code === 0) break;
      expect(code, stderr).toBe(-1);
      const running = await started();
      const left = await statuses();
      expect(left.filter((status) => status === 'open').length).toBeLessThanOrEqual(1);
      seen.add(left.join());
      repository.targets();
      await finishes();
      await running.stop();
    }
    expect(seen.size).toBeGreaterThanOrEqual(3);
  }, 600_000);
});
