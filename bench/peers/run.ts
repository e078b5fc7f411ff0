/** One workload on one contestant: start it new, warm up, measure, audit its whole log, look up every acknowledged index. */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditLog } from '../../client/audit/audit.ts';
import { openSource } from '../../client/tiles/tiles.ts';
import type { TileSource } from '../../client/tiles/types.ts';
import { parseBundle } from '../../merkle/bundle.ts';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { TILE_WIDTH } from '../../merkle/tile.ts';
import { type Call, Generator } from '../load/generator.ts';
import { cpuOf } from '../load/server.ts';
import type { Contestant, Running } from './contestants.ts';

export interface Workload {
  readonly name: string;
  readonly connections: number;
  /** Entries in one call. */
  readonly bulk: number;
  /** Seconds of the measurement, and of the warm-up before it. */
  readonly seconds: number;
  readonly warmUp: number;
  readonly pauseMs: number;
}

/** Prepared requests of one contestant, each sent once. */
export interface Load {
  readonly calls: readonly Call[];
  /** The identities of the entries of all calls, in order: `keyOf` gives the identity of a logged entry. */
  readonly keys: readonly string[];
  readonly keyOf: (entry: Uint8Array) => string;
}

export interface PeerResult {
  readonly workload: string;
  readonly contestant: string;
  readonly entries: number;
  readonly entriesPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of processor time per entry: of all the server's processes, and of the generator. */
  readonly cpu: number;
  readonly generatorCpu: number;
  /** MiB. */
  readonly peakMemory: number;
  /** Number of refused entries, and of entries without a reply. */
  readonly notDone: number;
  /** Empty if the log is sound and each acknowledged entry is at its index. */
  readonly wrong: readonly string[];
}

/** How long a log may take to publish an acknowledged entry. */
const PUBLISHED_MS = 60_000;

export async function measure(workload: Workload, contestant: Contestant, load: Load): Promise<PeerResult> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-peers-'));
  const server = await contestant.start!(dir);
  try {
    const { connections, seconds, warmUp, pauseMs, bulk } = workload;
    const generator = await Generator.open(server.port, connections);
    const before = await generator.run(load.calls, pauseMs, warmUp);
    const used = cpuSeconds(server.child);
    const rest = load.calls.slice(before.sent);
    const after = await generator.run(rest, pauseMs, seconds);
    const cpu = cpuSeconds(server.child) - used;
    const peakMemory = memoryPeak(server.child);
    generator.close();
    if (after.sent === rest.length) throw new Error(`${contestant.name}: the prepared requests ran out`);
    const entries = after.sent * bulk;
    const done = after.indexes.subarray(0, entries).filter((index) => !Number.isNaN(index)).length;
    const indexes = [...before.indexes.subarray(0, before.sent * bulk), ...after.indexes.subarray(0, entries)];
    return {
      workload: workload.name,
      contestant: contestant.name,
      entries,
      entriesPerSecond: done / after.seconds,
      ...latencies(after.latencies.subarray(0, after.sent)),
      cpu: (cpu / done) * 1e6,
      generatorCpu: (after.cpu / done) * 1e6,
      peakMemory,
      notDone: entries - done,
      wrong: await check(server, load, indexes),
    };
  } finally {
    await stop(server.child);
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What is wrong with the log after the run, in one sentence each. */
async function check({ tiles, verifierKey }: Running, load: Load, indexes: readonly number[]): Promise<string[]> {
  const wrong: string[] = [];
  const expected = new Map<number, string>();
  for (const [i, index] of indexes.entries()) {
    if (Number.isNaN(index)) continue;
    if (expected.has(index)) wrong.push(`index ${index} was given twice`);
    expected.set(index, load.keys[i]!);
  }
  const source = openSource(tiles);
  const size = await published(source, largest(expected.keys()) + 1);
  const { corruption } = await auditLog(tiles, { logKey: verifierKey });
  if (corruption !== undefined) wrong.push(`the audit: ${corruption.message}`);
  for (let first = 0; first < size; first += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, size - first);
    const entries = parseBundle(await source.entries(first / TILE_WIDTH, width), width);
    for (const [i, entry] of entries.entries()) {
      const key = expected.get(first + i);
      // The log also has entries that it logged and did not acknowledge.
      if (key !== undefined && load.keyOf(entry) !== key) wrong.push(`another entry stands at index ${first + i}`);
      expected.delete(first + i);
    }
  }
  await source.close();
  if (expected.size > 0) wrong.push(`${expected.size} acknowledged entries are not in the tree`);
  return wrong.slice(0, 5);
}

/** The largest number of a list that is too long for the arguments of `Math.max`. */
function largest(keys: Iterable<number>): number {
  let max = -1;
  for (const key of keys) max = Math.max(max, key);
  return max;
}

/** The size of the checkpoint, once it is `least` or more. */
async function published(source: TileSource, least: number): Promise<number> {
  const limit = performance.now() + PUBLISHED_MS;
  for (;;) {
    const size = Number(decodeUtf8(await source.checkpoint()).split('\n')[1]);
    if (size >= least) return size;
    if (performance.now() > limit) throw new Error(`${least} entries were acknowledged, and ${size} are published`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** User and system time of the process and those that it started, in seconds. */
export function cpuSeconds({ pid }: ChildProcess): number {
  return familyOf(pid!).reduce((sum, each) => sum + cpuOf(`/proc/${each}/stat`), 0);
}

/** The highest resident memory of the process and those that it started, in MiB. */
export function memoryPeak({ pid }: ChildProcess): number {
  const peak = (each: number) =>
    Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${each}/status`, 'latin1'))?.[1] ?? 0) / 1024;
  return familyOf(pid!).reduce((sum, each) => sum + peak(each), 0);
}

function familyOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => familyOf(Number(child))))];
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((done) => child.once('close', done));
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(late);
}

function latencies(all: Float64Array): { p50: number; p99: number } {
  const sorted = all.filter((value) => !Number.isNaN(value)).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}
