/**
 * Offline verification as a library: `stele/verify` exports this file, which also runs in a browser.
 *
 * `verifyBundle` checks a whole Sigstore bundle (verify/verify-bundle.ts), with all cryptography in JavaScript unless the caller
 * provides faster primitives.
 */
import { noblePrimitives } from '../merkle/rekor/noble-primitives.ts';
import type { Primitives } from '../merkle/rekor/primitives.ts';
import * as keys from './formats/key.ts';
import { compileRule, type IdentityRule } from './trust/identity.ts';
import { type BundleRequest, verifyByRule } from './verify/by-rule.ts';
import type { Outcome } from './verify/outcome.ts';
import * as proofs from './verify/tlog-proof.ts';

export { noblePrimitives } from '../merkle/rekor/noble-primitives.ts';
export type { Primitives } from '../merkle/rekor/primitives.ts';
export { CLIENT_ERRORS, ClientError, type ClientErrorCode } from './errors.ts';

export { type Bundle, formatBundle, MAX_BUNDLE, parseBundle } from './formats/bundle.ts';
export { type BundlePlace, type ListedBundle, parseBundles } from './formats/bundle-list.ts';
export type { PublicKey } from './formats/key.ts';
export { formatTrustedRoot } from './trust/format-trusted-root.ts';
export type { IdentityRule, TextRule } from './trust/identity.ts';
export { type LastCheckpoint, parseLastCheckpoint } from './trust/last-checkpoint.ts';
export { parseLogKey } from './trust/log-key.ts';
export { parseTrustPolicy } from './trust/quorum.ts';
export { parseSpiffeBundles, type SpiffeBundleFile, type SpiffeBundles } from './trust/spiffe-bundles.ts';
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
export { entryDigest, type VerifiedProof } from './verify/tlog-proof.ts';
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

/** The signer that a proof must be of: a key (SubjectPublicKeyInfo, DER), or the identity in a certificate. */
export type ProofSigner =
  | { readonly key: Uint8Array }
  | (Omit<proofs.ProofUnderRoots['signer'], 'identity'> & {
      /** A rule must not change after its first use. */
      readonly identity: IdentityRule;
    });

type OfLeaf = Extract<proofs.TlogProofCheck, { readonly leafHash: Uint8Array }>;
type OfFile = Extract<proofs.TlogProofCheck, { readonly signer: proofs.ExpectedSigner }>;

/** A proof, the policy with the trusted logs and witnesses, and either a leaf hash or the file and its signer. */
export type TlogProofRequest = OfLeaf | (Omit<OfFile, 'signer'> & { readonly signer: ProofSigner });

/**
 * Verifies a c2sp.org/tlog-proof offline: a log of the policy holds the leaf, and where the request names a file and its
 * signer, the entry is a signature by that signer over that file. `now` is as for `verifyBundle`.
 *
 * @param primitives check signatures; the default is JavaScript
 * @throws ClientError `malformed`, `unsupported`, `digest-mismatch`, `bad-signature`, `bad-certificate`, `bad-sct`,
 * `identity`, `future-time`, `bad-proof`, `bad-checkpoint`, `policy`, `quorum`, `usage`
 */
export function verifyTlogProof(
  request: TlogProofRequest,
  primitives: Primitives = noblePrimitives,
): proofs.VerifiedProof {
  const now = request.now ?? Date.now();
  if ('leafHash' in request || 'key' in request.signer) {
    return proofs.checkTlogProof({ ...request, now } as proofs.TlogProofCheck, primitives);
  }
  const { identity: rule, ...trust } = request.signer;
  const signer = { ...trust, identity: compileRule(rule) };
  return proofs.checkProofUnderRoots({ ...request, now, signer }, primitives);
}

/**
 * A signer's public key: the one PEM block `PUBLIC KEY`. Text around the block is not read.
 *
 * @param primitives check its signatures; the default is JavaScript
 * @throws ClientError `key`
 */
export function parsePublicKeyPem(pem: string, primitives: Primitives = noblePrimitives): keys.PublicKey {
  return keys.parsePublicKeyPem(pem, primitives);
}
