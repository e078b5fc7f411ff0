/** Opens a plain index: its store, the logs that it follows, and its searches. */
import { KEY_KINDS, type KeyKind } from '../../../merkle/index/keys.ts';
import { formatVerifierKey } from '../../../merkle/note.ts';
import { whenAborted } from '../../../merkle/runtime/service/ends.ts';
import { LogLoops } from '../../follow/log-loops.ts';
import type { ReadLocation } from '../../follow/shards.ts';
import type { FeedSettings, FollowedLog, ShardSource } from '../../follow/types.ts';
import type { OpenSource } from '../../tiles/types.ts';
import type { IndexedLogStatus, SearchPage, SearchQuery } from '../types.ts';
import { Extraction } from './extraction.ts';
import { IndexFollower } from './index-follower.ts';
import { IndexStore } from './index-store.ts';
import { LogIndex } from './log-index.ts';
import { Searches } from './searches.ts';

export interface PlainIndexOptions {
  /** The directory of the store. The process that has it open is the only one. */
  readonly dir: string;
  /** No two have the same origin. */
  readonly logs: readonly FollowedLog[];
  readonly shards?: readonly ShardSource[];
  /** What is indexed; all by default. A store that was made with other kinds is refused. */
  readonly kinds?: readonly KeyKind[];
  /** Times in milliseconds; `partialMs` does not count. */
  readonly settings: FeedSettings & { readonly pollMs: number; readonly retryMs: number };
  /** Opens logs and peers. */
  readonly open: OpenSource;
  /** Opens the logs for the bodies of hits; `open` by default. */
  readonly openBodies?: OpenSource;
  /** Reads configurations of shards. */
  readonly read: ReadLocation;
  /** Threads that read keys; 0: the calling thread does. */
  readonly threads: number;
  /** Removes what is there, and reads every entry of the logs again. */
  readonly rebuild?: boolean;
  readonly onEvent?: (event: IndexEvent) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** What happens, for people and metrics; `log` is an origin, or the name of a configuration of shards. */
export type IndexEvent =
  | { readonly type: 'progress'; readonly log: string; readonly entries: number; readonly status: IndexedLogStatus }
  | { readonly type: 'round'; readonly log: string; readonly ok: boolean; readonly status: IndexedLogStatus }
  /** The index follows another log of a configuration of shards from now on. */
  | { readonly type: 'shard'; readonly log: string; readonly location: string }
  /** A configuration of shards cannot be read, or names a log that cannot be followed. */
  | { readonly type: 'problem'; readonly log: string; readonly message: string }
  /** The store failed, and is opened again. */
  | { readonly type: 'store'; readonly message: string };

export interface PlainIndex {
  readonly kinds: readonly KeyKind[];
  /**
   * Follows all logs until the signal aborts. Searches are answered meanwhile, and before, by what the store holds.
   * @throws ClientError `state`: the store is damaged, or of another log
   */
  run(signal: AbortSignal): Promise<void>;
  /** One look at each log, and all that it has to read. Resolves with the status of each. @throws as `run`; `cancelled` */
  once(signal: AbortSignal): Promise<readonly IndexedLogStatus[]>;
  /** @throws SearchError; ClientError `cancelled` */
  search(query: SearchQuery, signal: AbortSignal): Promise<SearchPage>;
  status(): readonly IndexedLogStatus[];
  /** Ends the threads and closes the store. Call it when `run` has ended. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens the store and reads how far it is. It sends no request to a log.
 *
 * @throws ClientError `state`: the store has another layout or other kinds, or is damaged; `usage`: a location is neither a URL nor
 *   a directory; RuntimeError `locked`, `store`, `file`
 */
export async function openPlainIndex(options: PlainIndexOptions): Promise<PlainIndex> {
  const {
    dir,
    logs,
    shards = [],
    open,
    openBodies = open,
    read,
    threads,
    now = Date.now,
    onEvent = () => {},
  } = options;
  const kinds = KEY_KINDS.filter((kind) => (options.kinds ?? KEY_KINDS).includes(kind));
  // All logs may have a backlog at once, and share the memory.
  const count = Math.max(1, logs.length + 2 * shards.length);
  const chunkBytes = Math.max(1024 * 1024, Math.floor(options.settings.chunkBytes / count));
  const settings = { ...options.settings, chunkBytes };
  const store = await IndexStore.open(dir, {
    kinds,
    ...(options.rebuild === true && { rebuild: true }),
    onTrouble: (message) => onEvent({ type: 'store', message }),
  });
  const extraction = new Extraction(kinds, threads);
  const searches = new Searches(store, kinds, openBodies);
  let numbers: Awaited<ReturnType<IndexStore['numbers']>>;
  const make = (log: FollowedLog): IndexFollower => {
    const shard = log.shard === true ? { location: log.location, keys: log.keys.map(formatVerifierKey) } : undefined;
    const index = new LogIndex(log, {
      store,
      extraction,
      now,
      nextNumber: () => numbers.next(log.origin),
      ...(shard && { shard }),
    });
    searches.add(log, index);
    const follower: IndexFollower = new IndexFollower(log, {
      index,
      settings,
      open,
      now,
      onProgress: (entries) => onEvent({ type: 'progress', log: log.origin, entries, status: follower.status }),
    });
    return follower;
  };
  const loops = new LogLoops<IndexFollower>({
    settings,
    shards,
    read,
    now,
    make,
    known: () => store.shards(),
    onShard: ({ origin, location }) => onEvent({ type: 'shard', log: origin, location }),
    onProblem: (source, message) => onEvent({ type: 'problem', log: source, message }),
    onRound: ({ log, status }, { ok }) => onEvent({ type: 'round', log: log.origin, ok, status }),
  });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await Promise.all([loops.close(), searches.close(), extraction.close()]);
    await store.close();
  };
  try {
    numbers = await store.numbers();
    for (const log of logs) loops.add(log);
    for (const follower of loops.followers) await follower.load();
  } catch (error) {
    await close();
    throw error;
  }
  const status = () => [...loops.followers].map((follower) => follower.status);
  return {
    kinds,
    status,
    search: (query, signal) => searches.search(query, signal),
    async run(signal) {
      const stopping = new AbortController();
      const stop = AbortSignal.any([signal, stopping.signal]);
      let failure: { readonly error: unknown } | undefined;
      const running = loops.run(stop, (error) => {
        failure ??= { error };
        stopping.abort();
      });
      await whenAborted(stop);
      await running;
      if (failure !== undefined) throw failure.error;
    },
    async once(signal) {
      await loops.findShards(signal);
      await Promise.all([...loops.followers].map((follower) => loops.round(follower, signal)));
      return status();
    },
    close: () => (closing ??= close()),
  };
}
