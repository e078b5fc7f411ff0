/**
 * One verifiable index in a process of its own: builds its map from the directory of a log, computes the root, opens it again
 * and answers lookups. Prints one line of JSON.
 *
 *     node dist/bench/load/map-child.js MAP LOG VKEY THREADS LOOKUPS
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Feed } from '../../client/follow/follow.ts';
import { IndexMap } from '../../client/search/map/index-map.ts';
import { answerLookup } from '../../client/search/map/map-lookup.ts';
import { openSource } from '../../client/tiles/tiles.ts';
import { parseBundle } from '../../merkle/bundle.ts';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { extractKeys } from '../../merkle/index/extract.ts';
import type { IndexKey } from '../../merkle/index/keys.ts';
import { formatOutputLeaf } from '../../merkle/index/map-leaf.ts';
import { ed25519VerifierKey, formatNote } from '../../merkle/note.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { parseVerifierKey } from '../../merkle/verifier-key.ts';
import type { BuiltMap, LookupTimes } from './map-whole.ts';

const [dir, location, vkey, threads, lookups] = process.argv.slice(2) as [string, string, string, string, string];
const key = parseVerifierKey(vkey);
const { signal } = new AbortController();
const options = { dir, log: { origin: key.name, keys: [key] }, threads: Number(threads) };

let map = await IndexMap.open(options);
const feed = new Feed({ origin: key.name, keys: [key], location }, map, {
  open: openSource,
  settings: { partialMs: 0, parallel: 4, chunkBytes: 16 * 1024 * 1024 },
  start: 'start',
});
const started = performance.now();
const before = process.cpuUsage();
const look = await feed.look(signal);
map.aim(look.head.size);
await feed.read(look, signal);
const { root, count: keys, size } = await map.seal(look.head.size);
const seconds = (performance.now() - started) / 1000;
const { user, system } = process.cpuUsage(before);
const peakBytes = 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))![1]);
await map.show();
const trieBytes = map.memory.trie;
await map.close();
const diskBytes = readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);

const opened = performance.now();
map = await IndexMap.open(options);
const startSeconds = (performance.now() - opened) / 1000;

const pair = generateKeyPairSync('ed25519');
const output = ed25519VerifierKey('output.test', pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32));
const leaf = formatOutputLeaf({ root, keys, inputCheckpoint: look.head.note });
const text = formatCheckpoint({ origin: 'output.test', size: 1, root: leafHash(leaf), extensions: [] });
const signature = { name: output.name, keyId: output.keyId, signature: sign(null, encodeUtf8(text), pair.privateKey) };
const published = { size, index: 0, leaf, proof: [], checkpoint: formatNote(text, [signature]) };
const times = await ask();
await map.close();
await feed.close();
const built: BuiltMap = {
  seconds,
  cpuSeconds: (user + system) / 1e6,
  peakBytes,
  trieBytes,
  diskBytes,
  startSeconds,
  keys,
  times,
};
console.log(JSON.stringify(built));

async function ask(): Promise<LookupTimes[]> {
  const source = openSource(location);
  const random = async (): Promise<readonly IndexKey[]> => {
    const bundle = Math.floor((Math.random() * size) / 256);
    const width = Math.min(256, size - bundle * 256);
    const bodies = parseBundle(await source.entries(bundle, width), width);
    return extractKeys(bodies[Math.floor(Math.random() * width)]!);
  };
  const times: LookupTimes[] = [];
  for (const what of ['digest', 'key', 'identity', 'issuer', 'absent']) {
    const taken: number[] = [];
    let bytes = 0;
    for (let i = 0; i < Number(lookups); i++) {
      const keys = await random();
      const found = keys.find(({ kind }) => kind === what);
      const wanted = what === 'absent' ? { kind: 'identity' as const, value: `nobody ${i}` } : found;
      if (wanted === undefined) continue;
      const request = { key: wanted, since: 0, limit: 10, inputOrigin: key.name, outputOrigin: 'output.test' };
      const start = performance.now();
      const answer = await answerLookup(map, request, () => published);
      taken.push(performance.now() - start);
      bytes = Math.max(bytes, answer.length);
    }
    taken.sort((a, b) => a - b);
    const at = (share: number) => taken[Math.min(taken.length - 1, Math.floor(share * taken.length))]!;
    if (taken.length > 0) {
      times.push({ what, lookups: taken.length, bytes, p50: at(0.5), p99: at(0.99), max: taken.at(-1)! });
    }
  }
  await source.close();
  return times;
}
