/** `stele up --monitor` as processes: built first (`npm test` does). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readOwner } from '../../merkle/runtime/disk/lock.ts';
import { tempDir } from '../support/log.ts';
import { CLI, steleJson } from '../support/serve.ts';
import { until as untilTrue } from '../support/until.ts';

interface Up {
  readonly url: string;
  readonly verifierKeys: readonly string[];
  readonly monitor: { readonly config: string; readonly metrics: string };
}

let dir: Awaited<ReturnType<typeof tempDir>>;
let running: { readonly child: ChildProcess; readonly ended: Promise<unknown[]>; text: string }[];

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

const data = () => join(dir.path, 'data');

async function up(...args: string[]): Promise<Up> {
  const free = ['--listen-port', '0', '--admin-port', '0', '--witness-port', '0'];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STELE_')));
  const child = spawn(process.execPath, [CLI, 'up', '--json', '--data', data(), ...free, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  const one = { child, ended: once(child, 'close'), text: '' };
  running.push(one);
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    one.text += text;
  });
  let out = '';
  const announced = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (out.endsWith('\n}\n')) resolve();
    });
  });
  await Promise.race([announced, one.ended]);
  const started = JSON.parse(out) as Up & { readonly ok: boolean };
  if (!started.ok) throw new Error(`${out}${one.text}`);
  return started;
}

async function end(): Promise<unknown[]> {
  const { child, ended } = running.at(-1)!;
  child.kill('SIGINT');
  return await ended;
}

/** The monitor may be between two processes: a call that fails counts as not yet. */
const until = (what: () => Promise<boolean>) =>
  untilTrue(
    () => what().catch(() => false),
    () => running.map(({ text }) => text).join(''),
  );

async function sign({ url, verifierKeys }: Up, name: string): Promise<void> {
  const file = join(dir.path, name);
  await writeFile(file, name);
  await steleJson(['sign', file, '--log', url, '--log-key', verifierKeys[0]!]);
}

const metric = async ({ monitor }: Up, name: string): Promise<number> => {
  const text = await (await fetch(`${monitor.metrics}/metrics`)).text();
  const line = text.split('\n').find((line) => line.startsWith(`stele_monitor_${name}{`));
  return Number(line?.split(' ').at(-1));
};

const pidOfMonitor = async () => (await readOwner(join(data(), 'monitor-state')))?.pid;

describe('stele up --monitor', () => {
  it('follows the log, is started again when it dies, and goes on where it was at the next start', async () => {
    const first = await up('--monitor');
    expect(first.monitor.config).toBe(join(data(), 'monitor.yaml'));
    await sign(first, 'one');
    await until(async () => (await metric(first, 'complete_entries')) === 1);
    const killed = (await pidOfMonitor())!;
    process.kill(killed, 'SIGKILL');
    await until(async () => ![undefined, killed].includes(await pidOfMonitor()));
    const pid = (await pidOfMonitor())!;
    expect(await end()).toEqual([0, null]);
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);

    // Other ports; the state tells where it was.
    const second = await up('--monitor');
    expect(second.url).not.toBe(first.url);
    await sign(second, 'two');
    await until(async () => (await metric(second, 'complete_entries')) === 2);
    expect(await metric(second, 'entries_total')).toBe(1);
    expect(running.map(({ text }) => text).join('')).not.toMatch(/rollback|inconsistent|split-view/);
    expect(await end()).toEqual([0, null]);

    await rm(join(data(), 'monitor-state'), { recursive: true });
    await expect(up('--monitor')).rejects.toThrow(/monitor did not come up/);
    expect(running.at(-1)!.text).toMatch(/--from-start/);
  }, 120_000);

  it('takes a configuration of its owner, and ends where it is wrong', async () => {
    const file = join(dir.path, 'mine.yaml');
    await writeFile(file, 'logs: []\nsinks: []\n');
    await expect(up('--monitor', file)).rejects.toThrow(/mine\.yaml.*sinks.*must be a list/);
    await expect(readFile(join(data(), 'monitor.yaml'))).rejects.toThrow(/ENOENT/);
  });
});
