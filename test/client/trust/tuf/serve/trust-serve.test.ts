/** `stele trust serve` as a process: built first (`npm test` does). What a mirror serves: test/merkle/runtime/service/mirror.test.ts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { DAY, HOUR, type TrustPlan } from '../../../../../client/trust/tuf/plan.ts';
import { publish } from '../../../../../client/trust/tuf/publish.ts';
import { RepositoryStore } from '../../../../../client/trust/tuf/repository-store.ts';
import { changePlan, restage, stageTargets } from '../../../../../client/trust/tuf/staging.ts';
import { tufKey } from '../../../../../client/trust/tuf/tuf-key.ts';
import { createKeyFile } from '../../../../../merkle/runtime/keys/keyfile.ts';
import { openSigner } from '../../../../../merkle/runtime/keys/open-signer.ts';
import { tempDir } from '../../../../support/log.ts';
import { CLI, run, stele, steleJson } from '../../../../support/serve.ts';
import { skips } from '../../../../support/skip.ts';
import { NO_SOFTHSM, startSoftHsm } from '../../../../support/softhsm.ts';
import { until } from '../../../../support/until.ts';
import { type Holder, holder, holders, initSigned, planOf, readAsClient, signAll } from '../repository.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let repository: string;
let key: string;
let all: ReturnType<typeof holders>;
const running: (() => Promise<unknown>)[] = [];
const at = (...names: string[]) => join(dir.path, ...names);

beforeEach(async () => {
  dir = await tempDir();
  repository = at('repository');
  key = at('online.pem');
  all = holders();
  await writeKey(key, all.online);
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((stop) => stop()));
  await dir.remove();
});

async function writeKey(file: string, { key: { privateKey } }: Holder): Promise<void> {
  await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
}

/** Makes a repository as it was published `ago` milliseconds ago. */
async function published(ago: number, change: Partial<TrustPlan> = {}): Promise<void> {
  const now = Date.now() - ago;
  await initSigned(repository, planOf(all.five, all.online, change), all.five, now);
  await publish(repository, { online: [all.online.signer], now });
}

/** The version of the published timestamp, and when it expires. */
async function timestamp(): Promise<{ version: number; expires: number }> {
  const { signed } = JSON.parse(await readFile(join(repository, 'public', 'timestamp.json'), 'utf8'));
  return { version: signed.version, expires: Date.parse(signed.expires) };
}

interface Running {
  readonly url: string;
  readonly adminUrl: string;
  readonly roles: readonly { readonly name: string; readonly version: number; readonly expires: string }[];
  readonly child: ReturnType<typeof spawn>;
  err(): string;
  ready(): Promise<{ ready: boolean; reasons: string[]; alarms?: string[] }>;
  metrics(): Promise<string>;
  stop(): Promise<unknown>;
}

