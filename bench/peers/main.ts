/**
 * `npm run bench:peers`: Stele and the servers that people would choose instead, on this machine, one after another.
 * Their rounds take turns, so that the machine's drift meets all of them. PEERS_BIN names the folder with
 * rekor-server-posix (sigstore/rekor-tiles) and tessera-posix (transparency-dev/tessera); nginx and wrk are Debian's. If a
 * program is missing, its rows say so.
 *
 *     npm run bench:peers
 *     npm run bench:peers -- --rounds 3 --seconds 8 --only 'signed|reads' --write
 *
 * With OTHER_NODE, the path of another `node`, Stele runs on that one too. `--write` puts the tables into bench/RESULTS.md
 * and everything into bench/peers.json.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { digestOf } from '../load/check.ts';
import { callOf } from '../load/generator.ts';
import { requestBodies } from '../load/requests.ts';
import { machine, type Row, round, table } from '../report.ts';
import {
  type Contestant,
  REKOR_DEFAULT,
  REKOR_FAST,
  STELE_OTHER_NODE,
  STELE_RAW,
  STELE_RAW_OTHER_NODE,
  STELE_SIGNED,
  TESSERA_POSIX,
} from './contestants.ts';
import { measureReads, missingForReads, type ReadResult } from './reads.ts';
import { type Load, measure, type PeerResult, type Workload } from './run.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '8' },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
  },
});

interface Comparison {
  readonly workload: Workload;
  readonly contestants: readonly Contestant[];
  readonly kind: 'signed' | 'raw';
}

const SIGNED = 150_000;
const RAW = 400_000;
/** An entry as load tools for tiled logs send it. */
const RAW_BYTES = 600;
const KEY_BYTES = 16;

const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const LOAD = { bulk: 1, seconds, warmUp: seconds / 2, pauseMs: 0 };

const COMPARISONS: readonly Comparison[] = [
  signed('signed-256', 256, [STELE_SIGNED, REKOR_FAST, STELE_OTHER_NODE]),
  signed('signed-1024', 1024, [STELE_SIGNED, REKOR_FAST, STELE_OTHER_NODE]),
  signed('signed-3000', 3000, [STELE_SIGNED, REKOR_FAST]),
  signed('signed-256-default', 256, [STELE_SIGNED, REKOR_DEFAULT]),
  {
    ...signed('bulk-64', 16, [STELE_SIGNED, STELE_OTHER_NODE]),
    workload: { ...LOAD, name: 'bulk-64', connections: 16, bulk: 64 },
  },
  {
    ...signed('quiet', 1, [STELE_SIGNED, REKOR_FAST]),
    workload: { ...LOAD, name: 'quiet', connections: 1, pauseMs: 20 },
  },
  raw('raw-256', 256),
  raw('raw-1024', 1024),
];

function signed(name: string, connections: number, contestants: readonly Contestant[]): Comparison {
  return { workload: { ...LOAD, name, connections }, contestants, kind: 'signed' };
}

function raw(name: string, connections: number): Comparison {
  return {
    workload: { ...LOAD, name, connections },
    contestants: [STELE_RAW, TESSERA_POSIX, STELE_RAW_OTHER_NODE],
    kind: 'raw',
  };
}

const only = new RegExp(values.only);
const loads = new Map<string, Load>();
const results: PeerResult[] = [];
const absent: string[] = [];
for (const { workload, contestants, kind } of COMPARISONS.filter((each) => only.test(each.workload.name))) {
  for (let at = 0; at < rounds; at++) {
    for (const contestant of contestants) {
      if (contestant.start === undefined) {
        if (at === 0) absent.push(`${workload.name}: ${contestant.name} is not on this machine`);
        continue;
      }
      const result = await measure(workload, contestant, await loadOf(kind, contestant.path, workload.bulk));
      console.error(`${workload.name}, ${contestant.name}: ${round(result.entriesPerSecond)} entries/s`);
      for (const wrong of result.wrong) console.error(`  WRONG: ${wrong}`);
      results.push(result);
    }
  }
}
const reads: ReadResult[] = [];
if (only.test('reads')) {
  const missing = missingForReads();
  if (missing === undefined) reads.push(...(await measureReads(rounds, seconds)));
  else absent.push(`reads: there is no ${missing} on this machine`);
}

const tables = [
  ...(results.length === 0 ? [] : [table(rowsOf(results))]),
  ...(reads.length === 0 ? [] : [table(readRows(reads))]),
  ...(absent.length === 0 ? [] : [absent.map((line) => `- ${line}`).join('\n')]),
].join('\n\n');
console.log(tables);
if (values.write) write(tables);
if (results.some(({ wrong }) => wrong.length > 0)) process.exitCode = 1;

