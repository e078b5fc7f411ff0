/**
 * The one verifier of a leaf: whether a leaf is in a log that the user trusts, offline. Bundles, tlog-proofs, bare leaf
 * hashes and the log's own replies all end here.
 */
import { encodeBase64, equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { type InclusionClaim, verifyInclusion } from '../../merkle/proof.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { leafHash, type Sha256 } from '../../merkle/rfc6962.ts';
import { ClientError } from '../errors.ts';
import { canonicalEntry, type Signed } from '../formats/entry-request.ts';
import type { LogEntry } from '../formats/log-entry.ts';
import { verifyCheckpoint } from './checkpoint.ts';
import type { CheckpointMemory } from './checkpoint-memory.ts';
import type { CheckpointTrust, LeafProof, LoggedLeaf, LogTrust, VerifiedCheckpoint } from './types.ts';

/**
 * Verifies a leaf of a log that `trust` names by its key or in a policy.
 *
 * @throws ClientError `bad-checkpoint`, `quorum`, `bad-proof`; `policy` if the policy names no log and no key is given
 */
export function verifyLeaf(
  proof: LeafProof,
  trust: LogTrust,
  primitives: Primitives,
  memory?: CheckpointMemory,
): LoggedLeaf {
  const { head, key, cosigned, unverified } = checkLeaf(proof, trust, primitives, memory);
  return {
    origin: head.origin,
    // Without a trusted root, the key is one that the user gave.
    logKey: key.verifierKey!,
    index: proof.index,
    treeSize: head.size,
    root: head.root,
    leafHash: proof.leafHash,
    cosigned,
    unverified,
  };
}

/**
 * Verifies a leaf, and returns the checkpoint that its proof leads to.
 *
 * @throws ClientError `bad-checkpoint`, `quorum`, `bad-proof`, `policy`
 */
export function checkLeaf(
  { leafHash: leaf, index, hashes, checkpoint, claimed }: LeafProof,
  trust: CheckpointTrust,
  primitives: Primitives,
  memory?: CheckpointMemory,
): VerifiedCheckpoint {
  const verified = verifyCheckpoint(checkpoint, claimed?.logId, trust, primitives, memory);
  const { size, root } = verified.head;
  if (claimed !== undefined && (claimed.treeSize !== size || !equal(claimed.root, root))) {
    throw new ClientError('bad-checkpoint', 'the checkpoint is about another tree than the proof leads to');
  }
  checkInclusion({ index, size, leafHash: leaf, root, hashes }, primitives);
  return verified;
}

/** @throws ClientError `bad-proof` */
export function checkInclusion(proof: InclusionClaim, primitives: Primitives): void {
  try {
    verifyInclusion(proof, sha256Of(primitives));
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    const why = `the inclusion proof does not lead from the entry at index ${proof.index} (leaf ${encodeBase64(proof.leafHash)}) to the root of the tree`;
    throw new ClientError('bad-proof', why, { cause });
  }
}

/**
 * Verifies a log's reply as a verifier would: the entry is exactly what was signed, and is in the tree that the log signed.
 * The caller has verified the signature itself.
 *
 * @throws ClientError `entry-mismatch`, `bad-promise` and the codes of `verifyLeaf`
 */
export function verifyReply(
  entry: LogEntry,
  signed: Signed,
  trust: LogTrust,
  primitives: Primitives,
  memory?: CheckpointMemory,
): LoggedLeaf {
  const body = canonicalEntry(signed);
  if (entry.kind !== 'hashedrekord' || entry.version !== '0.0.2' || !equal(entry.body, body)) {
    throw new ClientError(
      'entry-mismatch',
      'the logged entry is not the one that this digest, signature and key give: the proof is about something else',
    );
  }
  if (entry.integratedTime !== 0) throw unpromised();
  const { index, hashes, checkpoint } = entry;
  return verifyLeaf(
    { leafHash: leafHash(body, sha256Of(primitives)), index, hashes, checkpoint, claimed: entry },
    trust,
    primitives,
    memory,
  );
}

export function sha256Of(primitives: Primitives): Sha256 {
  return (data) => primitives.hash('sha256', data);
}

/** The error for a time that no promise of the log covers. */
export function unpromised(): ClientError {
  return new ClientError('bad-promise', 'the entry names a time, and the log did not sign a promise of it');
}
