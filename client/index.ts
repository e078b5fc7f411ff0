/**
 * The library: what the commands of `stele` do, for programs on Node.
 *
 *   import { LogClient, parseBundle, parseLogKey, parseSpki, verifyBundle } from 'stele';
 *
 * Everything is typed. Bytes are `Uint8Array`. Calls that wait take an `AbortSignal`. The library prints nothing.
 *
 * Errors are `ClientError` with a code of `CLIENT_ERRORS`; `RuntimeError` where a file or a key of this machine is at fault;
 * and `MerkleError` for input that is no signed note, policy or proof at all. `stele/verify` is the part that also runs in a
 * browser.
 */
import { type KeyInfo, parseSpki as readSpki } from '../merkle/rekor/spki.ts';
import { nodePrimitives } from '../merkle/runtime/crypto/node-primitives.ts';
import * as keys from './formats/key.ts';
import { withClientErrors } from './merkle-errors.ts';
import type { Decider, DeciderOptions } from './policy/decider.ts';
import type { CertifiedKey, KeylessSigner } from './submit/keyless/keyless-signer.ts';
import type { KeySigner } from './submit/signers/types.ts';
import type { VerifiedProof } from './verify/tlog-proof.ts';
import {
  type BundleRequest,
  type Outcome,
  type TlogProofRequest,
  verifyBundle as verify,
  verifyTlogProof as verifyProof,
} from './verify.ts';

