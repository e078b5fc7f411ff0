/**
 * The registry of `keyDetails`: `dev.sigstore.common.v1.PublicKeyDetails` (sigstore/protobuf-specs 0.5,
 * sigstore_common.proto). Each row gives the key and the signature that a name stands for. A log accepts:
 *
 *   key            `keyDetails`                            signed digest
 *   ECDSA P-256    PKIX_ECDSA_P256_SHA_256           5     SHA-256
 *   ECDSA P-384    PKIX_ECDSA_P384_SHA_384          12     SHA-384
 *   ECDSA P-521    PKIX_ECDSA_P521_SHA_512          13     SHA-512
 *   RSA            PKIX_RSA_PKCS1V15_<bits>_SHA256   9-11  SHA-256 (2048, 3072 or 4096 bits)
 *   Ed25519        PKIX_ED25519_PH                   8     SHA-512 (Ed25519ph of RFC 8032, without context)
 */
import type { HashName } from './hashes.ts';
import { curveOf, type KeyInfo, type PublicKeyKind } from './spki.ts';

/** One value of the enumeration. */
interface KeyDetails {
  readonly name: string;
  readonly number: number;
  /** Undefined if this version does not support such keys. */
  readonly kind?: PublicKeyKind;
  /** Length of the RSA modulus; undefined if the name does not fix the length. */
  readonly bits?: number;
  /** The hash of the signature; undefined for Ed25519, which signs the message itself. */
  readonly hash?: HashName;
  /**
   * Whether a signature in a log entry is over a digest (`hashedrekord`) or over the message itself (only the former `dsse`
   * 0.0.2). Undefined if Rekor v2 does not accept such signatures.
   */
  readonly signs?: 'digest' | 'message';
}

/** A value that a log accepts: its signatures can be verified over a digest. */
interface LoggedKeyDetails extends KeyDetails {
  readonly kind: PublicKeyKind;
  readonly hash: HashName;
  readonly signs: 'digest';
}

const TABLE: readonly KeyDetails[] = [
  { name: 'PKIX_ECDSA_P256_SHA_256', number: 5, kind: 'ecdsa-p256', hash: 'sha256', signs: 'digest' },
  { name: 'PKIX_ECDSA_P384_SHA_384', number: 12, kind: 'ecdsa-p384', hash: 'sha384', signs: 'digest' },
  { name: 'PKIX_ECDSA_P521_SHA_512', number: 13, kind: 'ecdsa-p521', hash: 'sha512', signs: 'digest' },
  { name: 'PKIX_RSA_PKCS1V15_2048_SHA256', number: 9, kind: 'rsa', bits: 2048, hash: 'sha256', signs: 'digest' },
  { name: 'PKIX_RSA_PKCS1V15_3072_SHA256', number: 10, kind: 'rsa', bits: 3072, hash: 'sha256', signs: 'digest' },
  { name: 'PKIX_RSA_PKCS1V15_4096_SHA256', number: 11, kind: 'rsa', bits: 4096, hash: 'sha256', signs: 'digest' },
  { name: 'PKIX_ED25519_PH', number: 8, kind: 'ed25519', hash: 'sha512', signs: 'digest' },
  { name: 'PKIX_ED25519', number: 7, kind: 'ed25519', signs: 'message' },
  // Only logs and time-stamp authorities have keys of these kinds.
  { name: 'PKCS1_RSA_PKCS1V5', number: 1, kind: 'rsa', hash: 'sha256' },
  { name: 'PKIX_RSA_PKCS1V5', number: 3, kind: 'rsa', hash: 'sha256' },
  { name: 'PKIX_ECDSA_P384_SHA_256', number: 19, kind: 'ecdsa-p384', hash: 'sha256' },
  { name: 'PKIX_ECDSA_P521_SHA_256', number: 20, kind: 'ecdsa-p521', hash: 'sha256' },
  { name: 'PUBLIC_KEY_DETAILS_UNSPECIFIED', number: 0 },
  { name: 'PKCS1_RSA_PSS', number: 2 },
  { name: 'PKIX_RSA_PSS', number: 4 },
  { name: 'PKIX_ECDSA_P256_HMAC_SHA_256', number: 6 },
  { name: 'LMS_SHA256', number: 14 },
  { name: 'LMOTS_SHA256', number: 15 },
  { name: 'PKIX_RSA_PSS_2048_SHA256', number: 16 },
  { name: 'PKIX_RSA_PSS_3072_SHA256', number: 17 },
  { name: 'PKIX_RSA_PSS_4096_SHA256', number: 18 },
  { name: 'ML_DSA_65', number: 21 },
  { name: 'ML_DSA_87', number: 22 },
  { name: 'ML_DSA_44', number: 23 },
];

const BY_NAME: ReadonlyMap<string, KeyDetails> = new Map(TABLE.map((row) => [row.name, row]));
const BY_NUMBER: ReadonlyMap<number, KeyDetails> = new Map(TABLE.map((row) => [row.number, row]));

/** The values that a log accepts, in the order in which a log advertises them. */
export const LOGGED_KEY_DETAILS: readonly LoggedKeyDetails[] = TABLE.filter(isLogged);
const LOGGED_NAMES = [...LOGGED_KEY_DETAILS].sort((a, b) => a.number - b.number).map(({ name }) => name);

/** Undefined for a name or number that is not in the enumeration. */
export function findKeyDetails(nameOrNumber: unknown): KeyDetails | undefined {
  return BY_NAME.get(nameOrNumber as string) ?? BY_NUMBER.get(nameOrNumber as number);
}

/** The value with which a log enters a signature by this key over a digest; undefined for an RSA key of another size. */
export function loggedKeyDetailsOf({ kind, bits }: Pick<KeyInfo, 'kind' | 'bits'>): LoggedKeyDetails | undefined {
  return LOGGED_KEY_DETAILS.find((row) => row.kind === kind && row.bits === bits);
}

/** The value of a signature by `key` with this hash (undefined for pure Ed25519). Undefined if there is no such value. */
export function signedKeyDetailsOf(key: KeyInfo, hash: HashName | undefined): KeyDetails | undefined {
  return TABLE.find((row) => row.signs && row.kind === key.kind && row.bits === key.bits && row.hash === hash);
}

/**
 * The value with which a log enters a signature by `key` if the request names the value `number`. A string is the reason why
 * the log refuses the signature.
 *
 * An RSA key always gets the value of its own size, even if the request names another RSA size: sigstore-go derives the
 * value from the key, and otherwise would not find the entry.
 */
export function keyDetailsToLog(key: KeyInfo, number: number): LoggedKeyDetails | string {
  const given = BY_NUMBER.get(number);
  const name = given?.name ?? String(number);
  if (given === undefined || !isLogged(given)) {
    return given?.signs === 'message'
      ? `${name} signs the artifact itself and cannot be checked from a digest; sign with PKIX_ED25519_PH`
      : `unsupported keyDetails ${name}; a log accepts ${LOGGED_NAMES.join(', ')}`;
  }
  const own = given.kind === key.kind ? loggedKeyDetailsOf(key) : undefined;
  return own ?? `keyDetails ${name} do not fit the key, which is ${describeKey(key)}`;
}

function isLogged(row: KeyDetails): row is LoggedKeyDetails {
  return row.signs === 'digest';
}

function describeKey({ kind, bits }: KeyInfo): string {
  if (kind === 'rsa') return `RSA of ${bits} bits`;
  return kind === 'ed25519' ? 'Ed25519' : `ECDSA on ${curveOf(kind)}`;
}
