/**
 * What is checked of a certificate before it leaves the authority: with Node's X.509 (OpenSSL), and with Stele's own parser
 * and chain check. Both must find in it what was asked for, signed by the issuer.
 */
import { X509Certificate } from 'node:crypto';
import { encodeHex, equal } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { type Certificate, EXTENSION, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { mayIssue, verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import { keyOf, verifyWith } from '../../../merkle/x509/signature-algorithms.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError } from '../../errors.ts';
import { notPermitted } from './constraints.ts';
import type { NewCertificate } from './types.ts';

const parsedByNode = new WeakMap<Certificate, X509Certificate>();

/** @throws ClientError `bad-certificate` */
export function checkMade(der: Uint8Array, contents: NewCertificate): void {
  try {
    const made = parseCertificate(der);
    const issuer = contents.issuer.certificate ?? made;
    checkContents(made, contents);
    checkIssuer(made, issuer, contents);
    checkSignature(made, issuer);
    if (made.isCa) return;
    for (const name of made.names) {
      const why = notPermitted(issuer, name);
      if (why !== undefined) throw bad(`the certificate ${why}`);
    }
    const authorities = { intermediates: [], roots: [issuer] };
    for (const time of [made.notBefore, made.notAfter]) verifyChain(made, authorities, time, nodePrimitives());
  } catch (cause) {
    if (cause instanceof MerkleError) throw bad(cause.message, cause);
    throw cause;
  }
}

/** What stands in the certificate is what was asked for. */
function checkContents(made: Certificate, contents: NewCertificate): void {
  const { publicKey, serial, notBefore, notAfter, extensions, timestamps } = contents;
  const isSame =
    equal(made.spki, publicKey) &&
    made.serialNumber === encodeHex(serial) &&
    made.notBefore === notBefore &&
    made.notAfter === notAfter &&
    extensions.every(({ oid, critical, value }) => {
      const found = made.extension(oid);
      return found?.critical === critical && equal(found.value, value);
    });
  if (!isSame) throw bad('it does not hold what it was to hold');
  // What is in it beside that: the identifiers of the keys, and timestamps.
  const more = 1 + (contents.issuer.certificate === undefined ? 0 : 1) + (timestamps === undefined ? 0 : 1);
  if (made.subjectKeyId === undefined || made.extensions.size !== extensions.length + more) {
    throw bad('it does not have the extensions that it was to have');
  }
  if (made.isCa) return;
  if (made.names.length !== 1) throw bad(`a signer's certificate has one name, not ${made.names.length}`);
  if (!made.extension(EXTENSION.subjectAltName)!.critical)
    throw bad('its name is not critical, and its subject is empty');
}

/** The issuer may issue it. `verifyChain` checks the same of a leaf. */
function checkIssuer(made: Certificate, issuer: Certificate, { issuer: { signer } }: NewCertificate): void {
  if (!equal(issuer.spki, signer.publicKey)) throw bad("the key that signs is not that of the issuer's certificate");
  if (!mayIssue(issuer, made)) throw bad('it does not name its issuer as the issuer names itself');
  if (made.notBefore < issuer.notBefore || made.notAfter > issuer.notAfter) {
    const [from, to] = [issuer.notBefore, issuer.notAfter].map(timeText);
    throw bad(`it is not within the time of its issuer, ${from} to ${to}`);
  }
  if (!issuer.isCa || issuer.keyUsage?.includes('keyCertSign') !== true) throw bad('its issuer is no authority');
  if (made === issuer || !made.isCa) return;
  if ((made.pathLen ?? Number.POSITIVE_INFINITY) >= (issuer.pathLen ?? Number.POSITIVE_INFINITY)) {
    throw bad('its path may be as long as that of its issuer');
  }
}

function checkSignature(made: Certificate, issuer: Certificate): void {
  const { signatureAlgorithm, tbs, signature } = made;
  const byOwn = verifyWith(signatureAlgorithm, keyOf(issuer), tbs, signature, nodePrimitives());
  const [node, above] = [new X509Certificate(made.der), byNode(issuer)];
  if (!byOwn || !node.verify(above.publicKey) || !node.checkIssued(above)) {
    throw bad('it does not bear the signature of its issuer');
  }
}

function byNode(certificate: Certificate): X509Certificate {
  let parsed = parsedByNode.get(certificate);
  if (parsed === undefined) {
    parsed = new X509Certificate(certificate.der);
    parsedByNode.set(certificate, parsed);
  }
  return parsed;
}

function bad(why: string, cause?: unknown): ClientError {
  return new ClientError('bad-certificate', `no certificate is made: ${why}`, { cause });
}