async function start(...args: string[]): Promise<Running> {
  const ports = ['--listen-port', '0', '--admin-port', '0', '--check', '1s', '--json'];
  const own = args.some((arg) => arg.startsWith('--key') || arg === '--config') ? [] : ['--key-file', key];
  const child = spawn(process.execPath, [CLI, 'trust', 'serve', repository, ...ports, ...own, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    return await ended;
  };
  running.push(stop);
  await Promise.race([
    until(
      () => out.endsWith('\n}\n'),
      () => err,
    ),
    ended.then(() => {
      throw new Error(`it ended:\n${out}${err}`);
    }),
  ]);
  const started = JSON.parse(out) as Running;
  return {
    ...started,
    child,
    err: () => err,
    ready: async () => (await (await fetch(`${started.adminUrl}/readyz`)).json()) as never,
    metrics: async () => await (await fetch(`${started.adminUrl}/metrics`)).text(),
    stop,
  };
}

describe('stele trust serve', () => {
  it('serves the repository, renews what is past half of its time, and ends in order', async () => {
    await published(13 * HOUR);
    const before = await timestamp();
    const running = await start();
    const after = await timestamp();
    expect(after.version).toBe(before.version + 1);
    expect(after.expires).toBeGreaterThan(Date.now() + 23 * HOUR);
    expect(running.roles.map(({ name, version }) => [name, version])).toEqual([
      ['root', 1],
      ['targets', 1],
      ['snapshot', 1],
      ['timestamp', 2],
    ]);
    const reply = await fetch(`${running.url}/timestamp.json`);
    expect(await reply.text()).toBe(await readFile(join(repository, 'public', 'timestamp.json'), 'utf8'));
    expect(Object.fromEntries(reply.headers)).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'public, max-age=1',
      'access-control-allow-origin': '*',
    });
    expect((await fetch(`${running.url}/1.root.json`, { method: 'HEAD' })).status).toBe(200);
    expect((await fetch(`${running.url}/`)).status).toBe(200);
    for (const path of ['2.root.json', 'plan.yaml', '..%2fplan.yaml', '%2e%2e/plan.yaml', 'staged/root.json']) {
      const missing = await fetch(`${running.url}/${path}`);
      expect([missing.status, await missing.text(), missing.headers.get('cache-control')], path).toEqual([
        404,
        'not found\n',
        'no-store',
      ]);
    }
    const post = await fetch(`${running.url}/timestamp.json`, { method: 'POST', body: 'x' });
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    readAsClient(repository, Date.now());
    expect(await running.ready()).toEqual({ ready: true, reasons: [] });
    expect(await running.metrics()).toMatch(
      new RegExp(`^stele_trust_expiry_timestamp_seconds\\{role="timestamp"\\} ${after.expires / 1000}$`, 'm'),
    );
    expect(await running.stop()).toEqual([0, null]);
  });

  it('leaves alone what has more than half of its time', async () => {
    await published(11 * HOUR);
    const before = await readFile(join(repository, 'public', 'timestamp.json'));
    await start();
    expect(await readFile(join(repository, 'public', 'timestamp.json'))).toEqual(before);
  });

  it('takes up what another process publishes, and renews it', async () => {
    await published(HOUR);
    const running = await start();
    const earlier = Date.now() - 13 * HOUR;
    await stageTargets(repository, { files: [{ name: 'policy', bytes: Buffer.from('quorum none\n') }] }, earlier);
    await signAll(repository, 'targets', all.five);
    // Its timestamp is past half of its time.
    await publish(repository, { online: [all.online.signer], now: earlier });
    const { version } = await timestamp();
    await until(async () => (await timestamp()).version > version, running.err);
    expect((await fetch(`${running.url}/2.targets.json`)).status).toBe(200);
    readAsClient(repository, Date.now());
    await until(async () => (await running.metrics()).includes('stele_trust_version{role="targets"} 2'), running.err);
    expect(await running.metrics()).toContain('stele_trust_refreshed_total{role="timestamp"} 1');
  });

  it('says that it cannot renew, tries on, and takes the right key at a reload', async () => {
    await published(HOUR);
    const running = await start();
    const other = holder('online-2');
    // The holders replace the online key, with a timestamp that is soon due.
    const [earlier, now] = [Date.now() - 13 * HOUR, Date.now()];
    const replaced = (plan: TrustPlan): TrustPlan => ({
      ...plan,
      holders: new Map([...plan.holders, [other.name, tufKey(other.key.spki)]]),
      snapshot: { ...plan.snapshot, holders: [other.name] },
      timestamp: { ...plan.timestamp, holders: [other.name] },
    });
    await changePlan(repository, now, replaced);
    await signAll(repository, 'root', all.five);
    await publish(repository, { online: [other.signer, all.online.signer], now: earlier });
    const { version } = await timestamp();
    const { reasons } = await until(async () => {
      const state = await running.ready();
      return state.ready ? undefined : state;
    }, running.err);
    expect(reasons).toEqual([expect.stringMatching(/snapshot and timestamp are not renewed: .*key/)]);
    expect(await running.metrics()).toMatch(/^stele_trust_refresh_failures_total [1-9]/m);
    expect((await fetch(`${running.url}/timestamp.json`)).status).toBe(200);

    await writeKey(at('new.pem'), other);
    await rename(at('new.pem'), key);
    running.child.kill('SIGHUP');
    await until(async () => (await running.ready()).ready, running.err);
    expect((await timestamp()).version).toBeGreaterThan(version);

    // A key that cannot be read changes nothing.
    await rm(key);
    running.child.kill('SIGHUP');
    await until(async () => (await running.ready()).alarms?.join().includes('the key was not taken'), running.err);
    expect((await running.ready()).ready).toBe(true);
  });

  it('warns of a root that nears its end, and refuses to say that an expired one is well', async () => {
    await published(60 * DAY, {
      root: { holders: all.five.map(({ name }) => name), threshold: 3, expires: 70 * DAY },
      snapshot: { holders: ['online'], threshold: 1, expires: 70 * DAY },
    });
    const running = await start();
    const state = await running.ready();
    expect(state.alarms).toEqual([expect.stringMatching(/^root expires at .*its holders must sign it anew/)]);
    expect(state.ready).toBe(true);
    await running.stop();

    await rm(repository, { recursive: true });
    await published(60 * DAY, {
      targets: { holders: all.five.map(({ name }) => name), threshold: 2, expires: 59 * DAY },
    });
    const expired = await start();
    expect((await expired.ready()).reasons.join('\n')).toMatch(/^targets has expired [\s\S]*\n.*not renewed.*expired/);
    // The files are there for those who hold an older timestamp, and for the next root.
    expect((await fetch(`${expired.url}/1.root.json`)).status).toBe(200);
    const now = Date.now();
    await restage(repository, now, ['targets']);
    await signAll(repository, 'targets', all.five);
    await publish(repository, { online: [all.online.signer], now });
    await until(async () => (await expired.ready()).ready, expired.err);
  });

  it('waits while another process has the repository', async () => {
    await published(HOUR);
    const running = await start();
    const store = new RepositoryStore(repository);
    await store.locked(async () => {
      running.child.kill('SIGHUP');
      await until(() => running.err().includes('SIGHUP: read again'), running.err);
      expect((await running.ready()).ready).toBe(true);
    });
    await publish(repository, { online: [all.online.signer], now: Date.now() });
    expect(await running.ready()).toEqual({ ready: true, reasons: [] });
  });

  it('bounds the requests of an address', async () => {
    await published(0);
    const running = await start('--rate-limit-max', '2');
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await fetch(`${running.url}/timestamp.json`)).status);
    expect(statuses).toEqual([200, 200, 429]);
  });

  it('takes no public port with --refresh-only, and its admin port is for no page', async () => {
    await published(13 * HOUR);
    const running = await start('--refresh-only');
    expect(running.url).toBeUndefined();
    expect((await timestamp()).version).toBe(2);
    expect((await fetch(`${running.adminUrl}/metrics`)).status).toBe(200);
    const page = await fetch(`${running.adminUrl}/metrics`, { headers: { origin: 'https://example.com' } });
    expect([page.status, page.headers.get('access-control-allow-origin')]).toEqual([403, null]);
    expect((await fetch(`${running.adminUrl}/timestamp.json`)).status).toBe(404);
  });
});

