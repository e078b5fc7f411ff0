/**
 * Who signed: a key that the user knows, or a certificate that an authority of the trusted root gave to an identity, valid at
 * every time that was found out, and in a certificate-transparency log.
 */

import { encodeHex, equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { type KeyInfo, parseSpki } from '../../merkle/rekor/spki.ts';
import { type Certificate, parseCertificate } from '../../merkle/x509/certificate.ts';
import { verifyChain } from '../../merkle/x509/certificate-chain.ts';
import { type CertificateIdentity, identityOf } from '../../merkle/x509/fulcio.ts';
import { verifySct } from '../../merkle/x509/sct.ts';
import { timeText, within } from '../../merkle/x509/utc-time.ts';
import { ClientError } from '../errors.ts';
import type { BundleSigner } from '../formats/bundle.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { TrustedAuthority, TrustedRoot } from '../trust/trusted-root.ts';
import type { Claim } from './claim.ts';
import type { Check, VerifiedTime } from './outcome.ts';

/** The key that the signature must be by, and the form in which it was logged. */
export interface Signer {
  readonly key: KeyInfo;
  readonly verifier: Claim['verifier'];
  readonly certificate: Certificate | undefined;
}

/**
 * The signer that a bundle names, or the key that the user gives.
 *
 * @throws ClientError `identity` where the bundle has no certificate to find an identity in, `bad-signature` where its
 * certificate is of another key than the given one, `malformed`, `key`
 */
export function signerOf(signer: BundleSigner, given: KeyInfo | undefined): Signer {
  if (signer.kind === 'public-key') {
    if (given !== undefined) return { key: given, verifier: { kind: 'key', der: given.spki }, certificate: undefined };
    throw new ClientError(
      'identity',
      'the bundle was signed with a key of its own, not with a certificate that names an identity: give the key, if you know whose it is',
    );
  }
  const certificate = withClientErrors(() => parseCertificate(signer.certificate));
  if (given !== undefined && !equal(given.spki, certificate.spki)) {
    throw new ClientError(
      'bad-signature',
      'the signature is not by the given key: the certificate in the bundle is of another. Give that key, or the identity, if you trust it',
    );
  }
  return {
    key: withClientErrors(() => parseSpki(certificate.spki)),
    verifier: { kind: 'certificate', der: signer.certificate },
    certificate,
  };
}

/**
 * The identity of a certificate, once its chain held at each of `times`.
 *
 * @param chain certificates of the bundle; each must be a part of the path that was found
 * @throws ClientError `bad-certificate`, `bad-sct`, `malformed`, `unsupported`
 */
export function checkCertificate(
  leaf: Certificate,
  chain: readonly Uint8Array[],
  times: readonly VerifiedTime[],
  root: TrustedRoot,
  primitives: Primitives,
): { readonly identity: CertificateIdentity; readonly checks: readonly Check[] } {
  const intermediates = withClientErrors(() => chain.map((der) => parseCertificate(der)));
  let path: Certificate[] = [];
  for (const { time } of times) path = withClientErrors(() => pathAt(leaf, intermediates, time, root, primitives));
  const distinct = new Set([leaf, ...intermediates].map(({ der }) => encodeHex(der)));
  if (
    distinct.size <= intermediates.length ||
    intermediates.some((one) => !path.some(({ der }) => equal(der, one.der)))
  ) {
    throw new ClientError(
      'bad-certificate',
      'the bundle has certificates that do not belong to the chain of the signer',
    );
  }
  const scts = withClientErrors(() => verifySct(leaf, path[1]!, root.ctlogs, primitives));
  const when = times.map(({ time }) => timeText(time)).join(', ');
  const checks: Check[] = [
    {
      name: 'certificate',
      detail: `number ${leaf.serialNumber}, valid at ${when}, leads to a root of the trusted root`,
      by: printable(path.at(-1)!.subject),
    },
    ...scts.map(
      ({ logId, time }): Check => ({
        name: 'sct',
        detail: `the certificate was promised to the public at ${timeText(time)}`,
        by: `certificate-transparency log ${encodeHex(logId)}`,
      }),
    ),
  ];
  return { identity: withClientErrors(() => identityOf(leaf)), checks };
}

/** The path by an authority that the trusted root has for this time. */
function pathAt(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  time: number,
  root: TrustedRoot,
  primitives: Primitives,
): Certificate[] {
  const current = root.certificateAuthorities.filter(({ validFor }) => within(validFor, time));
  if (current.length === 0) {
    throw new ClientError(
      'bad-certificate',
      `the trusted root has no certificate authority for ${timeText(time)}, when the signature was made`,
    );
  }
  let failure: unknown;
  for (const authority of current) {
    try {
      return verifyChain(leaf, authoritiesOf(authority, intermediates), time, primitives);
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      // The reason of the authority that issued the certificate tells more than that of any other.
      if (failure === undefined || authority.certificates.some((one) => equal(one.subjectDer, leaf.issuerDer))) {
        failure = error;
      }
    }
  }
  throw failure;
}

function authoritiesOf({ certificates }: TrustedAuthority, more: readonly Certificate[]) {
  const root = certificates.at(-1)!;
  return { roots: [root], intermediates: [...certificates.slice(0, -1), ...more] };
}
