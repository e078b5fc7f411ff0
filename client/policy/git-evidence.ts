/**
 * Signed commits and tags of git as evidence. An SSH signature stands for its key alone: no log holds it, and nobody vouches for
 * its time. An X.509 signature must be in a log, as everything that a certificate signed; without the log entry that gitsign
 * keeps in it, nothing shows that it was logged and when it was made.
 */
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { isCmsSignature, verifyCmsSignature } from '../../merkle/runtime/policy/git/cms-signature.ts';
import { type GitObject, looksLikeGit, parseGitObject } from '../../merkle/runtime/policy/git/git-object.ts';
import {
  isSshSignature,
  parseSshSignature,
  verifySshSignature,
} from '../../merkle/runtime/policy/git/ssh-signature.ts';
import type { EvidenceGit, EvidenceSigner } from '../../merkle/runtime/policy/types.ts';
import { ClientError } from '../errors.ts';
import { gitsignBundle } from '../formats/gitsign.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { Outcome } from '../verify/outcome.ts';
import { checkUnderRoots, type UnderRootsRequest } from '../verify/under-roots.ts';

/** The namespace of SSH signatures that git makes: a signature for another use is none over a commit. */
const NAMESPACE = 'git';

type GitTrust = Omit<UnderRootsRequest, 'bundle' | 'artifact' | 'key' | 'identity' | 'now'>;

/** Who signed an object, and the log entries and times of the signature where it has any. */
export type CheckedGit =
  | { readonly git: EvidenceGit; readonly signer: EvidenceSigner }
  | { readonly git: EvidenceGit; readonly outcome: Outcome };

/** The object in a piece of evidence; undefined where it is none. @throws ClientError `malformed` */
export function readGit(bytes: Uint8Array): GitObject | undefined {
  return looksLikeGit(bytes) ? withClientErrors(() => parseGitObject(bytes)) : undefined;
}

/**
 * @param now milliseconds since 1970
 * @throws ClientError `malformed`, `bad-signature`, `unsupported`, `key`, `bad-proof`, and as `checkBundle`
 */
export function checkGit(object: GitObject, trust: GitTrust, now: number, primitives: Primitives): CheckedGit {
  const { signature } = object;
  const git = factsOf(object);
  if (signature === undefined) throw badSignature(`the ${object.kind} ${object.id} has no signature`);
  if (isSshSignature(signature)) return { git, signer: checkSsh(object, signature, trust, primitives) };
  if (isCmsSignature(signature)) return { git, outcome: checkX509(object, signature, trust, now, primitives) };
  throw new ClientError(
    'unsupported',
    `the ${object.kind} ${object.id} has no SSH signature and none of gitsign (X.509): OpenPGP is not checked here`,
  );
}

function checkSsh(
  { kind, id, signed }: GitObject,
  armored: string,
  { requireLogs, requireTimestamps }: GitTrust,
  primitives: Primitives,
): EvidenceSigner {
  if (requireLogs !== undefined || requireTimestamps !== undefined) {
    throw new ClientError(
      'bad-proof',
      `the ${kind} ${id} has an SSH signature, which no log and no authority vouches for`,
    );
  }
  const signature = withClientErrors(() => parseSshSignature(armored));
  if (signature.namespace !== NAMESPACE) {
    const other = printable(signature.namespace.slice(0, 60));
    throw badSignature(`the SSH signature of the ${kind} ${id} was made for "${other}" and not for "${NAMESPACE}"`);
  }
  if (!withClientErrors(() => verifySshSignature(signature, signed, primitives))) {
    throw badSignature(`the SSH signature of the ${kind} ${id} is over another object`);
  }
  return { kind: 'key', fingerprint: signature.key.fingerprint };
}

function checkX509(
  { kind, id, signed }: GitObject,
  armored: string,
  trust: GitTrust,
  now: number,
  primitives: Primitives,
): Outcome {
  const cms = withGitErrors(() => verifyCmsSignature(armored, signed, primitives));
  const digest = primitives.hash(cms.hash, cms.message);
  const bundle = withClientErrors(() => gitsignBundle(cms, digest));
  if (bundle.entries.length === 0) {
    throw new ClientError(
      'bad-proof',
      `the signature of the ${kind} ${id} holds no log entry: nothing shows that it was logged, and nobody vouches for the time at which its certificate had to be valid. gitsign keeps the entry in the signature with gitsign.rekorMode=offline`,
    );
  }
  // Any identity: the rules compare it.
  const request = { ...trust, bundle, artifact: { [cms.hash]: digest }, now, identity: () => ({}) };
  return checkUnderRoots(request, primitives);
}

function withGitErrors<T>(work: () => T): T {
  try {
    return withClientErrors(work);
  } catch (cause) {
    if (!(cause instanceof MerkleError) || cause.code !== 'bad-signature') throw cause;
    throw new ClientError('bad-signature', cause.message, { cause });
  }
}

function factsOf(object: GitObject): EvidenceGit {
  const { kind, id } = object;
  if (object.kind === 'commit') return { kind, id };
  return { kind, id, tag: { name: object.name, type: object.type, object: object.object } };
}

function badSignature(message: string): ClientError {
  return new ClientError('bad-signature', message);
}
