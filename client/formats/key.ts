/**
 * The keys of signers: the algorithm that stands in a `hashedrekord` entry, and the signed digest.
 *
 *   key            `keyDetails`                      signed digest
 *   ECDSA P-256    PKIX_ECDSA_P256_SHA_256           SHA-256
 *   ECDSA P-384    PKIX_ECDSA_P384_SHA_384           SHA-384
 *   ECDSA P-521    PKIX_ECDSA_P521_SHA_512           SHA-512
 *   Ed25519        PKIX_ED25519_PH                   SHA-512 (Ed25519ph of RFC 8032, without context)
 *   RSA            PKIX_RSA_PKCS1V15_<bits>_SHA256   SHA-256 (2048, 3072 or 4096 bits)
 *
 * Only the one DER encoding of a key is accepted (merkle/rekor/spki.ts), so that its bytes equal the logged ones.
 */
import { decodeBase64, encodeBase64 } from '../../merkle/bytes.ts';
import { DIGEST_ALGORITHM, DIGEST_SIZE, type DigestAlgorithm, HASH_NAME } from '../../merkle/rekor/hashes.ts';
import { loggedKeyDetailsOf } from '../../merkle/rekor/key-details.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { hasValidPoint, type KeyInfo, parseSpki } from '../../merkle/rekor/spki.ts';
import { sha256 } from '../../merkle/rfc6962.ts';
import { ClientError } from '../errors.ts';
import { withClientErrors } from '../merkle-errors.ts';

export interface KeyAlgorithm {
  /** Value of `keyDetails` in the entry (dev.sigstore.common.v1.PublicKeyDetails). */
  readonly details: string;
  /** The digest that a key of this algorithm signs. */
  readonly digest: DigestAlgorithm;
}

/** A signer's public key. */
export interface PublicKey extends KeyAlgorithm {
  /** For people: `ECDSA P-256`. */
  readonly name: string;
  /** Length of that digest in bytes. */
  readonly digestSize: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly info: KeyInfo;
  /** Whether `signature` is by this key over `digest`, in the one algorithm above. Does not throw. */
  verify(digest: Uint8Array, signature: Uint8Array): boolean;
}

/** Reads a SubjectPublicKeyInfo in DER, as `parseSpki`. @throws ClientError `key` */
export function parsePublicKey(spki: Uint8Array, primitives: Primitives): PublicKey {
  const own = Uint8Array.from(spki); // a Buffer's slice would share the caller's memory
  const info = withClientErrors(() => parseSpki(own));
  // Signature checks with such a key fail too, but do not say whether the key or the signature is wrong.
  if (!hasValidPoint(info)) throw new ClientError('key', 'the public key is not a point on its curve');
  const { details, digest } = keyAlgorithm(info);
  const digestSize = DIGEST_SIZE[HASH_NAME[digest]];
  const verify = (hash: Uint8Array, signature: Uint8Array): boolean => {
    if (hash.length !== digestSize) return false;
    try {
      return primitives.verifyDigest(info, HASH_NAME[digest], hash, signature);
    } catch {
      return false;
    }
  };
  return { name: info.name, details, digest, digestSize, spki: own, info, verify };
}

/** The algorithm of a key. @throws ClientError `key` for an RSA key of a size that logs refuse */
export function keyAlgorithm(info: KeyInfo): KeyAlgorithm {
  const details = loggedKeyDetailsOf(info);
  if (details === undefined) {
    throw new ClientError('key', `the public key is RSA of ${info.bits} bits; a log accepts 2048, 3072 and 4096`);
  }
  return { details: details.name, digest: DIGEST_ALGORITHM[details.hash] };
}

/** Reads exactly one PEM block `PUBLIC KEY`, without other text. @throws ClientError `key` */
export function parsePublicKeyPem(pem: string, primitives: Primitives): PublicKey {
  const match = /^\s*-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]{1,2000})-----END PUBLIC KEY-----\s*$/.exec(pem);
  if (match === null) {
    const why = 'the public key is not one PEM block "PUBLIC KEY" (the private key is not needed here)';
    throw new ClientError('key', why);
  }
  let der: Uint8Array;
  try {
    der = decodeBase64(match[1]!.replace(/[\r\n]/g, ''));
  } catch (cause) {
    throw new ClientError('key', 'the PEM block of the public key is not canonical base64', { cause });
  }
  return parsePublicKey(der, primitives);
}

/** PEM of the SubjectPublicKeyInfo, 64 characters a line (RFC 7468). */
export function formatPublicKeyPem(key: Pick<PublicKey, 'spki'>): string {
  const lines = encodeBase64(key.spki).match(/.{1,64}/g)!;
  return `-----BEGIN PUBLIC KEY-----\n${lines.join('\n')}\n-----END PUBLIC KEY-----\n`;
}

/** The hint of a key in a bundle, as cosign writes it: base64 of SHA-256 over the SubjectPublicKeyInfo. */
export function keyHint(key: Pick<PublicKey, 'spki'>): string {
  return encodeBase64(sha256(key.spki));
}
