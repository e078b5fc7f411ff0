/** `stele up` as processes: built first (`npm test` does). */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { toTrustMaterial } from '@sigstore/verify';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkpointVerifier } from '../../../merkle/cosignature.ts';
import { openNote, parseNote, parseVerifierKey } from '../../../merkle/note.ts';
import { parsePolicy, quorumMet } from '../../../merkle/policy.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { readOwner } from '../../../merkle/runtime/disk/lock.ts';
import { tempDir } from '../../support/log.ts';
import { CLI, stele, steleJson } from '../../support/serve.ts';
import { until as untilTrue } from '../../support/until.ts';
import { readAsClient } from '../trust/tuf/repository.ts';

interface Up {
  readonly url: string;
  readonly adminUrl: string;
  readonly verifierKeys: readonly string[];
  readonly witnesses: readonly {
    readonly name: string;
    readonly vkey: string;
    readonly url: string;
    readonly data: string;
  }[];
  readonly trust: string;
  readonly index?: {
    readonly url: string;
    readonly config: string;
    readonly outputLogs: readonly {
      readonly log: { readonly origin: string; readonly url: string };
      readonly url: string;
      readonly policy: string;
      readonly rebuilders: string;
    }[];
  };
  readonly explorer?: string;
  readonly trustRepository?: {
    readonly url: string;
    readonly directory: string;
    readonly root: string;
    readonly rootSha256: string;
    readonly rootExpires: string;
  };
}

type Output = NonNullable<Up['index']>['outputLogs'][number];

let dir: Awaited<ReturnType<typeof tempDir>>;
let running: { readonly child: ReturnType<typeof spawn>; readonly ended: Promise<unknown[]>; err: string }[] = [];

beforeEach(async () => {
  dir = await tempDir();
  running = [];
});

afterEach(async () => {
  for (const { child, ended } of running) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await ended;
  }
  await dir.remove();
});

async function up(...args: string[]): Promise<Up> {
  const free = ['--listen-port', '0', '--admin-port', '0', '--witness-port', '0'];
  const all = [CLI, 'up', '--json', '--data', join(dir.path, 'data'), ...free, ...args];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STELE_')));
  const child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'pipe'], env });
  const entry = { child, ended: once(child, 'close'), err: '' };
  running.push(entry);
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    entry.err += text;
  });
  let out = '';
  const announced = new Promise<string>((resolve) => {
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (out.endsWith('\n}\n')) resolve(out);
    });
  });
  const json = await Promise.race([announced, entry.ended.then(() => undefined)]);
  if (json === undefined) throw new Error(`stele up ended: ${out}${entry.err}`);
  const started = JSON.parse(json) as Up & { readonly ok: boolean };
  if (!started.ok) throw new Error(`stele up did not come up: ${json}${entry.err}`);
  return started;
}

