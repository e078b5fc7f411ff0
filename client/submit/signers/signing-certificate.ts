/** The certificate that goes into entries in the place of a key. Node only. */
import { X509Certificate } from 'node:crypto';
import { equal } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { type PemBlock, parsePem, pemBytes } from '../../../merkle/pem.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { certificateKey } from '../../../merkle/runtime/x509/certificate-key.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { checkLeaf, verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import { ClientError } from '../../errors.ts';
import type { PublicKey } from '../../formats/key.ts';
import { checkSignerCertificate } from './certificate-check.ts';

/** Certificates of one file; chains have three. */
const MAX_CHAIN = 16;

/**
 * The first certificate of a chain in PEM. Other blocks and text are not read. It must be for `key` and valid now, each must
 * be issued by the next, and the chain must hold for verifiers that trust its last certificate.
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
  const [leaf, ...above] = chain.map(({ raw }) => Uint8Array.from(raw)) as [Uint8Array, ...Uint8Array[]];
  const now = Date.now();
  try {
    checkSignerCertificate(leaf, key, [now]);
    // An SVID has its own option, which leaves no doubt how it verifies.
    checkLeaf(parseCertificate(leaf), now);
    if (above.length > 0) checkChain(leaf, above, now);
  } catch (cause) {
    if (!(cause instanceof ClientError) && !(cause instanceof MerkleError)) throw cause;
    throw bad(`is not used: ${cause.message}`, cause);
  }
  return leaf;
}

/** @throws MerkleError with the codes of `parseCertificate` and `verifyChain` */
function checkChain(leaf: Uint8Array, above: readonly Uint8Array[], now: number): void {
  const authorities = above.map(parseCertificate);
  const roots = authorities.slice(-1);
  verifyChain(parseCertificate(leaf), { intermediates: authorities.slice(0, -1), roots }, now, nodePrimitives());
}

function blocksOf(pem: string): PemBlock[] {
  try {
    return parsePem(pem);
  } catch (cause) {
    throw new ClientError('key', `is not read: ${(cause as Error).message}`, { cause });
  }
}
