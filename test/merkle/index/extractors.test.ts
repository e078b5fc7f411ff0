/** The pure extractor, the fast one and the second implementation give the same keys. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fastKeyHash, fastKeys } from '../../../client/search/fast-keys.ts';
import { extractKeys } from '../../../merkle/index/extract.ts';
import { type IndexKey, keyHash } from '../../../merkle/index/keys.ts';
import { referenceKeyHash, referenceKeys } from '../../reference/extractor.ts';
import { keyFingerprint } from '../../support/fulcio.ts';
import { hidingEntries, ISSUER, oddBodies, plainEntries, VICTIM, VICTIM_KEY } from '../../support/odd-entries.ts';
import { bundleCases } from '../../support/vectors.ts';

const has = (keys: readonly IndexKey[], kind: string, value: string) =>
  keys.some((key) => key.kind === kind && key.value === value);

function sameKeys(body: Uint8Array): readonly IndexKey[] {
  const keys = extractKeys(body);
  expect(fastKeys(body)).toEqual(keys);
  const reference = referenceKeys(body);
  expect(reference.map(([kind, value]) => ({ kind, value }))).toEqual(keys);
  expect(reference.map((key) => referenceKeyHash(key).toString('hex'))).toEqual(
    keys.map((key) => Buffer.from(keyHash(key)).toString('hex')),
  );
  const hashes = Buffer.alloc(32 * keys.length);
  for (const [i, key] of keys.entries()) fastKeyHash(key, hashes, 32 * i);
  expect(hashes).toEqual(Buffer.concat(keys.map((key) => keyHash(key))));
  expect(keys.length).toBeGreaterThan(0);
  return keys;
}

describe('a well-formed entry', () => {
  it.each(plainEntries().map(({ what, body }) => [what, body] as const))('of the kind %s is read whole', (_, body) => {
    const keys = sameKeys(body);
    expect(has(keys, 'kind', 'unreadable')).toBe(false);
    expect(keys.filter(({ kind }) => kind === 'key')).not.toEqual([]);
  });
});

describe('an entry that is not well-formed', () => {
  it.each(hidingEntries().map(({ what, body }) => [what, body] as const))('hides no name: %s', (_, body) => {
    const keys = sameKeys(body);
    expect(has(keys, 'kind', 'unreadable')).toBe(true);
    expect(has(keys, 'identity', VICTIM)).toBe(true);
    expect(has(keys, 'issuer', ISSUER)).toBe(true);
    expect(has(keys, 'issuer-identity', `${ISSUER.length}:${ISSUER}${VICTIM}`)).toBe(true);
    expect(has(keys, 'key', keyFingerprint(VICTIM_KEY))).toBe(true);
  });

  it.each(oddBodies().map(({ what, body }) => [what, body] as const))('has the same keys for all: %s', (_, body) => {
    sameKeys(body);
  });
});

describe.each(bundleCases())('the entries of bundles (%s)', (cases) => {
  it('have the same keys for all, and names for those that verify', () => {
    let named = 0;
    for (const { bundle, refused } of cases.all) {
      for (const body of bodiesOf(bundle)) {
        const keys = sameKeys(body);
        if (refused) continue;
        expect(has(keys, 'kind', 'unreadable')).toBe(false);
        if (keys.some(({ kind }) => kind === 'identity')) named++;
      }
    }
    expect(named).toBeGreaterThan(0);
  });
});

/** The bodies of the entries in a bundle, which may be no bundle. */
function bodiesOf(bundle: Uint8Array): Buffer[] {
  try {
    const { verificationMaterial } = JSON.parse(Buffer.from(bundle).toString()) as {
      verificationMaterial?: { tlogEntries?: { canonicalizedBody?: string }[] };
    };
    return (verificationMaterial?.tlogEntries ?? []).map((entry) =>
      Buffer.from(entry.canonicalizedBody ?? '', 'base64'),
    );
  } catch {
    return [];
  }
}

const sources = [...plainEntries(), ...hidingEntries(), ...oddBodies()].map(({ body }) => body);
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="\\{}[],: \nu';

