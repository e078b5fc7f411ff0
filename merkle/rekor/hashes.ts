/**
 * The three hashes of entries, keys and certificates, with all their names.
 *
 *   here     entry and bundle (`dev.sigstore.common.v1.HashAlgorithm`)   bytes
 *   sha256   SHA2_256, number 1                                          32
 *   sha384   SHA2_384, number 2                                          48
 *   sha512   SHA2_512, number 3                                          64
 */
import { decodeHex } from '../bytes.ts';

export type HashName = 'sha256' | 'sha384' | 'sha512';

/** Bytes of a digest. */
export const DIGEST_SIZE = { sha256: 32, sha384: 48, sha512: 64 } as const;

/** The name of a hash in entries and bundles. */
export type DigestAlgorithm = 'SHA2_256' | 'SHA2_384' | 'SHA2_512';

export const DIGEST_ALGORITHM = {
  sha256: 'SHA2_256',
  sha384: 'SHA2_384',
  sha512: 'SHA2_512',
} as const satisfies Record<HashName, DigestAlgorithm>;

export const HASH_NAME = {
  SHA2_256: 'sha256',
  SHA2_384: 'sha384',
  SHA2_512: 'sha512',
} as const satisfies Record<DigestAlgorithm, HashName>;

/** The number of each name in the enumeration `HashAlgorithm`. */
export const DIGEST_NUMBER = { SHA2_256: 1, SHA2_384: 2, SHA2_512: 3 } as const satisfies Record<
  DigestAlgorithm,
  number
>;

/** DigestInfo of PKCS#1 up to the digest: RFC 8017 section 9.2, note 1. */
export const DIGEST_INFO: Readonly<Record<HashName, Uint8Array>> = {
  sha256: decodeHex('3031300d060960864801650304020105000420'),
  sha384: decodeHex('3041300d060960864801650304020205000430'),
  sha512: decodeHex('3051300d060960864801650304020305000440'),
};
