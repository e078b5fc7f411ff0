/**
 * The signer: a key that the user knows, or a certificate that an authority of the trusted root issued for an identity. The
 * certificate must be valid at every verified time, and a certificate-transparency log must have promised to publish it.
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
import { keyHint } from '../formats/key.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { IdentityTest } from '../trust/identity-rule.ts';
import type { TrustedAuthority, TrustedRoot } from '../trust/trusted-root.ts';
import type { Claim } from './claim.ts';
import type { Check, VerifiedTime } from './outcome.ts';

/** The key that must have signed, and the form in which a log holds it. */
export interface ClaimedSigner {
  readonly key: KeyInfo;
  readonly verifier: Claim['verifier'];
  readonly certificate: Certificate | undefined;
}

/** How a bundle or an entry names its signer: a certificate, a key, or in a bundle neither. DER. */
interface NamedSigner {
  readonly certificate?: Uint8Array;
  readonly publicKey?: Uint8Array;
}

/**
 * The named signer, if it is the expected one.
 *
 * @param given the signer's key, if the user gave one; otherwise the user gave an identity
 * @throws ClientError `identity` if no certificate is there to find an identity in, `bad-signature` if the certificate or
 * the key is not the given one, `malformed`, `key`
 */
export function claimedSigner(named: NamedSigner, given: KeyInfo | undefined): ClaimedSigner {
  const certificate =
    named.certificate === undefined ? undefined : withClientErrors(() => parseCertificate(named.certificate!));
  if (given === undefined && certificate === undefined) {
    throw new ClientError(
      'identity',
      'it was signed with a bare key, not with a certificate that names an identity: give the key, if you know whose it is',
    );
  }
  const own = certificate?.spki ?? named.publicKey;
  if (given !== undefined && own !== undefined && !equal(given.spki, own)) {
    throw new ClientError(
      'bad-signature',
      `the signature is by another key (its hint is ${keyHint({ spki: own })}), not by the given key (${keyHint(given)}). ` +
        'Give that key, or the identity in its certificate, if you trust it',
    );
  }
  const key = given ?? withClientErrors(() => parseSpki(own!));
  return {
    key,
    verifier:
      named.certificate === undefined
        ? { kind: 'key', der: key.spki }
        : { kind: 'certificate', der: named.certificate },
    certificate,
  };
}

/**
 * The identity in a certificate, once the certificate holds at each of `times` and `matches` accepts the identity.
 *
 * @param chain certificates of the bundle; each must be a part of the path that was found
 * @throws ClientError `bad-certificate`, `bad-sct`, `identity`, `malformed`, `unsupported`
 */
export function checkIdentity(
  certificate: Certificate,
  chain: readonly Uint8Array[],
  times: readonly VerifiedTime[],
  matches: IdentityTest,
  root: TrustedRoot,
  primitives: Primitives,
): { readonly identity: CertificateIdentity; readonly checks: readonly Check[] } {
  const checks = checkCertificate(certificate, chain, times, root, primitives);
  const identity = withClientErrors(() => identityOf(certificate));
  if (matches(identity)) return { identity, checks: [{ name: 'identity', identity }, ...checks] };
  const names = identity.names.map(({ value }) => printable(value)).join(', ');
  throw new ClientError(
    'identity',
    `the certificate is for ${names || 'nobody'}, vouched for by ${printable(identity.issuer ?? 'nobody')}, and does not match the expected identity`,
  );
}

function checkCertificate(
  leaf: Certificate,
  chain: readonly Uint8Array[],
  times: readonly VerifiedTime[],
  root: TrustedRoot,
  primitives: Primitives,
): Check[] {
  const intermediates = withClientErrors(() => chain.map((der) => parseCertificate(der)));
  let path: Certificate[] = [];
  for (const { time } of times) path = withClientErrors(() => pathAt(leaf, intermediates, time, root, primitives));
  const distinct = new Set([leaf, ...intermediates].map(({ der }) => encodeHex(der)));
  if (
    distinct.size <= intermediates.length ||
    intermediates.some((one) => !path.some(({ der }) => equal(der, one.der)))
  ) {
    const why = 'the bundle has certificates that do not belong to the chain of the signer';
    throw new ClientError('bad-certificate', why);
  }
  const scts = withClientErrors(() => verifySct(leaf, path[1]!, root.ctlogs, primitives));
  return [
    {
      name: 'certificate',
      serialNumber: leaf.serialNumber,
      times: times.map(({ time }) => time),
      by: path.at(-1)!.subject,
    },
    ...scts.map(({ logId, time }): Check => ({ name: 'sct', time, logId })),
  ];
}

/** The path to an authority that the trusted root has for this time. */
function pathAt(
  leaf: Certificate,
  intermediates: readonly Certificate[],
  time: number,
  root: TrustedRoot,
  primitives: Primitives,
): Certificate[] {
  const current = root.certificateAuthorities.filter(({ validFor }) => within(validFor, time));
  if (current.length === 0) {
    const why = `the trusted root has no certificate authority for ${timeText(time)}, when the signature was made`;
    throw new ClientError('bad-certificate', why);
  }
  let failure: unknown;
  for (const authority of current) {
    try {
      return verifyChain(leaf, authoritiesOf(authority, intermediates), time, primitives);
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      // The failure with the authority that issued the certificate says more than the failure with any other.
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
