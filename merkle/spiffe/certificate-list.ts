/** Certificates in DER, one after the other, without anything between them: how the Workload API gives chains and bundles. */

import { type Certificate, parseCertificate } from '../x509/certificate.ts';
import { badDer } from '../x509/der.ts';

const SEQUENCE = 0x30;
const WHAT = 'the list of certificates';

/**
 * @param most largest number of certificates
 * @throws MerkleError `bad-der`
 */
export function parseCertificateList(bytes: Uint8Array, most: number): Certificate[] {
  const certificates: Certificate[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (certificates.length === most) throw badDer(WHAT, `has more than ${most} certificates`);
    const end = endOf(bytes, at);
    certificates.push(parseCertificate(bytes.slice(at, end)));
    at = end;
  }
  return certificates;
}

/** The end of the DER element at `at`. `parseCertificate` checks the rest of its encoding. */
function endOf(bytes: Uint8Array, at: number): number {
  const first = bytes[at + 1];
  let end = Number.NaN;
  if (bytes[at] === SEQUENCE && first !== undefined) {
    if (first < 0x80) end = at + 2 + first;
    if (first === 0x81) end = at + 3 + (bytes[at + 2] ?? Number.NaN);
    if (first === 0x82) end = at + 4 + (bytes[at + 2] ?? Number.NaN) * 256 + (bytes[at + 3] ?? Number.NaN);
  }
  if (!(end <= bytes.length)) throw badDer(WHAT, 'is not certificates in DER, one after the other');
  return end;
}