describe('stele trust serve --once', () => {
  const once = (...args: string[]) => ['trust', 'serve', repository, '--key-file', key, '--once', ...args];

  it('renews what is due, and nothing at the next call', async () => {
    await published(13 * HOUR);
    expect(await steleJson(once())).toMatchObject({ ok: true, renewed: ['timestamp'] });
    const again = await stele(once());
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Nothing in .* is due\.\n {2}root +version 1/),
    });
    readAsClient(repository, Date.now());
  });

  it.each([
    ['nothing is there', async () => {}, 2, /is no TUF repository/],
    [
      'nothing is published',
      async () => initSigned(repository, planOf(all.five, all.online), all.five, Date.now()),
      2,
      /is published yet/,
    ],
    [
      'the key is another one',
      async () => {
        await published(13 * HOUR);
        await writeKey(key, holder('other'));
      },
      2,
      /no given key may sign/,
    ],
    [
      'the key is open to others',
      async () => {
        await published(HOUR);
        await run('chmod', ['644', key]);
      },
      2,
      /is open to others/,
    ],
    ['root has expired', async () => published(400 * DAY), 1, /expired/],
  ])('says so where %s', async (_, make, code, says) => {
    await make();
    const ended = await stele(once());
    expect(ended.stderr).toMatch(says);
    expect(ended.code).toBe(code);
    if (code === 1) return;
    const serving = await stele(once().filter((arg) => arg !== '--once'));
    expect([serving.code, serving.stderr]).toEqual([2, expect.stringMatching(says)]);
  });

  it('needs a directory and a key, once each', async () => {
    await published(HOUR);
    const bare = ['trust', 'serve', '--once'];
    expect(await stele(bare)).toMatchObject({ code: 2, stderr: expect.stringContaining('"directory" is not set') });
    expect(await stele([...bare, repository])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('"key" is not set'),
    });
    const twice = [...once(), '--directory', repository];
    expect(await stele(twice)).toMatchObject({ code: 2, stderr: expect.stringContaining('twice') });
    await writeFile(at('trust.yaml'), `directory: repository\nkey: { file: online.pem }\n`);
    expect(await stele([...bare, '--config', at('trust.yaml')])).toMatchObject({ code: 0 });
    const env = { STELE_TRUST_SERVE_DIRECTORY: repository, STELE_TRUST_SERVE_KEY_FILE: key };
    expect(await stele(bare, { env })).toMatchObject({ code: 0 });
  });

  it('signs with a key for snapshot and another for timestamp', async () => {
    const other = holder('online-2');
    const now = Date.now() - 5 * DAY;
    const plan = planOf([...all.five, other], all.online, {
      root: { holders: all.five.map(({ name }) => name), threshold: 3, expires: 365 * DAY },
      snapshot: { holders: [other.name], threshold: 1, expires: 7 * DAY },
    });
    await initSigned(repository, { ...plan, targets: { ...plan.targets, holders: plan.root.holders } }, all.five, now);
    await publish(repository, { online: [all.online.signer, other.signer], now });
    expect(await stele(once())).toMatchObject({ code: 2, stderr: expect.stringContaining('no given key may sign') });
    await createKeyFile(at('unused.pem'), 'ed25519');
    await writeKey(at('other.pem'), other);
    expect(await steleJson([...once(), '--second-key-file', at('other.pem')])).toMatchObject({
      renewed: ['snapshot', 'timestamp'],
    });
    readAsClient(repository, Date.now());
  });
});