export { MerkleError, type MerkleErrorCode } from '../merkle/errors.ts';
export { formatVerifierKey, type VerifierKey } from '../merkle/note.ts';
export type { Policy } from '../merkle/policy.ts';
export { noblePrimitives } from '../merkle/rekor/noble-primitives.ts';
export type { Primitives } from '../merkle/rekor/primitives.ts';
export type { KeyInfo } from '../merkle/rekor/spki.ts';
export { nodePrimitives } from '../merkle/runtime/crypto/node-primitives.ts';
export type { Artifact, Decision, Reason } from '../merkle/runtime/policy/types.ts';
export { RuntimeError, type RuntimeErrorCode } from '../merkle/runtime/runtime-errors.ts';
export { fetchTrusting } from '../merkle/runtime/service/authority-fetch.ts';
export { type Tile, tilePath, tileWidth } from '../merkle/tile.ts';
export type { CertificateIdentity as Identity } from '../merkle/x509/fulcio.ts';
export { auditLog } from './audit/audit.ts';
export type {
  AuditedTree,
  AuditOptions,
  AuditProgress,
  AuditReport,
  Corruption,
  CorruptionCode,
} from './audit/types.ts';
export { CLIENT_ERRORS, ClientError, type ClientErrorCode } from './errors.ts';
export type { EvidencePiece } from './evidence/types.ts';
export type { Signed } from './formats/entry-request.ts';
export type { PublicKey } from './formats/key.ts';
export type { LogEntry, TlogEntry } from './formats/log-entry.ts';
export { formatStatement, predicateType, type Subject } from './formats/statement.ts';
export type { Decider, DeciderOptions } from './policy/decider.ts';
export type { DecisionBasis } from './policy/decision-basis.ts';
export { decisionSentence } from './policy/decision-text.ts';
export type { CheckedHit, CheckedPage } from './search/check-page.ts';
export {
  type FindAttestationsOptions,
  type FoundAttestation,
  type FoundAttestations,
  findAttestations,
  type RefusedAttestation,
} from './search/find-attestations.ts';
export { type SearchLogRequest, type SearchTrust, searchLog } from './search/search-log.ts';
export type { SearchHit, SearchMatch, SearchOrder, SearchQuery, SearchTerm } from './search/types.ts';
export { type Attested, attest, attestAndLog } from './submit/attestation.ts';
export type { AuthorityTrust, IssuedCertificate } from './submit/keyless/issued-certificate.ts';
export type { CertifiedKey as KeylessOptions, KeylessSigner } from './submit/keyless/keyless-signer.ts';
export {
  type CallOptions,
  LogClient,
  type LogClientOptions,
  type SignedCheckpoint,
  type SubmitManyOptions,
  type Submitted,
} from './submit/log-client.ts';
export { askLogKey, type LogInfo } from './submit/log-info.ts';
export {
  type LoggedSignature as Logged,
  type LogSignatureOptions as LogOptions,
  logAll,
  logSigned,
  signAndLog,
} from './submit/log-signatures.ts';
export { type FlushOptions, type FlushReport, type FlushResult, flushQueue } from './submit/queue/queue-flush.ts';
export { type NewItem, newItem, type QueueItem } from './submit/queue/queue-item.ts';
export { type QueueStatus, queueStatus, type StatusEntry } from './submit/queue/queue-status.ts';
export {
  type Damaged,
  type DoneRecord,
  type QueueLog as LogState,
  SubmissionQueue as QueueStore,
} from './submit/queue/queue-store.ts';
export { signDigest, tlogProofOf } from './submit/signed-digest.ts';
export { softwareSigner } from './submit/signers/software-signer.ts';
export type { DigestSigner, KeySigner as Signer } from './submit/signers/types.ts';
export {
  certificateVerifier,
  fromDigest,
  keyVerifier,
  parseSignature,
  parseSigned,
  parseVerifierPem,
  type Submission,
  type Verifier,
} from './submit/submission.ts';
export type { LogRequestOptions as HttpOptions } from './submit/types.ts';
export { openSource } from './tiles/tiles.ts';
export type { SourceOptions, TileSource } from './tiles/types.ts';
export { type IdentityRule, matchIdentity, type TextRule } from './trust/identity.ts';
export {
  formatMonitoredLogs,
  type MonitoredLogs,
  parseMonitoredLogs,
  type ReadLog,
} from './trust/monitor-config.ts';
export type { Cosigned } from './trust/quorum.ts';
export {
  formatSigningConfig,
  parseSigningConfig,
  type ServiceSelection,
  type SigningConfig,
  type SigningService,
  selectService,
  selectServices,
} from './trust/signing-config.ts';
export { type FollowedTrust, loadTrust } from './trust/tuf/load-trust.ts';
export { TrustStore } from './trust/tuf/trust-store.ts';
export { type UpdateOptions, updateTrust, useTrust } from './trust/tuf/update.ts';
export type { ManyRequest, ManyResult, ManyTrust } from './verify/many/types.ts';
export { type ManyOptions, verifyMany } from './verify/many/verify-many.ts';
export { entryDigest, type VerifiedProof } from './verify/tlog-proof.ts';
export type { LoggedLeaf, LogTrust } from './verify/types.ts';
export {
  type ArtifactDigests,
  type Bundle,
  type BundlePlace,
  type BundleRequest,
  type Check,
  type CheckName,
  CheckpointMemory,
  type ChosenRoot,
  formatBundle,
  formatTrustedRoot,
  type LastCheckpoint,
  type ListedBundle,
  type NotProven,
  type Outcome,
  type ProofSigner,
  parseBundle,
  parseBundles,
  parseLastCheckpoint,
  parseLogKey,
  parseSpiffeBundles,
  parseTrustedRoot,
  parseTrustedRoots,
  parseTrustPolicy,
  requiredHashes,
  type SpiffeBundleFile,
  type SpiffeBundles,
  type TlogProofRequest,
  type TrustedRoot,
  type TrustedRoots,
  type VerifiedEntry,
  type VerifiedSigner,
  type VerifiedTime,
} from './verify.ts';

/**
 * Verifies a whole Sigstore bundle offline: the file's digest, the signature, the certificate and its identity where the
 * request names one, the log entry, its proof, and the witnesses of a policy. Without `now`, this machine's clock tells what is
 * from the future; with `Infinity`, nothing is.
 *
 * @param primitives verify signatures; Node's OpenSSL by default
 * @throws ClientError for each check that fails: `attestation`, `digest-mismatch`, `bad-signature`, `bad-timestamp`,
 * `bad-promise`, `entry-mismatch`, `bad-proof`, `bad-checkpoint`, `policy`, `quorum`, `bad-certificate`, `bad-sct`,
 * `future-time`, `identity`, `malformed`; and for each check that is not possible: `unsupported`, `usage`, `trusted-root`, `key`
 * @example
 * const bundle = parseBundle(await readFile('app.tgz.sigstore.json'));
 * const artifact = { sha256: createHash('sha256').update(await readFile('app.tgz')).digest() };
 * const { checks } = verifyBundle({ bundle, artifact, key: parsePublicKeyPem(pem).info, logKey: parseLogKey(vkey) });
 */
export function verifyBundle(request: BundleRequest, primitives = nodePrimitives()): Outcome {
  return verify(request, primitives);
}

