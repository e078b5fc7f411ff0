/**
 * `npm run bench:load -- --monitor`: how fast a monitor catches up with a backlog, with 100 rules that read every certificate.
 *
 * First the matcher alone, with entries from memory. Then a whole monitor (`--once --from-start`) on the directory of a local
 * log, which reads tiles, proves every leaf, applies the rules and writes its state. Processor time stands beside the rate,
 * because other work on the machine slows the rate and not the processor time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FeedEntry } from '../../client/follow/types.ts';
import { createMatcher } from '../../client/monitor/matcher.ts';
import { type Row, round } from '../report.ts';
import { hundredRules, keylessBodies } from './monitor-inputs.ts';
import { makeLog, runMonitor } from './monitor-whole.ts';

/** Entries for the matcher alone, and for the whole monitor. */
const ENTRIES = { matcher: 40_000, whole: 100_000 };
const THREADS = 2;
/** Bodies that are made before the clock runs. They are used several times, so that they take little of the memory measured. */
const MADE = 16_384;
/** Entries in one call: a few bundles, as a log serves them. */
const CHUNK = 2048;

export async function monitorRows(repeat: number): Promise<Row[]> {
  const rows = [await matcherAlone()];
  for (let i = 0; i < repeat; i++) rows.push(await whole());
  return rows;
}

async function matcherAlone(): Promise<Row> {
  const entries = ENTRIES.matcher;
  const bodies = keylessBodies(Math.min(MADE, entries));
  const leafHash = Buffer.alloc(32);
  const chunk = (from: number): FeedEntry[] =>
    Array.from({ length: Math.min(CHUNK, entries - from) }, (_, i) => ({
      log: 'log.example.com',
      index: from + i,
      leafHash,
      body: bodies[(from + i) % bodies.length]!,
    }));
  const matcher = createMatcher(hundredRules(), { threads: THREADS });
  try {
    // This call loads the workers, and compiles their code.
    await matcher.match(chunk(0));
    await matcher.match(chunk(0));
    const before = process.cpuUsage();
    const start = performance.now();
    let alerts = 0;
    let peak = 0;
    for (let from = 0; from < entries; from += CHUNK) {
      alerts += (await matcher.match(chunk(from))).length;
      peak = Math.max(peak, process.memoryUsage.rss());
    }
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(before);
    return result('matcher', entries, seconds, (user + system) / entries, peak, alerts);
  } finally {
    await matcher.close();
  }
}

async function whole(): Promise<Row> {
  const entries = ENTRIES.whole;
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    const config = await makeLog(dir, entries, THREADS);
    const { seconds, cpuSeconds, peakBytes, alerts } = await runMonitor(config, dir);
    return result('whole monitor, with its start', entries, seconds, (cpuSeconds * 1e6) / entries, peakBytes, alerts);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function result(what: string, entries: number, seconds: number, cpu: number, peakBytes: number, alerts: number): Row {
  return {
    what,
    entries: entries.toLocaleString('en-US'),
    threads: THREADS,
    'entries/s': round(entries / seconds),
    'CPU µs/entry': round(cpu),
    'peak MiB': Math.round(peakBytes / 2 ** 20),
    alerts,
    aim: what === 'matcher' ? '' : '15,000/s, 286 MiB (300 MB)',
  };
}
