/**
 * `npm run bench:load -- --pairs 20 --server OTHER/dist/client/cli/main.js --server dist/client/cli/main.js`: is the second
 * build as fast as the first?
 *
 * The speed of a shared machine changes by half within a quarter of an hour. So both builds do small pieces of the same
 * work in turn, a pair of pieces gives one ratio, and each pair swaps which build goes first. The median of the ratios
 * comes with its interval of 95 %, from the order of the ratios alone: an interval that holds 1 shows no difference.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as client from '../../client/index.ts';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { median, type Row, round } from '../report.ts';
import { type Call, callOf, Generator } from './generator.ts';
import { makeLog, runMonitor } from './monitor-whole.ts';
import { requestBodies } from './requests.ts';
import { callsOf } from './run.ts';
import { type ServerCommand, ServerProcess } from './server.ts';
import { makeBundles } from './verify-inputs.ts';
import { prepareVerifyOne, verifyOnce } from './verify-one.ts';

/** The time of one piece of work. */
interface Piece {
  readonly seconds: number;
  /** Seconds of processor time of the build that is measured. */
  readonly cpu: number;
}

/** One workload on one build, ready to do its pieces. */
interface Side {
  piece(at: number): Promise<Piece>;
  close(): Promise<void>;
}

interface Workload {
  readonly name: string;
  open(command: ServerCommand, pairs: number): Promise<Side>;
}

/** Entries in a piece and before the first one. */
const SIGNED = { piece: 2000, warmUp: 20_000 };
const RAW = { piece: 10_000, warmUp: 40_000, bytes: 700 };
const BUNDLES = { piece: 1000, made: 5000, batch: 64 };
const MONITORED = 20_000;

const WORKLOADS: readonly Workload[] = [
  signed('fresh-256', 256, 1),
  signed('bulk-fresh', 16, 64),
  { name: 'raw-256', open: (command, pairs) => openLog(command, ['--entries', 'raw'], 256, rawCalls(pairs), RAW) },
  { name: 'verify', open: openVerify },
  { name: 'monitor', open: openMonitor },
  { name: 'stele verify of one file', open: openVerifyOne },
];

/**
 * A row for each workload whose name `only` matches.
 *
 * @param pairs at least 6, so that the interval exists
 */
export async function pairRows(
  commands: readonly [ServerCommand, ServerCommand],
  pairs: number,
  only: RegExp,
  say: (text: string) => void,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const workload of WORKLOADS.filter(({ name }) => only.test(name))) {
    const sides = [await workload.open(commands[0], pairs), await workload.open(commands[1], pairs)] as const;
    const ratios = { seconds: [] as number[], cpu: [] as number[] };
    try {
      for (let at = 0; at < pairs; at++) {
        const first = at % 2;
        const pieces: Piece[] = [];
        pieces[first] = await sides[first]!.piece(at);
        pieces[1 - first] = await sides[1 - first]!.piece(at);
        ratios.seconds.push(pieces[1]!.seconds / pieces[0]!.seconds);
        ratios.cpu.push(pieces[1]!.cpu / pieces[0]!.cpu);
      }
    } finally {
      await Promise.all(sides.map((side) => side.close()));
    }
    const row = { workload: workload.name, pairs, time: ratioText(ratios.seconds), 'CPU time': ratioText(ratios.cpu) };
    say(`${row.workload}: time ${row.time}, CPU time ${row['CPU time']}`);
    rows.push(row);
  }
  return rows;
}

/** The median of at least 6 ratios, with its interval of 95 %. */
export function ratioText(ratios: readonly number[]): string {
  const sorted = ratios.toSorted((a, b) => a - b);
  const low = lowRank(sorted.length);
  return `${round(median(sorted))} (${round(sorted[low]!)} to ${round(sorted[sorted.length - 1 - low]!)})`;
}

/** Index of the value that bounds the median of `n` sorted values from below: at most 2.5 % lie outside (sign test). */
function lowRank(n: number): number {
  let choose = 1;
  let sum = 1;
  let rank = 0;
  for (let k = 1; ; k++) {
    choose = (choose * (n - k + 1)) / k;
    sum += choose;
    if (sum / 2 ** n > 0.025) return rank;
    rank = k;
  }
}

