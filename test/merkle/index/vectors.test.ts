/**
 * The frozen vectors of v1: docs/index.md, "Versions". They were written once. A change of the code that fails here is not a change of the
 * vectors: it is another version.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fastKeys } from '../../../client/search/fast-keys.ts';
import { extractKeys } from '../../../merkle/index/extract.ts';
import { type KeyKind, keyHash } from '../../../merkle/index/keys.ts';
import { formatLookup, parseLookup } from '../../../merkle/index/lookup.ts';
import { type KnownPostings, verifyLookup } from '../../../merkle/index/verify-lookup.ts';
import { referenceKeyHash, referenceKeys } from '../../reference/extractor.ts';
import { referenceLookup, referenceMapRoot } from '../../reference/verifiable-index.ts';
import { MemoryIndex } from '../../support/memory-index.ts';

const read = (name: string) => readFileSync(join(import.meta.dirname, 'vectors', name));

interface EntryVector {
  readonly what: string;
  readonly body: string;
  readonly keys: readonly (readonly [kind: KeyKind, value: string, hash: string])[];
}

interface KnownVector extends Omit<KnownPostings, 'root'> {
  readonly root: string;
}

interface LookupVector {
  readonly key: readonly [kind: KeyKind, value: string];
  readonly known?: KnownVector;
  readonly lookup: string;
  readonly indexes: readonly number[];
  readonly present: boolean;
  readonly complete: boolean;
  readonly next: KnownVector;
}

interface MapVectors {
  readonly inputOrigin: string;
  readonly outputOrigin: string;
  readonly entries: readonly string[];
  readonly maps: readonly {
    readonly entries: number;
    readonly root: string;
    readonly keys: number;
    readonly outputLeaf: string;
    readonly lookups: readonly LookupVector[];
  }[];
}

const ENTRIES = JSON.parse(read('extractor-v1.json').toString()) as readonly EntryVector[];
const MAPS = JSON.parse(read('maps-v1.json').toString()) as MapVectors;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const rooted = ({ root, ...known }: KnownVector): KnownPostings => ({
  ...known,
  root: new Uint8Array(Buffer.from(root, 'hex')),
});

describe('v1', () => {
  it.each([
    ['extractor-v1.json', 'bf5300abf4a75ff54994002c9f21c857e7e74876be2cef893bbddb1d14ceac70'],
    ['maps-v1.json', 'a49793242167f5cf12f05712df0fcbcc904f7e552746e58cd8f4acefeaba55ef'],
  ])('has the vectors that were written for it: %s', (name, digest) => {
    expect(
      createHash('sha256')
        .update(JSON.stringify(JSON.parse(read(name).toString())))
        .digest('hex'),
    ).toBe(digest);
  });

  it.each(ENTRIES.map((vector) => [vector.what, vector] as const))('gives the keys of %s', (_, { body, keys }) => {
    const bytes = new Uint8Array(Buffer.from(body, 'base64'));
    const wanted = keys.map(([kind, value]) => ({ kind, value }));
    expect(extractKeys(bytes)).toEqual(wanted);
    expect(fastKeys(bytes)).toEqual(wanted);
    expect(referenceKeys(bytes)).toEqual(keys.map(([kind, value]) => [kind, value]));
    expect(wanted.map((key) => hex(keyHash(key)))).toEqual(keys.map(([, , hash]) => hash));
    expect(keys.map(([kind, value]) => hex(referenceKeyHash([kind, value])))).toEqual(keys.map(([, , hash]) => hash));
  });

  it('gives the maps and their lookups', () => {
    const { inputOrigin, outputOrigin, entries, maps } = MAPS;
    const bodies = entries.map((body) => new Uint8Array(Buffer.from(body, 'base64')));
    const index = new MemoryIndex();
    let added = 0;
    let lookups = 0;
    for (const map of maps) {
      for (; added < map.entries; added++) index.add(bodies[added]!);
      index.publish();
      expect({ root: hex(index.tree.root), keys: index.tree.keys }).toEqual({ root: map.root, keys: map.keys });
      expect(Buffer.from(index.outputLeaf).toString()).toBe(map.outputLeaf);
      const postings = new Map<string, number[]>();
      for (const [i, body] of bodies.slice(0, map.entries).entries()) {
        for (const key of referenceKeys(body)) {
          const hash = hex(referenceKeyHash(key));
          postings.set(hash, [...(postings.get(hash) ?? []), i]);
        }
      }
      expect(hex(referenceMapRoot(postings))).toBe(map.root);
      for (const {
        key: [kind, value],
        known,
        lookup,
        ...result
      } of map.lookups) {
        const bytes = new Uint8Array(Buffer.from(lookup, 'base64'));
        const key = { kind, value };
        const before = known && rooted(known);
        const question = { key, inputOrigin, outputOrigin, ...(before && { known: before }) };
        const { indexes, present, complete, next } = verifyLookup(parseLookup(bytes), question);
        expect({ indexes, present, complete, next }).toEqual({ ...result, next: rooted(result.next) });
        expect(formatLookup(parseLookup(bytes))).toEqual(bytes);
        const origins = { input: inputOrigin, output: outputOrigin };
        expect(referenceLookup(bytes, [kind, value], origins, before).indexes).toEqual(indexes);
        lookups++;
      }
    }
    expect(lookups).toBeGreaterThan(15);
  });
});
