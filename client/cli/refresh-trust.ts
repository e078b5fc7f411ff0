/** News of the followed repository, for the commands that are online anyway. */
import { printable } from '../../merkle/printable.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { ClientError, type ClientErrorCode, usage } from '../errors.ts';
import type { FollowedTrust } from '../trust/tuf/load-trust.ts';
import { TrustStore } from '../trust/tuf/trust-store.ts';
import { type UpdateOptions, updateTrust } from '../trust/tuf/update.ts';
import { followedTrust } from './followed-trust.ts';
import { isTrustGiven, type LogArguments } from './log-options.ts';
import { warn } from './report.ts';
import { fetchOf, type TlsOptions } from './tls-authorities.ts';
import { type TrustOptions, trustDirOf } from './trust-options.ts';

/** A command waits so long for a mirror, in milliseconds. */
const REFRESH_MS = 20_000;
/** The mirror is away, or does not serve: no attack that somebody could see. */
const AWAY: readonly ClientErrorCode[] = ['network', 'bad-reply', 'tuf-missing'];

interface OnlineOptions extends TrustOptions, TlsOptions {}

/**
 * The followed repository after its news, or undefined where none is followed. Where the mirror is away the local trust
 * counts, with a warning, as long as it is good.
 *
 * @throws ClientError the codes of `updateTrust` for an answer that is refused, and those of `followedTrust`
 */
export async function freshTrust(options: OnlineOptions): Promise<FollowedTrust | undefined> {
  const store = new TrustStore(trustDirOf(options));
  if (store.read() !== undefined) {
    const fetch = await fetchOf(options);
    await interruptible(async (signal) => await fetchNews(store, { fetch, signal }));
  }
  return followedTrust(options);
}

/** What `work` does until the first SIGINT, which aborts the signal. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const interrupted = () => stop.abort();
  process.once('SIGINT', interrupted);
  try {
    return await work(stop.signal);
  } finally {
    process.removeListener('SIGINT', interrupted);
  }
}

interface SigningArguments extends LogArguments {
  readonly log?: string;
  readonly noLog?: boolean;
  readonly queue?: string;
  readonly signingConfig?: string;
}

/**
 * The followed repository for a command that signs or submits; undefined where its options say all that it needs. A command
 * that only fills a queue is not online.
 *
 * @throws as `freshTrust`; ClientError `usage` where --trust is given beside options that leave nothing to it
 */
export async function signersTrust(options: SigningArguments): Promise<FollowedTrust | undefined> {
  const placed = options.log !== undefined || options.signingConfig !== undefined;
  if (options.noLog === true || (placed && isTrustGiven(options))) {
    if (options.trust === undefined) return undefined;
    throw usage('the other options say which log is used and trusted, or that none is: leave out --trust');
  }
  return options.queue === undefined ? await freshTrust(options) : followedTrust(options);
}

/** @returns whether the local trust changed. @throws ClientError for an answer that is refused */
export async function fetchNews(store: TrustStore, http: Pick<UpdateOptions, 'fetch' | 'signal'>): Promise<boolean> {
  try {
    return await updateTrust(store, { ...http, timeoutMs: REFRESH_MS });
  } catch (error) {
    // Another process that updates for long, or a directory that this user may only read.
    const local = error instanceof RuntimeError;
    if (!local && !(error instanceof ClientError && AWAY.includes(error.code))) throw error;
    warn(
      `the news of the followed repository could not be fetched, and what is here counts: ${printable(error.message)}`,
    );
    return false;
  }
}
