/**
 * One plain index in a process of its own: builds it from the directory of a log, then asks it. Prints one line of JSON.
 *
 *     node dist/bench/load/index-child.js INDEX LOG VKEY KINDS THREADS QUERIES
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { openPlainIndex, type PlainIndex } from '../../client/search/index/open-plain-index.ts';
import { termTester } from '../../client/search/terms.ts';
import type { SearchQuery, SearchTerm } from '../../client/search/types.ts';
import { openSource } from '../../client/tiles/tiles.ts';
import { extractKeys } from '../../merkle/index/extract.ts';
import { KEY_KINDS } from '../../merkle/index/keys.ts';
import { parseVerifierKey } from '../../merkle/verifier-key.ts';
import type { BuiltIndex, QueryTimes } from './index-whole.ts';

const [dir, location, vkey, kindNames, threads, queries] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const key = parseVerifierKey(vkey);
const kinds = KEY_KINDS.filter((kind) => kindNames === 'all' || kindNames.split(',').includes(kind));
const signal = new AbortController().signal;

const index = await openPlainIndex({
  dir,
  logs: [{ origin: key.name, keys: [key], location }],
  kinds,
  settings: { partialMs: 0, parallel: 4, chunkBytes: 16 * 1024 * 1024, pollMs: 1000, retryMs: 1000 },
  open: openSource,
  read: () => Promise.reject(new Error('no configuration of shards')),
  threads: Number(threads),
});
const started = performance.now();
const before = process.cpuUsage();
const [status] = await index.once(signal);
if (status?.answers === undefined) throw new Error(`the index was not built: ${JSON.stringify(status)}`);
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage(before);
const times = await ask(index, status.answers.size, Number(queries));
await index.close();
const peakBytes = 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))![1]);
const diskBytes = readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);
const built: BuiltIndex = { seconds, cpuSeconds: (user + system) / 1e6, peakBytes, diskBytes, times };
console.log(JSON.stringify(built));

/** Pages of ten hits: keys that have them, at random places. */
async function ask(asked: PlainIndex, size: number, count: number): Promise<QueryTimes[]> {
  const sorts: Record<string, (term: SearchTerm, other: SearchTerm) => Partial<SearchQuery>> = {
    'digest, 1 hit': (digest) => ({ terms: [digest] }),
    'key, 10 hits': (_, signer) => ({ terms: [signer] }),
    'digest prefix of 8 digits': (digest) => ({
      terms: [{ ...digest, match: 'prefix', value: digest.value.slice(0, 15) }],
    }),
    'key and digest': (digest, signer) => ({ terms: [digest, signer] }),
  };
  const random = async (): Promise<[SearchTerm, SearchTerm]> => {
    const at = Math.floor(Math.random() * size);
    const page = await asked.search(
      { log: key.name, terms: [{ kind: 'digest', match: 'prefix', value: 'sha' }], from: at, limit: 1 },
      signal,
    );
    const keys = extractKeys(page.hits[0]!.body);
    const of = (kind: 'digest' | 'key'): SearchTerm => ({
      kind,
      match: 'exact',
      value: keys.find((one) => one.kind === kind)!.value,
    });
    return [of('digest'), of('key')];
  };
  const times: QueryTimes[] = [];
  for (const [what, make] of Object.entries(sorts)) {
    const taken: number[] = [];
    let hits = 0;
    for (let i = 0; i < count; i++) {
      const query = { log: key.name, limit: 10, terms: [], ...make(...(await random())) };
      for (const term of query.terms) await termTester(term);
      const start = performance.now();
      const page = await asked.search(query, signal);
      taken.push(performance.now() - start);
      hits += page.hits.length;
    }
    taken.sort((a, b) => a - b);
    const at = (share: number) => taken[Math.min(taken.length - 1, Math.floor(share * taken.length))]!;
    if (count > 0)
      times.push({ what, queries: count, hits: hits / count, p50: at(0.5), p99: at(0.99), max: taken.at(-1)! });
  }
  return times;
}
