/** The certificate that goes into entries in the place of a key. Node only. */
import { X509Certificate } from 'node:crypto';
import { equal } from '../../../merkle/bytes.ts';
import { type PemBlock, parsePem, pemBytes } from '../../../merkle/pem.ts';
import { certificateKey } from '../../../merkle/runtime/x509/certificate-key.ts';
import { ClientError } from '../../errors.ts';
import type { PublicKey } from '../../formats/key.ts';

/** Certificates of one file; chains have three. */
const MAX_CHAIN = 16;

/**
 * The first certificate of a chain in PEM. Other blocks and text are not read. It must be for `key` and valid now, and each must be issued by the next.
 *
 * @returns DER
 * @throws ClientError `key`; the message goes on after the name of the file
 */
export function signingCertificate(pem: string, key: Pick<PublicKey, 'spki'>): Uint8Array {
  const bad = (why: string, cause?: unknown) => new ClientError('key', why, { cause });
  const blocks = blocksOf(pem).filter(({ label }) => label === 'CERTIFICATE');
  if (blocks.length === 0) throw bad('holds no certificate in PEM');
  if (blocks.length > MAX_CHAIN) throw bad(`holds more than ${MAX_CHAIN} certificates`);
  let chain: X509Certificate[];
  let spki: Uint8Array;
  try {
    chain = blocks.map((block) => new X509Certificate(pemBytes(block)));
    spki = certificateKey(chain[0]!.raw);
  } catch (cause) {
    throw bad('holds a certificate that cannot be read', cause);
  }
  if (!equal(spki, key.spki)) {
    throw bad("is not for this key: the first certificate of a chain must be the signer's own");
  }
  for (const [at, certificate] of chain.slice(1).entries()) {
    if (!chain[at]!.checkIssued(certificate) || !chain[at]!.verify(certificate.publicKey)) {
      throw bad(`is no chain: certificate ${at + 2} did not issue the one before it`);
    }
  }
  const leaf = chain[0]!;
  const now = Date.now();
  if (now < Date.parse(leaf.validFrom) || now > Date.parse(leaf.validTo)) {
    throw bad(`is valid from ${leaf.validFrom} to ${leaf.validTo}, and not now: nothing verifies what it signs now`);
  }
  return Uint8Array.from(leaf.raw);
}

function blocksOf(pem: string): PemBlock[] {
  try {
    return parsePem(pem);
  } catch (cause) {
    throw new ClientError('key', `is not read: ${(cause as Error).message}`, { cause });
  }
}
