/**
 * Offline verification as a library: `stele/verify` exports this file, which also runs in a browser.
 *
 * `verifyBundle` checks a whole Sigstore bundle (verify/verify-bundle.ts), with all cryptography in JavaScript unless the caller
 * provides faster primitives.
 */
import { noblePrimitives } from '../merkle/rekor/noble-primitives.ts';
import type { Primitives } from '../merkle/rekor/primitives.ts';
import { type BundleRequest, verifyByRule } from './verify/by-rule.ts';
import type { Outcome } from './verify/outcome.ts';

export { type Bundle, formatBundle, MAX_BUNDLE, parseBundle } from './formats/bundle.ts';
export { type BundlePlace, type ListedBundle, parseBundles } from './formats/bundle-list.ts';
export { formatTrustedRoot } from './trust/format-trusted-root.ts';
export { parseLogKey } from './trust/log-key.ts';
export { parseTrustPolicy } from './trust/quorum.ts';
export { MAX_TRUSTED_ROOT, parseTrustedRoot, parseTrustedRoots, type TrustedRoot } from './trust/trusted-root.ts';
export type { BundleRequest } from './verify/by-rule.ts';
export { CheckpointMemory } from './verify/checkpoint-memory.ts';
export type { ArtifactDigests } from './verify/content.ts';
export type {
  Check,
  CheckName,
  NotProven,
  Outcome,
  VerifiedEntry,
  VerifiedSigner,
  VerifiedTime,
} from './verify/outcome.ts';
export type { ChosenRoot, TrustedRoots } from './verify/types.ts';
export { requiredHashes } from './verify/verify-bundle.ts';

/**
 * Verifies a bundle, all of it: see verify/verify-bundle.ts. Without `now`, this machine's clock tells what is from the
 * future; with `Infinity`, nothing is.
 *
 * @param primitives check signatures; the default is JavaScript
 * @throws ClientError if something does not hold: `attestation`, `digest-mismatch`, `bad-signature`, `bad-timestamp`,
 * `bad-promise`, `entry-mismatch`, `bad-proof`, `bad-checkpoint`, `policy`, `quorum`, `bad-certificate`, `bad-sct`,
 * `future-time`, `identity`, `malformed`; if something cannot be checked: `unsupported`, `usage`, `trusted-root`, `key`
 * @example
 * const bundle = parseBundle(file);
 * const outcome = verifyBundle({
 *   bundle, artifact: { sha256 }, trustedRoot: parseTrustedRoot(root),
 *   identity: { identity: 'me@example.com', issuer: 'https://accounts.example.com' },
 * });
 */
export function verifyBundle(request: BundleRequest, primitives: Primitives = noblePrimitives): Outcome {
  return verifyByRule({ ...request, now: request.now ?? Date.now() }, primitives);
}
