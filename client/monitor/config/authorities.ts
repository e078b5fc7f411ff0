/** The file that `authorities` names: a Sigstore trusted root, or certificates in PEM. */

import { equal } from '../../../merkle/bytes.ts';
import { parsePem, pemBytes } from '../../../merkle/pem.ts';
import { type Certificate, isSelfIssued, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { ClientError } from '../../errors.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { parseSpiffeBundles } from '../../trust/spiffe-bundles.ts';
import { MAX_TRUSTED_ROOT, parseTrustedRoots } from '../../trust/trusted-root.ts';
import type { IssuingAuthority } from '../rules/issuer-trust.ts';

export const MAX_AUTHORITIES_BYTES = MAX_TRUSTED_ROOT;
const MAX_CERTIFICATES = 64;

/**
 * In PEM, a certificate whose issuer is not in the file is a trusted root, and the others are intermediates.
 *
 * @throws ClientError `trusted-root`, `malformed`, `key`: the file is neither, or has no certificate
 */
export function readAuthorities(file: Uint8Array): readonly IssuingAuthority[] {
  const text = Buffer.from(file).toString('latin1');
  const authorities = /^\s*\{/.test(text) ? ofTrustedRoot(file) : ofPem(text);
  if (authorities.length > 0) return authorities;
  throw new ClientError('malformed', 'it has no certificate authority, so that no certificate could be as expected');
}

/**
 * @param file SPIFFE trust bundles: `{ "trust_domains": { … } }`
 * @throws ClientError `spiffe-bundle`
 */
export function readTrustDomains(file: Uint8Array): readonly IssuingAuthority[] {
  const bundles = [...parseSpiffeBundles([{ bytes: file }]).values()];
  return bundles.map(({ trustDomain, x509Authorities }) => ({
    roots: x509Authorities.map(({ der }) => der),
    intermediates: [],
    trustDomain,
  }));
}

function ofTrustedRoot(file: Uint8Array): IssuingAuthority[] {
  // An authority vouches for its certificates alone, whichever root of the file names it.
  const authorities = parseTrustedRoots(file).flatMap(({ certificateAuthorities }) => certificateAuthorities);
  return authorities.map(({ certificates, validFor }) => ({
    roots: [certificates.at(-1)!.der],
    intermediates: certificates.slice(0, -1).map(({ der }) => der),
    validFor,
  }));
}

function ofPem(text: string): IssuingAuthority[] {
  const certificates = withClientErrors(() =>
    parsePem(text)
      .filter(({ label }) => label === 'CERTIFICATE')
      .map((block) => parseCertificate(pemBytes(block))),
  );
  if (certificates.length === 0) {
    throw new ClientError('malformed', 'it is neither a trusted root (JSON) nor certificates in PEM');
  }
  if (certificates.length > MAX_CERTIFICATES) {
    throw new ClientError('malformed', `it has more than ${MAX_CERTIFICATES} certificates`);
  }
  const leaf = certificates.find(({ isCa }) => !isCa);
  if (leaf !== undefined) {
    throw new ClientError('malformed', `the certificate of "${leaf.subject}" is not that of an authority`);
  }
  const isRoot = (one: Certificate) =>
    isSelfIssued(one) || !certificates.some(({ subjectDer }) => equal(subjectDer, one.issuerDer));
  const ders = (list: readonly Certificate[]) => list.map(({ der }) => der);
  return [
    { roots: ders(certificates.filter(isRoot)), intermediates: ders(certificates.filter((one) => !isRoot(one))) },
  ];
}