/** Process of a data directory's owner. */
async function pidOf(data: string): Promise<number> {
  const owner = await readOwner(data);
  if (owner === undefined) throw new Error(`nobody owns ${data}`);
  return owner.pid;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const until = <T>(what: () => Promise<T>) => untilTrue(what, () => running.map(({ err }) => err).join(''));

/** Signs a file of this name; who cosigned the checkpoint of its proof, all verified. */
async function sign({ url, verifierKeys, witnesses, trust }: Up, name: string): Promise<string[]> {
  const file = join(dir.path, name);
  await writeFile(file, name);
  const vkey = verifierKeys[0]!;
  const { bundle } = await steleJson(['sign', file, '--log', url, '--log-key', vkey]);
  const { code, stdout } = await stele(['verify', file, '--key', `${file}.pub.pem`, '--policy', join(trust, 'policy')]);
  expect(stdout).toContain('of the policy is met');
  expect(code).toBe(0);
  const text = await readFile(typeof bundle === 'string' ? bundle : `${file}.sigstore.json`, 'utf8');
  const note = JSON.parse(text).verificationMaterial.tlogEntries[0].inclusionProof.checkpoint.envelope as string;
  const keys = [vkey, ...witnesses.map((witness) => witness.vkey)].map(parseVerifierKey);
  const { verified } = openNote(
    parseNote(note),
    keys.map((key) => checkpointVerifier(key, nodeNotePrimitives)),
  );
  return verified.map((signature) => signature.name).filter((signer) => signer.includes('/'));
}

const readiness = async ({ adminUrl }: Up) =>
  (await (await fetch(`${adminUrl}/readyz`)).json()) as { ready: boolean; reasons: string[] };

describe('stele up', () => {
  it('runs a log whose proofs two of three witnesses cosigned, and starts again what dies', async () => {
    const started = await up();
    expect((await sign(started, 'one')).length).toBeGreaterThanOrEqual(2);

    const [first, second] = started.witnesses as [Up['witnesses'][0], Up['witnesses'][0]];
    const killed = await pidOf(first.data);
    process.kill(killed, 'SIGKILL');
    expect((await sign(started, 'two')).length).toBeGreaterThanOrEqual(2);
    const again = await until(() =>
      pidOf(first.data).then(
        (pid) => pid !== killed && pid,
        () => undefined,
      ),
    );
    expect(again).not.toBe(killed);

    // Two that hang: nothing is published, and the log says why. They go on: what waited is published.
    await until(async () => (await readiness(started)).ready);
    const hung = [again as number, await pidOf(second.data)];
    for (const pid of hung) process.kill(pid, 'SIGSTOP');
    const before = await (await fetch(`${started.url}/checkpoint`)).text();
    const file = join(dir.path, 'three');
    await writeFile(file, 'three');
    const waiting = steleJson(['sign', file, '--log', started.url, '--log-key', started.verifierKeys[0]!]);
    const { reasons } = await until(async () => {
      const state = await readiness(started);
      return state.ready ? undefined : state;
    });
    expect(reasons.join()).toMatch(/quorum of the witnesses cannot be reached: .*witness-[12] did not answer/);
    expect((await (await fetch(`${started.url}/checkpoint`)).text()).split('\n')[1]).toBe(before.split('\n')[1]);
    for (const pid of hung) process.kill(pid, 'SIGCONT');
    await waiting;
    expect((await sign(started, 'four')).length).toBeGreaterThanOrEqual(2);
    await until(async () => (await readiness(started)).ready);

    const pids = await Promise.all([join(dir.path, 'data'), ...started.witnesses.map(({ data }) => data)].map(pidOf));
    running[0]!.child.kill('SIGINT');
    expect(await running[0]!.ended).toEqual([0, null]);
    expect(pids.map(alive)).toEqual([false, false, false, false]);
  });

  it('keeps keys and log over a restart, and hands out what others need', async () => {
    const first = await up();
    await sign(first, 'one');
    const read = (name: string) => readFile(join(first.trust, name), 'utf8');
    const policy = parsePolicy(await read('policy'));
    expect(policy.witnesses.map(({ url }) => url)).toEqual(first.witnesses.map(({ url }) => url));
    expect([
      quorumMet(policy, ({ name }) => name === 'witness-1'),
      quorumMet(policy, ({ name }) => name !== 'witness-1'),
    ]).toEqual([false, true]);
    expect(await read('log.vkey')).toBe(`${first.verifierKeys[0]}\n`);
    const root = JSON.parse(await read('trusted_root.json')) as Parameters<typeof toTrustMaterial>[0];
    expect(root.tlogs[0]).toMatchObject({ baseUrl: first.url });
    const newer = JSON.parse(await read('trusted_root.v0.2.json'));
    const { operator } = JSON.parse(await read('signing_config.v0.2.json')).rekorTlogUrls[0];
    const [readLog] = JSON.parse(await read('monitor_config.json')).rekorLogs;
    expect(readLog).toEqual({ readUrl: first.url, logOrigin: operator, majorApiVersion: 2 });
    const checkpointKeyId = root.tlogs[0]!.logId;
    expect(newer.mediaType).toBe('application/vnd.dev.sigstore.trustedroot.v0.2+json');
    expect(newer.tlogs).toEqual([{ ...root.tlogs[0], checkpointKeyId, operator }]);
    expect(JSON.parse(await read('signing_config.v0.2.json')).rekorTlogUrls[0]).toMatchObject({
      url: first.url,
      majorApiVersion: 2,
    });
    running[0]!.child.kill('SIGTERM');
    expect(await running[0]!.ended).toEqual([0, null]);

    const second = await up();
    expect(second.verifierKeys).toEqual(first.verifierKeys);
    expect(second.witnesses.map(({ vkey }) => vkey)).toEqual(first.witnesses.map(({ vkey }) => vkey));
    expect(JSON.parse(await read('trusted_root.json')).tlogs[0].publicKey).toEqual(root.tlogs[0]!.publicKey);
    await sign(second, 'two');
    expect((await (await fetch(`${second.url}/checkpoint`)).text()).split('\n')[1]).toBe('2');
  });

  it('serves a TUF repository of its trust files, and keeps it over a restart', async () => {
    const first = await up();
    const { url, directory, root, rootSha256, rootExpires } = first.trustRepository!;
    expect([url, directory]).toEqual([`${first.url}/trust/`, join(dir.path, 'data', 'trust-repository')]);
    const bytes = await readFile(root);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(rootSha256);
    expect(Buffer.from(await (await fetch(`${url}1.root.json`)).arrayBuffer())).toEqual(bytes);
    expect(Date.parse(rootExpires) - Date.now()).toBeGreaterThan(89 * 86_400_000);
    const { targets } = readAsClient(directory, Date.now());
    expect(targets['log.vkey']).toBe(`${first.verifierKeys[0]}\n`);
    const policy = parsePolicy(Buffer.from(targets.policy!));
    expect(policy.witnesses.map(({ url }) => url)).toEqual(first.witnesses.map(({ url }) => url));
    expect(quorumMet(policy, ({ name }) => name === 'witness-1')).toBe(false);
    for (const name of [
      'trusted_root.json',
      'trusted_root.v0.2.json',
      'signing_config.v0.2.json',
      'monitor_config.json',
    ]) {
      expect(targets[name], name).toBe(await readFile(join(first.trust, name), 'utf8'));
    }
    running[0]!.child.kill('SIGTERM');
    expect(await running[0]!.ended).toEqual([0, null]);

    // With free ports the log has another address now, and clients learn of it.
    const second = await up();
    expect(second.trustRepository).toMatchObject({ root, rootSha256, rootExpires });
    const after = readAsClient(directory, Date.now());
    expect(after.targets['trusted_root.json']).toContain(second.url);
    expect(await (await fetch(`${second.url}/trust/timestamp.json`)).text()).toBe(
      await readFile(join(directory, 'public', 'timestamp.json'), 'utf8'),
    );
  });

  it('serves no repository of its own where the configuration names one', async () => {
    const started = await up('--trust-directory', join(dir.path, 'another'));
    expect(started.trustRepository).toBeUndefined();
    expect(existsSync(join(dir.path, 'data', 'trust-repository'))).toBe(false);
  });

  it('has a repository of a log of opaque entries too', async () => {
    const { trustRepository } = await up('--entries', 'raw');
    const { targets } = readAsClient(trustRepository!.directory, Date.now());
    expect(Object.keys(targets).sort()).toEqual(['localhost.vkey', 'log.vkey', 'monitor.yaml', 'policy']);
  });

  it('has an index that finds and proves what was signed, also after it died and was started again', async () => {
    const started = await up();
    const { url } = started.index!;
    await sign(started, 'one');
    const search = async (name: string) => {
      const policy = join(started.trust, 'policy');
      const args = ['search', '--index', url, '--digest', join(dir.path, name), '--policy', policy, '--json'];
      const { code, stdout } = await stele(args);
      const found = JSON.parse(stdout) as { hits?: { ok: boolean; index: number }[] };
      return code === 0 && found.hits!.length === 1 && found.hits![0];
    };
    expect(await until(() => search('one'))).toMatchObject({ ok: true, index: 0 });

    const data = join(dir.path, 'data', 'index');
    const killed = await pidOf(data);
    process.kill(killed, 'SIGKILL');
    await sign(started, 'two');
    expect(await until(() => search('two'))).toMatchObject({ ok: true, index: 1 });
  });

  it('commits what the index says to an output log, which an audit compares with the log', async () => {
    const started = await up();
    const { url, policy } = started.index!.outputLogs[0]!;
    await sign(started, 'one');
    const trust = ['--policy', join(started.trust, 'policy'), '--index', url, '--index-policy', policy];
    const stdout = await until(async () => {
      const audit = await stele(['audit', started.url, ...trust]);
      return audit.code === 0 && audit.stdout;
    });
    expect(stdout).toContain('OK: the index of localhost has the map of its first 1 entry');
    // The rebuilder has compared it too: its quorum holds.
    const answer = await until(async () => {
      const description = await (await fetch(`${started.index!.url}/stele/v1/index`)).json();
      const [map] = (description as { parts: { map?: { checkpoint?: string }[] } }).parts.map ?? [];
      return map?.checkpoint?.includes('localhost/rebuilder-1') && map.checkpoint;
    });
    expect(answer).toContain('index.localhost\n1\n');
  });

  it('proves what it finds in each shard of a log that was rotated', { timeout: 180_000 }, async () => {
    const first = await up();
    await sign(first, 'old');
    const next = first.url.replace('localhost', '127.0.0.1');
    const rotated = await steleJson(['log', 'rotate', next, '--data', join(dir.path, 'data'), '--yes']);
    expect(rotated).toMatchObject({ from: 'localhost', to: '127.0.0.1', step: 'done' });
    running[0]!.child.kill('SIGTERM');
    await running[0]!.ended;

    const started = await up();
    const { url, outputLogs } = started.index!;
    expect(outputLogs.map(({ log }) => log.origin)).toEqual(['localhost', '127.0.0.1']);
    const [older, newer] = outputLogs as [Output, Output];
    const trust = join(started.trust, 'policy');
    const file = join(dir.path, 'new');
    await writeFile(file, 'new');
    await steleJson(['sign', file, '--log', newer.log.url, '--policy', trust]);
    for (const [name, shard] of [
      ['old', older],
      ['new', newer],
    ] as const) {
      const proven = await until(async () => {
        const about = ['--index', url, '--digest', join(dir.path, name), '--log', shard.log.origin, '--policy', trust];
        const output = ['--output-policy', shard.policy, '--output-log', shard.url, '--rebuilders', shard.rebuilders];
        const places = ['--log-url', shard.log.url, '--memory', join(dir.path, 'memory')];
        const { code, stdout } = await stele(['search', ...about, '--proven', ...output, ...places, '--json']);
        return code === 0 && JSON.parse(stdout).hits.length === 1 && JSON.parse(stdout);
      });
      expect(proven.logs).toMatchObject([
        { log: shard.log.origin, complete: { proven: true, by: 'rebuilders', indexes: [0] } },
      ]);
      const audit = ['audit', shard.log.url, '--policy', trust, '--index', shard.url, '--index-policy', shard.policy];
      expect(await stele(audit)).toMatchObject({ code: 0, stdout: expect.stringContaining(shard.log.origin) });
    }
    const page = JSON.parse(await (await fetch(`${started.explorer}explorer.json`)).text());
    expect(page.logs.map(({ origin, map }: { origin: string; map: Output }) => [origin, map.policy])).toEqual([
      ['localhost', await readFile(older.policy, 'utf8')],
      ['127.0.0.1', await readFile(newer.policy, 'utf8')],
    ]);
  });

  it('has an output log that takes nothing of a web page', async () => {
    const [output] = (await up()).index!.outputLogs;
    const page = { origin: 'https://example.com', 'content-type': 'text/plain' };
    const reply = await fetch(`${output!.url}/add`, { method: 'POST', body: 'of a page', headers: page });
    expect(reply.status).toBe(403);
  });

  it('shows the log and its index on the page at /explorer/', async () => {
    const started = await up();
    expect(started.explorer).toBe(`${started.url}/explorer/`);
    const page = await fetch(started.explorer!);
    expect([page.status, page.headers.get('content-security-policy')]).toEqual([
      200,
      expect.stringContaining(started.index!.url),
    ]);
    const { logs } = JSON.parse(await (await fetch(`${started.explorer}explorer.json`)).text());
    expect(logs).toEqual([
      expect.objectContaining({
        origin: 'localhost',
        url: '../',
        index: started.index!.url,
        keys: started.verifierKeys,
      }),
    ]);
  });

  it('runs no index with --no-index, and says nothing of one to the page', async () => {
    const started = await up('--no-index');
    expect(started.index).toBeUndefined();
    expect(existsSync(join(dir.path, 'data', 'index.yaml'))).toBe(false);
    const { logs } = JSON.parse(await (await fetch(`${started.explorer}explorer.json`)).text());
    expect(logs[0]).not.toHaveProperty('index');
  });

  it('leaves nothing running when it is killed', async () => {
    const started = await up();
    const pids = await Promise.all(
      [join(dir.path, 'data'), join(dir.path, 'data', 'index'), ...started.witnesses.map(({ data }) => data)].map(
        pidOf,
      ),
    );
    running[0]!.child.kill('SIGKILL');
    await until(async () => pids.every((pid) => !alive(pid)));
  });

  it('ends with an error where one of them cannot start, and with a policy of others', async () => {
    await expect(up('--admin-host', '203.0.113.7')).rejects.toThrow(/cannot listen on 203\.0\.113\.7/);
    // What no check before the start sees.
    await mkdir(join(dir.path, 'data', 'admin.token'), { recursive: true });
    await expect(up()).rejects.toThrow(/log did not come up/);
    await expect(up('--policy', 'policy')).rejects.toThrow(/stele serve/);
  });
});