describe('several tricks at once', () => {
  const record = plainEntries()
    .find(({ what }) => what === 'hashedrekord with a certificate')!
    .body.toString();
  const [, raw] = /"rawBytes":"([^"]+)"/.exec(record)!;
  /** Forms of a digit that a lenient reader takes for the same digit. */
  const forms: ((digit: string) => string)[] = [
    (digit) => `\\u${digit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    (digit) => `\\u${digit.charCodeAt(0).toString(16).padStart(4, '0').toUpperCase()}`,
    (digit) => `${digit}\\n`,
    (digit) => `\\r\\n${digit}`,
    (digit) => ` ${digit}\t`,
    (digit) => `*${digit}`,
    (digit) => `${digit}\u00e9\u2028`,
    (digit) => (digit === '+' ? '-' : digit),
    (digit) => (digit === '/' ? '_' : digit),
    (digit) => (digit === '/' ? '\\/' : digit),
  ];
  const around = [
    (text: string) => text.replace('"kind"', '"kind":"x","kind"'),
    (text: string) => text.replace('{"apiVersion"', '\u2028{"apiVersion"'.slice(1)),
    (text: string) => text.replace('"spec"', '"SPEC"'),
    (text: string) => `${text}${text}`,
    (text: string) => `\ufeff ${text}`,
    (text: string) => text.replace('"content"', '"\ud800":"\\ud800","content"'),
    (text: string) => text.slice(0, -3),
  ];

  it('hide no name', () => {
    fc.assert(
      fc.property(
        fc.subarray(forms, { minLength: 1 }),
        fc.shuffledSubarray(around, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 2 ** 31 - 2 }),
        (some, outside, seed) => {
          let state = seed;
          const random = (max: number) => {
            state = (state * 48_271) % 0x7fffffff;
            return state % max;
          };
          const changed = (digit: string) => (random(3) === 0 ? some[random(some.length)]!(digit) : digit);
          const hidden = [...raw!.replace(/=+$/, '')].map(changed).join('');
          const body = outside.reduce(
            (text, trick) => trick(text),
            record.replace(raw!, () => hidden),
          );
          const keys = sameKeys(Buffer.from(body));
          expect(has(keys, 'identity', VICTIM)).toBe(true);
          expect(has(keys, 'issuer-identity', `${ISSUER.length}:${ISSUER}${VICTIM}`)).toBe(true);
          expect(has(keys, 'key', keyFingerprint(VICTIM_KEY))).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('any bytes', () => {
  it('have the same keys for all: entries with changes', () => {
    const change = fc.record({
      at: fc.nat({ max: 100_000 }),
      drop: fc.constantFrom(0, 0, 1, 1, 2, 4, 30),
      add: fc.oneof(
        fc.constant(''),
        fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom(...BASE64) }),
        fc.constantFrom('\ufeff', '\u00ff', '\\u0041', '\\/', '\\"', '"', '\\', 'BgNVHREE', 'MIIB'),
      ),
    });
    fc.assert(
      fc.property(fc.constantFrom(...sources), fc.array(change, { minLength: 1, maxLength: 4 }), (source, changes) => {
        let body = source;
        for (const { at, drop, add } of changes) {
          const place = at % (body.length + 1);
          body = Buffer.concat([body.subarray(0, place), Buffer.from(add, 'latin1'), body.subarray(place + drop)]);
        }
        sameKeys(body);
      }),
      { numRuns: 700 },
    );
  });

  it('have the same keys for all: certificates with changes', () => {
    const certificates = sources.flatMap((body) => {
      const [, raw] = /"rawBytes":"([A-Za-z0-9+/=]+)"/.exec(body.toString('latin1')) ?? [];
      return raw === undefined ? [] : [{ body: body.toString('latin1'), raw }];
    });
    const change = fc.record({
      at: fc.nat({ max: 100_000 }),
      drop: fc.constantFrom(0, 0, 1, 1, 2),
      add: fc.uint8Array({ maxLength: 2 }),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...certificates),
        fc.array(change, { minLength: 1, maxLength: 3 }),
        ({ body, raw }, changes) => {
          let der = Buffer.from(raw, 'base64');
          for (const { at, drop, add } of changes) {
            const place = at % (der.length + 1);
            der = Buffer.concat([der.subarray(0, place), add, der.subarray(place + drop)]);
          }
          sameKeys(Buffer.from(body.replace(raw, der.toString('base64')), 'latin1'));
        },
      ),
      { numRuns: 700 },
    );
  });

  it('have the same keys for all: random ones', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        sameKeys(bytes);
        sameKeys(Buffer.from(`{"a":"${Buffer.from(bytes).toString('base64')}"`));
      }),
      { numRuns: 300 },
    );
  });
});
