/**
 * What every verifier refuses in a signer's certificate. It is refused here before a log has the signature: a log never
 * removes an entry, and nobody could verify this one by its identity.
 */
import { equal } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { spiffeIdOf } from '../../../merkle/spiffe/x509-svid.ts';
import { type Certificate, parseCertificate, USAGE } from '../../../merkle/x509/certificate.ts';
import { checkLeaf } from '../../../merkle/x509/certificate-chain.ts';
import { identityOf } from '../../../merkle/x509/fulcio.ts';
import { parseTimestamp } from '../../../merkle/x509/timestamp.ts';
import { ClientError } from '../../errors.ts';
import type { PublicKey } from '../../formats/key.ts';

/**
 * Reads a certificate as verifiers do, and checks what does not depend on the time or on an authority.
 *
 * @param der one X.509 certificate
 * @throws ClientError `bad-certificate`
 */
export function readSignerCertificate(der: Uint8Array): Certificate {
  return refusing(() => {
    const certificate = parseCertificate(der);
    checkLeaf(certificate, certificate.notBefore, usageOf(certificate));
    identityOf(certificate);
    return certificate;
  });
}

/**
 * `readSignerCertificate`, and the certificate must be valid at one of `times`, and for `key`.
 *
 * @param times in milliseconds since 1970; at least one
 * @throws ClientError `bad-certificate`
 */
export function checkSignerCertificate(der: Uint8Array, key: Pick<PublicKey, 'spki'>, times: readonly number[]): void {
  const certificate = readSignerCertificate(der);
  if (!equal(certificate.spki, key.spki))
    throw new ClientError('bad-certificate', 'the certificate is for another key');
  const { notBefore, notAfter } = certificate;
  if (times.some((time) => notBefore <= time && time <= notAfter)) return;
  refusing(() => checkLeaf(certificate, times.at(-1)!, usageOf(certificate)));
}

/**
 * The extended key usage that a certificate must allow: code signing, and of an X.509-SVID also the authentication of clients.
 * SVIDs have no usage of their own for signatures, and verifiers with the SPIFFE bundle take them so (x509-svid.ts).
 */
function usageOf(certificate: Certificate): string {
  const { extKeyUsage } = certificate;
  const isClients = extKeyUsage.includes(USAGE.clientAuth) && !extKeyUsage.includes(USAGE.codeSigning);
  return isClients && isSvid(certificate) ? USAGE.clientAuth : USAGE.codeSigning;
}

/** Whether a certificate has the form of an X.509-SVID. Its trust domain is not checked. */
export function isSvid(certificate: Certificate): boolean {
  try {
    spiffeIdOf(certificate);
    return true;
  } catch (error) {
    if (error instanceof MerkleError) return false;
    throw error;
  }
}

/** The times of time stamps that can be read; nothing of them is verified. Milliseconds since 1970. */
export function timesIn(timestamps: readonly Uint8Array[]): number[] {
  return timestamps.flatMap((stamp) => {
    try {
      return [parseTimestamp(stamp).time];
    } catch (error) {
      if (error instanceof MerkleError) return [];
      throw error;
    }
  });
}

function refusing<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('bad-certificate', `${cause.message}; verifiers refuse such a certificate`, { cause });
  }
}
