/** `stele index` as processes: built first (`npm test` does). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FakeLog } from '../../support/fake-log.ts';
import { tempDir } from '../../support/log.ts';
import { CLI, stele } from '../../support/serve.ts';
import { DEADLINE_MS, until } from '../../support/until.ts';
import { digestOf, signedLog } from '../search/pages.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let children: ChildProcess[] = [];
let log: FakeLog;
let config: string;

beforeEach(async () => {
  dir = await tempDir();
  children = [];
  log = signedLog(600);
  config = join(dir.path, 'index.yaml');
  await configure();
});
afterEach(async () => {
  for (const child of children) await ended(child, 'SIGKILL');
  await dir.remove();
});

async function configure(more: object = {}): Promise<void> {
  const logs = [{ url: await log.listen(), keys: [log.vkey] }];
  const quick = { listen: { port: 0 }, admin: { port: 0 }, data: 'data', poll: '100ms', threads: 0 };
  writeFileSync(config, JSON.stringify({ ...quick, logs, ...more }));
}

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  readonly adminUrl: string;
  err(): string;
}

async function start(): Promise<Running> {
  const child = spawn(process.execPath, [CLI, 'index', '--config', config, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let [out, err] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const json = await until(
    () => /^\{[\s\S]*^\}$/m.exec(out)?.[0],
    () => out + err,
  );
  return { ...(JSON.parse(json) as { url: string; adminUrl: string }), child, err: () => err };
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const closed = once(child, 'close');
  child.kill(signal);
  const [code] = await closed;
  return code as number | null;
}

/** The exit status of a search for the digest of an entry, and what it found. */
async function find(url: string, i: number): Promise<{ readonly code: number | null; readonly hits: number[] }> {
  const args = ['search', '--index', url, '--digest', digestOf(i), '--log-key', log.vkey, '--json'];
  const { code, stdout } = await stele(args);
  const { hits = [] } = JSON.parse(stdout) as { hits?: { index: number }[] };
  return { code, hits: hits.map(({ index }) => index) };
}

const found = (url: string, i: number) =>
  until(async () => {
    const { code, hits } = await find(url, i);
    return code === 0 && hits.length === 1 && hits[0] === i;
  });

describe('stele index', () => {
  it('goes on where SIGKILL ended it, and ends in order', { timeout: 3 * DEADLINE_MS }, async () => {
    const first = await start();
    await found(first.url, 599);
    await ended(first.child, 'SIGKILL');
    log.view.grow(signedLog(620).view.entries.slice(600));
    log.size = 620;
    const second = await start();
    await found(second.url, 610);
    await found(second.url, 3);
    expect(second.err()).not.toContain('error');

    second.child.kill('SIGHUP');
    await until(() => second.err().includes('SIGHUP: read again'));
    expect(await ended(second.child, 'SIGTERM')).toBe(0);
    expect(second.err()).toContain('"msg":"closed"');
  });

  it('says how far it is, running and not, and reads all of it again', { timeout: 3 * DEADLINE_MS }, async () => {
    const nothing = await stele(['index', 'status', '--config', config]);
    expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringContaining('there is no index')]);
    expect(existsSync(join(dir.path, 'data'))).toBe(false);

    const running = await start();
    const status = async () => {
      const { code, stdout } = await stele(['index', 'status', '--config', config, '--json']);
      return { code, ...(JSON.parse(stdout) as { running: boolean; logs: { answered?: number }[] }) };
    };
    await until(async () => (await status()).logs[0]?.answered === 600);
    expect(await status()).toMatchObject({
      code: 0,
      running: true,
      logs: [{ origin: 'log.test', completeThrough: 600 }],
    });
    const second = await stele(['index', '--config', config]);
    expect([second.code, second.stderr]).toEqual([2, expect.stringContaining('[locked]')]);
    const busy = await stele(['index', 'rebuild', '--config', config]);
    expect([busy.code, busy.stderr]).toEqual([2, expect.stringContaining('[locked]')]);
    expect(await ended(running.child, 'SIGTERM')).toBe(0);
    expect(await status()).toMatchObject({ code: 0, running: false, logs: [{ answered: 600 }] });

    // Another choice of kinds makes another store.
    await configure({ index: { kinds: ['digest'] } });
    const other = await stele(['index', '--config', config]);
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('rebuild')]);
    const rebuilt = await stele(['index', 'rebuild', '--config', config, '--json']);
    expect([rebuilt.code, JSON.parse(rebuilt.stdout)]).toMatchObject([
      0,
      { ok: true, logs: [{ completeThrough: 600 }] },
    ]);
    const again = await start();
    await found(again.url, 7);
    const kind = ['search', '--index', again.url, '--kind', 'hashedrekord', '--log-key', log.vkey, '--json'];
    const refused = await stele(kind);
    expect([refused.code, JSON.parse(refused.stdout).error.message]).toEqual([
      2,
      expect.stringContaining('[not-indexed]'),
    ]);
  });

  it('says what is wrong with its configuration, all at once, and makes nothing', async () => {
    writeFileSync(config, JSON.stringify({ logs: [], limits: { querys: 1 }, index: { kinds: ['digests'] } }));
    const { code, stderr } = await stele(['index', '--config', config]);
    expect(code).toBe(2);
    expect(stderr).toContain('did you mean "queries"');
    expect(stderr).toContain('index.kinds');
    expect(existsSync(join(dir.path, 'index-data'))).toBe(false);
    const missing = await stele(['index', '--config', join(dir.path, 'nothing.yaml')]);
    expect(missing.code).toBe(2);
  });

  it('names a log that lies in its status', { timeout: 2 * DEADLINE_MS }, async () => {
    const running = await start();
    await found(running.url, 1);
    log.show(signedLog(601).view.entries.toReversed());
    const { code, stdout } = await until(async () => {
      const told = await stele(['index', 'status', '--config', config]);
      return told.stdout.includes('THE LOG LIES') && told;
    });
    expect([code, stdout]).toEqual([1, expect.stringContaining('answers are complete through 600')]);
  });
});
