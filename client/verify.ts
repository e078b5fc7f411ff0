/**
 * Offline verification, as a library: this file is what `stele/verify` exports, and runs in a browser too.
 *
 * `verifyBundle` checks a whole Sigstore bundle (verify/core.ts); `verifyEntry` the reply of a log to what was just signed.
 */
import { equal } from '../merkle/bytes.ts';
import { MerkleError } from '../merkle/errors.ts';
import { noteVerifier, parseVerifierKey, type VerifierKey } from '../merkle/note.ts';
import { leafHash } from '../merkle/rfc6962.ts';
import { noblePrimitives, type Primitives } from './crypto.ts';
import { canonicalEntry, type Signed } from './entry.ts';
import { ClientError } from './errors.ts';
import { type LogEntry, tlogEntry } from './log-entry.ts';
import { userLogKey } from './verify/log-key.ts';
import { checkInclusion, openTree } from './verify/tree.ts';

export { type Bundle, formatBundle, MAX_BUNDLE, parseBundle } from './bundle.ts';
export { parseTrustPolicy } from './quorum.ts';
export { type ArtifactDigests, requiredHashes, type VerifyRequest, verifyBundle } from './verify/core.ts';
export type { Check, CheckName, Outcome, VerifiedEntry, VerifiedSigner, VerifiedTime } from './verify/outcome.ts';
export { MAX_TRUSTED_ROOT, parseTrustedRoot, type TrustedRoot } from './verify/trusted-root.ts';

/** What holds of an entry once verification succeeded. */
export interface Verified {
  /** Name of the log, signed by it. */
  readonly origin: string;
  /** Index of the entry, in [0, treeSize). */
  readonly index: number;
  readonly treeSize: number;
  /** Root hash of that tree, 32 bytes. */
  readonly root: Uint8Array;
  /** RFC 6962 leaf hash of the entry, 32 bytes. */
  readonly leafHash: Uint8Array;
  /** Names of signature lines by keys that are not known here, such as witnesses'. Nothing is known about them. */
  readonly unverified: readonly string[];
}

/** @throws ClientError `log-key` */
export function parseLogKey(vkey: string): VerifierKey {
  try {
    const key = parseVerifierKey(vkey.trim());
    noteVerifier(key);
    return key;
  } catch (cause) {
    const why = cause instanceof MerkleError ? cause.message : 'it is not a verifier key';
    throw new ClientError(
      'log-key',
      `what was given as the log's key cannot be used: ${why}. It looks like log.example.com+1a2b3c4d+AbCd…; the log prints it at start and shows it at /stele/v1/log`,
      { cause },
    );
  }
}

/**
 * Checks that the entry is about what was signed, is in the tree, and that the log signed that tree. `signed.signature` must
 * have been verified before.
 *
 * @throws ClientError `entry-mismatch`, `bad-proof`, `bad-checkpoint`
 */
export function verifyEntry(
  entry: LogEntry,
  signed: Signed,
  logKey: VerifierKey,
  primitives: Primitives = noblePrimitives,
): Verified {
  return verifyLogged(entry, canonicalEntry(signed), logKey, primitives);
}

/**
 * The same for an entry that the caller rebuilt: `body` is the canonical `hashedrekord` of what was signed.
 *
 * @throws ClientError `entry-mismatch`, `bad-proof`, `bad-checkpoint`
 */
export function verifyLogged(
  entry: LogEntry,
  body: Uint8Array,
  logKey: VerifierKey,
  primitives: Primitives = noblePrimitives,
): Verified {
  if (entry.kind !== 'hashedrekord' || entry.version !== '0.0.2' || !equal(entry.body, body)) {
    throw new ClientError(
      'entry-mismatch',
      'the logged entry is not the one that this file, signature and key give: the proof is about something else',
    );
  }
  const proof = tlogEntry(entry).proof!;
  const leaf = leafHash(body);
  const { checkpoint, others } = openTree(proof, userLogKey(logKey), primitives);
  checkInclusion(proof, leaf, checkpoint, (data) => primitives.hash('sha256', data));
  const { origin, size: treeSize, root } = checkpoint;
  return { origin, index: entry.index, treeSize, root, leafHash: leaf, unverified: others };
}
