/** Lookups are verified here and by the second implementation, which takes and refuses the same ones. */
import { describe, expect, it } from 'vitest';
import { type IndexKey, keyHash } from '../../../merkle/index/keys.ts';
import { formatLookup, type Lookup, type LookupPostings, parseLookup } from '../../../merkle/index/lookup.ts';
import type { MapLeaf } from '../../../merkle/index/map-hashes.ts';
import { type KnownPostings, type VerifiedLookup, verifyLookup } from '../../../merkle/index/verify-lookup.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { referenceLookup, referenceMapRoot } from '../../reference/verifiable-index.ts';
import { INPUT_ORIGIN, MemoryIndex, OUTPUT_ORIGIN } from '../../support/memory-index.ts';

const ORIGINS = { input: INPUT_ORIGIN, output: OUTPUT_ORIGIN };
const keyOf = (name: string): IndexKey => ({ kind: 'identity', value: name });
const verify = (lookup: Lookup, key: IndexKey, known?: KnownPostings): VerifiedLookup =>
  verifyLookup(
    lookup,
    { key, inputOrigin: INPUT_ORIGIN, outputOrigin: OUTPUT_ORIGIN, ...(known && { known }) },
    fastSha256,
  );

/** What both say of the bytes; undefined if both refuse them. */
function both(bytes: Uint8Array, key: IndexKey, known?: KnownPostings): VerifiedLookup | undefined {
  const ours = attempt(() => verify(parseLookup(bytes), key, known));
  const reference = attempt(() => referenceLookup(bytes, [key.kind, key.value], ORIGINS, known));
  expect(
    ours && {
      indexes: ours.indexes,
      present: ours.present,
      complete: ours.complete,
      inputSize: ours.input.size,
      outputSize: ours.output.size,
    },
  ).toEqual(reference);
  return ours;
}

function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) throw error;
    return undefined;
  }
}

/** A lookup that is not in its form has no bytes: then ours alone refuses the value. */
function refused(lookup: Lookup, key: IndexKey, known?: KnownPostings): void {
  expect(() => verify(lookup, key, known)).toThrow();
  const bytes = attempt(() => formatLookup(lookup));
  if (bytes !== undefined) expect(both(bytes, key, known)).toBeUndefined();
}

const COUNTS = [1, 2, 3, 4, 7, 8, 9, 31, 32, 33, 255, 256, 257];
const ENTRIES = 300;

/** Keys named c0 … with the postings COUNTS, and k0 … with one or two. */
function build(publishEvery: number): { index: MemoryIndex; postings: Map<string, number[]> } {
  const index = new MemoryIndex();
  const postings = new Map<string, number[]>();
  for (let i = 0; i < ENTRIES; i++) {
    const names = [
      `k${i}`,
      `k${(i * 7) % 500}`,
      ...COUNTS.flatMap((count, c) => (i >= ENTRIES - count ? [`c${c}`] : [])),
    ];
    const own = [...new Set(names)];
    for (const name of own) postings.set(name, [...(postings.get(name) ?? []), i]);
    index.addKeys(
      leafHash(Buffer.from(`${i}`), fastSha256),
      own.map((name) => keyHash(keyOf(name), fastSha256)),
    );
    if (i % publishEvery === publishEvery - 1) index.publish();
  }
  return { index, postings };
}

const { index, postings } = build(30);
const hexHash = (name: string) => Buffer.from(keyHash(keyOf(name))).toString('hex');

describe('the map', () => {
  it('has the root of its definition', () => {
    const whole = new Map([...postings].map(([name, list]) => [hexHash(name), list]));
    expect(Buffer.from(index.tree.root)).toEqual(referenceMapRoot(whole));
    expect(index.tree.keys).toBe(whole.size);
    expect(Buffer.from(new MemoryIndex().tree.root)).toEqual(referenceMapRoot(new Map()));
  });

  it('has the same root in whatever order and however often its leaves change', () => {
    const other = build(7);
    other.index.publish();
    expect(other.index.tree.root).toEqual(index.tree.root);
  });
});

