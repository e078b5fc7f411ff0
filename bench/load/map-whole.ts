/**
 * `npm run bench:load -- --map`: the map of a verifiable index catches up with a log in a directory, as a separate process,
 * starts again and answers lookups.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Row, round } from '../report.ts';
import { keyBodies } from './index-whole.ts';
import { keylessBodies } from './monitor-inputs.ts';
import { writeLog } from './monitor-whole.ts';

export interface LookupTimes {
  readonly what: string;
  readonly lookups: number;
  /** Of the longest answer. */
  readonly bytes: number;
  /** Milliseconds, with the check of the answer. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface BuiltMap {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly trieBytes: number;
  readonly diskBytes: number;
  /** Until the map is there again after a start. */
  readonly startSeconds: number;
  readonly keys: number;
  readonly times: readonly LookupTimes[];
}

export interface MapRows {
  readonly row: Row;
  readonly lookups: readonly Row[];
}

const CHILD = fileURLToPath(new URL('./map-child.js', import.meta.url));
const THREADS = 2;
const SORTS = [
  { name: 'certificates', entries: 200_000, bodies: keylessBodies, aim: '10,000/s' },
  { name: 'digests and keys', entries: 1_000_000, bodies: keyBodies, aim: '' },
] as const;

/** @param size of a log with digests and keys alone, in place of both */
export function mapRows(quick: boolean, size?: number): MapRows[] {
  const sorts = size === undefined ? SORTS : [{ ...SORTS[1], entries: size }];
  return sorts.map((sort) => measure(sort, quick ? sort.entries / 10 : sort.entries));
}

function measure({ name, bodies, aim }: Omit<(typeof SORTS)[number], 'entries'>, entries: number): MapRows {
  const dir = mkdtempSync(join(tmpdir(), 'stele-map-'));
  try {
    const vkey = writeLog(join(dir, 'log'), entries, bodies);
    const args = [CHILD, join(dir, 'map'), join(dir, 'log'), vkey, String(THREADS), '1000'];
    const load = loadavg()[0]!;
    const built = JSON.parse(execFileSync(process.execPath, args, { maxBuffer: 2 ** 20 }).toString()) as BuiltMap;
    const { seconds, cpuSeconds, peakBytes, diskBytes, keys, trieBytes, startSeconds } = built;
    const row: Row = {
      what: name,
      entries: entries.toLocaleString('en-US'),
      keys: keys.toLocaleString('en-US'),
      'entries/s': round(entries / seconds),
      'CPU µs/entry': round((cpuSeconds * 1e6) / entries),
      'on 2 cores': round((2 * entries) / cpuSeconds),
      'peak MiB': Math.round(peakBytes / 2 ** 20),
      'trie bytes/key': round(trieBytes / keys),
      'disk bytes/key': round(diskBytes / keys),
      'start s': round(startSeconds),
      'load before': round(load),
      aim,
    };
    const lookups = built.times.map(({ what, lookups: count, bytes, p50, p99, max }) => ({
      map: name,
      key: what,
      lookups: count,
      'longest answer': bytes,
      'p50 ms': round(p50),
      'p99 ms': round(p99),
      'max ms': round(max),
      aim: 'p99 < 10',
    }));
    return { row, lookups };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