/** A run sends each request once; every contestant gets the same requests. */
async function loadOf(kind: 'signed' | 'raw', path: string, bulk: number): Promise<Load> {
  const name = `${kind} ${path} ${bulk}`;
  const made = loads.get(name) ?? (kind === 'raw' ? rawLoad(path) : await signedLoad(path, bulk));
  loads.set(name, made);
  return made;
}

async function signedLoad(path: string, bulk: number): Promise<Load> {
  const bodies = await requestBodies('fresh', SIGNED);
  const keys = bodies.map(digestOf);
  if (bulk === 1) return { calls: bodies.map((body) => callOf(path, body)), keys, keyOf: digestOf };
  const calls = [];
  for (let at = 0; at + bulk <= bodies.length; at += bulk) {
    const items = bodies.slice(at, at + bulk).map((item) => item.toString('latin1'));
    calls.push(callOf(`${path}:batch`, Buffer.from(`{"requests":[${items.join(',')}]}`, 'latin1'), bulk));
  }
  return { calls, keys, keyOf: digestOf };
}

function rawLoad(path: string): Load {
  const all = randomBytes(RAW * RAW_BYTES);
  const bodies = Array.from({ length: RAW }, (_, at) => all.subarray(at * RAW_BYTES, (at + 1) * RAW_BYTES));
  const keyOf = (entry: Uint8Array) => Buffer.from(entry.subarray(0, KEY_BYTES)).toString('latin1');
  return { calls: bodies.map((body) => callOf(path, body)), keys: bodies.map(keyOf), keyOf };
}

/** A row for each workload and contestant. A ratio is Stele's figure over the peer's in the same round. */
function rowsOf(all: readonly PeerResult[]): Row[] {
  const rows: Row[] = [];
  for (const { workload, contestants } of COMPARISONS) {
    const own = all.filter((each) => each.workload === workload.name && each.contestant === contestants[0]!.name);
    for (const { name } of contestants) {
      const runs = all.filter((each) => each.workload === workload.name && each.contestant === name);
      if (runs.length === 0) continue;
      const ratio = (value: (run: PeerResult) => number) =>
        name === contestants[0]!.name ? '' : spread(runs.map((run, at) => value(own[at]!) / value(run)));
      rows.push({
        workload: workload.name,
        server: name,
        'entries/s': spread(runs.map((run) => run.entriesPerSecond)),
        'p50 ms': spread(runs.map((run) => run.p50)),
        'p99 ms': spread(runs.map((run) => run.p99)),
        'CPU µs/entry': spread(runs.map((run) => run.cpu)),
        'generator µs': round(median(runs.map((run) => run.generatorCpu))),
        'peak MiB': round(Math.max(...runs.map((run) => run.peakMemory))),
        'not done': runs.reduce((sum, run) => sum + run.notDone, 0),
        audit: runs.every((run) => run.wrong.length === 0) ? 'sound' : 'WRONG',
        'stele/peer: entries/s': ratio((run) => run.entriesPerSecond),
        p50: ratio((run) => run.p50),
        CPU: ratio((run) => run.cpu),
      });
    }
  }
  return rows;
}

function readRows(all: readonly ReadResult[]): Row[] {
  const of = (server: string) => all.filter((each) => each.server === server);
  const nginx = of('nginx');
  return ['stele', 'nginx', 'nginx before stele'].map((server) => ({
    reads: server,
    'requests/s': spread(of(server).map((run) => run.requestsPerSecond)),
    'per core': spread(of(server).map((run) => run.perCore)),
    p99: of(server)[0]!.p99,
    failed: of(server).reduce((sum, run) => sum + run.failed, 0),
    'of nginx, per core':
      server !== 'nginx' ? spread(of(server).map((run, at) => run.perCore / nginx[at]!.perCore)) : '',
  }));
}

/** The median, followed by minimum and maximum. */
function spread(of: readonly number[]): string {
  return of.length === 1 ? round(of[0]!) : `${round(median(of))} (${round(Math.min(...of))}–${round(Math.max(...of))})`;
}

function median(of: readonly number[]): number {
  const sorted = [...of].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

/** Writes the tables between the two marks of bench/RESULTS.md, and all results to bench/peers.json. */
function write(text: string): void {
  const { node, cores, processor, memoryGiB, date } = machine();
  const about = `${date.slice(0, 10)}, Node ${node.slice(1)}, ${cores} cores (${processor}), ${memoryGiB} GiB; ${rounds} rounds of ${seconds} s: median (minimum–maximum).`;
  const file = 'bench/RESULTS.md';
  const [before, after] = [
    readFileSync(file, 'utf8').split('<!-- peers -->\n')[0],
    readFileSync(file, 'utf8').split('<!-- /peers -->')[1],
  ];
  if (after === undefined) throw new Error(`${file} has no marks for the tables`);
  writeFileSync(file, `${before}<!-- peers -->\n${about}\n\n${text}\n<!-- /peers -->${after}`);
  writeFileSync('bench/peers.json', `${JSON.stringify({ machine: machine(), results, reads, absent }, null, 2)}\n`);
}
