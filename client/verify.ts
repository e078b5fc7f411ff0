/**
 * Offline verification, as a library: this file is what `stele/verify` exports, and runs in a browser too.
 *
 * `verifyBundle` checks a whole Sigstore bundle (verify/core.ts); `verifyEntry` the reply of a log to what was just signed.
 */
import { equal } from '../merkle/bytes.ts';
import type { VerifierKey } from '../merkle/note.ts';
import { leafHash } from '../merkle/rfc6962.ts';
import type { Primitives } from './crypto.ts';
import { canonicalEntry, type Signed } from './entry.ts';
import { ClientError } from './errors.ts';
import { type IdentityRule, matchIdentity } from './identity.ts';
import { type LogEntry, tlogEntry } from './log-entry.ts';
import { noblePrimitives } from './noble-primitives.ts';
import { type VerifyRequest, verify } from './verify/core.ts';
import { userLogKey } from './verify/log-key.ts';
import { NO_ISSUER, type Outcome } from './verify/outcome.ts';
import { checkInclusion, openTree } from './verify/tree.ts';

export { type Bundle, formatBundle, MAX_BUNDLE, parseBundle } from './bundle.ts';
export { parseTrustPolicy } from './quorum.ts';
export { type ArtifactDigests, requiredHashes } from './verify/core.ts';
export { parseLogKey } from './verify/log-key.ts';
export type { Check, CheckName, Outcome, VerifiedEntry, VerifiedSigner, VerifiedTime } from './verify/outcome.ts';
export { MAX_TRUSTED_ROOT, parseTrustedRoot, type TrustedRoot } from './verify/trusted-root.ts';

/** As `VerifyRequest` of verify/core.ts, with a rule in the place of a test. */
export interface BundleRequest extends Omit<VerifyRequest, 'identity'> {
  /** Whom the certificate must name; needs `trustedRoot`. A rule must not be changed once it was used. */
  readonly identity?: IdentityRule;
}

/**
 * Verifies a bundle, all of it: see verify/core.ts.
 *
 * @param primitives what checks signatures; in JavaScript where left out
 * @throws ClientError for whatever does not hold: `digest-mismatch`, `bad-signature`, `bad-timestamp`, `bad-promise`,
 * `entry-mismatch`, `bad-proof`, `bad-checkpoint`, `policy`, `quorum`, `bad-certificate`, `bad-sct`, `identity`,
 * `malformed`; and for what cannot be checked: `unsupported`, `usage`, `trusted-root`, `key`
 * @example
 * const bundle = parseBundle(file);
 * const outcome = verifyBundle({
 *   bundle, artifact: { sha256 }, trustedRoot: parseTrustedRoot(root),
 *   identity: { identity: 'me@example.com', issuer: 'https://accounts.example.com' },
 * });
 */
export function verifyBundle(
  { identity, ...request }: BundleRequest,
  primitives: Primitives = noblePrimitives,
): Outcome {
  if (identity === undefined) return verify(request, primitives);
  const outcome = verify({ ...request, identity: (found) => matchIdentity(identity, found) }, primitives);
  return identity.issuer === undefined ? { ...outcome, notProven: [NO_ISSUER, ...outcome.notProven] } : outcome;
}

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
