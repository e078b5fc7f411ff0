/** The certificates that the other end of a TLS connection showed. */
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';

/** Longest chain that is looked at, in certificates. */
const MAX_CHAIN = 16;

/** In DER, the leaf first, without a root at the end; empty where the other end showed no certificate. The handshake proved the leaf's key. */
export function shownChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  // Node returns an empty object where there is no certificate, and a root is its own issuer.
  let one: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (one?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(one.raw);
    const issuer: DetailedPeerCertificate | undefined = one.issuerCertificate;
    if (issuer === one) break;
    one = issuer;
  }
  return chain;
}
