/** Sets of public keys that verify tokens: JWK sets (RFC 7517 section 5). */
import type { KeyObject } from 'node:crypto';
import { isJsonRecord, type JsonRecord, parseJsonValue } from '../../../rekor/json-value.ts';
import type { PublicKeyKind } from '../../../rekor/spki.ts';
import { keyOfJwk } from '../../../spiffe/bundle-key.ts';
import { keyObjectOf } from '../../crypto/public-key.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { IdentityError } from '../types.ts';
import { fitsAlgorithm, type TokenAlgorithm } from './token-algorithms.ts';

/** Bytes of a set. Large issuers publish ten keys with certificates, 20 KB. */
export const MAX_KEY_SET = 512 * 1024;
const MAX_KEYS = 256;

export interface VerifyingKey {
  readonly keyId: string | undefined;
  readonly kind: PublicKeyKind;
  readonly alg: string | undefined;
  /** One object for as long as the set lives: the library keeps what it makes of it. */
  readonly object: KeyObject;
}

/**
 * The keys of a set that can verify tokens. Keys of another use, of unknown types, weak ones, private ones, and malformed ones are
 * passed over (RFC 7517 section 5). A set may have none: then its issuer has withdrawn them all.
 *
 * @throws RuntimeError `key-format`: not a JWK set
 */
export function parseKeySet(bytes: Uint8Array, name: string): readonly VerifyingKey[] {
  let set: unknown;
  try {
    set = parseJsonValue(bytes, name, MAX_KEY_SET);
  } catch (cause) {
    throw new RuntimeError('key-format', (cause as Error).message, { cause });
  }
  const keys = isJsonRecord(set as JsonRecord) ? (set as JsonRecord).keys : undefined;
  if (!Array.isArray(keys)) throw new RuntimeError('key-format', `${name} is not a JWK set: it has no list "keys"`);
  if (keys.length > MAX_KEYS) throw new RuntimeError('key-format', `${name} has more than ${MAX_KEYS} keys`);
  return keys.filter(isJsonRecord).flatMap((jwk: JsonRecord) => verifyingKey(jwk) ?? []);
}

/** Undefined where the key cannot verify tokens. */
function verifyingKey(jwk: JsonRecord): VerifyingKey | undefined {
  const { use, key_ops: operations, kid, alg } = jwk;
  if (use !== undefined && use !== 'sig') return undefined;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined;
  if ((kid !== undefined && typeof kid !== 'string') || (alg !== undefined && typeof alg !== 'string'))
    return undefined;
  return verifyingKeyOf(jwk, kid, alg);
}

/** Undefined where the key is of an unknown type, malformed or weak. */
export function verifyingKeyOf(jwk: JsonRecord, keyId: string | undefined, alg?: string): VerifyingKey | undefined {
  try {
    const key = keyOfJwk(jwk);
    return typeof key === 'string' ? undefined : { keyId, kind: key.kind, alg, object: keyObjectOf(key) };
  } catch {
    return undefined;
  }
}

/**
 * The one key that verifies a token; undefined where none has the key ID.
 *
 * @param keyId `kid` of the token; where it is undefined, exactly one key may fit the algorithm
 * @throws IdentityError `token-algorithm`: the key is there, and is not for this algorithm; `token-key`: several keys fit
 */
export function keyFor(
  keys: readonly VerifyingKey[],
  algorithm: TokenAlgorithm,
  keyId: string | undefined,
): KeyObject | undefined {
  const named = keyId === undefined ? keys : keys.filter((key) => key.keyId === keyId);
  const fitting = named.filter((key) => fitsAlgorithm(key, algorithm));
  if (fitting.length > 1) {
    throw new IdentityError('token-key', 'the token does not say which key of its issuer signed it ("kid")');
  }
  if (fitting.length === 0 && named.length > 0) {
    throw new IdentityError('token-algorithm', "the token's algorithm is not the one of its issuer's key");
  }
  return fitting[0]?.object;
}
