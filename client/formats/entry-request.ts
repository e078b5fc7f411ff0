/** A signature, its request to a log of Rekor v2 (`CreateEntryRequest`), and its entry in the log. */
import { encodeBase64 } from '../../merkle/bytes.ts';
import { formatHashedRekord, formatVerifier, type HashedRekordVerifier } from '../../merkle/rekor/hashedrekord.ts';
import type { PublicKey } from './key.ts';

/** A signed digest: of a file, or of the pre-authentication encoding of an attestation. */
export interface Signed {
  /** `publicKey.digestSize` bytes. */
  readonly digest: Uint8Array;
  readonly signature: Uint8Array;
  readonly publicKey: PublicKey;
  /** Certificate of the key, DER: the entry then holds the certificate in the key's place. */
  readonly certificate?: Uint8Array | undefined;
  /** Certificates above it, DER: the bundle holds them, and the entry does not. */
  readonly chain?: readonly Uint8Array[] | undefined;
}

/** The JSON body of POST /api/v2/log/entries. */
export function createEntryRequest(signed: Signed): string {
  const { digest, signature, publicKey } = signed;
  const verifier = formatVerifier(publicKey.details, verifierOf(signed));
  const content = `{"content":"${encodeBase64(signature)}","verifier":${verifier}}`;
  return `{"hashedRekordRequestV002":{"digest":"${encodeBase64(digest)}","signature":${content}}}`;
}

/** The exact bytes of the entry that the log must make from the request. */
export function canonicalEntry(signed: Signed): Uint8Array {
  const { digest, signature, publicKey } = signed;
  return formatHashedRekord({
    digestAlgorithm: publicKey.digest,
    digest,
    signature,
    keyDetails: publicKey.details,
    verifier: verifierOf(signed),
  });
}

function verifierOf({ publicKey, certificate }: Signed): HashedRekordVerifier {
  return certificate === undefined ? { publicKey: publicKey.spki } : { certificate };
}
