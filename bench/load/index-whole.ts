/**
 * `npm run bench:load -- --index`: a plain index catches up with a log in a directory, as a separate process, and answers.
 *
 * Processor time stands beside the rate, because other work on the machine slows the rate and not the processor time.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hashedRekord, madeUpKey } from '../../test/support/fulcio.ts';
import { type Row, round } from '../report.ts';
import { keylessBodies } from './monitor-inputs.ts';
import { writeLog } from './monitor-whole.ts';

export interface QueryTimes {
  readonly what: string;
  readonly queries: number;
  /** On average. */
  readonly hits: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface BuiltIndex {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly diskBytes: number;
  readonly times: readonly QueryTimes[];
}

const CHILD = fileURLToPath(new URL('./index-child.js', import.meta.url));
const THREADS = 2;

interface Sort {
  readonly name: string;
  readonly kinds: string;
  readonly entries: number;
  readonly bodies: (count: number, from: number) => readonly Uint8Array[];
  readonly aim: string;
}

/** Half of the entries are by one of 1,000 keys, and each of the others by a key of its own. */
export function keyBodies(count: number, from: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const at = from + i;
    return hashedRekord(
      { key: madeUpKey(at % 2 === 0 ? `shared ${(at * 7919) % 1000}` : `own ${at}`) },
      `artifact ${at}`,
    );
  });
}

const SORTS: readonly Sort[] = [
  { name: 'digests and keys', kinds: 'digest,key', entries: 1_000_000, bodies: keyBodies, aim: '60,000/s' },
  { name: 'all kinds, certificates', kinds: 'all', entries: 200_000, bodies: keylessBodies, aim: '15,000/s' },
];

export interface IndexRow {
  readonly row: Row;
  readonly name: string;
  readonly built: BuiltIndex;
}

/** @param size of the log with digests and keys alone, in place of both; such a run asks nothing else */
export async function indexRows(quick: boolean, size?: number): Promise<IndexRow[]> {
  const sorts = size === undefined ? SORTS : [{ ...SORTS[0]!, entries: size }];
  return sorts.map((sort) => measure({ ...sort, entries: quick ? sort.entries / 10 : sort.entries }));
}

function measure({ name, kinds, entries, bodies, aim }: Sort): IndexRow {
  const dir = mkdtempSync(join(tmpdir(), 'stele-index-'));
  try {
    const vkey = writeLog(join(dir, 'log'), entries, bodies);
    const args = [CHILD, join(dir, 'index'), join(dir, 'log'), vkey, kinds, String(THREADS), '1000'];
    const load = loadavg()[0]!;
    const built = JSON.parse(execFileSync(process.execPath, args, { maxBuffer: 2 ** 20 }).toString()) as BuiltIndex;
    const { seconds, cpuSeconds, peakBytes, diskBytes } = built;
    const row: Row = {
      what: name,
      entries: entries.toLocaleString('en-US'),
      threads: THREADS,
      'entries/s': round(entries / seconds),
      'CPU µs/entry': round((cpuSeconds * 1e6) / entries),
      'on 2 cores': round((2 * entries) / cpuSeconds),
      'peak MiB': Math.round(peakBytes / 2 ** 20),
      'disk bytes/entry': round(diskBytes / entries),
      'load before': round(load),
      aim,
    };
    return { row, name, built };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export function indexQueryRows(rows: readonly IndexRow[]): Row[] {
  return rows.flatMap(({ name, built }) =>
    built.times.map(({ what, queries, hits, p50, p99, max }) => ({
      index: name,
      query: what,
      queries,
      hits: round(hits),
      'p50 ms': round(p50),
      'p99 ms': round(p99),
      'max ms': round(max),
      aim: 'p99 < 10',
    })),
  );
}
