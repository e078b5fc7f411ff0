import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeUtf8, encodeUtf8 } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import {
  formatHashedRekord,
  type HashedRekord,
  parseHashedRekord,
  scanHashedRekord,
} from '../../../merkle/rekor/hashedrekord.ts';
import { DIGEST_NUMBER } from '../../../merkle/rekor/hashes.ts';
import { findKeyDetails, LOGGED_KEY_DETAILS } from '../../../merkle/rekor/key-details.ts';
import { fromBase64, toBase64 } from '../../../merkle/runtime/base64.ts';

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
const bytes = fc.uint8Array({ minLength: 1, maxLength: 100 });
const name = (known: readonly string[]) =>
  fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...known) }, fc.string({ unit: 'grapheme', maxLength: 8 }));
const entries: fc.Arbitrary<HashedRekord> = fc.record({
  digestAlgorithm: name(Object.keys(DIGEST_NUMBER)),
  digest: bytes,
  signature: bytes,
  keyDetails: name(LOGGED_KEY_DETAILS.map((details) => details.name)),
  verifier: fc.oneof(fc.record({ publicKey: bytes }), fc.record({ certificate: bytes })),
});

/** The result of the strict reader; undefined where it refuses. */
function strict(body: Uint8Array): HashedRekord | undefined {
  try {
    return parseHashedRekord(body);
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
}

/** The result of the fast reader with its base64 decoded; undefined where either refuses. */
function fast(body: Uint8Array): HashedRekord | undefined {
  const text = scanHashedRekord(latin1(body));
  if (text === undefined) return undefined;
  const { digestAlgorithm, keyDetails, form } = text;
  const [digest, signature, raw] = [text.digest, text.signature, text.rawBytes].map((value) => {
    const decoded = fromBase64(value);
    return decoded && new Uint8Array(decoded);
  });
  if (digest === undefined || signature === undefined || raw === undefined) return undefined;
  const verifier = form === 'publicKey' ? { publicKey: raw } : { certificate: raw };
  return { digestAlgorithm, digest, signature, keyDetails, verifier };
}

const hasKnownNames = ({ digestAlgorithm, keyDetails }: HashedRekord) =>
  Object.hasOwn(DIGEST_NUMBER, digestAlgorithm) && findKeyDetails(keyDetails) !== undefined;

/** The fast reader reads what the strict one reads, or leaves the entry to it. */
function expectAgreement(body: Uint8Array): void {
  const expected = strict(body);
  expect(fast(body)).toEqual(expected !== undefined && hasKnownNames(expected) ? expected : undefined);
}

describe('a hashedrekord', () => {
  it('is written in the form of RFC 8785, and read back from it alone', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        const body = formatHashedRekord(entry);
        expect(canonicalize(JSON.parse(decodeUtf8(body)))).toBe(decodeUtf8(body));
        expect(parseHashedRekord(body)).toEqual(entry);
      }),
    );
  });

  it('is read alike by the fast reader and the strict one', () => {
    fc.assert(fc.property(entries, (entry) => expectAgreement(formatHashedRekord(entry))));
  });

  it('is read alike after any change of its bytes', () => {
    const edits = fc.array(
      fc.record({
        at: fc.nat(),
        drop: fc.nat(2),
        add: fc.constantFrom('', '"', '\\', '}', ' ', '=', 'A', ',', 'é', '\n'),
      }),
      { minLength: 1, maxLength: 2 },
    );
    fc.assert(
      fc.property(entries, edits, (entry, list) => {
        let text = latin1(formatHashedRekord(entry));
        for (const { at, drop, add } of list) {
          const from = at % text.length;
          text = text.slice(0, from) + latin1(encodeUtf8(add)) + text.slice(from + drop);
        }
        expectAgreement(Buffer.from(text, 'latin1'));
      }),
      { numRuns: 3_000 },
    );
  });

  const good = {
    digestAlgorithm: 'SHA2_256',
    digest: new Uint8Array(32),
    signature: Uint8Array.of(1),
    keyDetails: 'PKIX_ED25519_PH',
    verifier: { publicKey: Uint8Array.of(2) },
  } as const;
  const text = decodeUtf8(formatHashedRekord(good));

  it.each([
    ['white space', text.replace('{', '{ '), 'bad-entry'],
    ['an escape', text.replace('SHA2', '\\u0053HA2'), 'bad-entry'],
    ['an unknown member', text.replace('{"apiVersion"', '{"a":1,"apiVersion"'), 'bad-entry'],
    ['a member twice', text.replace('"kind"', '"kind":"hashedrekord","kind"'), 'bad-json'],
    [
      'another order',
      text.replace('"apiVersion":"0.0.2","kind":"hashedrekord"', '"kind":"hashedrekord","apiVersion":"0.0.2"'),
      'bad-entry',
    ],
    ['both verifiers', text.replace('"publicKey"', '"x509Certificate":{"rawBytes":"AQ=="},"publicKey"'), 'bad-entry'],
    ['no verifier', text.replace('"publicKey"', '"key"'), 'bad-entry'],
    ['no digest', text.replace('"digest":', '"hash":'), 'bad-entry'],
    ['an empty signature', text.replace('"content":"AQ=="', '"content":""'), 'bad-entry'],
    ['base64url', text.replace('"content":"AQ=="', '"content":"_w=="'), 'bad-entry'],
    ['base64 without padding', text.replace('"content":"AQ=="', '"content":"AQ"'), 'bad-entry'],
    ['base64 with other bits left over', text.replace('"content":"AQ=="', '"content":"AR=="'), 'bad-entry'],
    ['a number for a name', text.replace('"PKIX_ED25519_PH"', '8'), 'bad-entry'],
    ['a byte after its end', `${text}\n`, 'bad-entry'],
    ['no text at all', '', 'bad-json'],
    ['no object', '[]', 'bad-entry'],
    ['more than 65,535 bytes', text.replace('AQ==', 'A'.repeat(65_536)), 'bad-json'],
    ['another version', text.replace('0.0.2', '0.0.1'), 'unsupported'],
    ['another kind', text.replace('"hashedrekord"', '"dsse"'), 'unsupported'],
  ])('is refused with %s', (_, changed, code) => {
    const body = encodeUtf8(changed);
    expect(() => parseHashedRekord(body)).toThrow(expect.objectContaining({ name: 'MerkleError', code }));
    expect(fast(body)).toBeUndefined();
  });

  it('keeps names that need an escape, which the fast reader leaves to the strict one', () => {
    const entry = { ...good, keyDetails: 'a"\\\u0001é', digestAlgorithm: '\u2028"' };
    const body = formatHashedRekord(entry);
    expect(parseHashedRekord(body)).toEqual(entry);
    expect(scanHashedRekord(latin1(body))).toBeUndefined();
  });

  it('is found by the fast reader with its base64 as it stands', () => {
    expect(scanHashedRekord(text)).toEqual({
      digestAlgorithm: 'SHA2_256',
      digest: toBase64(good.digest),
      signature: 'AQ==',
      keyDetails: 'PKIX_ED25519_PH',
      form: 'publicKey',
      rawBytes: 'Ag==',
    });
  });
});
