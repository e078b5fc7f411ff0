/** Answers against the map by its definition in memory, and their size and time. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { answerLookup } from '../../../../client/search/map/map-lookup.ts';
import { encodeUtf8 } from '../../../../merkle/bytes.ts';
import { formatCheckpoint } from '../../../../merkle/checkpoint.ts';
import { type IndexKey, keyHash } from '../../../../merkle/index/keys.ts';
import { formatLookup, parseLookup } from '../../../../merkle/index/lookup.ts';
import { postingHash } from '../../../../merkle/index/map-hashes.ts';
import { formatOutputLeaf } from '../../../../merkle/index/map-leaf.ts';
import { lookupPlace, lookupPostings, MapTree } from '../../../../merkle/index/map-tree.ts';
import { type KnownPostings, verifyLookup } from '../../../../merkle/index/verify-lookup.ts';
import { ed25519VerifierKey, formatNote } from '../../../../merkle/note.ts';
import { CompactRange } from '../../../../merkle/range.ts';
import { leafHash } from '../../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../../merkle/runtime/crypto/hash.ts';
import { FakeLog, View } from '../../../support/fake-log.ts';
import { tempDir } from '../../../support/log-files.ts';
import { mapFeed, openCrafted, readAll } from './maps.ts';

const COUNTS = [1, 2, 255, 256, 257, 5000, 100_000];
const keyOf = (n: number): IndexKey => ({ kind: 'identity', value: `key ${n}` });

/** A map of 100,000 entries in which the key `keyOf(count)` has that many postings, and each entry a key of its own. */
async function mapOf() {
  const size = 100_000;
  const hashes = new Map(COUNTS.map((count) => [count, keyHash(keyOf(count), fastSha256)]));
  const entries = Array.from({ length: size }, (_, i) => {
    const own = fastSha256(encodeUtf8(`own ${i}`));
    const shared = COUNTS.filter((count) => i % Math.floor(size / count) === 0 && i / Math.floor(size / count) < count);
    return new Uint8Array(Buffer.concat([own, ...shared.map((count) => hashes.get(count)!)]));
  });
  const log = new FakeLog(new View(entries), 'input.test');
  const map = await openCrafted(tempDir(), log);
  map.aim(size);
  await readAll(mapFeed(map, log));
  const { root, count: keys } = await map.seal(size);
  await map.show();
  const pair = generateKeyPairSync('ed25519');
  const raw = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  const { name, keyId } = ed25519VerifierKey('output.test', raw);
  const leaf = formatOutputLeaf({ root, keys, inputCheckpoint: log.sign(log.text()) });
  const text = formatCheckpoint({ origin: 'output.test', size: 1, root: leafHash(leaf), extensions: [] });
  const checkpoint = formatNote(text, [{ name, keyId, signature: sign(null, encodeUtf8(text), pair.privateKey) }]);
  const published = { size, index: 0, leaf, proof: [], checkpoint };
  const origins = { inputOrigin: 'input.test', outputOrigin: 'output.test' };
  const ask = (key: IndexKey, since = 0, limit?: number) =>
    answerLookup(map, { key, since, ...(limit !== undefined && { limit }), ...origins }, () => published);
  const postings = (count: number) => Array.from({ length: count }, (_, i) => i * Math.floor(size / count));
  return { map, ask, origins, postings, keys, root, entries };
}

describe('a map of 100,000 entries', () => {
  it('gives all postings, page by page, each page proven, in 4 KB and 8 bytes a posting', async () => {
    const { ask, origins, postings } = await mapOf();
    for (const count of COUNTS) {
      const found: number[] = [];
      let known: KnownPostings | undefined;
      for (let complete = false; !complete; ) {
        const bytes = await ask(keyOf(count), known?.count ?? 0, count === 5000 ? 1111 : undefined);
        const answer = verifyLookup(
          parseLookup(bytes),
          { key: keyOf(count), ...origins, ...(known !== undefined && { known }) },
          fastSha256,
        );
        expect(bytes.length).toBeLessThanOrEqual(4096 + 8 * answer.indexes.length);
        found.push(...answer.indexes);
        ({ complete, next: known } = answer);
      }
      expect(found).toEqual(postings(count));
      // Nothing came since.
      const again = verifyLookup(
        parseLookup(await ask(keyOf(count), count)),
        { key: keyOf(count), ...origins, known: known! },
        fastSha256,
      );
      expect(again).toMatchObject({ indexes: [], complete: true, present: true });
    }
    const absent = verifyLookup(parseLookup(await ask(keyOf(3))), { key: keyOf(3), ...origins }, fastSha256);
    expect(absent).toMatchObject({ present: false, complete: true });
    await expect(ask(keyOf(2), 3)).rejects.toMatchObject({ code: 'bad-query' });
    await expect(ask(keyOf(3), 1)).rejects.toMatchObject({ code: 'bad-query' });
  }, 120_000);

  it('has the root and the answers of the map by its definition, byte for byte', async () => {
    const { ask, postings, root, keys, entries } = await mapOf();
    const leafOf = (keyHashed: Uint8Array, indexes: readonly number[]) => {
      const range = CompactRange.empty(fastSha256);
      for (const index of indexes) range.append(postingHash(index, fastSha256));
      return { keyHash: keyHashed, count: indexes.length, postingRoot: range.root() };
    };
    const own = entries.map((entry, i) => leafOf(entry.subarray(0, 32), [i]));
    const shared = COUNTS.map((count) => leafOf(keyHash(keyOf(count), fastSha256), postings(count)));
    const tree = MapTree.empty(fastSha256).with([...own, ...shared]);
    expect([Buffer.from(root).toString('hex'), keys]).toEqual([Buffer.from(tree.root).toString('hex'), tree.keys]);
    for (const [count, since, limit] of [
      [5000, 0, 5000],
      [5000, 700, 900],
      [257, 256, 1],
      [1, 0, 10],
      [3, 0, 10],
    ] as const) {
      const key = keyOf(count);
      const bytes = await ask(key, since, limit);
      const path = tree.path(keyHash(key, fastSha256));
      const indexes = postings(count);
      const held =
        count === 3
          ? undefined
          : lookupPostings(count, since, indexes.slice(since, since + limit), reader(indexes), fastSha256);
      const { outputLeaf, outputProof, outputCheckpoint } = parseLookup(bytes);
      const wanted = {
        siblings: path.siblings,
        place: lookupPlace(path, held),
        outputLeaf,
        outputProof,
        outputCheckpoint,
      };
      expect(Buffer.from(bytes).equals(formatLookup(wanted))).toBe(true);
    }
  }, 120_000);
});

/** Perfect subtrees over the leaf hashes, computed from the leaves each time. */
function reader(indexes: readonly number[]) {
  return (level: number, index: number): Uint8Array => {
    const range = CompactRange.empty(fastSha256);
    for (const one of indexes.slice(index * 2 ** level, (index + 1) * 2 ** level))
      range.append(postingHash(one, fastSha256));
    return range.root();
  };
}
