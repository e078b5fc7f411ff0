/**
 * Attestations: in-toto statements in DSSE envelopes. The log entry is a `hashedrekord` of the pre-authentication encoding,
 * which verifiers of Rekor v2 rebuild from the envelope.
 */
import { type Envelope, INTOTO_TYPE, preAuthEncoding } from '../../merkle/rekor/dsse.ts';
import { HASH_NAME } from '../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import type { Bundle } from '../formats/bundle.ts';
import type { Signed } from '../formats/entry-request.ts';
import type { LogEntry } from '../formats/log-entry.ts';
import { checkStatement } from '../formats/statement.ts';
import type { LogTrust } from '../verify/types.ts';
import { type LoggedSignature, type LogSignatureOptions, logSigned } from './log-signatures.ts';
import { messageBundle, signDigest } from './signed-digest.ts';
import type { DigestSigner } from './signers/types.ts';

/** A signed statement. */
export interface Attested {
  readonly envelope: Envelope;
  /** The digest is that of the pre-authentication encoding. */
  readonly signed: Signed;
}

/**
 * Signs a statement (statement.ts: `formatStatement`), byte for byte.
 *
 * @throws ClientError `statement`, `bad-signature`, and what the signer throws
 */
export async function attest(
  statement: Uint8Array,
  signer: DigestSigner,
  primitives: Primitives = nodePrimitives(),
): Promise<Attested> {
  checkStatement(statement);
  const encoded = preAuthEncoding(INTOTO_TYPE, statement);
  // Node gives a Buffer; the library promises Uint8Array.
  const digest = Uint8Array.from(primitives.hash(HASH_NAME[signer.publicKey.digest], encoded));
  const signed = await signDigest(digest, signer, async (limit) => (encoded.length > limit ? undefined : encoded));
  return { signed, envelope: { payloadType: INTOTO_TYPE, payload: statement, signature: signed.signature } };
}

/**
 * Signs a statement, logs it and resolves with a bundle that verifies against `trust`. A second call gives the entry that
 * the log already has, where the signer is `repeatable`.
 *
 * @param log as `parseLogUrl` gives it
 * @throws ClientError the codes of `attest` and `logSigned`
 */
export async function attestAndLog(
  statement: Uint8Array,
  signer: DigestSigner,
  log: string,
  trust: LogTrust,
  options: LogSignatureOptions = {},
): Promise<LoggedSignature> {
  const attested = await attest(statement, signer, options.primitives);
  const logged = await logSigned(attested.signed, log, trust, options);
  return { ...logged, bundle: attestationBundle(attested, logged.entry) };
}

/** A bundle v0.3 of an attestation. Without `entry` it is one that is yet to be logged. */
export function attestationBundle(
  { envelope, signed }: Attested,
  entry: LogEntry | undefined,
  timestamps: readonly Uint8Array[] = [],
): Bundle {
  return { ...messageBundle(signed, entry, timestamps), content: { kind: 'dsse', ...envelope, keyId: '' } };
}