function signed(name: string, connections: number, bulk: number): Workload {
  return {
    name,
    open: async (command, pairs) => {
      const bodies = await requestBodies('fresh', SIGNED.warmUp + Math.max(pairs, 20) * SIGNED.piece);
      const sizes = { piece: SIGNED.piece / bulk, warmUp: SIGNED.warmUp / bulk };
      return await openLog(command, [], connections, callsOf(bodies, bulk), sizes);
    },
  };
}

function rawCalls(pairs: number): Call[] {
  const count = RAW.warmUp + pairs * RAW.piece;
  const bytes = randomBytes(count * RAW.bytes);
  return Array.from({ length: count }, (_, at) => callOf('/add', bytes.subarray(at * RAW.bytes, (at + 1) * RAW.bytes)));
}

/** A log of this build, which gets the calls of one piece at a time. The other build's log is idle then. */
async function openLog(
  command: ServerCommand,
  flags: readonly string[],
  connections: number,
  calls: readonly Call[],
  { piece, warmUp }: { readonly piece: number; readonly warmUp: number },
): Promise<Side> {
  const data = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  const server = await ServerProcess.start({ ...command, serve: [...flags, ...command.serve] }, data);
  const generator = await Generator.open(server.port, connections);
  const run = async (part: readonly Call[]): Promise<Piece> => {
    const cpu = server.cpu().all;
    const outcomes = await generator.run(part);
    if (outcomes.indexes.some(Number.isNaN)) throw new Error(`${command.main} did not log each entry`);
    return { seconds: outcomes.seconds, cpu: server.cpu().all - cpu };
  };
  await run(calls.slice(0, warmUp));
  return {
    piece: (at) => run(calls.slice(warmUp + at * piece, warmUp + (at + 1) * piece)),
    close: async () => {
      generator.close();
      await server.stop();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

const bundles = new Map<number, Promise<Awaited<ReturnType<typeof makeBundles>>>>();

/** `verifyMany` of the build's library, in this process. */
async function openVerify({ main }: ServerCommand): Promise<Side> {
  const library = pathToFileURL(resolve(dirname(main), '..', 'index.js'));
  const { verifyMany } = (await import(library.href)) as typeof client;
  const made = bundles.get(BUNDLES.made) ?? makeBundles(BUNDLES.made, BUNDLES.batch);
  bundles.set(BUNDLES.made, made);
  const { inputs, policy } = await made;
  const requests = inputs.map(({ bundle, digest, spki }) => ({ bundle, artifact: { sha256: digest }, key: spki }));
  const piece = async (at: number): Promise<Piece> => {
    const from = (at * BUNDLES.piece) % BUNDLES.made;
    const used = process.cpuUsage();
    const started = performance.now();
    for await (const { ok } of verifyMany(requests.slice(from, from + BUNDLES.piece), { policy: encodeUtf8(policy) })) {
      if (!ok) throw new Error(`${main} refuses a bundle`);
    }
    const { user, system } = process.cpuUsage(used);
    return { seconds: (performance.now() - started) / 1000, cpu: (user + system) / 1e6 };
  };
  await piece(0);
  return { piece, close: async () => {} };
}

/** A monitor that catches up from the start, as a separate process. */
async function openMonitor({ main }: ServerCommand): Promise<Side> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  const config = await makeLog(dir, MONITORED, 2);
  return {
    piece: async () => {
      rmSync(join(dir, 'state'), { recursive: true, force: true });
      const { seconds, cpuSeconds } = await runMonitor(config, dir, main);
      return { seconds, cpu: cpuSeconds };
    },
    close: async () => rmSync(dir, { recursive: true, force: true }),
  };
}

async function openVerifyOne({ main }: ServerCommand): Promise<Side> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  const args = [main, ...(await prepareVerifyOne(dir))];
  verifyOnce(args, dir);
  return {
    piece: async () => {
      const { wall, cpu } = verifyOnce(args, dir);
      return { seconds: wall / 1000, cpu: cpu / 1000 };
    },
    close: async () => rmSync(dir, { recursive: true, force: true }),
  };
}
