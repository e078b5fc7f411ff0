/**
 * Offline verification of a Sigstore bundle: whether a signer that the user trusts signed the file, and whether a log that
 * the user trusts holds the signature.
 *
 * The verifier trusts nothing because the bundle says it. The order is: the signer that the bundle names; the file's digest
 * and the signature; the time stamps; each logged entry, rebuilt from what was signed, and its leaf in the log (leaf.ts);
 * and last, when all times are known, the certificate and the identity in it.
 *
 * Pure and synchronous: no network, no clock, no files. It runs in a browser.
 */
import { encodeBase64, encodeHex } from '../../merkle/bytes.ts';
import type { HashName } from '../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { KeyInfo } from '../../merkle/rekor/spki.ts';
import type { IdentityTest } from '../../merkle/x509/identity-rule.ts';
import { ClientError, usage } from '../errors.ts';
import { type Bundle, MAX_BUNDLE_EVIDENCE } from '../formats/bundle.ts';
import type { SpiffeBundles } from '../trust/spiffe-bundles.ts';
import { type CheckedEntries, checkEntries, type EntryTrust } from './bundle-entry.ts';
import { checkStamps, type StampTrust } from './bundle-stamps.ts';
import type { Claim } from './claim.ts';
import { type ClaimedSigner, checkIdentity, checkSctWish, checkVouchers, claimedSigner } from './claimed-signer.ts';
import { checkNow } from './clock.ts';
import { type ArtifactDigests, checkContent, hashesNeeded, type RequiredClaim } from './content.ts';
import type { Check, NotProven, Outcome, VerifiedSigner, VerifiedTime } from './outcome.ts';

/** Something is trusted: at least one of `trustedRoot`, `logKey` and `policy`. */
export interface VerifyRequest extends EntryTrust, StampTrust, RequiredClaim {
  readonly bundle: Bundle;
  /**
   * Of the file, by the hashes of `requiredHashes`. For an attestation without the file at hand, one of the hashes by which
   * the statement names the file suffices.
   */
  readonly artifact: ArtifactDigests;
  /** The signer's key, if the caller knows it. One of `key` and `identity` must be given. */
  readonly key?: KeyInfo;
  /** Whether the certificate names the expected identity; needs `trustedRoot` or `spiffeBundles`. */
  readonly identity?: IdentityTest;
  /** Trust domains whose X.509-SVIDs count as the certificate of an identity; only with `identity`. */
  readonly spiffeBundles?: SpiffeBundles | undefined;
  /** Refuse a certificate if the trusted root names no certificate-transparency log; only with `identity`. */
  readonly requireSct?: boolean | undefined;
  /**
   * Take a certificate without a promise of a certificate-transparency log, although the trusted root names logs; only with
   * `identity`. Then nothing shows that the certificate was made public.
   */
  readonly ignoreSct?: boolean | undefined;
}

/**
 * The hashes of the file that `checkBundle` needs.
 *
 * @param key as the caller will give it to `checkBundle`
 * @throws ClientError as `checkBundle`
 */
export function requiredHashes(bundle: Bundle, key?: KeyInfo): HashName[] {
  return hashesNeeded(bundle.content, signerOf(bundle, key).key);
}

/**
 * Verifies all of a bundle.
 *
 * @param primitives what checks signatures
 * @throws ClientError if something does not hold: `attestation`, `digest-mismatch`, `bad-signature`, `bad-timestamp`,
 * `bad-promise`, `entry-mismatch`, `bad-proof`, `bad-checkpoint`, `policy`, `quorum`, `bad-certificate`, `bad-sct`,
 * `future-time`, `identity`, `malformed`; if something cannot be checked: `unsupported`, `usage`, `trusted-root`, `key`
 */
export function checkBundle(request: VerifyRequest, primitives: Primitives): Outcome {
  checkRequest(request);
  const { bundle } = request;
  const signer = signerOf(bundle, request.key);
  const signed = checkContentOf(request, signer, primitives);
  const claim: Claim = { ...signed, key: signer.key, verifier: signer.verifier };

  const stamps = checkStamps(bundle, request, primitives);
  const entries = checkEntries(bundle.entries, claim, request, stamps.times, primitives);
  const times = [...stamps.times, ...entries.checked.flatMap((entry) => entry.times)].sort((a, b) => a.time - b.time);

  const found = checkSigner(request, signer, times, primitives);
  const { artifact, statement } = signed;
  return {
    checks: [
      ...signed.checks,
      { name: 'signature', fingerprint: found.signer.fingerprint, by: signer.key.name },
      ...found.checks,
      ...stamps.times.map(({ time, by }): Check => ({ name: 'timestamp', time, by })),
      ...entries.checked.flatMap(({ checks }) => checks),
    ],
    notProven: notProven(request, signer, times, entries, [found.notProven, stamps.notProven]),
    digest: artifact,
    signer: found.signer,
    ...(statement === undefined ? {} : { statement }),
    times,
    entries: entries.checked.map(({ verified }) => verified),
  };
}

function signerOf({ signer }: Bundle, key: KeyInfo | undefined): ClaimedSigner {
  return claimedSigner(signer.kind === 'certificate' ? { certificate: signer.certificate } : {}, key);
}

