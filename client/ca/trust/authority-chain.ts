/** The chain of a team's authority in PEM, as `stele ca team` writes it: the authority, and the root that certified it. */
import { decodeUtf8, equal } from '../../../merkle/bytes.ts';
import { parsePem, pemBytes } from '../../../merkle/pem.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { type Certificate, isSelfIssued, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { mayIssue } from '../../../merkle/x509/certificate-chain.ts';
import { keyOf, verifyWith } from '../../../merkle/x509/signature-algorithms.ts';
import { ClientError } from '../../errors.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { subtreesOf } from '../certificates/teams.ts';

export type AuthorityChain = readonly [authority: Certificate, root: Certificate];

const MAX_CHAIN = 16;

/**
 * Reads a chain, and verifies the signatures of both certificates by the root's key. Times are not looked at.
 * @throws ClientError `key` for a file that holds no such chain; `bad-certificate` where it does not hold
 */
export function parseAuthorityChain(file: Uint8Array): AuthorityChain {
  const [authority, root, ...more] = certificatesIn(file);
  if (authority === undefined || root === undefined || more.length > 0) {
    throw new ClientError(
      'key',
      "the chain does not hold two certificates in PEM, the authority's and that of its root",
    );
  }
  const isRoot = isSelfIssued(root) && root.isCa && isSignedBy(root, root);
  if (!isRoot) throw bad('its second certificate is no root');
  if (equal(authority.der, root.der)) throw bad('it holds the root twice');
  if (!authority.isCa || authority.pathLen !== 0)
    throw bad('its first certificate is not for an authority above signers alone');
  if (!mayIssue(root, authority) || !isSignedBy(authority, root)) throw bad('the root did not certify the authority');
  subtreesOf(authority);
  return [authority, root];
}

/** All certificates of a file in PEM, in their order: at most 16. @throws ClientError `key`, `malformed` */
export function certificatesIn(file: Uint8Array): Certificate[] {
  return withClientErrors(() => {
    const blocks = parsePem(decodeUtf8(file));
    if (blocks.length === 0 || blocks.length > MAX_CHAIN || blocks.some(({ label }) => label !== 'CERTIFICATE')) {
      throw new ClientError('key', `the file does not hold 1 to ${MAX_CHAIN} certificates in PEM, and nothing else`);
    }
    return blocks.map((block) => parseCertificate(pemBytes(block)));
  });
}

function isSignedBy(certificate: Certificate, issuer: Certificate): boolean {
  const { signatureAlgorithm, tbs, signature } = certificate;
  return withClientErrors(() => verifyWith(signatureAlgorithm, keyOf(issuer), tbs, signature, nodePrimitives()));
}

function bad(why: string): ClientError {
  return new ClientError('bad-certificate', `the chain of the authority cannot be used: ${why}`);
}
