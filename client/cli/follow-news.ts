/** News of a followed repository while a service runs. */
import { printable } from '../../merkle/printable.ts';
import { SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import { TrustStore } from '../trust/tuf/trust-store.ts';
import { fetchNews, interruptible } from './refresh-trust.ts';

/** The longest time from one look at the mirror to the next; a service that polls often looks there more often. */
const NEWS_EVERY_MS = 60_000;

/** The part of a service's configuration that is needed here. */
interface FollowsTrust {
  /** The local directory of the followed repository. */
  readonly trust?: string;
}

/** The configuration, with the news of its repository. @throws what `load` throws, and ClientError for news that are refused */
export async function withNews<C extends FollowsTrust>(
  load: () => C,
  fetch: typeof globalThis.fetch | undefined,
): Promise<C> {
  const config = load();
  if (config.trust === undefined) return config;
  const { trust } = config;
  await interruptible(async (signal) => await fetchNews(new TrustStore(trust), { fetch, signal }));
  return load();
}

interface NewsEvents {
  /** There are news that the service uses. */
  onNews(): void;
  /** What is wrong with the news that were just fetched, in a sentence; empty where they are good. */
  onState(sentences: string[]): void;
}

/** Fetches the news of the repository until the signal aborts. What is refused changes nothing: the service goes on with what it has. */
export async function followNews(
  { trust }: FollowsTrust,
  pollMs: number,
  fetch: typeof globalThis.fetch | undefined,
  signal: AbortSignal,
  { onNews, onState }: NewsEvents,
): Promise<void> {
  if (trust === undefined) return;
  const store = new TrustStore(trust);
  while (!signal.aborted) {
    await SYSTEM_CLOCK.sleep(Math.min(NEWS_EVERY_MS, 6 * pollMs), signal);
    if (signal.aborted) return;
    try {
      const before = store.read()?.set.files.join();
      await fetchNews(store, { fetch, signal });
      if (store.read()?.set.files.join() !== before) onNews();
      onState([]);
    } catch (error) {
      if (!signal.aborted) {
        onState([`the news of the followed repository are refused: ${printable((error as Error).message)}`]);
      }
    }
  }
}
