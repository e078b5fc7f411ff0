/**
 * Offline verification of a Sigstore bundle: is this file signed by whom I trust, and is the signature in a log that I trust?
 *
 * Nothing is believed because the bundle says it. The order is: who is said to have signed; the file's digest and the
 * signature; the times that others vouch for; the logged entry, rebuilt from what was signed; its way to a tree that the log
 * signed; witnesses; and last, when all times are known, the certificate and the identity in it.
 *
 * Pure and synchronous: no network, no clock, no files; it runs in a browser.
 */
import { encodeBase64, encodeHex } from '../../merkle/bytes.ts';
import type { VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import type { HashName } from '../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { KeyInfo } from '../../merkle/rekor/spki.ts';
import { ClientError } from '../errors.ts';
import type { Bundle } from '../formats/bundle.ts';
import type { IdentityTest } from '../trust/identity-rule.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';
import type { LogTrust } from './checkpoint.ts';
import type { CheckpointMemory } from './checkpoint-memory.ts';
import type { Claim } from './claim.ts';
import { type ArtifactDigests, checkContent, hashesNeeded } from './content.ts';
import { type CheckedEntry, checkLogged } from './logged.ts';
import type { Check, Outcome, VerifiedSigner, VerifiedTime } from './outcome.ts';
import { checkCertificate, type Signer, signerOf } from './signer.ts';
import { checkTimestamps } from './times.ts';

export type { ArtifactDigests } from './content.ts';

export interface VerifyRequest {
  readonly bundle: Bundle;
  /** Of the file, by the hashes of `requiredHashes`. */
  readonly artifact: ArtifactDigests;
  /** The signer's key, where that is known. One of `key` and `identity` must be given. */
  readonly key?: KeyInfo;
  /** Whether the certificate names the right one; needs `trustedRoot`. */
  readonly identity?: IdentityTest;
  /** Of these three one at least; whatever is given must hold. */
  readonly trustedRoot?: TrustedRoot;
  readonly logKey?: VerifierKey;
  readonly policy?: Policy;
  /** Take the time from the witnesses of the policy: the least t such that those that cosigned up to t meet its quorum. */
  readonly witnessTime?: boolean;
  /** For many bundles: what was found of a checkpoint is not checked again for the next of its entries. */
  readonly memory?: CheckpointMemory;
}

/**
 * Which hashes of the file `verify` needs.
 *
 * @param key as it will be given to `verify`
 * @throws ClientError as `verify`
 */
export function requiredHashes(bundle: Bundle, key?: KeyInfo): HashName[] {
  return hashesNeeded(bundle.content, signerOf(bundle.signer, key).key);
}

/**
 * Verifies a bundle, all of it.
 *
 * @param primitives what checks signatures
 * @throws ClientError for whatever does not hold: `digest-mismatch`, `bad-signature`, `bad-timestamp`, `bad-promise`,
 * `entry-mismatch`, `bad-proof`, `bad-checkpoint`, `policy`, `quorum`, `bad-certificate`, `bad-sct`, `identity`,
 * `malformed`; and for what cannot be checked: `unsupported`, `usage`, `trusted-root`, `key`
 */
export function verify(request: VerifyRequest, primitives: Primitives): Outcome {
  checkRequest(request);
  const { bundle, key: given, trustedRoot } = request;
  const signer = signerOf(bundle.signer, given);
  const signed = checkContentOf(request, signer, primitives);
  const claim: Claim = { ...signed, key: signer.key, verifier: signer.verifier };

  const stamps = checkTimestamps(bundle, trustedRoot, primitives);
  const trust: LogTrust = {
    root: trustedRoot,
    logKey: request.logKey,
    policy: request.policy,
    witnessTime: request.witnessTime === true,
    memory: request.memory,
  };
  const logged = checkLogged(bundle.entries, claim, trust, stamps.times, primitives);
  const times = [...stamps.times, ...logged.times].sort((a, b) => a.time - b.time);

  const who = checkSigner(request, signer, times, stamps.unchecked, primitives);
  const checks: Check[] = [
    ...signed.checks,
    {
      name: 'signature',
      detail: `by the key with SHA-256 ${who.signer.fingerprint}`,
      by: signer.key.name,
    },
    ...who.checks,
    ...stamps.checks,
    ...logged.checks,
  ];
  const { artifact, statement } = signed;
  return {
    checks,
    notProven: notProven(request, signer, times, stamps.unchecked, logged.entries),
    digest: artifact,
    signer: who.signer,
    ...(statement === undefined ? {} : { statement }),
    times,
    entries: logged.entries.map(({ verified }) => verified),
  };
}

function checkRequest({ bundle, key, identity, trustedRoot, logKey, policy, witnessTime }: VerifyRequest): void {
  const usage = (why: string) => new ClientError('usage', why);
  if ((key === undefined) === (identity === undefined)) {
    throw usage(
      "say whose signature it must be: give the signer's key, or the identity in the certificate, and not both",
    );
  }
  if (trustedRoot === undefined && logKey === undefined && policy === undefined) {
    throw usage('say which log you trust: give a trusted root, the key of the log, or a policy with witnesses as well');
  }
  if (identity !== undefined && trustedRoot === undefined) {
    throw usage(
      'an identity is only as good as the authority that certified it: give a trusted root with that authority',
    );
  }
  if (witnessTime === true && policy?.quorum === undefined) {
    throw usage("the witnesses' time needs a policy with a quorum of witnesses");
  }
  if (bundle.entries.length === 0) {
    throw new ClientError('bad-proof', 'the bundle holds no log entry: nothing shows that the signature was logged');
  }
}

function checkContentOf({ bundle, artifact, key }: VerifyRequest, signer: Signer, primitives: Primitives) {
  try {
    return checkContent(bundle.content, artifact, signer.key, primitives);
  } catch (cause) {
    const { signer: named } = bundle;
    // The hint is nobody's promise, but it tells the likelier of two mistakes.
    const hinted = cause instanceof ClientError && cause.code === 'bad-signature' && key !== undefined;
    if (!hinted || named.kind !== 'public-key' || !isOtherHint(named.hint, key, primitives)) throw cause;
    throw new ClientError(
      'bad-signature',
      'the signature is not by the given key: the bundle says that another key signed. Give that key, if you trust it',
      { cause },
    );
  }
}

/** Whether the hint is what cosign writes, the base64 of SHA-256 over the key, and of another key. */
function isOtherHint(hint: string, key: KeyInfo, primitives: Primitives): boolean {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(hint)) return false;
  const hash = primitives.hash('sha256', key.spki);
  return hint !== encodeBase64(hash);
}

