/** The signature algorithms of certificates and time stamps: their keys and hashes (RFC 5758, RFC 8410, RFC 4055). */
import { MerkleError } from '../errors.ts';
import type { HashName } from '../rekor/hashes.ts';
import type { Primitives } from '../rekor/primitives.ts';
import { type KeyInfo, type PublicKeyKind, parseSpki } from '../rekor/spki.ts';
import type { Certificate } from './certificate.ts';
import { shownOid } from './der-fields.ts';

interface Algorithm {
  readonly key: 'ecdsa' | 'rsa' | 'ed25519';
  /** Undefined for pure Ed25519. */
  readonly hash: HashName | undefined;
}

const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['1.2.840.10045.4.3.2', { key: 'ecdsa', hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { key: 'ecdsa', hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { key: 'ecdsa', hash: 'sha512' }],
  ['1.2.840.113549.1.1.11', { key: 'rsa', hash: 'sha256' }],
  ['1.2.840.113549.1.1.12', { key: 'rsa', hash: 'sha384' }],
  ['1.2.840.113549.1.1.13', { key: 'rsa', hash: 'sha512' }],
  ['1.3.101.112', { key: 'ed25519', hash: undefined }],
]);

/** OIDs of hashes: RFC 5754 section 2. */
export const HASH_OIDS: ReadonlyMap<string, HashName> = new Map([
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

/** OIDs of signature algorithms whose hash stands in another field, as in CMS: RFC 5652 section 10.1.2. */
const KEY_ALGORITHMS: ReadonlyMap<string, Algorithm['key']> = new Map([
  ['1.2.840.113549.1.1.1', 'rsa'],
  ['1.2.840.10045.2.1', 'ecdsa'],
]);

const family = (kind: PublicKeyKind): Algorithm['key'] => (kind === 'rsa' || kind === 'ed25519' ? kind : 'ecdsa');

const keys = new WeakMap<Certificate, KeyInfo>();

/** The public key of a certificate. @throws MerkleError `bad-key` as `parseSpki` */
export function keyOf(certificate: Certificate): KeyInfo {
  let key = keys.get(certificate);
  if (key === undefined) {
    key = parseSpki(certificate.spki);
    keys.set(certificate, key);
  }
  return key;
}

/**
 * Whether `signature` is by `key` over `message` with the signature algorithm `oid`.
 * @param hash the hash that another field names. The result is false if the algorithm names another hash.
 * @throws MerkleError `unsupported` for an unknown algorithm
 */
export function verifyWith(
  oid: string,
  key: KeyInfo,
  message: Uint8Array,
  signature: Uint8Array,
  primitives: Primitives,
  hash?: HashName,
): boolean {
  let algorithm = ALGORITHMS.get(oid);
  const named = KEY_ALGORITHMS.get(oid);
  if (algorithm === undefined && named !== undefined && hash !== undefined) algorithm = { key: named, hash };
  if (algorithm === undefined) {
    throw new MerkleError(
      'unsupported',
      `this version does not support signatures of algorithm ${shownOid(oid)}, but ECDSA and RSA (PKCS#1 v1.5) with SHA-256, SHA-384 or SHA-512, and Ed25519`,
    );
  }
  // RFC 8419: with Ed25519, the message digest of CMS is SHA-512.
  if (hash !== undefined && hash !== (algorithm.hash ?? 'sha512')) return false;
  return family(key.kind) === algorithm.key && primitives.verifyMessage(key, algorithm.hash, message, signature);
}
