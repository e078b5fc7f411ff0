/** What OpenSSL says of a PKCS#8 key whose passphrase is hashed with scrypt at a high cost (RFC 7914 section 7). */

/**
 * Why OpenSSL cannot open such a key, whatever the passphrase; undefined for any other failure of `createPrivateKey`.
 *
 * OpenSSL gives scrypt 32 MiB for a key file, and no option raises that. With r = 8, N is at most 16384.
 */
export function scryptLimit(cause: unknown): string | undefined {
  if ((cause as NodeJS.ErrnoException).code !== 'ERR_OSSL_EVP_MEMORY_LIMIT_EXCEEDED') return undefined;
  const how = 'encrypt it anew with the program that made it, with N = 16384 or less, or with PBKDF2';
  return `its passphrase is hashed with scrypt at a cost of more than 32 MiB, which OpenSSL does not read: ${how}`;
}
