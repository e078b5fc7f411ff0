/** Logs signatures, and checks each answer as a verifier would before it hands the entry on. */
import type { VerifierKey } from '../../merkle/note.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { ClientError } from '../errors.ts';
import type { Bundle } from '../formats/bundle.ts';
import { createEntryRequest, type Signed } from '../formats/entry-request.ts';
import type { LogEntry } from '../formats/log-entry.ts';
import { verifyReply } from '../verify/leaf.ts';
import type { LoggedLeaf, LogTrust } from '../verify/types.ts';
import { DEFAULTS } from './log-request.ts';
import { sendAll } from './sender.ts';
import { messageBundle, signDigest } from './signed-digest.ts';
import type { DigestSigner } from './signers/types.ts';
import type { SendOptions } from './types.ts';

/** A signature that a log has, with its proof. */
export interface LoggedSignature {
  readonly signed: Signed;
  readonly entry: LogEntry;
  readonly verified: LoggedLeaf;
  /** Without timestamps. */
  readonly bundle: Bundle;
}

/** `deadline` is the longest time without any answer; `reach` is 15,000 by default. */
export interface LogSignatureOptions extends Omit<SendOptions, 'renewDeadline'> {
  /** What checks signatures; Node's OpenSSL by default. */
  readonly primitives?: Primitives;
}

/**
 * Signs `digest`, logs the signature and resolves with a bundle that verifies against `trust`.
 *
 * A second call with the same arguments, after a failure or a crash, gives the entry that the log already has, where the
 * signer is `repeatable`.
 *
 * @param digest of the file, made with `signer.publicKey.digest`
 * @param log as `parseLogUrl` gives it
 * @param trust the log's key, or a policy, whose quorum must then have cosigned
 * @throws ClientError the codes of `signDigest` and `logSigned`
 */
export async function signAndLog(
  digest: Uint8Array,
  signer: DigestSigner,
  log: string,
  trust: LogTrust | VerifierKey,
  options: LogSignatureOptions = {},
): Promise<LoggedSignature> {
  return await logSigned(await signDigest(digest, signer), log, 'keyId' in trust ? { logKey: trust } : trust, options);
}

/**
 * Logs a signature that is there already.
 *
 * @throws ClientError `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`, and the codes of `verifyReply`
 */
export async function logSigned(
  signed: Signed,
  log: string,
  trust: LogTrust,
  options: LogSignatureOptions = {},
): Promise<LoggedSignature> {
  const [result] = await logAll([signed], log, trust, options);
  if (result instanceof ClientError) throw result;
  return result!;
}

/**
 * Logs many signatures, with the log's bulk call. What becomes of one does not touch the others, unless the log is not the
 * trusted one: then nothing more is sent to it.
 *
 * @param options `onLogged` gets the result of each, once, as its answer comes
 * @returns in order, what was logged or why it was not
 * @throws ClientError `cancelled`
 */
export async function logAll(
  signed: readonly Signed[],
  log: string,
  trust: LogTrust,
  options: LogSignatureOptions & {
    readonly onLogged?: (index: number, result: LoggedSignature | ClientError) => void;
  } = {},
): Promise<(LoggedSignature | ClientError)[]> {
  const { onLogged, primitives = nodePrimitives(), ...send } = options;
  return await sendSigned(
    log,
    signed,
    { reach: DEFAULTS.reach, logKeys: trustedKeys(trust), ...send, renewDeadline: true },
    (at, entry) => {
      const one = signed[at]!;
      const verified = verifyReply(entry, one, trust, primitives);
      return { signed: one, entry, verified, bundle: messageBundle(one, entry) };
    },
    onLogged,
  );
}

/** The keys by which a checkpoint of the trusted log is known. */
export function trustedKeys(trust: LogTrust): readonly VerifierKey[] {
  if (trust.logKey !== undefined) return [trust.logKey];
  return trust.policy?.logs.map(({ key }) => key) ?? [];
}

/**
 * Sends signatures, and resolves in order with what `check` makes of each entry, or with the error.
 *
 * @param check throws ClientError where the entry does not hold
 * @throws ClientError `cancelled`
 */
export async function sendSigned<T>(
  log: string,
  signed: readonly Signed[],
  options: SendOptions,
  check: (at: number, entry: LogEntry) => T,
  onResult?: (at: number, result: T | ClientError) => void,
): Promise<(T | ClientError)[]> {
  const results: (T | ClientError)[] = [];
  const ends = (at: number, result: T | ClientError): void => {
    results[at] = result;
    onResult?.(at, result);
  };
  const items = signed.map((one, at) => ({ at, load: () => createEntryRequest(one) }));
  await sendAll(log, items, options, {
    logged: ({ at }, entry) => ends(at, check(at, entry)),
    notLogged: ({ at }, { error }) => ends(at, error),
  });
  return results;
}
