/**
 * `dev.sigstore.common.v1.PublicKeyDetails` (sigstore/protobuf-specs, sigstore_common.proto, v0.5) and what of it the log
 * takes: keys whose signature can be verified over a digest.
 */
import type { EcCurve, ParsedKey } from '../../merkle/runtime/crypto/publickey.ts';

/** Every name of the enum. A name outside is malformed; one inside that is not in `TAKEN` is refused with a reason. */
export const KEY_DETAILS: ReadonlyMap<string, number> = new Map([
  ['PUBLIC_KEY_DETAILS_UNSPECIFIED', 0],
  ['PKCS1_RSA_PKCS1V5', 1],
  ['PKCS1_RSA_PSS', 2],
  ['PKIX_RSA_PKCS1V5', 3],
  ['PKIX_RSA_PSS', 4],
  ['PKIX_ECDSA_P256_SHA_256', 5],
  ['PKIX_ECDSA_P256_HMAC_SHA_256', 6],
  ['PKIX_ED25519', 7],
  ['PKIX_ED25519_PH', 8],
  ['PKIX_RSA_PKCS1V15_2048_SHA256', 9],
  ['PKIX_RSA_PKCS1V15_3072_SHA256', 10],
  ['PKIX_RSA_PKCS1V15_4096_SHA256', 11],
  ['PKIX_ECDSA_P384_SHA_384', 12],
  ['PKIX_ECDSA_P521_SHA_512', 13],
  ['LMS_SHA256', 14],
  ['LMOTS_SHA256', 15],
  ['PKIX_RSA_PSS_2048_SHA256', 16],
  ['PKIX_RSA_PSS_3072_SHA256', 17],
  ['PKIX_RSA_PSS_4096_SHA256', 18],
  ['PKIX_ECDSA_P384_SHA_256', 19],
  ['PKIX_ECDSA_P521_SHA_256', 20],
  ['ML_DSA_65', 21],
  ['ML_DSA_87', 22],
  ['ML_DSA_44', 23],
]);

const NAMES = new Map([...KEY_DETAILS].map(([name, number]) => [number, name]));

/** The name of a number, or the number itself where it has none. */
export function keyDetailsName(number: number): string {
  return NAMES.get(number) ?? String(number);
}

export interface DigestHash {
  /** As Node's crypto calls it. */
  readonly node: 'sha256' | 'sha384' | 'sha512';
  /** `dev.sigstore.common.v1.HashAlgorithm`, as the entry names it. */
  readonly name: 'SHA2_256' | 'SHA2_384' | 'SHA2_512';
  /** Bytes. */
  readonly size: number;
}

const SHA256: DigestHash = { node: 'sha256', name: 'SHA2_256', size: 32 };
const SHA384: DigestHash = { node: 'sha384', name: 'SHA2_384', size: 48 };
const SHA512: DigestHash = { node: 'sha512', name: 'SHA2_512', size: 64 };

interface Taken {
  readonly type: ParsedKey['type'];
  readonly curve?: EcCurve;
  readonly hash: DigestHash;
}

const TAKEN: ReadonlyMap<number, Taken> = new Map<number, Taken>([
  [5, { type: 'ecdsa', curve: 'P-256', hash: SHA256 }],
  [12, { type: 'ecdsa', curve: 'P-384', hash: SHA384 }],
  [13, { type: 'ecdsa', curve: 'P-521', hash: SHA512 }],
  [9, { type: 'rsa', hash: SHA256 }],
  [10, { type: 'rsa', hash: SHA256 }],
  [11, { type: 'rsa', hash: SHA256 }],
  [8, { type: 'ed25519', hash: SHA512 }],
]);

/** The names of the key types that the log takes, for `GET /stele/v1/log`. */
export const TAKEN_KEY_DETAILS: readonly string[] = [...TAKEN.keys()].sort((a, b) => a - b).map(keyDetailsName);

/**
 * What the log makes of a key with this label: the label to log and the hash of the digest; or, as a string, why it does
 * not take them.
 *
 * An RSA key is logged with the label of its own size whatever the request says, since sigstore-go rebuilds the label
 * from the key and would not find the entry otherwise.
 */
export function registered(key: ParsedKey, keyDetails: number): { label: string; hash: DigestHash } | string {
  const label = keyDetailsName(keyDetails);
  const taken = TAKEN.get(keyDetails);
  if (taken === undefined) {
    return keyDetails === 7
      ? 'PKIX_ED25519 signs the artifact itself and cannot be checked from a digest; sign with PKIX_ED25519_PH'
      : `unsupported keyDetails ${label}; taken are ${TAKEN_KEY_DETAILS.join(', ')}`;
  }
  if (key.type !== taken.type || (key.type === 'ecdsa' && key.curve !== taken.curve)) {
    return `keyDetails ${label} do not fit the key, which is ${describe(key)}`;
  }
  return { label: key.type === 'rsa' ? `PKIX_RSA_PKCS1V15_${key.bits}_SHA256` : label, hash: taken.hash };
}

function describe(key: ParsedKey): string {
  switch (key.type) {
    case 'ecdsa':
      return `ECDSA on ${key.curve}`;
    case 'rsa':
      return `RSA of ${key.bits} bits`;
    case 'ed25519':
      return 'Ed25519';
  }
}