function checkSigner(
  { bundle, identity: matches, trustedRoot }: VerifyRequest,
  { key, certificate }: Signer,
  times: readonly VerifiedTime[],
  unchecked: number,
  primitives: Primitives,
): { readonly signer: VerifiedSigner; readonly checks: readonly Check[] } {
  const fingerprint = encodeHex(primitives.hash('sha256', key.spki));
  if (matches === undefined || certificate === undefined || bundle.signer.kind !== 'certificate') {
    return { signer: { kind: 'key', key, fingerprint }, checks: [] };
  }
  if (times.length === 0) {
    throw new ClientError(
      'bad-timestamp',
      `nobody vouches for the time of the signature, so nothing shows that the certificate was valid then: ${
        unchecked === 0
          ? 'the bundle has no time stamp of an authority and no promise of the log'
          : 'the bundle has a time stamp, and the trusted root no authority for any'
      }`,
    );
  }
  const { identity, checks } = checkCertificate(certificate, bundle.signer.chain, times, trustedRoot!, primitives);
  const names = identity.names.map(({ value }) => printable(value)).join(', ');
  if (!matches(identity)) {
    throw new ClientError(
      'identity',
      `the certificate is for ${names || 'nobody'}, vouched for by ${printable(identity.issuer ?? 'nobody')}, and does not match the identity that was asked for`,
    );
  }
  const check: Check = {
    name: 'identity',
    detail: names,
    ...(identity.issuer === undefined ? {} : { by: printable(identity.issuer) }),
  };
  return { signer: { kind: 'certificate', key, fingerprint, identity }, checks: [check, ...checks] };
}

function notProven(
  { identity, policy }: VerifyRequest,
  { certificate }: Signer,
  times: readonly VerifiedTime[],
  unchecked: number,
  entries: readonly CheckedEntry[],
): string[] {
  const list: string[] = [];
  if (identity === undefined) list.push('who holds the key: whose it is, you must know from elsewhere');
  if (identity === undefined && certificate !== undefined) {
    list.push('whom the certificate names: only its key was compared with the one given');
  }
  if (times.length === 0) list.push('when it was signed: no time stamp was checked');
  const ended = ({ keys }: CheckedEntry) =>
    keys.length > 0 && keys.every(({ validFor }) => validFor?.end !== undefined);
  if (times.length === 0 && entries.some(ended)) {
    list.push(
      "that the log's key still counted: the trusted root ends its time, and nothing shows that the entry is older",
    );
  }
  if (unchecked > 0) list.push(`what ${unchecked} time stamp(s) in the bundle say: no authority for them was given`);
  if (entries.some(({ verified }) => verified.tree === undefined)) {
    list.push("that the entry is in the log's tree: there is only the log's promise to put it there");
  }
  if (policy?.quorum === undefined) {
    list.push('that the log shows everybody the same tree: no witness was checked (give a policy with witnesses)');
  }
  return list;
}