describe('10,000 proofs', () => {
  it('hold for both: all postings, parts of them, and absence', () => {
    let proofs = 0;
    for (const [name, list] of postings) {
      for (const since of new Set([0, 1, list.length - 1, list.length].filter((at) => at >= 0 && at <= list.length))) {
        for (const limit of [1, 5, 1000]) {
          const known = since === 0 ? undefined : verify(index.lookup(keyOf(name), 0, since), keyOf(name)).next;
          const found = both(formatLookup(index.lookup(keyOf(name), since, limit)), keyOf(name), known);
          const end = Math.min(since + limit, list.length);
          expect(found?.indexes).toEqual(list.slice(since, end));
          expect(found?.complete).toBe(end === list.length);
          proofs++;
        }
      }
    }
    for (; proofs < 10_000; proofs++) {
      const found = both(formatLookup(index.lookup(keyOf(`absent ${proofs}`))), keyOf(`absent ${proofs}`));
      expect(found).toMatchObject({ present: false, indexes: [], complete: true });
    }
  });

  it('hold in an empty map, and in one of a single key', () => {
    const small = new MemoryIndex();
    small.publish();
    expect(both(formatLookup(small.lookup(keyOf('a'))), keyOf('a'))).toMatchObject({ present: false });
    small.addKeys(leafHash(Buffer.from('1')), [keyHash(keyOf('a'))]);
    small.publish();
    expect(both(formatLookup(small.lookup(keyOf('a'))), keyOf('a'))).toMatchObject({ indexes: [0] });
    expect(both(formatLookup(small.lookup(keyOf('b'))), keyOf('b'))).toMatchObject({ present: false });
  });
});

const names = ['k3', 'c0', 'c2', 'c8', 'c12'];
const absent = Array.from({ length: 40 }, (_, i) => `absent ${i}`);
const emptyName = absent.find((name) => index.lookup(keyOf(name)).place.kind === 'empty')!;
const otherName = absent.find((name) => index.lookup(keyOf(name)).place.kind === 'other')!;
const placeOf = (lookup: Lookup) => lookup.place as LookupPostings & { readonly kind: 'key' };
const with_ = (lookup: Lookup, change: Partial<LookupPostings>): Lookup => ({
  ...lookup,
  place: { ...placeOf(lookup), ...change },
});

