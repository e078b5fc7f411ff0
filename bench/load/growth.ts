/**
 * Measures the start, the memory and the speed of a log against its size. It fills logs of several sizes through their
 * stores, without HTTP and signatures. Then it starts each log and puts it under load for a few rounds. The sizes take turns,
 * so that other work on the machine meets all of them.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { openDirStores } from '../../server/dir/layout.ts';
import { CommittedTree } from '../../server/tree/committed.ts';
import { median, type Row, round } from '../report.ts';
import { checkDirectory, checkEntries, digestOf, publishedSize } from './check.ts';
import { callOf, Generator } from './generator.ts';
import { requestBodies } from './requests.ts';
import { failures, latencies } from './run.ts';
import { type ServerCommand, ServerProcess } from './server.ts';

export const GROWTH_SIZES: readonly number[] = [10_000, 100_000, 1_000_000];

const BATCH = 2048;
/** As long as a canonical hashedrekord with a P-256 key. */
const ENTRY_BYTES = 500;
const CONNECTIONS = 256;

/** Entries with a fresh key each, one a request: to warm up, and in the measurement. */
export interface GrowthLoad {
  readonly warmUp: number;
  readonly entries: number;
}

export const GROWTH_LOAD: GrowthLoad = { warmUp: 10_000, entries: 20_000 };

/** One start of one log, and the load on it. */
export interface GrowthRound {
  /** The log's size before the load. */
  readonly size: number;
  readonly round: number;
  /** Time from the start of the process to its first reply. */
  readonly startMs: number;
  /** Processor time of the start, in milliseconds. Other work on the machine changes it less than `startMs`. */
  readonly startCpuMs: number;
  /** Resident memory in MiB: after the start, and at its highest. */
  readonly memoryAfterStart: number;
  readonly peakMemory: number;
  readonly entriesPerSecond: number;
  /** Milliseconds from a request's write to its whole reply. */
  readonly p50: number;
  readonly p99: number;
  /** Refused, late and lost entries, and all other findings of the checks. */
  readonly failed: number;
  readonly wrong: readonly string[];
}

/** `tell` gets messages about the progress. */
export async function measureGrowth(
  sizes: readonly number[],
  rounds: number,
  load: GrowthLoad,
  command: ServerCommand,
  tell: (text: string) => void,
): Promise<GrowthRound[]> {
  const perRound = load.warmUp + load.entries;
  const bodies = await requestBodies('fresh', rounds * perRound);
  const logs: { size: number; data: string }[] = [];
  const results: GrowthRound[] = [];
  try {
    for (const size of sizes) {
      const data = mkdtempSync(join(tmpdir(), 'stele-bench-'));
      logs.push({ size, data });
      const started = performance.now();
      // The first start makes the directory with its keys. The second start publishes the entries.
      await (await ServerProcess.start(command, data)).stop();
      await fillLog(data, size);
      const server = await ServerProcess.start(command, data);
      const before = server.cpu().all;
      const filled = performance.now();
      await server.filterComplete();
      const filter = { ms: performance.now() - filled, cpuMs: (server.cpu().all - before) * 1000 };
      await server.stop();
      tell(
        `${size} entries filled in ${round((filled - started) / 1000)} s, their filter made in ${round(filter.ms)} ms ` +
          `(${round(filter.cpuMs)} of processor time)`,
      );
    }
    for (let at = 0; at < rounds; at++) {
      const own = bodies.slice(at * perRound, (at + 1) * perRound);
      for (const { size, data } of logs) {
        const result = { size, round: at, ...(await oneRound(data, own, load, command)) };
        results.push(result);
        tell(`round ${at + 1}, ${size} entries: ${round(result.entriesPerSecond)} entries/s`);
      }
    }
    for (const { size, data } of logs) {
      const wrong = checkDirectory(command.main, data);
      results.forEach((result, i) => {
        if (result.size === size) results[i] = { ...result, wrong: [...result.wrong, ...wrong] };
      });
      tell(`${size} entries checked`);
    }
  } finally {
    for (const { data } of logs) rmSync(data, { recursive: true, force: true });
  }
  return results;
}

