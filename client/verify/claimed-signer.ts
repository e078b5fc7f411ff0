/**
 * The signer: a key that the user knows, or a certificate that an authority of the trusted root, or of a SPIFFE trust bundle,
 * issued for an identity. The certificate must be valid at every verified time. If the trusted root names
 * certificate-transparency logs, one of them must have promised to publish a certificate of its authorities.
 */
import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { type KeyInfo, parseSpki } from '../../merkle/rekor/spki.ts';
import { type Certificate, isSelfIssued, parseCertificate } from '../../merkle/x509/certificate.ts';
import { verifyChain } from '../../merkle/x509/certificate-chain.ts';
import type { AlternativeName } from '../../merkle/x509/certificate-names.ts';
import { parseDer } from '../../merkle/x509/der.ts';
import { type CertificateIdentity, identityOf } from '../../merkle/x509/fulcio.ts';
import type { IdentityTest } from '../../merkle/x509/identity-rule.ts';
import { verifySct } from '../../merkle/x509/sct.ts';
import { isSignerName, kindOfName } from '../../merkle/x509/signer-names.ts';
import { timeText, within } from '../../merkle/x509/utc-time.ts';
import { ClientError, usage } from '../errors.ts';
import { keyHint } from '../formats/key.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { SpiffeBundles } from '../trust/spiffe-bundles.ts';
import type { TrustedAuthority, TrustedRoot } from '../trust/trusted-root.ts';
import type { Claim } from './claim.ts';
import { checkPast } from './clock.ts';
import type { Check, NotProven, VerifiedTime } from './outcome.ts';
import { checkSvid, judgeOf } from './svid-signer.ts';

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

/** What an identity needs beside its certificate. */
interface IdentityTrust {
  /** One of `trustedRoot` and `spiffeBundles` at least. */
  readonly trustedRoot?: TrustedRoot | undefined;
  readonly spiffeBundles?: SpiffeBundles | undefined;
  /** Refuse a certificate if the trusted root names no certificate-transparency log. */
  readonly requireSct?: boolean | undefined;
  /** Take a certificate without a promise of a certificate-transparency log, although the trusted root names logs. */
  readonly ignoreSct?: boolean | undefined;
  /** See `VerifyRequest`. */
  readonly now?: number | undefined;
}

/** @throws ClientError `usage` if a promise of a certificate-transparency log is both required and ignored */
export function checkSctWish({ requireSct, ignoreSct }: Pick<IdentityTrust, 'requireSct' | 'ignoreSct'>): void {
  if (requireSct !== true || ignoreSct !== true) return;
  throw usage('the promise of a certificate-transparency log cannot be both required and ignored');
}

/** @throws ClientError `usage` if nothing says whose certificates count */
export function checkVouchers({
  trustedRoot,
  spiffeBundles,
}: Pick<IdentityTrust, 'trustedRoot' | 'spiffeBundles'>): void {
  if (trustedRoot !== undefined || spiffeBundles !== undefined) return;
  throw usage(
    'an identity is only as good as the authority that certified it: give a trusted root with that authority, or the SPIFFE bundle of its trust domain',
  );
}

interface CheckedIdentity {
  readonly identity: CertificateIdentity;
  /** The name of `identity` that is the expected one; absent if no name was asked for. */
  readonly matched: AlternativeName | undefined;
  readonly checks: readonly Check[];
  readonly notProven: readonly NotProven[];
}

/**
 * The identity in a certificate, once the certificate holds at each of `times` and `matches` accepts the identity.
 *
 * @param chain certificates of the bundle. None is trusted, and those that no path needs are superfluous
 * @throws ClientError `bad-certificate`, `bad-sct`, `identity`, `malformed`, `unsupported`, `future-time`
 */
export function checkIdentity(
  certificate: Certificate,
  chain: readonly Uint8Array[],
  times: readonly VerifiedTime[],
  matches: IdentityTest,
  trust: IdentityTrust,
  primitives: Primitives,
): CheckedIdentity {
  const { identity, checks, notProven } = certified(certificate, chain, times, trust, primitives);
  const match = matches(identity);
  if (match !== undefined) {
    const { name: matched } = match;
    return {
      identity,
      matched,
      checks: [{ name: 'identity', identity, ...(matched && { matched }) }, ...checks],
      notProven,
    };
  }
  const names = identity.names.map(foundName).join(', ');
  const by =
    identity.svid === undefined
      ? printable(identity.issuer ?? 'nobody')
      : `its trust domain (an X.509-SVID proves no issuer and no extension)`;
  throw new ClientError(
    'identity',
    `the certificate is for ${names || 'nobody'}, vouched for by ${by}, and does not match the expected identity`,
  );
}

/** What the certificate proves, by the trusted root or by SPIFFE bundles: svid-signer.ts says by which. */
function certified(
  leaf: Certificate,
  chain: readonly Uint8Array[],
  times: readonly VerifiedTime[],
  trust: IdentityTrust,
  primitives: Primitives,
): Pick<CheckedIdentity, 'identity' | 'checks' | 'notProven'> {
  const { trustedRoot, spiffeBundles, requireSct } = trust;
  checkChain(leaf, chain);
  let intermediates: readonly Certificate[] | undefined;
  const more = () => {
    intermediates ??= possibleIntermediates(chain);
    return intermediates;
  };
  const bySpiffe = (): ReturnType<typeof certified> => {
    const svid = checkSvid(leaf, more(), times, { bundles: spiffeBundles!, requireSct }, primitives);
    return { identity: svid.identity, checks: [svid.check], notProven: [notAsked('svid')] };
  };
  const judge = judgeOf(leaf, trustedRoot, spiffeBundles);
  if (judge === 'bundles') return bySpiffe();
  let found: ReturnType<typeof checkCertificate>;
  try {
    found = checkCertificate(leaf, more, times, trustedRoot!, primitives);
  } catch (error) {
    if (judge !== 'either' || !(error instanceof ClientError) || error.code !== 'bad-certificate') throw error;
    return bySpiffe();
  }
  const scts = checkScts(leaf, found.issuer, { ...trust, trustedRoot: trustedRoot! }, primitives);
  const identity = withClientErrors(() => identityOf(leaf));
  return { identity, checks: [found.check, ...scts.checks], notProven: scts.notProven };
}

