/** One scenario on a new log: start, warm up, measure, check every acknowledged entry, check the directory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkDirectory, checkEntries, digestOf } from './check.ts';
import { type Call, callOf, Generator, type Outcomes } from './generator.ts';
import { requestBodies } from './requests.ts';
import type { Scenario } from './scenarios.ts';
import { machineBusy, type ServerCommand, ServerProcess } from './server.ts';

/** sigstore-js gives up after this time, so a later reply counts as late, in milliseconds. */
const LATE_MS = 5000;

export interface Measurement {
  readonly scenario: string;
  readonly entries: number;
  readonly entriesPerSecond: number;
  /** Milliseconds from a call's write to its whole reply. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Microseconds of processor time (user and system) per entry: of the server, of its main thread, and of the generator. */
  readonly serverCpu: number;
  readonly mainCpu: number;
  readonly generatorCpu: number;
  /** The share of the machine that other work used, 0 to 1. Above a few hundredths, the run says little. */
  readonly elsewhere: number;
  /** Resident memory of the server at its highest, in MiB. */
  readonly peakMemory: number;
  /** Number of refused entries, and of entries in calls with a late reply or no reply. */
  readonly refused: number;
  readonly late: number;
  readonly lost: number;
  /** The findings of the checks. Empty if each acknowledged entry is at the index in its reply. */
  readonly wrong: readonly string[];
}

export async function runScenario(scenario: Scenario, command: ServerCommand): Promise<Measurement> {
  const { keys, bulk, entries, warmUp, connections, pauseMs } = scenario;
  const bodies = (await requestBodies(keys, 60_000)).slice(0, warmUp + entries);
  const warmUpCalls = callsOf(bodies.slice(0, warmUp), bulk);
  const calls = callsOf(bodies.slice(warmUp), bulk);
  const data = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    const server = await ServerProcess.start(command, data);
    const generator = await Generator.open(server.port, connections);
    const before = await generator.run(warmUpCalls, pauseMs);
    const cpu = server.cpu();
    const busy = machineBusy();
    const outcomes = await generator.run(calls, pauseMs);
    const { all, main: mainThread } = server.cpu();
    const elsewhere = machineBusy() - busy - (all - cpu.all) - outcomes.cpu;
    const { peak: peakMemory } = server.memory();
    generator.close();
    const indexes = Float64Array.of(...before.indexes, ...outcomes.indexes);
    const wrong = await checkEntries(`http://127.0.0.1:${server.port}`, bodies.map(digestOf), indexes);
    await server.stop();
    wrong.push(...checkDirectory(command.main, data));
    return {
      scenario: scenario.name,
      entries,
      entriesPerSecond: entries / outcomes.seconds,
      ...latencies(outcomes),
      serverCpu: ((all - cpu.all) / entries) * 1e6,
      mainCpu: ((mainThread - cpu.main) / entries) * 1e6,
      generatorCpu: (outcomes.cpu / entries) * 1e6,
      elsewhere: Math.max(0, elsewhere / outcomes.seconds / availableParallelism()),
      peakMemory,
      ...failures(calls, outcomes),
      wrong,
    };
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

export function callsOf(bodies: readonly Buffer[], bulk: number): Call[] {
  if (bulk === 1) return bodies.map((body) => callOf('/api/v2/log/entries', body));
  const calls: Call[] = [];
  for (let at = 0; at < bodies.length; at += bulk) {
    const items = bodies.slice(at, at + bulk);
    const body = Buffer.from(`{"requests":[${items.map((item) => item.toString('latin1')).join(',')}]}`, 'latin1');
    calls.push(callOf('/api/v2/log/entries:batch', body, items.length));
  }
  return calls;
}

export function latencies(outcomes: Outcomes): { p50: number; p99: number; max: number } {
  const sorted = outcomes.latencies.filter((value) => !Number.isNaN(value)).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Every entry without a reply in time counts in exactly one of the three. */
export function failures(calls: readonly Call[], outcomes: Outcomes): { refused: number; late: number; lost: number } {
  const count = { refused: 0, late: 0, lost: 0 };
  let entry = 0;
  for (const [i, { entries }] of calls.entries()) {
    const ms = outcomes.latencies[i]!;
    for (const end = entry + entries; entry < end; entry++) {
      if (Number.isNaN(ms)) count.lost++;
      else if (Number.isNaN(outcomes.indexes[entry]!)) count.refused++;
      else if (ms > LATE_MS) count.late++;
    }
  }
  return count;
}