async function oneRound(data: string, bodies: readonly Buffer[], load: GrowthLoad, command: ServerCommand) {
  const server = await ServerProcess.start(command, data);
  const startCpuMs = server.cpu().all * 1000;
  const { now: memoryAfterStart } = server.memory();
  const url = `http://127.0.0.1:${server.port}`;
  const first = await publishedSize(url);
  const calls = bodies.map((body) => callOf('/api/v2/log/entries', body));
  const generator = await Generator.open(server.port, CONNECTIONS);
  const before = await generator.run(calls.slice(0, load.warmUp));
  const outcomes = await generator.run(calls.slice(load.warmUp));
  generator.close();
  const { peak: peakMemory } = server.memory();
  const indexes = Float64Array.of(...before.indexes, ...outcomes.indexes);
  const wrong = await checkEntries(url, bodies.map(digestOf), indexes, first);
  await server.stop();
  const { p50, p99 } = latencies(outcomes);
  const { refused, late, lost } = failures(calls.slice(load.warmUp), outcomes);
  return {
    startMs: server.startMs,
    startCpuMs,
    memoryAfterStart,
    peakMemory,
    entriesPerSecond: load.entries / outcomes.seconds,
    p50,
    p99,
    failed: refused + late + lost,
    wrong,
  };
}

/** One row per size, with the medians of its rounds and their highest memory. */
export function growthRows(results: readonly GrowthRound[]): Row[] {
  return sizesOf(results).map((size) => {
    const rounds = results.filter((result) => result.size === size);
    const middle = (of: (result: GrowthRound) => number) => round(median(rounds.map(of)));
    return {
      entries: size.toLocaleString('en-US'),
      'start ms': middle(({ startMs }) => startMs),
      'CPU ms': middle(({ startCpuMs }) => startCpuMs),
      'MiB after start': middle(({ memoryAfterStart }) => memoryAfterStart),
      'peak MiB': round(Math.max(...rounds.map(({ peakMemory }) => peakMemory))),
      'entries/s': middle(({ entriesPerSecond }) => entriesPerSecond),
      'p50 ms': middle(({ p50 }) => p50),
      'p99 ms': middle(({ p99 }) => p99),
      'refused+late+lost': rounds.reduce((sum, { failed }) => sum + failed, 0),
      checked: rounds.every(({ wrong }) => wrong.length === 0) ? 'all there' : 'WRONG',
    };
  });
}

/** The largest log against each other one: the ratio in each round, in which both had the same machine, and the median. */
export function growthRatios(results: readonly GrowthRound[]): Row[] {
  const sizes = sizesOf(results);
  const largest = Math.max(...sizes);
  const of = (size: number) => results.filter((result) => result.size === size);
  return sizes
    .filter((size) => size < largest)
    .map((size) => {
      const ratios = (value: (result: GrowthRound) => number) =>
        of(size).map((result, at) => value(of(largest)[at]!) / value(result));
      const speed = ratios(({ entriesPerSecond }) => entriesPerSecond);
      return {
        'against each other': `${largest.toLocaleString('en-US')} : ${size.toLocaleString('en-US')}`,
        'entries/s': round(median(speed)),
        p50: round(median(ratios(({ p50 }) => p50))),
        p99: round(median(ratios(({ p99 }) => p99))),
        start: round(median(ratios(({ startMs }) => startMs))),
        'entries/s in each round': speed.map(round).join(', '),
      };
    });
}

function sizesOf(results: readonly GrowthRound[]): number[] {
  return [...new Set(results.map(({ size }) => size))];
}

/** Puts `entries` random entries into the log at `data` without a server. The log was started once before. */
export async function fillLog(data: string, entries: number): Promise<void> {
  const tree = await CommittedTree.open(await openDirStores(data), fastSha256);
  const make = (count: number) =>
    Array.from({ length: count }, () => {
      const body = randomBytes(ENTRY_BYTES);
      return { body, leafHash: leafHash(body, fastSha256) };
    });
  try {
    let left = entries;
    for (let batch = make(Math.min(BATCH, left)); batch.length > 0; ) {
      const appended = tree.append(batch);
      left -= batch.length;
      // Makes entries while the ones before are written, which saves a third of the time.
      batch = make(Math.min(BATCH, left));
      await (await appended).filed;
    }
  } finally {
    await tree.close();
  }
}