/** A name that is not the expected one, with its kind where no name of that kind can be. */
function foundName(name: AlternativeName): string {
  const value = printable(name.value);
  return isSignerName(name) ? value : `${value} (${kindOfName(name)}, which is no identity)`;
}

function checkCertificate(
  leaf: Certificate,
  more: () => readonly Certificate[],
  times: readonly VerifiedTime[],
  root: TrustedRoot,
  primitives: Primitives,
): { readonly check: Check; readonly issuer: Certificate } {
  let path: Certificate[] = [];
  for (const { time } of times) path = withClientErrors(() => pathAt(leaf, more, time, root, primitives));
  const check: Check = {
    name: 'certificate',
    serialNumber: leaf.serialNumber,
    times: times.map(({ time }) => time),
    by: path.at(-1)!.subject,
  };
  return { check, issuer: path[1]! };
}

/** Certificates above the signer's may be superfluous, and then nothing reads them beyond their DER. */
function checkChain(leaf: Certificate, chain: readonly Uint8Array[]): void {
  for (const der of chain) withClientErrors(() => parseDer(der, 'a certificate in the bundle'));
  if (chain.some((der) => equal(der, leaf.der))) {
    throw new ClientError('bad-certificate', "the bundle has the signer's certificate twice");
  }
}

/**
 * The certificates that may stand between a leaf and a root. A certificate that this version cannot read stands on no path,
 * and neither does a root: only the trusted root brings roots.
 */
function possibleIntermediates(chain: readonly Uint8Array[]): Certificate[] {
  return chain.flatMap((der) => {
    try {
      const certificate = parseCertificate(der);
      return certificate.isCa && !isSelfIssued(certificate) ? [certificate] : [];
    } catch (error) {
      if (error instanceof MerkleError) return [];
      throw error;
    }
  });
}

/**
 * The path to an authority that the trusted root has for this time.
 *
 * @param more intermediates of the bundle, asked for only if those of the trusted root do not suffice
 */
function pathAt(
  leaf: Certificate,
  more: () => readonly Certificate[],
  time: number,
  root: TrustedRoot,
  primitives: Primitives,
): Certificate[] {
  const current = root.certificateAuthorities.filter(({ validFor }) => within(validFor, time));
  if (current.length === 0) {
    const why = `the trusted root has no certificate authority for ${timeText(time)}, when the signature was made`;
    throw new ClientError('bad-certificate', why);
  }
  const own = findPath(leaf, current, [], time, primitives);
  if ('path' in own) return own.path;
  const extra = more();
  const found = extra.length === 0 ? own : findPath(leaf, current, extra, time, primitives);
  if ('path' in found) return found.path;
  throw found.failure;
}

function findPath(
  leaf: Certificate,
  authorities: readonly TrustedAuthority[],
  more: readonly Certificate[],
  time: number,
  primitives: Primitives,
): { readonly path: Certificate[] } | { readonly failure: unknown } {
  let failure: unknown;
  for (const authority of authorities) {
    try {
      return { path: verifyChain(leaf, authoritiesOf(authority, more), time, primitives) };
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      // The failure with the authority that issued the certificate says more than the failure with any other.
      if (failure === undefined || authority.certificates.some((one) => equal(one.subjectDer, leaf.issuerDer))) {
        failure = error;
      }
    }
  }
  return { failure };
}

function authoritiesOf({ certificates }: TrustedAuthority, more: readonly Certificate[]) {
  const root = certificates.at(-1)!;
  return { roots: [root], intermediates: [...certificates.slice(0, -1), ...more] };
}

/** The trusted root decides whether a certificate-transparency log must have promised to publish the certificate. */
function checkScts(
  leaf: Certificate,
  issuer: Certificate,
  { trustedRoot, requireSct, ignoreSct, now }: IdentityTrust & { readonly trustedRoot: TrustedRoot },
  primitives: Primitives,
): Pick<CheckedIdentity, 'checks' | 'notProven'> {
  if (trustedRoot.ctlogs.length === 0 && trustedRoot.otherCtLogs !== true) {
    if (requireSct !== true) return { checks: [], notProven: [notAsked('no-log')] };
    const why = 'a promise of a certificate-transparency log is required, and the trusted root names no such log';
    throw new ClientError('bad-sct', why);
  }
  if (ignoreSct === true) return { checks: [], notProven: [notAsked('ignored')] };
  const scts = withClientErrors(() => verifySct(leaf, issuer, trustedRoot.ctlogs, primitives));
  for (const { time } of scts) checkPast(now, time, () => "the certificate-transparency log's promise");
  return { checks: scts.map(({ logId, time }): Check => ({ name: 'sct', time, logId })), notProven: [] };
}

function notAsked(because: 'no-log' | 'ignored' | 'svid'): NotProven {
  return { name: 'certificate-transparency', because };
}
