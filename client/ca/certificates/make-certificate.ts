/**
 * Makes X.509 certificates (RFC 5280) by @peculiar/x509, with a signature that a key of ours gives, wherever it lives.
 *
 * The library writes what is signed. It would take the signature as raw r and s, and gives an invalid certificate without an
 * error for any other form. So the signature is put in here, in DER as the signer gives it, and every certificate is checked
 * before it leaves: made-certificate.ts.
 */
import { createHash, randomBytes } from 'node:crypto';
import { concat, encodeHex } from '../../../merkle/bytes.ts';
import { readPublicKey } from '../../../merkle/runtime/crypto/public-key.ts';
import type { KeyAlgorithm } from '../../../merkle/runtime/keys/types.ts';
import { constructed, encodeDer, parseDer, TAG } from '../../../merkle/x509/der.ts';
import { ClientError } from '../../errors.ts';
import { authorityKeyId, subjectKeyId } from './extensions.ts';
import { loadX509 } from './library.ts';
import { checkMade } from './made-certificate.ts';
import type { NewCertificate, NewExtension } from './types.ts';

const WHAT = 'the certificate to sign';
const ALGORITHMS: Readonly<Record<KeyAlgorithm, object>> = {
  'ecdsa-p256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  ed25519: { name: 'Ed25519' },
};

/** A random serial number of 16 bytes: positive, and without a leading zero byte. */
export function newSerial(): Uint8Array {
  const serial = new Uint8Array(randomBytes(16));
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial;
}

/**
 * Makes a certificate, verified against its issuer.
 *
 * @returns DER
 * @throws ClientError `usage` for contents that no certificate may have; `bad-certificate` where the certificate would not be
 * valid: beyond its issuer's time, names or path, or not signed by its issuer's key. Errors of the signer pass.
 */
export async function makeCertificate(contents: NewCertificate): Promise<Uint8Array> {
  const { issuer, timestamps } = contents;
  checkContents(contents);
  let tbs = await toBeSigned(contents);
  if (timestamps !== undefined) tbs = await withLast(tbs, { critical: false, ...(await timestamps(tbs)) });
  // The algorithm stands in the signed part too: version, serialNumber, signature.
  const algorithm = parseDer(tbs, WHAT).children[2]!.bytes;
  const signature = await issuer.signer.sign(tbs);
  const bits = encodeDer(TAG.bitString, Uint8Array.of(0), signature);
  const der = encodeDer(TAG.sequence, tbs, algorithm, bits);
  checkMade(der, contents);
  return der;
}

/** @throws ClientError `usage` */
function checkContents({ serial, notBefore, notAfter, publicKey, subject, issuer, extensions }: NewCertificate): void {
  if (serial.length < 1 || serial.length > 20 || serial[0]! === 0 || serial[0]! >= 0x80) {
    throw new ClientError('usage', 'a serial number has 1 to 20 bytes, and is positive without a leading zero byte');
  }
  // UTCTime and GeneralizedTime of RFC 5280 have no parts of a second.
  if (![notBefore, notAfter].every((time) => Number.isSafeInteger(time) && time >= 0 && time % 1000 === 0)) {
    throw new ClientError('usage', 'the times of a certificate are whole seconds from 1970 on');
  }
  if (notAfter <= notBefore) throw new ClientError('usage', 'a certificate ends after it begins');
  try {
    readPublicKey(publicKey);
  } catch (cause) {
    throw new ClientError('usage', `no certificate is made for this key: ${(cause as Error).message}`, { cause });
  }
  for (const text of Object.values(subject)) {
    if (!/^[\p{L}\p{N} .,:'()/_@+-]{1,64}$/u.test(text) || text.trim() !== text) {
      throw new ClientError('usage', 'a subject has 1 to 64 letters, digits, spaces and common marks');
    }
  }
  if (issuer.certificate === undefined && Object.keys(subject).length === 0) {
    throw new ClientError('usage', 'a root has a subject: a common name, an organization, or both');
  }
  const oids = extensions.map(({ oid }) => oid);
  if (new Set(oids).size !== oids.length) throw new ClientError('usage', 'an extension is given twice');
}

/** The TBSCertificate, DER. */
async function toBeSigned(contents: NewCertificate): Promise<Uint8Array> {
  const { subject, publicKey, issuer, serial, notBefore, notAfter } = contents;
  const { Extension, Name, X509CertificateGenerator } = await loadX509();
  const name = new Name([
    ...(subject.organization === undefined ? [] : [{ O: [{ utf8String: subject.organization }] }]),
    ...(subject.commonName === undefined ? [] : [{ CN: [{ utf8String: subject.commonName }] }]),
  ]);
  const above = issuer.certificate?.subjectDer;
  const identifiers = [
    subjectKeyId(keyIdOf(publicKey)),
    ...(issuer.certificate === undefined
      ? []
      : [authorityKeyId(issuer.certificate.subjectKeyId ?? keyIdOf(issuer.signer.publicKey))]),
  ];
  const certificate = await X509CertificateGenerator.create({
    subject: name,
    issuer: above === undefined ? name : new Name(Uint8Array.from(above)),
    publicKey: Uint8Array.from(publicKey),
    serialNumber: encodeHex(serial),
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
    extensions: [...contents.extensions, ...identifiers].map(
      ({ oid, critical, value }) => new Extension(oid, critical, Uint8Array.from(value)),
    ),
    signingAlgorithm: ALGORITHMS[issuer.signer.algorithm],
    signature: new Uint8Array(64), // no signature: makeCertificate makes it
  });
  return parseDer(new Uint8Array(certificate.rawData), WHAT).children[0]!.bytes;
}

/** The leftmost 20 bytes of the SHA-256 over the bits of a key: RFC 7093 section 2, method 1. */
function keyIdOf(publicKey: Uint8Array): Uint8Array {
  const bits = parseDer(publicKey, 'the public key').children[1]!.content.subarray(1);
  return new Uint8Array(createHash('sha256').update(bits).digest()).slice(0, 20);
}

/** `tbs` with one more extension at the end of its list, which is its last field. */
async function withLast(tbs: Uint8Array, { oid, critical, value }: NewExtension): Promise<Uint8Array> {
  const { Extension } = await loadX509();
  const extension = new Uint8Array(new Extension(oid, critical, Uint8Array.from(value)).rawData);
  const fields = parseDer(tbs, WHAT).children.map(({ tag, bytes, children }) => {
    if (tag !== constructed(3)) return bytes;
    return encodeDer(constructed(3), encodeDer(TAG.sequence, concat(children[0]!.content, extension)));
  });
  return encodeDer(TAG.sequence, ...fields);
}
