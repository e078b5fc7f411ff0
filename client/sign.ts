/** Signing and logging a file's digest, and checking the answer as a verifier would before anything is kept. */
import { formatVerifierKey, type VerifierKey } from '../merkle/note.ts';
import type { Bundle } from './bundle.ts';
import { createEntryRequest } from './entry.ts';
import { ClientError } from './errors.ts';
import { fetchLogInfo, type HttpOptions, submitEntry } from './http.ts';
import { keyHint, type PrivateKey } from './key.ts';
import { parseLogKey, type Verified, verifyEntry } from './verify.ts';

export interface Logged {
  readonly bundle: Bundle;
  readonly verified: Verified;
}

/**
 * Signs `digest`, logs the signature and resolves with a bundle that verifies against `logKey`.
 *
 * Calling it again with the same arguments, after a failure or a crash, gives the entry that the log already has.
 *
 * @param digest of the file, made with `key.publicKey.digest`
 * @param log as `parseLogUrl` gives it
 * @throws ClientError the codes of `submitEntry` and `verifyEntry`
 */
export async function signAndLog(
  digest: Uint8Array,
  key: PrivateKey,
  log: string,
  logKey: VerifierKey,
  options: HttpOptions = {},
): Promise<Logged> {
  const { publicKey } = key;
  const signed = { digest, publicKey, signature: key.sign(digest) };
  const entry = await submitEntry(log, createEntryRequest(signed), options);
  const verified = verifyEntry(entry, signed, logKey);
  const { signature } = signed;
  return {
    bundle: { hint: keyHint(publicKey), entry, digestAlgorithm: publicKey.digest, digest, signature },
    verified,
  };
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
