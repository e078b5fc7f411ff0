/**
 * Writes the signed certificate timestamp of a leaf: RFC 6962 sections 3.2 and 3.3, in the layout that merkle/x509/sct.ts
 * describes and reads.
 *
 * The log whose key signs is the transparency log that the certificate goes into. It need not sign again with its own key:
 * the timestamp is the authority's promise on behalf of that log, and the authority keeps the promise before the certificate
 * leaves it (docs/identity.md).
 */
import { concat } from '../../merkle/bytes.ts';
import { sha256 } from '../../merkle/rfc6962.ts';
import type { Signer } from '../../merkle/runtime/keys/types.ts';
import { encodeDer, TAG } from '../../merkle/x509/der.ts';
import { SCT_EXTENSION } from '../../merkle/x509/sct.ts';

/** A timestamp without extensions of its own: one byte `version`, one byte `signature_type`. */
const V1 = 0;
const CERTIFICATE_TIMESTAMP = 0;
const PRECERTIFICATE = 1;
const SHA256_ECDSA = Uint8Array.of(4, 3);
const NO_EXTENSIONS = Uint8Array.of(0, 0);

interface SctOptions {
  /** ECDSA P-256: the key that the trusted root lists under `ctlogs`. */
  readonly signer: Signer;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** SubjectPublicKeyInfo of the authority that issues the leaf, DER. */
  readonly issuer: Uint8Array;
}

/** The extension with one timestamp for the leaf whose TBSCertificate without this extension is `tbs`. */
export async function embeddedSct(
  tbs: Uint8Array,
  { signer, time, issuer }: SctOptions,
): Promise<{ readonly oid: string; readonly value: Uint8Array }> {
  const milliseconds = bigEndianBytes(BigInt(time), 8);
  const signed = concat(
    Uint8Array.of(V1, CERTIFICATE_TIMESTAMP),
    milliseconds,
    Uint8Array.of(0, PRECERTIFICATE),
    sha256(issuer),
    bigEndianBytes(BigInt(tbs.length), 3),
    tbs,
    NO_EXTENSIONS,
  );
  const signature = await signer.sign(signed);
  const sct = concat(
    Uint8Array.of(V1),
    sha256(signer.publicKey),
    milliseconds,
    NO_EXTENSIONS,
    SHA256_ECDSA,
    prefixed(signature),
  );
  return { oid: SCT_EXTENSION, value: encodeDer(TAG.octetString, prefixed(prefixed(sct))) };
}

function prefixed(bytes: Uint8Array): Uint8Array {
  return concat(bigEndianBytes(BigInt(bytes.length), 2), bytes);
}

function bigEndianBytes(value: bigint, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => Number((value >> BigInt(8 * (size - 1 - at))) & 0xffn));
}
