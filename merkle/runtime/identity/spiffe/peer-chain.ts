/** The certificates that the other side of a TLS connection presented. */
import type { TLSSocket } from 'node:tls';
import { MerkleError } from '../../../errors.ts';
import { type Certificate, parseCertificate } from '../../../x509/certificate.ts';

/** Most certificates of a chain, with those that its check does not need. */
const MAX_CHAIN = 16;

/**
 * The leaf, and each issuer that was presented with it. Empty where the peer presented none. Node has those issuers at the first
 * call for a socket alone: a second call finds the leaf without them.
 * @throws MerkleError `bad-der` for what cannot be read, `bad-certificate` for more than 16 certificates
 */
export function peerChain(socket: TLSSocket): Certificate[] {
  const chain: Certificate[] = [];
  let certificate = socket.getPeerX509Certificate();
  while (certificate !== undefined) {
    if (chain.length === MAX_CHAIN)
      throw new MerkleError('bad-certificate', `it comes with more than ${MAX_CHAIN - 1} others`);
    chain.push(parseCertificate(new Uint8Array(certificate.raw)));
    const issuer = certificate.issuerCertificate;
    certificate = issuer === undefined || issuer.raw.equals(certificate.raw) ? undefined : issuer;
  }
  return chain;
}
