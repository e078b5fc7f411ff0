/** Signing and logging digests, and checking the answer as a verifier would before anything is kept. */
import { formatVerifierKey, type VerifierKey } from '../../merkle/note.ts';
import { formatTlogProof } from '../../merkle/tlog-proof.ts';
import type { Primitives } from '../crypto/crypto.ts';
import { nodePrimitives } from '../crypto/node-primitives.ts';
import { ClientError } from '../errors.ts';
import type { Bundle } from '../formats/bundle.ts';
import { createEntryRequest, type Signed } from '../formats/entry.ts';
import { keyHint } from '../formats/key.ts';
import { type LogEntry, tlogEntry } from '../formats/log-entry.ts';
import { parseLogKey } from '../trust/log-key.ts';
import { type LoggedLeaf, type LogTrust, verifyReply } from '../verify/leaf.ts';
import { type BulkOptions, submitEntries } from './bulk.ts';
import { fetchLogInfo, type HttpOptions, submitEntry } from './http.ts';
import type { Signer } from './signers/signer.ts';

/** What signs; a signer that is never closed here. */
export type DigestSigner = Pick<Signer, 'publicKey' | 'certificate' | 'sign'>;

export interface Logged {
  readonly signed: Signed;
  readonly entry: LogEntry;
  readonly verified: LoggedLeaf;
  /** Without timestamps. */
  readonly bundle: Bundle;
}

export interface LogOptions extends BulkOptions {
  /** What checks signatures; Node's OpenSSL where left out. */
  readonly primitives?: Primitives;
}

/**
 * Signs `digest`, of `signer.publicKey.digestSize` bytes, and checks what came of it: a token may be broken, and an entry
 * cannot be taken back.
 *
 * @throws ClientError `bad-signature`, and what the signer throws
 */
export async function signDigest(digest: Uint8Array, signer: DigestSigner): Promise<Signed> {
  const { publicKey, certificate } = signer;
  const signature = await signer.sign(digest);
  if (!publicKey.verify(digest, signature)) {
    throw new ClientError('bad-signature', 'the key gave a signature that its own public key refuses: it was not used');
  }
  return { digest, signature, publicKey, certificate };
}

/**
 * Signs `digest`, logs the signature and resolves with a bundle that verifies against `trust`.
 *
 * Calling it again with the same arguments, after a failure or a crash, gives the entry that the log already has, where the
 * signer is `repeatable`.
 *
 * @param digest of the file, made with `signer.publicKey.digest`
 * @param log as `parseLogUrl` gives it
 * @param trust the log's key, or a policy, whose quorum must then have cosigned
 * @throws ClientError the codes of `signDigest`, `submitEntry` and `verifyReply`
 */
export async function signAndLog(
  digest: Uint8Array,
  signer: DigestSigner,
  log: string,
  trust: LogTrust | VerifierKey,
  options: LogOptions = {},
): Promise<Logged> {
  return await logSigned(await signDigest(digest, signer), log, 'keyId' in trust ? { logKey: trust } : trust, options);
}

/**
 * Logs what is signed already.
 *
 * @throws ClientError the codes of `submitEntry` and `verifyReply`
 */
export async function logSigned(
  signed: Signed,
  log: string,
  trust: LogTrust,
  options: LogOptions = {},
): Promise<Logged> {
  return checkedReply(await submitEntry(log, createEntryRequest(signed), options), signed, trust, options);
}

/**
 * The same for many, with the log's bulk call. What becomes of one does not touch the others.
 *
 * @param onLogged told of each, once, as its answer comes
 * @returns in order, what was logged or why it was not
 * @throws ClientError `cancelled`
 */
export async function logAll(
  signed: readonly Signed[],
  log: string,
  trust: LogTrust,
  options: Omit<LogOptions, 'onResult'> & {
    readonly onLogged?: (index: number, result: Logged | ClientError) => void;
  } = {},
): Promise<(Logged | ClientError)[]> {
  const results: (Logged | ClientError)[] = [];
  await submitEntries(log, signed.map(createEntryRequest), {
    ...options,
    onResult: (index, result) => {
      const outcome = result instanceof ClientError ? result : attempt(result, signed[index]!, trust, options);
      results[index] = outcome;
      options.onLogged?.(index, outcome);
    },
  });
  return results;
}

function attempt(entry: LogEntry, signed: Signed, trust: LogTrust, options: LogOptions): Logged | ClientError {
  try {
    return checkedReply(entry, signed, trust, options);
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
}

function checkedReply(
  entry: LogEntry,
  signed: Signed,
  trust: LogTrust,
  { primitives = nodePrimitives() }: LogOptions,
): Logged {
  return {
    signed,
    entry,
    verified: verifyReply(entry, signed, trust, primitives),
    bundle: messageBundle(signed, entry),
  };
}

/** A bundle v0.3 of a file's signature; without `entry`, one that is yet to be logged. */
export function messageBundle(
  signed: Signed,
  entry: LogEntry | undefined,
  timestamps: readonly Uint8Array[] = [],
): Bundle {
  const { digest, signature, publicKey, certificate } = signed;
  return {
    version: '0.3',
    content: { kind: 'message', digest: { algorithm: publicKey.digest, value: digest }, signature },
    signer:
      certificate === undefined
        ? { kind: 'public-key', hint: keyHint(publicKey) }
        : { kind: 'certificate', certificate, chain: [] },
    entries: entry === undefined ? [] : [tlogEntry(entry)],
    timestamps,
  };
}

/** The proof of a logged file as c2sp.org/tlog-proof: its extra data is the entry, from which the leaf is made. */
export function tlogProofOf({ entry }: Pick<Logged, 'entry'>): Uint8Array {
  const { index, hashes, checkpoint, body } = entry;
  return formatTlogProof({ extra: body, index, hashes, checkpoint });
}

/**
 * The key that the log itself names: trust on first use. Whoever answers at `log` may name any key, so the caller must say
 * so, and should keep the key for the next time.
 *
 * @returns the key and its text form
 * @throws ClientError the codes of `submitEntry`, `bad-reply`
 */
export async function askLogKey(log: string, options: HttpOptions = {}): Promise<{ key: VerifierKey; text: string }> {
  const info = await fetchLogInfo(log, options);
  const [first] = info.verifierKeys;
  if (first === undefined) throw new ClientError('bad-reply', 'the log names no verifier key of its own');
  try {
    const key = parseLogKey(first);
    return { key, text: formatVerifierKey(key) };
  } catch (cause) {
    throw new ClientError('bad-reply', 'the log names a verifier key that is not one', { cause });
  }
}