describe('both refuse', () => {
  it.each(['k3', 'c4', emptyName, otherName])('every byte of a lookup that is another one: %s', (name) => {
    const key = keyOf(name);
    const bytes = formatLookup(index.lookup(key));
    const signatures = Buffer.from(bytes).lastIndexOf('\n\n') + 2;
    for (let at = 0; at < signatures; at++) {
      const changed = Uint8Array.from(bytes);
      changed[at]! ^= 1 << (at % 8);
      expect(both(changed, key), `byte ${at}`).toBeUndefined();
    }
    for (const cut of [0, 1, 16, 17, signatures, bytes.length - 1])
      expect(both(bytes.subarray(0, cut), key)).toBeUndefined();
    expect(both(Buffer.concat([bytes, Buffer.alloc(1)]), key)).toBeUndefined();
  });

  it.each(names)('a posting that is dropped, added, moved or repeated: %s', (name) => {
    const key = keyOf(name);
    const lookup = index.lookup(key);
    const place = placeOf(lookup);
    const list = [...place.postings];
    for (let i = 0; i < list.length; i += list.length > 16 ? 23 : 1) {
      const less = list.toSpliced(i, 1);
      refused(with_(lookup, { postings: less }), key);
      refused(with_(lookup, { postings: less, count: place.count - 1 }), key);
      refused(with_(lookup, { postings: less, since: 1, range: [new Uint8Array(32)] }), key);
      refused(with_(lookup, { postings: list.toSpliced(i, 0, list[i]!) }), key);
      refused(with_(lookup, { postings: list.with(i, list[i]! + 1) }), key);
      refused(with_(lookup, { postings: list.with(i, list[i]! - 1) }), key);
      if (i > 0) refused(with_(lookup, { postings: list.with(i, list[i - 1]!).with(i - 1, list[i]!) }), key);
    }
    for (const more of [0, ENTRIES - 1, ENTRIES, Number.MAX_SAFE_INTEGER]) {
      refused(with_(lookup, { postings: [...list, more], count: place.count + 1 }), key);
      refused(with_(lookup, { postings: [...list, more] }), key);
    }
    for (const count of [0, place.count - 1, place.count + 1, ENTRIES + 1]) refused(with_(lookup, { count }), key);
  });

  it('a part that does not continue what is known', () => {
    const key = keyOf('c12');
    const { next } = verify(index.lookup(key, 0, 100), key);
    const rest = index.lookup(key, 100, 50);
    expect(both(formatLookup(rest), key, next)?.indexes).toHaveLength(50);
    refused(rest, key);
    refused(index.lookup(key), key, next);
    refused(index.lookup(key, 99), key, next);
    refused(rest, key, { ...next, root: new Uint8Array(32) });
    refused(rest, key, { ...next, count: 101 });
    refused(rest, key, { ...next, last: placeOf(rest).postings[0]! });
    refused(with_(rest, { postings: [] }), key, next);
    refused(with_(rest, { range: placeOf(rest).range.toReversed() }), key, next);
    refused(with_(rest, { rest: placeOf(rest).rest.slice(1) }), key, next);
    refused(with_(rest, { rest: [...placeOf(rest).rest, new Uint8Array(32)] }), key, next);
    refused(with_(index.lookup(key, 100), { rest: [new Uint8Array(32)] }), key, next);
    refused(index.lookup(keyOf(emptyName)), keyOf(emptyName), next);
  });

  it('absence of a key that is there, and presence of one that is not', () => {
    for (const name of [...names, 'k7', 'k20']) {
      const key = keyOf(name);
      const lookup = index.lookup(key);
      const own: MapLeaf = { keyHash: keyHash(key), count: placeOf(lookup).count, postingRoot: new Uint8Array(32) };
      refused({ ...lookup, place: { kind: 'empty' } }, key);
      refused({ ...lookup, place: { kind: 'other', leaf: own } }, key);
      refused(index.lookup(keyOf(otherName)), key);
      refused(index.lookup(keyOf(emptyName)), key);
      for (let depth = 0; depth <= lookup.siblings.length; depth++) {
        refused({ ...lookup, siblings: lookup.siblings.slice(0, depth), place: { kind: 'empty' } }, key);
      }
      for (const other of [otherName, emptyName, 'k4']) {
        refused(lookup, keyOf(other));
        refused({ ...index.lookup(keyOf(other)), place: lookup.place }, keyOf(other));
      }
    }
  });

  it('siblings that are dropped, added, swapped or empty', () => {
    for (const name of ['c4', otherName, emptyName]) {
      const lookup = index.lookup(keyOf(name));
      const { siblings } = lookup;
      for (let i = 0; i < siblings.length; i++) {
        refused({ ...lookup, siblings: siblings.toSpliced(i, 1) }, keyOf(name));
        if (siblings[i] !== undefined) refused({ ...lookup, siblings: siblings.with(i, undefined) }, keyOf(name));
        refused({ ...lookup, siblings: siblings.with(i, new Uint8Array(32)) }, keyOf(name));
        refused({ ...lookup, siblings: siblings.toSpliced(i, 0, undefined) }, keyOf(name));
        if (i > 0 && siblings[i] !== siblings[i - 1])
          refused({ ...lookup, siblings: siblings.with(i, siblings[i - 1]).with(i - 1, siblings[i]) }, keyOf(name));
      }
      refused({ ...lookup, siblings: [...siblings, undefined] }, keyOf(name));
      refused({ ...lookup, siblings: Array.from({ length: 257 }, () => new Uint8Array(32).fill(1)) }, keyOf(name));
    }
  });

  it('an old root, that of another size, and one in a forked output log', () => {
    const key = keyOf('c5');
    const growing = build(30).index;
    const old = growing.lookup(key);
    growing.addKeys(leafHash(Buffer.from('more')), [keyHash(key)]);
    growing.publish();
    const now = growing.lookup(key);
    expect(both(formatLookup(old), key)?.input.size).toBe(ENTRIES);
    expect(both(formatLookup(now), key)?.input.size).toBe(ENTRIES + 1);
    refused({ ...old, outputCheckpoint: now.outputCheckpoint, outputProof: now.outputProof }, key);
    refused({ ...now, outputLeaf: old.outputLeaf }, key);
    refused(
      { ...old, outputLeaf: now.outputLeaf, outputProof: now.outputProof, outputCheckpoint: now.outputCheckpoint },
      key,
    );
    refused({ ...now, outputCheckpoint: old.outputCheckpoint, outputProof: old.outputProof }, key);
    const resized = Buffer.from(now.outputLeaf)
      .toString()
      .replace(`\n${ENTRIES + 1}\n`, `\n${ENTRIES}\n`);
    refused({ ...now, outputLeaf: Buffer.from(resized) }, key);
    const fork = build(60).index;
    const forked = fork.lookup(key);
    refused({ ...forked, outputCheckpoint: old.outputCheckpoint }, key);
  });

  it('a lookup of other logs', () => {
    const lookup = index.lookup(keyOf('c5'));
    const ask = (inputOrigin: string, outputOrigin: string) => () =>
      verifyLookup(lookup, { key: keyOf('c5'), inputOrigin, outputOrigin });
    expect(ask(INPUT_ORIGIN, OUTPUT_ORIGIN)).not.toThrow();
    expect(ask(OUTPUT_ORIGIN, OUTPUT_ORIGIN)).toThrow(/the input checkpoint is of another log/);
    expect(ask(INPUT_ORIGIN, INPUT_ORIGIN)).toThrow(/the output checkpoint is of another log/);
  });
});
