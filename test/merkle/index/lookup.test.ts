import { describe, expect, it } from 'vitest';
import type { IndexKey } from '../../../merkle/index/keys.ts';
import { formatLookup, type Lookup, MAX_LOOKUP, parseLookup } from '../../../merkle/index/lookup.ts';
import { type KnownPostings, verifyLookup } from '../../../merkle/index/verify-lookup.ts';
import { hashedRekord, keyFingerprint, madeUpKey } from '../../support/fulcio.ts';
import { INPUT_ORIGIN, MemoryIndex, OUTPUT_ORIGIN } from '../../support/memory-index.ts';

const RECORDS: IndexKey = { kind: 'kind', value: 'hashedrekord' };
const keyOf = (seed: string): IndexKey => ({ kind: 'key', value: keyFingerprint(madeUpKey(seed)) });
const verify = (lookup: Lookup, key: IndexKey, known?: KnownPostings) =>
  verifyLookup(lookup, { key, inputOrigin: INPUT_ORIGIN, outputOrigin: OUTPUT_ORIGIN, ...(known && { known }) });

function indexOf(entries: number): MemoryIndex {
  const index = new MemoryIndex();
  for (let i = 0; i < entries; i++) {
    index.add(hashedRekord({ key: madeUpKey(`key ${i % 7}`) }, `artifact ${i}`));
    if (i % 10 === 9) index.publish();
  }
  index.publish();
  return index;
}

describe('a lookup', () => {
  const index = indexOf(100);

  it('proves all postings of a key', () => {
    const { indexes, present, complete, input, output } = verify(index.lookup(keyOf('key 3')), keyOf('key 3'));
    expect(indexes).toEqual(Array.from({ length: 14 }, (_, i) => 7 * i + 3));
    expect({ present, complete, input: input.size, output: output.size }).toEqual({
      present: true,
      complete: true,
      input: 100,
      output: 11,
    });
  });

  it('proves that a key is not there', () => {
    for (let i = 0; i < 100; i++) {
      const { indexes, present, complete } = verify(index.lookup(keyOf(`no ${i}`)), keyOf(`no ${i}`));
      expect({ indexes, present, complete }).toEqual({ indexes: [], present: false, complete: true });
    }
  });

  it('of a key with many postings is read in parts, and the next one continues the last', () => {
    const seen: number[] = [];
    let known: KnownPostings | undefined;
    for (let part = 0; part < 100; part++) {
      const found = verify(index.lookup(RECORDS, seen.length, 13), RECORDS, known);
      seen.push(...found.indexes);
      known = found.next;
      expect(found.complete).toBe(seen.length === 100);
      if (found.complete) break;
    }
    expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i));
    index.add(hashedRekord({ key: madeUpKey('new') }));
    index.publish();
    expect(verify(index.lookup(RECORDS, 100), RECORDS, known).indexes).toEqual([100]);
  });

  it('has one form in bytes', () => {
    for (const key of [RECORDS, keyOf('key 1'), keyOf('none'), keyOf('nobody')]) {
      const lookup = index.lookup(key);
      const bytes = formatLookup(lookup);
      expect(bytes.length).toBeLessThan(MAX_LOOKUP);
      expect(formatLookup(parseLookup(bytes))).toEqual(bytes);
      expect(verify(parseLookup(bytes), key)).toEqual(verify(lookup, key));
    }
  });
});
