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
import { encodeBase64 } from '../../merkle/bytes.ts';
import { formatPem, type PemBlock, parsePem, pemBytes } from '../../merkle/pem.ts';
import { printable } from '../../merkle/printable.ts';
import { DIGEST_ALGORITHM, DIGEST_SIZE, type DigestAlgorithm, HASH_NAME } from '../../merkle/rekor/hashes.ts';
import { loggedKeyDetailsOf } from '../../merkle/rekor/key-details.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { hasValidPoint, type KeyInfo, parseSpki } from '../../merkle/rekor/spki.ts';
import { sha256 } from '../../merkle/rfc6962.ts';
import { ClientError } from '../errors.ts';
import { withClientErrors } from '../merkle-errors.ts';
import { otherKey } from './other-forms.ts';

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

/**
 * Reads the one PEM block `PUBLIC KEY` of `pem`. Text around the block is not read (RFC 7468 section 2).
 *
 * @throws ClientError `key`: the message says which other blocks there are
 */
export function parsePublicKeyPem(pem: string, primitives: Primitives): PublicKey {
  const [block, ...more] = keyBlocks(pem);
  if (block === undefined) throw noBlock(pem, '"PUBLIC KEY"');
  if (more.length > 0) throw severalBlocks([block, ...more]);
  if (block.label !== 'PUBLIC KEY') throw otherBlock(block);
  return parsePublicKey(
    withClientErrors(() => pemBytes(block)),
    primitives,
  );
}

/** The PEM blocks of a file with a key, without the parameters of a curve, which no key needs. @throws ClientError `key` */
export function keyBlocks(pem: string): PemBlock[] {
  return withClientErrors(() => parsePem(pem)).filter(({ label }) => label !== 'EC PARAMETERS');
}

/** The error where a file has no PEM block; it says what the file is. */
export function noBlock(pem: string, expected: string): ClientError {
  const other = otherKey(pem);
  const what = other === undefined ? "a signer's public key is given in PEM" : `this is ${other}`;
  return new ClientError('key', `there is no PEM block ${expected}: ${what}`);
}

/** The error where one key is expected. */
export function severalBlocks(blocks: readonly PemBlock[]): ClientError {
  const labels = blocks.slice(0, 8).map(({ label }) => quoted(label));
  const all = blocks.length > 8 ? [...labels, '…'] : labels;
  return new ClientError('key', `there are ${blocks.length} PEM blocks (${all.join(', ')}), where one key is expected`);
}

/** The error where a block is no public key; it says what the block is. */
export function otherBlock({ label }: PemBlock): ClientError {
  const what = label.endsWith('PRIVATE KEY')
    ? ', a private key, which is not needed here: give the public key'
    : label === 'RSA PUBLIC KEY'
      ? ', an RSA key in PKCS#1: turn it into a "PUBLIC KEY" with `openssl rsa -RSAPublicKey_in -pubout`'
      : label === 'CERTIFICATE'
        ? ': here the public key is expected, as `openssl x509 -pubkey -noout` writes it'
        : label.startsWith('PGP ')
          ? ', an OpenPGP key, whose signatures a log does not take'
          : '';
  return new ClientError('key', `the PEM block is ${quoted(label)}, not "PUBLIC KEY"${what}`);
}

function quoted(label: string): string {
  return `"${printable(label.slice(0, 60))}"`;
}

/** PEM of the SubjectPublicKeyInfo. */
export function formatPublicKeyPem(key: Pick<PublicKey, 'spki'>): string {
  return formatPem('PUBLIC KEY', key.spki);
}

/** The hint of a key in a bundle, as cosign writes it: base64 of SHA-256 over the SubjectPublicKeyInfo. */
export function keyHint(key: Pick<PublicKey, 'spki'>): string {
  return encodeBase64(sha256(key.spki));
}
