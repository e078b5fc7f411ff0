/**
 * `hashedrekord` 0.0.2 of Rekor v2: what is sent to the log and what the log makes of it (docs of rekor-tiles 2.3.0,
 * `CreateEntryRequest` and RFC 8785).
 */
import { encodeBase64, encodeUtf8 } from '../merkle/bytes.ts';
import type { PublicKey } from './key.ts';

/** A file's digest, signed. */
export interface Signed {
  /** Of `publicKey.digestSize` bytes. */
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  readonly publicKey: PublicKey;
}

/** Body of POST /api/v2/log/entries. */
export function createEntryRequest({ digest, signature, publicKey }: Signed): string {
  return JSON.stringify({
    hashedRekordRequestV002: {
      digest: encodeBase64(digest),
      signature: { content: encodeBase64(signature), verifier: verifier(publicKey) },
    },
  });
}

/**
 * The entry that the log must have made of it, byte by byte.
 *
 * The members stand here in the order of RFC 8785, and no value needs an escape, so that JSON.stringify writes its form.
 */
export function canonicalEntry({ digest, signature, publicKey }: Signed): Uint8Array {
  const { keyDetails, publicKey: rawKey } = verifier(publicKey);
  return encodeUtf8(
    JSON.stringify({
      apiVersion: '0.0.2',
      kind: 'hashedrekord',
      spec: {
        hashedRekordV002: {
          data: { algorithm: publicKey.digest, digest: encodeBase64(digest) },
          signature: { content: encodeBase64(signature), verifier: { keyDetails, publicKey: rawKey } },
        },
      },
    }),
  );
}

function verifier(key: PublicKey) {
  return { publicKey: { rawBytes: encodeBase64(key.spki) }, keyDetails: key.details };
}
