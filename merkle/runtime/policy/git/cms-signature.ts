/**
 * X.509 signatures over git objects, as gitsign writes them (sigstore/gitsign, "Bundles and CMS"): CMS SignedData without the
 * content, in PEM with the label `SIGNED MESSAGE`. The signature is over the signed attributes, which hold the digest of the
 * object; so the "file" that a log entry and a time stamp are about are the signed attributes.
 */
import { equal } from '../../../bytes.ts';
import { MerkleError } from '../../../errors.ts';
import { parsePem, pemBytes } from '../../../pem.ts';
import type { HashName } from '../../../rekor/hashes.ts';
import type { Primitives } from '../../../rekor/primitives.ts';
import type { Certificate } from '../../../x509/certificate.ts';
import { openSignedData, readCmsSigner, wholeCertificates } from '../../../x509/cms.ts';
import { parseDer, TAG } from '../../../x509/der.ts';
import { expectTag } from '../../../x509/der-fields.ts';
import { keyOf, verifyWith } from '../../../x509/signature-algorithms.ts';

export interface CmsSignature {
  /** The signer's. Its chain is not verified. */
  readonly certificate: Certificate;
  /** Of the signature over `message`. */
  readonly hash: HashName;
  /** The signed attributes as they are signed. */
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  /** A serialized `dev.sigstore.rekor.v1.TransparencyLogEntry` without its body. */
  readonly logEntry?: Uint8Array;
  /** A TimeStampToken of RFC 3161 over the signature. */
  readonly timestamp?: Uint8Array;
}

const WHAT = 'the signature of the git object';
const LABEL = 'SIGNED MESSAGE';
const OID = {
  data: '1.2.840.113549.1.7.1',
  logEntry: '1.3.6.1.4.1.57264.3.1',
  timestamp: '1.2.840.113549.1.9.16.2.14',
} as const;
const ARMOR = /^-----BEGIN SIGNED MESSAGE-----\n[A-Za-z0-9+/=\n]{1,90000}\n-----END SIGNED MESSAGE-----\n?$/;

export function isCmsSignature(armored: string): boolean {
  return armored.startsWith(`-----BEGIN ${LABEL}-----`);
}

/**
 * Reads a signature, and verifies that it is by the key of its certificate over `signed`. Whether to trust the certificate is
 * for the caller to judge.
 *
 * @throws MerkleError `bad-git`, `bad-der`, `bad-pem`, `bad-key`; `bad-signature` where it is not over `signed`; `unsupported`
 */
export function verifyCmsSignature(armored: string, signed: Uint8Array, primitives: Primitives): CmsSignature {
  if (!ARMOR.test(armored))
    throw new MerkleError('bad-git', `${WHAT} is not one PEM block "${LABEL}", with nothing after it`);
  const [block] = parsePem(armored);
  const data = openSignedData(expectTag(parseDer(pemBytes(block!), WHAT), TAG.sequence, WHAT), OID.data, WHAT);
  if (data.content !== undefined) throw new MerkleError('bad-git', `${WHAT} holds an object of its own`);
  const certificates = wholeCertificates(data, WHAT).filter(data.signerId.is);
  const [certificate] = certificates;
  if (certificate === undefined || certificates.length > 1) {
    throw new MerkleError('bad-git', `${WHAT} does not hold the certificate of its signer once`);
  }
  const signer = readCmsSigner(data, OID.data, WHAT);
  const { digestHash: hash, message, signature, algorithm } = signer;
  if (!equal(primitives.hash(hash, signed), signer.contentDigest)) throw notOver('is over another object');
  if (!verifyWith(algorithm, keyOf(certificate), message, signature, primitives, hash)) {
    throw notOver('is not by the key of its certificate');
  }
  const unsigned = signer.unsignedAttributes();
  const octets = (oid: string) => {
    const value = unsigned.get(oid);
    return value && expectTag(value, TAG.octetString, WHAT).content;
  };
  const logEntry = octets(OID.logEntry);
  const timestamp = unsigned.get(OID.timestamp)?.bytes;
  return {
    certificate,
    hash,
    message,
    signature,
    ...(logEntry === undefined ? {} : { logEntry }),
    ...(timestamp === undefined ? {} : { timestamp }),
  };
}

function notOver(why: string): MerkleError {
  return new MerkleError('bad-signature', `${WHAT} ${why}`);
}