/**
 * Verifies a c2sp.org/tlog-proof offline: a log of the policy holds the leaf, and where the request names a file and its
 * signer, the entry is a signature by that signer over that file. `now` is as for `verifyBundle`.
 *
 * @param primitives verify signatures; Node's OpenSSL by default
 * @throws ClientError `malformed`, `unsupported`, `digest-mismatch`, `bad-signature`, `bad-certificate`, `bad-sct`,
 * `identity`, `future-time`, `bad-proof`, `bad-checkpoint`, `policy`, `quorum`, `usage`
 */
export function verifyTlogProof(request: TlogProofRequest, primitives = nodePrimitives()): VerifiedProof {
  return verifyProof(request, primitives);
}

/**
 * Reads a SubjectPublicKeyInfo: ECDSA on P-256, P-384 or P-521 with an uncompressed point, Ed25519, or RSA of 2048 to 4096
 * bits with an odd exponent of 3 to 2^31 - 1. The result has a copy of the bytes.
 *
 * @throws ClientError `key`: another kind, or not the one encoding of the key
 */
export function parseSpki(spki: Uint8Array): KeyInfo {
  return withClientErrors(() => readSpki(spki));
}

/**
 * A signer's public key: SubjectPublicKeyInfo, DER.
 *
 * @param primitives verify its signatures; Node's OpenSSL by default
 * @throws ClientError `key`
 */
export function parsePublicKey(spki: Uint8Array, primitives = nodePrimitives()): keys.PublicKey {
  return keys.parsePublicKey(spki, primitives);
}

/**
 * A signer's public key: the one PEM block `PUBLIC KEY`. Text around the block is not read.
 *
 * @param primitives verify its signatures; Node's OpenSSL by default
 * @throws ClientError `key`
 */
export function parsePublicKeyPem(pem: string, primitives = nodePrimitives()): keys.PublicKey {
  return keys.parsePublicKeyPem(pem, primitives);
}

/**
 * The signer of the one private key in a PEM file: PKCS#8, SEC 1, PKCS#1 or cosign's. Text and other blocks around the key are
 * not read.
 *
 * @param passphrase of an encrypted key; cosign's may be empty
 * @throws ClientError `key`: the message names another form, and says how to get a key that is read; RuntimeError `passphrase`
 */
export async function parsePrivateKeyPem(file: Uint8Array, passphrase?: string): Promise<KeySigner> {
  const { pemSigner, privateKeyBlock } = await import('./submit/signers/pem-signer.ts');
  return await pemSigner(await privateKeyBlock(Buffer.from(file)), passphrase);
}

/**
 * The signer of one run, without a key of one's own: it makes a key, and gets a certificate for it from a certificate authority
 * of Fulcio's interface, for the identity in a token or in an X.509-SVID. What the authority returns is checked first. `close` gives the key up.
 *
 * @throws ClientError `usage` (the URL), `identity-token`, `network`, `unavailable`, `refused`, `bad-reply`, `bad-certificate`,
 * `identity`, `bad-sct`, `future-time`, `entry-mismatch`, `bad-proof`, `bad-checkpoint`, `quorum`, `policy`, `cancelled`; none
 * holds a piece of the token
 * @example
 * const signer = await keylessSigner({ authority: 'https://ca.example.com', token, trustedRoot, log: { policy } });
 * const logged = await signAndLog(digest, signer, 'https://log.example.com', { policy });
 */
export async function keylessSigner(options: CertifiedKey): Promise<KeylessSigner> {
  return await (await import('./submit/keyless/keyless-signer.ts')).keylessSigner(options);
}

/**
 * Opens a decider: decisions from evidence, in threads, under a policy and a trust that may change (docs/policy.md).
 *
 * @throws RuntimeError `decision-policy`; ClientError `trusted-root`, `policy`, `log-key`, `trust`, `usage`; what `read` throws
 * @example
 * const decider = await openDecider({ read: async () => ({
 *   policy: { file: 'policy.yaml', bytes: await readFile('policy.yaml') }, keyFiles: {}, trustedRoot: await readFile('root.json'),
 * }) });
 * const { verdict } = await decider.decide({ name: 'app.tgz', digest: { sha256 } }, [{ source: 'app.json', bytes }]);
 */
export async function openDecider(options: DeciderOptions): Promise<Decider> {
  // Late: a program that only signs or verifies loads no reader of policies.
  return await (await import('./policy/decider.ts')).openDecider(options);
}