describe.skipIf(skips('an online key in a token', NO_SOFTHSM))('an online key in a token', () => {
  it('signs, and the service goes on where the token is away and comes back', async () => {
    const hsm = (await startSoftHsm())!;
    onTestFinished(() => hsm.stop());
    await hsm.initToken('stele', '1234');
    const flags = { module: hsm.module, token: 'stele', label: 'online', 'pin-file': await hsm.pinFile('1234') };
    const named = (prefix: string) => Object.entries(flags).flatMap(([name, value]) => [`--${prefix}${name}`, value]);
    const made = ['keygen', '--pkcs11-module', flags.module, ...named('').slice(2), '--algorithm', 'ecdsa-p256'];
    expect(await stele(made)).toMatchObject({ code: 0 });
    const { module, token, label } = flags;
    const signer = await openSigner({ pkcs11: { module, token, label, pin: { file: flags['pin-file'] } } });
    const spki = signer.publicKey;
    await signer.close();

    // A software key may sign as well: with it another process publishes while the token is away.
    const plan = planOf(all.five, all.online);
    const both = { holders: ['online', 'token'], threshold: 1 };
    const now = Date.now();
    await initSigned(
      repository,
      {
        ...plan,
        holders: new Map([...plan.holders, ['token', tufKey(spki)]]),
        snapshot: { ...both, expires: 7 * DAY },
        timestamp: { ...both, expires: DAY },
      },
      all.five,
      now,
    );
    await publish(repository, { online: [all.online.signer], now: now - 13 * HOUR });
    const running = await start(...named('key-pkcs11-'));
    expect((await timestamp()).version).toBe(2);
    await hsm.takeAway();
    await stageTargets(repository, { files: [{ name: 'policy', bytes: Buffer.from('quorum none\n') }] }, now);
    await signAll(repository, 'targets', all.five);
    await publish(repository, { online: [all.online.signer], now: now - 13 * HOUR });
    await until(async () => (await running.ready()).reasons.join().includes('not renewed'), running.err);
    await hsm.giveBack();
    await until(async () => (await running.ready()).ready, running.err);
    readAsClient(repository, Date.now());
  });
});
