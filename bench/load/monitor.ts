/**
 * Catching up: how fast a monitor compares a backlog with 100 rules, every certificate read.
 *
 *     npm run build && npx tsc -p bench/tsconfig.json
 *     node dist/bench/load/monitor.js [--entries 40000] [--threads 2] [--json FILE] [--whole]
 *
 * Without `--whole` the matcher alone, fed from memory a bundle at a time; with it a whole monitor, `--once` from the start,
 * on a local log's directory: tiles read, every leaf proven, rules, state. Processor time is given beside the rate, as
 * whatever else the machine does slows the rate and not that.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createMatcher } from '../../client/monitor/matcher.ts';
import type { SeenEntry } from '../../client/monitor/types.ts';
import { machine, type Row, round, table } from '../report.ts';
import { hundredRules, keylessBodies } from './monitor-inputs.ts';
import { makeLog, runMonitor } from './monitor-whole.ts';

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '40000' },
    threads: { type: 'string', default: '2' },
    /** As the setting of the monitor. */
    chunk: { type: 'string', default: '16MiB' },
    json: { type: 'string' },
    whole: { type: 'boolean', default: false },
  },
});
const entries = Number(values.entries);
const threads = Number(values.threads);
/** Bodies are made before the clock runs, and used several times: memory is the monitor's then, not theirs. */
const MADE = 16_384;
/** Entries handed over at once: some bundles, as they come from a log. */
const CHUNK = 2048;

const row = values.whole ? await whole() : await matcherAlone();
console.log(table([row]));
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ machine: machine(), ...row }, null, 2)}\n`);

async function matcherAlone(): Promise<Row> {
  const bodies = keylessBodies(Math.min(MADE, entries));
  const leafHash = Buffer.alloc(32);
  const chunk = (from: number): SeenEntry[] =>
    Array.from({ length: Math.min(CHUNK, entries - from) }, (_, i) => ({
      log: 'log.example.com',
      index: from + i,
      leafHash,
      body: bodies[(from + i) % bodies.length]!,
    }));
  const matcher = createMatcher(hundredRules(), { threads });
  try {
    // Loads the workers and what they compile.
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
    return result('matcher', seconds, (user + system) / entries, peak, alerts);
  } finally {
    await matcher.close();
  }
}

async function whole(): Promise<Row> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    const config = await makeLog(dir, entries, threads, values.chunk);
    const { seconds, cpuSeconds, peakBytes, alerts } = await runMonitor(config, dir);
    return result('whole monitor, with its start', seconds, (cpuSeconds * 1e6) / entries, peakBytes, alerts);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function result(what: string, seconds: number, cpu: number, peakBytes: number, alerts: number): Row {
  return {
    what,
    entries: entries.toLocaleString('en-US'),
    threads,
    'entries/s': round(entries / seconds),
    'CPU µs/entry': round(cpu),
    'peak MiB': Math.round(peakBytes / 2 ** 20),
    alerts,
  };
}
