/**
 * Public keys as JWK (RFC 7517, RFC 7518 section 6, RFC 8037 section 2): the elements of a SPIFFE trust bundle.
 *
 *   { "kty": "EC", "crv": "P-256", "x": …, "y": …, "use": "jwt-svid", "kid": … }
 *   { "kty": "RSA", "n": …, "e": …, "use": "x509-svid", "x5c": [base64 of a certificate] }
 *   { "kty": "OKP", "crv": "Ed25519", "x": …, … }
 */
import { concat, decodeEitherBase64 } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import type { JsonRecord, JsonValue } from '../rekor/json-value.ts';
import { type EcKind, encodeSpki, hasValidPoint, type KeyInfo, parseSpki, spkiOfPkcs1 } from '../rekor/spki.ts';
import { encodeDer, TAG } from '../x509/der.ts';

const CURVES: ReadonlyMap<JsonValue | undefined, { readonly kind: EcKind; readonly size: number }> = new Map([
  ['P-256', { kind: 'ecdsa-p256', size: 32 }],
  ['P-384', { kind: 'ecdsa-p384', size: 48 }],
  ['P-521', { kind: 'ecdsa-p521', size: 66 }],
]);
/** Members that hold the public key, by key type. */
const MEMBERS: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'x', 'y'],
  RSA: ['n', 'e'],
  OKP: ['crv', 'x'],
};
/** Members of private and symmetric keys: RFC 7518 sections 6.2.2, 6.3.2 and 6.4. */
const SECRETS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];
/** Bytes of an RSA modulus: 2048 to 4096 bits. */
const MIN_MODULUS = 256;
const MAX_MODULUS = 512;
const ED25519_SIZE = 32;

/**
 * The public key of a JWK, in DER; a text is the reason why a reader passes over a key of this kind: RFC 7517 section 5.
 * @throws MerkleError `bad-spiffe-bundle` for a malformed key of a known kind, and for a key with private members
 */
export function keyOfJwk(jwk: JsonRecord): KeyInfo | string {
  if (SECRETS.some((name) => jwk[name] !== undefined)) throw badBundle('has a private or symmetric key');
  switch (jwk.kty) {
    case 'EC': {
      const curve = CURVES.get(jwk.crv);
      if (curve === undefined) return 'is on a curve other than P-256, P-384 and P-521';
      const { kind, size } = curve;
      const point = concat(Uint8Array.of(4), numberOf(jwk, 'x', size), numberOf(jwk, 'y', size));
      const key = parseSpki(encodeSpki(kind, point));
      if (!hasValidPoint(key)) throw badBundle('has a key that is not on its curve');
      return key;
    }
    case 'RSA': {
      const modulus = numberOf(jwk, 'n');
      if (modulus[0] === 0) throw badBundle('has a key whose "n" starts with a zero byte');
      if (modulus.length < MIN_MODULUS || modulus.length > MAX_MODULUS) {
        return `is an RSA key of ${modulus.length * 8} bits, not 2048 to 4096`;
      }
      try {
        return parseSpki(spkiOfPkcs1(sequenceOf(modulus, numberOf(jwk, 'e'))));
      } catch (error) {
        if (!(error instanceof MerkleError) || error.code !== 'bad-key') throw error;
        return 'is an RSA key of a form that this version does not check';
      }
    }
    case 'OKP':
      if (jwk.crv !== 'Ed25519') return 'is on a curve other than Ed25519';
      return parseSpki(encodeSpki('ed25519', numberOf(jwk, 'x', ED25519_SIZE)));
    default:
      return 'has an unknown key type';
  }
}

/**
 * The key as a library for JWTs reads it: without `use`, whose SPIFFE values such a library does not know, and for Ed25519
 * without `alg`, since `EdDSA` and `Ed25519` are two names of one algorithm.
 * @param jwk a key that `keyOfJwk` read
 */
export function plainJwk(jwk: JsonRecord, keyId: string): Readonly<Record<string, string>> {
  const kty = jwk.kty as string;
  const alg = kty !== 'OKP' && typeof jwk.alg === 'string' ? { alg: jwk.alg } : {};
  const members = MEMBERS[kty]!.map((name) => [name, jwk[name] as string] as const);
  return Object.freeze({ kty, kid: keyId, ...alg, ...Object.fromEntries(members) });
}

/** Bytes of a member in base64url, without padding; of `size` bytes if given. */
function numberOf(jwk: JsonRecord, name: string, size?: number): Uint8Array {
  const text = jwk[name];
  try {
    if (typeof text === 'string' && /^[\w-]+$/.test(text)) {
      const bytes = decodeEitherBase64(text);
      if (size === undefined || bytes.length === size) return bytes;
    }
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
  }
  throw badBundle(`has a key of type ${jwk.kty} whose "${name}" is missing or malformed`);
}

/** RSAPublicKey: RFC 8017 section A.1.1. */
function sequenceOf(...numbers: readonly Uint8Array[]): Uint8Array {
  const unsigned = (number: Uint8Array) => (number[0]! >= 0x80 ? concat(Uint8Array.of(0), number) : number);
  return encodeDer(TAG.sequence, ...numbers.map((number) => encodeDer(TAG.integer, unsigned(number))));
}

export function badBundle(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-spiffe-bundle', `the SPIFFE trust bundle ${why}`, { cause });
}