function checkRequest(request: VerifyRequest): void {
  const { bundle, key, identity, trustedRoot, logKey, policy, witnessTime, requireSct, ignoreSct } = request;
  const { now, requireLogs, requireTimestamps, spiffeBundles } = request;
  if ((key === undefined) === (identity === undefined)) {
    throw usage(
      "say whose signature it must be: give the signer's key, or the identity in the certificate, and not both",
    );
  }
  if (trustedRoot === undefined && logKey === undefined && policy === undefined) {
    throw usage('say which log you trust: give a trusted root, the key of the log, or a policy with witnesses as well');
  }
  if (identity !== undefined) checkVouchers(request);
  if (identity === undefined && spiffeBundles !== undefined) {
    throw usage("a SPIFFE bundle vouches for an identity, and not for the signer's key");
  }
  if (identity === undefined && (requireSct === true || ignoreSct === true)) {
    throw usage(
      "the promise of a certificate-transparency log is checked for an identity, and not for the signer's key",
    );
  }
  checkSctWish(request);
  checkNow(now);
  checkThreshold(requireLogs, 'logs');
  checkThreshold(requireTimestamps, 'time-stamp authorities');
  if (requireTimestamps !== undefined && trustedRoot === undefined) {
    throw usage('time stamps are checked with the authorities of a trusted root: give one');
  }
  if (witnessTime === true && policy?.quorum === undefined) {
    throw usage("the witnesses' time needs a policy with a quorum of witnesses");
  }
  if (bundle.entries.length === 0) {
    throw new ClientError(
      'bad-proof',
      'the bundle holds no log entry: nothing shows that the signature was logged. `stele submit` logs it, and completes the bundle',
    );
  }
}

function checkThreshold(count: number | undefined, what: string): void {
  if (count === undefined || (Number.isInteger(count) && count >= 1 && count <= MAX_BUNDLE_EVIDENCE)) return;
  throw usage(`the number of different ${what} that is required is not one of 1 to ${MAX_BUNDLE_EVIDENCE}`);
}

function checkContentOf(request: VerifyRequest, signer: ClaimedSigner, primitives: Primitives) {
  const { bundle, artifact, key } = request;
  try {
    return checkContent(bundle.content, artifact, request, signer.key, primitives);
  } catch (cause) {
    const { signer: named } = bundle;
    // Nobody vouches for the hint, but the hint tells which of two mistakes is likelier.
    const hinted = cause instanceof ClientError && cause.code === 'bad-signature' && key !== undefined;
    if (!hinted || named.kind !== 'public-key' || !isOtherHint(named.hint, key, primitives)) throw cause;
    const why =
      'the signature is not by the given key: the bundle says that another key signed. Give that key, if you trust it';
    throw new ClientError('bad-signature', why, { cause });
  }
}

/** Whether the hint is what cosign writes, the base64 of SHA-256 over the key, and of another key. */
function isOtherHint(hint: string, key: KeyInfo, primitives: Primitives): boolean {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(hint)) return false;
  const hash = primitives.hash('sha256', key.spki);
  return hint !== encodeBase64(hash);
}

function checkSigner(
  request: VerifyRequest,
  { key, certificate }: ClaimedSigner,
  times: readonly VerifiedTime[],
  primitives: Primitives,
): { readonly signer: VerifiedSigner; readonly checks: readonly Check[]; readonly notProven: readonly NotProven[] } {
  const { bundle, identity: matches } = request;
  const fingerprint = encodeHex(primitives.hash('sha256', key.spki));
  if (matches === undefined || certificate === undefined || bundle.signer.kind !== 'certificate') {
    return { signer: { kind: 'key', key, fingerprint }, checks: [], notProven: [] };
  }
  if (times.length === 0) {
    throw new ClientError(
      'bad-timestamp',
      `nobody vouches for the time of the signature, so nothing shows that the certificate was valid then: ${
        bundle.timestamps.length === 0
          ? 'the bundle has no time stamp of an authority and no promise of the log'
          : 'the bundle has a time stamp, and the trust no authority for any'
      }`,
    );
  }
  const { chain } = bundle.signer;
  const { identity, ...found } = checkIdentity(certificate, chain, times, matches, request, primitives);
  return { signer: { kind: 'certificate', key, fingerprint, identity }, ...found };
}

function notProven(
  { identity, policy }: VerifyRequest,
  { certificate }: ClaimedSigner,
  times: readonly VerifiedTime[],
  { checked, strangers }: CheckedEntries,
  [ofSigner, ofStamps]: readonly [readonly NotProven[], readonly NotProven[]],
): NotProven[] {
  const ended = checked.some(
    ({ keys, seen }) =>
      seen === undefined && keys.length > 0 && keys.every(({ validFor }) => validFor?.end !== undefined),
  );
  const list: NotProven[] = [];
  if (identity === undefined) list.push({ name: 'key-holder' });
  if (identity === undefined && certificate !== undefined) list.push({ name: 'certificate-names' });
  list.push(...ofSigner);
  if (times.length === 0) list.push({ name: 'time' });
  if (times.length === 0 && ended) list.push({ name: 'log-key-period' });
  list.push(...ofStamps);
  if (strangers.length > 0) list.push({ name: 'entries', logIds: strangers });
  if (checked.some(({ verified }) => verified.tree === undefined)) list.push({ name: 'inclusion' });
  if (policy?.quorum === undefined) list.push({ name: 'witnesses' });
  return list;
}
