/** `stele audit` and `stele monitor` on logs that others wrote: Rekor v2's server by its files, a tessera log over HTTP. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Contestant, REKOR_FAST, type Running, TESSERA_POSIX } from '../../bench/peers/contestants.ts';
import { openSource } from '../../client/tiles/tiles.ts';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { parseNote } from '../../merkle/note.ts';
import { tempDir } from '../support/log.ts';
import { hashedRekordRequest, sharedSigner, toJson } from '../support/requests.ts';
import { stele } from '../support/serve.ts';
import { skips } from '../support/skip.ts';
import { lackingPeer } from './tools.ts';

/** More than one bundle, and a partial one. */
const ENTRIES = 300;
const AT_ONCE = 32;
const WATCHED = 'watched@example.com';

let dir: Awaited<ReturnType<typeof tempDir>>;
let running: Running | undefined;

beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => {
  await stop();
  await dir.remove();
});

async function stop(): Promise<void> {
  const { child } = running ?? {};
  running = undefined;
  if (child === undefined || child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** Starts the log with all entries in it. */
async function fill({ start, path }: Contestant, bodyOf: (at: number) => Uint8Array): Promise<Running> {
  const log = await start!(dir.path);
  running = log;
  const headers = { 'content-type': 'application/json' };
  let next = 0;
  const lane = async () => {
    for (let at = next++; at < ENTRIES; at = next++) {
      const body = Buffer.from(bodyOf(at));
      const reply = await fetch(`http://127.0.0.1:${log.port}${path}`, { method: 'POST', body, headers });
      if (!reply.ok) throw new Error(`entry ${at}: ${reply.status} ${await reply.text()}`);
      await reply.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  const source = openSource(log.tiles);
  const size = async () => parseCheckpoint(parseNote(await source.checkpoint()).text).size;
  await expect.poll(size, { timeout: 30_000, interval: 100 }).toBe(ENTRIES);
  return log;
}

async function audit({ tiles, verifierKey }: Running) {
  const { code, stdout } = await stele(['audit', tiles, '--log-key', verifierKey, '--json']);
  return { code, report: JSON.parse(stdout) };
}

/** One look at all of the log, with a state of its own. */
async function monitor({ tiles, verifierKey }: Running, watch: string) {
  const name = `monitor-${Date.now()}`;
  const config = join(dir.path, `${name}.yaml`);
  await writeFile(
    config,
    `state: ./${name}
logs: [{ ${tiles.startsWith('http') ? 'url' : 'dir'}: '${tiles}', keys: ['${verifierKey}'] }]
rules: [{ name: mine, watch: ${watch} }]
sinks: [{ type: stdout }]
retry: 10ms
`,
  );
  const { code, stdout } = await stele(['monitor', '--config', config, '--once', '--from-start', '--json']);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { code, alerts: lines.filter(({ kind }) => kind !== undefined), report: lines.at(-1) };
}

/** In the first bundle, behind the length of its first entry, which has more than 38 bytes whichever entry it is. */
async function flip(bundle: string): Promise<void> {
  const file = await open(bundle, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, 40);
  byte[0]! ^= 1;
  await file.write(byte, 0, 1, 40);
  await file.close();
}

async function flippedIsFound(log: Running, watch: string): Promise<void> {
  const audited = await audit(log);
  expect(audited.code).toBe(1);
  expect(JSON.stringify(audited.report)).toMatch(/entry 0\b/);
  const { code, alerts, report } = await monitor(log, watch);
  expect(code).toBe(1);
  expect(alerts).toMatchObject([{ kind: 'bad-entry', severity: 'critical', entry: { index: 0 } }]);
  expect(report).toMatchObject({ logs: [{ lying: true, completeThrough: 0 }] });
  const checked = await stele(['verify', '--evidence', alerts[0].evidence, '--log-key', log.verifierKey]);
  expect(checked.code, checked.stderr).toBe(0);
}

describe.skipIf(skips('files of another log', lackingPeer(REKOR_FAST)))('the files of rekor-server-posix', () => {
  it('are audited and monitored, and a flipped byte is found', async () => {
    const signer = sharedSigner();
    const log = await fill(REKOR_FAST, (at) => toJson(hashedRekordRequest(signer, Buffer.from(`entry ${at}`))));
    const watch = `{ key: ${createHash('sha256').update(signer.spki).digest('hex')} }`;
    expect(await audit(log)).toMatchObject({ code: 0, report: { ok: true, entries: ENTRIES } });
    const { code, alerts, report } = await monitor(log, watch);
    expect(code).toBe(1);
    expect(alerts.map(({ kind, entry }) => [kind, entry.index])).toEqual(
      Array.from({ length: ENTRIES }, (_, at) => ['match', at]),
    );
    expect(report).toMatchObject({ delivered: true, logs: [{ ok: true, completeThrough: ENTRIES, size: ENTRIES }] });
    // Its own port takes entries and serves none of its files: that is said, and what to do.
    const byUrl = await stele(['audit', `http://127.0.0.1:${log.port}`, '--log-key', log.verifierKey]);
    expect(byUrl.code).toBe(2);
    expect(byUrl.stderr).toMatch(/does not serve the files of its log/);
    await flip(join(log.tiles, 'tile/entries/000'));
    await flippedIsFound(log, watch);
  });
});

describe.skipIf(skips('another log over HTTP', lackingPeer(TESSERA_POSIX)))('a tessera log over HTTP', () => {
  it('is audited and monitored, and a flipped byte is found', async () => {
    const log = await fill(TESSERA_POSIX, (at) =>
      Buffer.from(
        at === 7
          ? `{"signer":"${WATCHED}","note":"the log may put it first"}`
          : `entry number ${at}, as long as any of the others is`,
      ),
    );
    const watch = `{ identity: ${WATCHED} }`;
    expect(await audit(log)).toMatchObject({ code: 0, report: { ok: true, entries: ENTRIES } });
    const { code, alerts, report } = await monitor(log, watch);
    expect(code).toBe(1);
    // Entries of no known form: what looks like the watched name is told.
    expect(alerts).toMatchObject([{ kind: 'unreadable', rule: 'mine' }]);
    expect(report).toMatchObject({ delivered: true, logs: [{ ok: true, completeThrough: ENTRIES, size: ENTRIES }] });
    await flip(join(dir.path, 'tile/entries/000'));
    await flippedIsFound(log, watch);
  });
});
