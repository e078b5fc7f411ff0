/** Answers and output leaves of any bytes: one encoding for each value, and only errors of the closed list. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MerkleError } from '../../../merkle/errors.ts';
import { formatLookup, type Lookup, MAX_LOOKUP, MAX_POSTINGS, parseLookup } from '../../../merkle/index/lookup.ts';
import { EMPTY_SUBTREE } from '../../../merkle/index/map-hashes.ts';
import { formatOutputLeaf, parseOutputLeaf } from '../../../merkle/index/map-leaf.ts';
import { MapTree } from '../../../merkle/index/map-tree.ts';
import { verifyLookup } from '../../../merkle/index/verify-lookup.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { hashedRekord, madeUpKey } from '../../support/fulcio.ts';
import { INPUT_ORIGIN, MemoryIndex, noteOf, OUTPUT_ORIGIN } from '../../support/memory-index.ts';
import { codeOf } from '../helpers.ts';

const KEY = { kind: 'kind', value: 'hashedrekord' } as const;
const index = new MemoryIndex();
for (let i = 0; i < 40; i++) index.add(hashedRekord({ key: madeUpKey(`${i}`) }, `${i}`));
index.publish();
const lookups = [index.lookup(KEY), index.lookup(KEY, 17, 5), index.lookup({ kind: 'kind', value: 'none' })];
const answers = lookups.map(formatLookup);

const hashes = (max: number) => fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: max });
const number = fc.maxSafeNat();

describe('an answer', () => {
  it('is read as it was written', () => {
    const place = fc.oneof(
      fc.constant({ kind: 'empty' as const }),
      fc.record({
        kind: fc.constant('other' as const),
        leaf: fc.record({
          keyHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
          count: number,
          postingRoot: fc.uint8Array({ minLength: 32, maxLength: 32 }),
        }),
      }),
      fc.record({
        kind: fc.constant('key' as const),
        count: number,
        since: fc.constant(0),
        range: fc.constant([]),
        postings: fc.array(number, { maxLength: 20 }),
        rest: hashes(63),
      }),
    );
    const lookup = fc.record({
      siblings: fc.array(fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 }), { nil: undefined }), {
        maxLength: 256,
      }),
      place,
      outputLeaf: fc.uint8Array({ maxLength: 300 }),
      outputProof: hashes(63),
      outputCheckpoint: fc.string({ unit: 'binary', maxLength: 100 }),
    });
    fc.assert(
      fc.property(lookup, (value: Lookup) => {
        expect(parseLookup(formatLookup(value))).toEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  it('has one encoding: what is read is written the same, and the rest is refused with its code', () => {
    const change = fc.record({
      at: fc.nat({ max: 1_000_000 }),
      drop: fc.nat({ max: 3 }),
      add: fc.uint8Array({ maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.constantFrom(...answers), fc.array(change, { maxLength: 3 }), (source, changes) => {
        let bytes = Buffer.from(source);
        for (const { at, drop, add } of changes) {
          const place = at % (bytes.length + 1);
          bytes = Buffer.concat([bytes.subarray(0, place), add, bytes.subarray(place + drop)]);
        }
        let lookup: Lookup;
        try {
          lookup = parseLookup(bytes);
        } catch (error) {
          expect(error).toMatchObject({ name: 'MerkleError', code: 'bad-lookup' });
          return;
        }
        expect(Buffer.from(formatLookup(lookup))).toEqual(bytes);
        try {
          verifyLookup(lookup, { key: KEY, inputOrigin: INPUT_ORIGIN, outputOrigin: OUTPUT_ORIGIN }, fastSha256);
        } catch (error) {
          expect(error).toBeInstanceOf(MerkleError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each<[string, Partial<Lookup>]>([
    ['too many levels', { siblings: Array.from({ length: 257 }, () => undefined) }],
    ['a short sibling', { siblings: [new Uint8Array(31)] }],
    ['too many hashes', { outputProof: Array.from({ length: 64 }, () => new Uint8Array(32)) }],
    ['too many hashes for their number', { outputProof: Array.from({ length: 256 }, () => new Uint8Array(32)) }],
    ['too long a leaf', { outputLeaf: new Uint8Array(65_536) }],
    ['too long a checkpoint', { outputCheckpoint: 'a'.repeat(262_145) }],
    [
      'too many postings',
      {
        place: {
          kind: 'key',
          count: 1e6,
          since: 0,
          range: [],
          postings: new Array<number>(MAX_POSTINGS + 1).fill(1),
          rest: [],
        },
      },
    ],
    ['a range of another size', { place: { kind: 'key', count: 9, since: 3, range: [], postings: [1], rest: [] } }],
    ['a negative posting', { place: { kind: 'key', count: 1, since: 0, range: [], postings: [-1], rest: [] } }],
    [
      'a posting that is no integer',
      { place: { kind: 'key', count: 1, since: 0, range: [], postings: [0.5], rest: [] } },
    ],
  ])('is not written with %s', (_, change) => {
    expect(() => formatLookup({ ...lookups[0]!, ...change })).toThrow(MerkleError);
  });

  it('is refused unread if it is too long', () => {
    expect(codeOf(() => parseLookup(new Uint8Array(MAX_LOOKUP + 1)))).toBe('bad-lookup');
  });

  it('of 65,536 postings is read, and has 8 bytes a posting', () => {
    const postings = Array.from({ length: MAX_POSTINGS }, (_, i) => i);
    const place = { kind: 'key', count: MAX_POSTINGS, since: 0, range: [], postings, rest: [] } as const;
    const bytes = formatLookup({ ...lookups[0]!, place });
    expect(bytes.length - formatLookup({ ...lookups[0]!, place: { ...place, postings: [] } }).length).toBe(
      8 * MAX_POSTINGS,
    );
    expect(bytes.length).toBeLessThan(MAX_LOOKUP);
  });
});

describe('an output leaf', () => {
  const inputCheckpoint = noteOf(INPUT_ORIGIN, [new Uint8Array(32)]);
  const root = new Uint8Array(32).fill(1);
  const text = Buffer.from(formatOutputLeaf({ root, keys: 7, inputCheckpoint })).toString();

  it('is read as it was written', () => {
    expect(parseOutputLeaf(Buffer.from(text))).toMatchObject({ root, keys: 7, inputCheckpoint, input: { size: 1 } });
    const empty = { root: EMPTY_SUBTREE, keys: 0, inputCheckpoint: noteOf(INPUT_ORIGIN, []) };
    expect(parseOutputLeaf(formatOutputLeaf(empty))).toMatchObject(empty);
  });

  it.each<[string, string]>([
    ['another format', text.replace('@v1', '@v2')],
    ['no first line', text.slice(text.indexOf('\n') + 1)],
    ['a byte order mark', `\ufeff${text}`],
    ['carriage returns', text.replaceAll('\n', '\r\n')],
    ['a root without padding', text.replace('=\n', '\n')],
    ['a root of zeros', text.replace(/\n[^\n]*=\n/, `\n${'A'.repeat(43)}=\n`)],
    ['a short root', text.replace(/\n[^\n]*=\n/, '\nAAAA\n')],
    ['a number with a zero in front', text.replace('\n7\n', '\n07\n')],
    ['a signed number', text.replace('\n7\n', '\n+7\n')],
    ['no keys', text.replace('\n7\n', '\n0\n')],
    ['keys of an empty log', text.replace('/input\n1\n', '/input\n0\n')],
    ['a line more', text.replace('\n7\n', '\n7\n\n')],
    ['no signature', text.slice(0, text.indexOf('—'))],
    ['an unended line', text.slice(0, -1)],
    ['text behind it', `${text}x`],
    ['three lines', 'stele-index@v1\nAAAA\n7'],
  ])('is refused: %s', (_, leaf) => {
    expect(codeOf(() => parseOutputLeaf(Buffer.from(leaf)))).toBe('bad-lookup');
  });

  it('is refused that is no text, or too long', () => {
    expect(codeOf(() => parseOutputLeaf(Uint8Array.of(0xff)))).toBe('bad-lookup');
    expect(codeOf(() => parseOutputLeaf(new Uint8Array(65_536)))).toBe('bad-lookup');
    expect(codeOf(() => formatOutputLeaf({ root, keys: 1, inputCheckpoint: 'x' }))).toBe('bad-lookup');
    expect(codeOf(() => formatOutputLeaf({ root, keys: -1, inputCheckpoint }))).toBe('bad-lookup');
  });
});

describe('the map in memory', () => {
  it('takes no leaf without postings, and no short hash', () => {
    const leaf = { keyHash: new Uint8Array(32), count: 1, postingRoot: new Uint8Array(32) };
    expect(codeOf(() => MapTree.empty().with([{ ...leaf, count: 0 }]))).toBe('bad-number');
    expect(codeOf(() => MapTree.empty().with([{ ...leaf, keyHash: new Uint8Array(31) }]))).toBe('bad-hash');
  });

  it('parts two keys that differ in their last bit alone', () => {
    const other = new Uint8Array(32);
    other[31] = 1;
    const leaf = { keyHash: new Uint8Array(32), count: 1, postingRoot: new Uint8Array(32) };
    const tree = MapTree.empty(fastSha256).with([leaf, { ...leaf, keyHash: other }]);
    expect(tree.path(other).siblings).toHaveLength(256);
    expect(tree.path(other).siblings.filter((sibling) => sibling !== undefined)).toHaveLength(1);
    expect(tree.get(other)?.keyHash).toEqual(other);
    expect(tree.with([leaf]).root).toEqual(tree.root);
  });
});
