/** The certificates that the other side of a TLS connection presented. */
import type { TLSSocket } from 'node:tls';
import { type Certificate, parseCertificate } from '../../../x509/certificate.ts';

/** A chain has a leaf and few intermediates. */
const MAX_CHAIN = 16;

/**
 * The leaf, and each issuer that was presented with it. Empty where the peer presented none.
 * @throws MerkleError `bad-der`
 */
export function peerChain(socket: TLSSocket): Certificate[] {
  const chain: Certificate[] = [];
  let certificate = socket.getPeerX509Certificate();
  while (certificate !== undefined && chain.length < MAX_CHAIN) {
    chain.push(parseCertificate(new Uint8Array(certificate.raw)));
    const issuer = certificate.issuerCertificate;
    certificate = issuer === undefined || issuer.raw.equals(certificate.raw) ? undefined : issuer;
  }
  return chain;
}
