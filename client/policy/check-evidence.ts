/**
 * Verifies pieces of evidence about an artifact, as `stele verify` verifies bundles: signature, log entries, times and
 * certificate, all of them. Whose signature counts is for the rules of the policy to say.
 *
 * Pure and synchronous: no network, no clock, no files.
 */
import { encodeHex } from '../../merkle/bytes.ts';
import { CodedError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import type { HashName } from '../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { type KeyInfo, parseSpki } from '../../merkle/rekor/spki.ts';
import { MAX_PIECES } from '../../merkle/runtime/policy/decide.ts';
import type { GitObject } from '../../merkle/runtime/policy/git/git-object.ts';
import type {
  DecisionPolicy,
  EvidenceItem,
  EvidenceStatement,
  EvidenceSubject,
  EvidenceTime,
  RefusedEvidence,
  VerifiedEvidence,
} from '../../merkle/runtime/policy/types.ts';
import { parseCertificate } from '../../merkle/x509/certificate.ts';
import { ClientError } from '../errors.ts';
import type { EvidencePiece } from '../evidence/types.ts';
import { type Bundle, formatBundle } from '../formats/bundle.ts';
import { type BundlePlace, parseBundles } from '../formats/bundle-list.ts';
import { keyHint } from '../formats/key.ts';
import { type StatementSubject, statementPredicate } from '../formats/statement.ts';
import { withClientErrors } from '../merkle-errors.ts';
import { quorumTime } from '../trust/quorum.ts';
import { type ArtifactDigests, readStatement, subjectsFor } from '../verify/content.ts';
import type { Outcome, VerifiedEntry } from '../verify/outcome.ts';
import { checkUnderRoots, type UnderRootsRequest } from '../verify/under-roots.ts';
import { requiredHashes } from '../verify/verify-bundle.ts';
import { type CheckedGit, checkGit, readGit } from './git-evidence.ts';
import { keysInEntries } from './keys-in-entries.ts';

/** Which logs, authorities and witnesses are trusted, and what is asked of the evidence: as `stele verify`. */
export type EvidenceTrust = Omit<
  UnderRootsRequest,
  'bundle' | 'artifact' | 'key' | 'identity' | 'now' | 'predicateType' | 'subject'
>;

/** The keys that a policy knows. */
type PolicyKeys = Pick<DecisionPolicy, 'keys' | 'fingerprints' | 'identities'>;

/** A bundle of a piece. Nothing of it is verified. */
export interface UnverifiedBundle {
  /** `sha256:HEX` over its bytes: of the piece, or of its line in the piece. */
  readonly digest: string;
  readonly source: string;
  readonly bundle: Bundle;
}

/** A commit or a tag of git. Nothing of it is verified. */
interface UnverifiedGit {
  readonly digest: string;
  readonly source: string;
  readonly git: GitObject;
}

export type UnverifiedEvidence = UnverifiedBundle | UnverifiedGit | RefusedEvidence;

/** Most keys that are tried on one bundle whose entries name none of them. */
const MAX_TRIES = 16;

/** The bundles and objects of git in pieces; what cannot be read is refused. At most one more than a decision takes, which then denies. */
export function readEvidence(pieces: readonly EvidencePiece[], primitives: Primitives): UnverifiedEvidence[] {
  const found: UnverifiedEvidence[] = [];
  for (const piece of pieces) {
    if (found.length > MAX_PIECES) break;
    found.push(...bundlesOf(piece, primitives));
  }
  return found.slice(0, MAX_PIECES + 1);
}

function bundlesOf({ source, bytes }: EvidencePiece, primitives: Primitives): UnverifiedEvidence[] {
  const digestOf = (data: Uint8Array) => `sha256:${encodeHex(primitives.hash('sha256', data))}`;
  try {
    const git = readGit(bytes);
    if (git !== undefined) return [{ digest: digestOf(bytes), source, git }];
    return parseBundles(bytes).map((one) => {
      const at = one.place === undefined ? source : `${source} ${placeText(one.place)}`;
      if ('error' in one) return refused(digestOf(one.bytes ?? bytes), at, one.error);
      if (one.place === undefined) return { digest: digestOf(bytes), source, bundle: one.bundle };
      // An item of a list has no bytes of its own.
      return { digest: digestOf(one.bytes ?? formatBundle(one.bundle)), source: at, bundle: one.bundle };
    });
  } catch (error) {
    return [refused(digestOf(bytes), source, error)];
  }
}

function placeText(place: BundlePlace): string {
  return 'line' in place ? `line ${place.line}` : `attestations[${place.index}]`;
}

/** The hashes of the file that the bundles need together. */
export function hashesOfEvidence(
  bundles: readonly UnverifiedEvidence[],
  keys: PolicyKeys,
  primitives: Primitives,
): readonly HashName[] {
  const hashes = new Set<HashName>(['sha256']);
  for (const one of bundles) {
    if (!('bundle' in one)) continue;
    const { bundle } = one;
    const candidates = bundle.signer.kind === 'certificate' ? [undefined] : candidateKeys(bundle, keys, primitives);
    for (const key of candidates) {
      try {
        for (const hash of requiredHashes(bundle, key)) hashes.add(hash);
      } catch (error) {
        // Its verification gives the same error.
        if (!(error instanceof ClientError)) throw error;
      }
    }
  }
  return [...hashes];
}

/**
 * Never throws: what does not hold, or is about another artifact, is refused.
 *
 * @param artifact digests of the artifact: of the hashes of `hashesOfEvidence` where the file is at hand
 * @param now milliseconds since 1970
 */
export function verifyBundles(
  bundles: readonly UnverifiedEvidence[],
  artifact: ArtifactDigests,
  trust: EvidenceTrust,
  keys: PolicyKeys,
  now: number,
  primitives: Primitives,
): EvidenceItem[] {
  return bundles.map((one) => {
    if ('code' in one) return one;
    try {
      if ('git' in one) return verifiedGit(one, checkGit(one.git, trust, now, primitives), trust);
      const outcome = verifyOne(one.bundle, artifact, trust, keys, now, primitives);
      return verified(one, outcome, artifact, trust);
    } catch (error) {
      return refused(one.digest, one.source, error);
    }
  });
}

function verifyOne(
  bundle: Bundle,
  artifact: ArtifactDigests,
  trust: EvidenceTrust,
  keys: PolicyKeys,
  now: number,
  primitives: Primitives,
): Outcome {
  const { requireSct, ignoreSct, spiffeBundles, ...rest } = trust;
  const byKey = (key: KeyInfo) => checkUnderRoots({ ...rest, bundle, artifact, now, key }, primitives);
  if (bundle.signer.kind === 'certificate') {
    const { certificate } = bundle.signer;
    const key = withClientErrors(() => parseSpki(parseCertificate(certificate).spki));
    const isKnown = keys.fingerprints.includes(encodeHex(primitives.hash('sha256', key.spki)));
    const someVouch = trust.trustedRoot !== undefined || spiffeBundles !== undefined;
    if (isKnown && !(keys.identities && someVouch)) return byKey(key);
    try {
      // Any identity: the rules compare it.
      return checkUnderRoots({ ...trust, bundle, artifact, now, identity: () => ({}) }, primitives);
    } catch (error) {
      if (!isKnown) throw error;
      return byKey(key);
    }
  }
  const candidates = candidateKeys(bundle, keys, primitives);
  let failure: unknown;
  for (const key of candidates) {
    try {
      return byKey(key);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (failure === undefined || error.code !== 'bad-signature') failure = error;
    }
  }
  const hint = bundle.signer.hint === '' ? '' : ` (its hint is ${printable(bundle.signer.hint)})`;
  throw failure ?? new ClientError('bad-signature', `the policy has no key that could have signed it${hint}`);
}

/**
 * The keys of the policy that may have signed, the likeliest first: those that the log entries hold, where the policy knows
 * them, else the key that the hint names, else the first of all.
 */
function candidateKeys(bundle: Bundle, { keys, fingerprints }: PolicyKeys, primitives: Primitives): KeyInfo[] {
  const logged = keysInEntries(bundle.entries, fingerprints, primitives);
  if (logged.length > 0) return logged;
  const known = keys.map((spki) => withClientErrors(() => parseSpki(spki)));
  const hint = bundle.signer.kind === 'public-key' ? bundle.signer.hint : '';
  const hinted = known.filter((key) => keyHint(key) === hint);
  return hinted.length > 0 ? hinted : known.slice(0, MAX_TRIES);
}

function verified(
  { digest, source, bundle }: UnverifiedBundle,
  outcome: Outcome,
  artifact: ArtifactDigests,
  trust: EvidenceTrust,
): VerifiedEvidence {
  const about = bundle.content.kind === 'dsse' ? statementOf(bundle.content, artifact) : {};
  return { digest, source, ...about, ...factsOf(outcome, trust) };
}

function verifiedGit({ digest, source }: UnverifiedGit, checked: CheckedGit, trust: EvidenceTrust): VerifiedEvidence {
  const { git } = checked;
  if ('outcome' in checked) return { digest, source, git, ...factsOf(checked.outcome, trust) };
  return { digest, source, git, signer: checked.signer, entries: [], times: [] };
}

function factsOf(
  { signer, times, entries }: Outcome,
  { policy }: EvidenceTrust,
): Pick<VerifiedEvidence, 'signer' | 'entries' | 'times'> {
  const { kind, fingerprint } = signer;
  return {
    signer: kind === 'key' ? { kind, fingerprint } : { kind, fingerprint, identity: signer.identity },
    entries: entries.map(({ origin, index, leafHash, tree, cosigned }) => ({
      origin,
      index,
      ...(tree === undefined ? {} : { treeSize: tree.size, checkpoint: tree.checkpoint }),
      leafHash: encodeHex(leafHash),
      witnesses: cosigned.map(({ witness }) => witness),
      // The verifier has refused a tree without the quorum, where the policy has one.
      quorum: policy?.quorum !== undefined && tree !== undefined,
    })),
    times: [...times, ...witnessTimes(entries, times, policy)].sort((a, b) => a.time - b.time),
  };
}

/** When the quorum had cosigned, also where the caller does not take that time for the certificate. */
function witnessTimes(
  entries: readonly VerifiedEntry[],
  known: readonly EvidenceTime[],
  policy: EvidenceTrust['policy'],
): EvidenceTime[] {
  if (policy?.quorum === undefined || known.some(({ kind }) => kind === 'witness')) return [];
  const { name } = policy.quorum;
  return entries.flatMap(({ cosigned }) => {
    const seconds = quorumTime(policy, cosigned);
    return seconds === undefined ? [] : [{ kind: 'witness', time: seconds * 1000, by: name }];
  });
}

function statementOf(
  content: Parameters<typeof readStatement>[0],
  artifact: ArtifactDigests,
): { readonly statement: EvidenceStatement; readonly subject: EvidenceSubject } {
  const statement = readStatement(content);
  const { type, predicateType, subjects } = statement;
  const [subject] = subjectsFor(statement, artifact);
  return {
    statement: {
      type,
      predicateType,
      subjects: subjects.map(plain),
      predicate: () => statementPredicate(content.payload),
    },
    subject: plain(subject!),
  };
}

function plain({ name, digest }: StatementSubject): EvidenceSubject {
  return { ...(name === undefined ? {} : { name }), digest: Object.fromEntries(digest) };
}

function refused(digest: string, source: string, error: unknown): RefusedEvidence {
  const code = error instanceof CodedError ? error.code : 'internal';
  return { digest, source, code, message: printable((error as Error).message) };
}
