/**
 * A signer whose certificate is an X.509-SVID, as a workload gets it: for the authentication of clients and servers, without
 * Fulcio's extensions, and in no certificate-transparency log. The SPIFFE bundle of its trust domain vouches for its one name,
 * its SPIFFE ID, and for nothing else that the certificate says.
 */

import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { SpiffeId } from '../../merkle/spiffe/spiffe-id.ts';
import { checkX509Svid } from '../../merkle/spiffe/x509-svid.ts';
import { type Certificate, USAGE } from '../../merkle/x509/certificate.ts';
import type { CertificateIdentity } from '../../merkle/x509/fulcio.ts';
import { ClientError } from '../errors.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { SpiffeBundles } from '../trust/spiffe-bundles.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';
import type { Check, Outcome, VerifiedTime } from './outcome.ts';

/**
 * Which trust judges a certificate. Where the trusted root has authorities, it alone judges certificates for code signing: no
 * bundle undoes the end that the root gives to an authority, or spares a promise of a certificate-transparency log. A
 * certificate without usages is for all of them, so either may vouch for it.
 */
export function judgeOf(
  { extKeyUsage }: Certificate,
  root: TrustedRoot | undefined,
  bundles: SpiffeBundles | undefined,
): 'root' | 'bundles' | 'either' {
  if (bundles === undefined) return 'root';
  if (root === undefined || root.certificateAuthorities.length === 0) return 'bundles';
  if (extKeyUsage.length === 0) return 'either';
  return extKeyUsage.includes(USAGE.codeSigning) ? 'root' : 'bundles';
}

/** Whether a rule without an issuer leaves open who vouched for the identity. For that of an SVID its trust domain did. */
export function needsIssuer({ signer }: Outcome): boolean {
  return signer.kind === 'certificate' && signer.identity.svid === undefined;
}

/**
 * @param intermediates of the bundle
 * @param times at least one: the SVID must have been valid at each
 * @throws ClientError `bad-certificate`, `malformed`, `unsupported`; `bad-sct` where a promise is required
 */
export function checkSvid(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  times: readonly VerifiedTime[],
  { bundles, requireSct }: { readonly bundles: SpiffeBundles; readonly requireSct: boolean | undefined },
  primitives: Primitives,
): { readonly identity: CertificateIdentity; readonly check: Check } {
  const chain = [leaf, ...intermediates];
  let id: SpiffeId | undefined;
  for (const { time } of times) id = withClientErrors(() => checkX509Svid(chain, bundles, time, primitives, 'sign'));
  const { text, trustDomain } = id!;
  if (requireSct === true) {
    const why = `a promise of a certificate-transparency log is required, and the X.509-SVID of ${text} is in no such log`;
    throw new ClientError('bad-sct', why);
  }
  return {
    identity: { names: [{ type: 'uri', value: text }], extensions: new Map(), svid: id! },
    check: {
      name: 'certificate',
      serialNumber: leaf.serialNumber,
      times: times.map(({ time }) => time),
      by: `spiffe://${trustDomain}`,
      trustDomain,
    },
  };
}
