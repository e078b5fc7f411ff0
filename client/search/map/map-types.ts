/** What the map of a log is given, and what it says of itself. */
import type { FeedSettings, FollowedLog } from '../../follow/types.ts';
import type { OpenSource } from '../../tiles/types.ts';
import type { PublishedMap } from './published-map.ts';
import type { RebuilderSettings, RebuilderState } from './rebuilders.ts';

export interface MappedLogOptions {
  readonly input: FollowedLog;
  /** The output log of this map alone. Its location is the URL to which leaves are added. */
  readonly output: FollowedLog;
  readonly rebuilders?: RebuilderSettings;
  /** The directory of this map alone. */
  readonly dir: string;
  /** Threads that extract keys. */
  readonly threads: number;
  readonly open: OpenSource;
  readonly settings: FeedSettings;
  /** From the end of one round to the next, and the first pause after a failure, in milliseconds. */
  readonly pollMs: number;
  readonly retryMs: number;
  /** Shortest time from one version to the next. */
  readonly intervalMs: number;
  /** For requests to the output log that add leaves; Node's own by default. */
  readonly fetch?: typeof fetch;
  /** Until a leaf that the output log does not take is a fault, in milliseconds; 30 s by default. */
  readonly submitMs?: number;
  readonly rebuilderFetch?: typeof fetch;
  readonly onEvent?: (event: MapEvent) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export type MapEvent =
  | { readonly type: 'published'; readonly size: number; readonly index: number; readonly keys: number }
  | { readonly type: 'late'; readonly size: number; readonly missing: readonly string[] }
  | { readonly type: 'fault'; readonly message: string; readonly attempt: number }
  | { readonly type: 'halted'; readonly message: string }
  | { readonly type: 'recovered' };

/** Where the map of a log stands. */
export interface MapStatus {
  readonly log: string;
  readonly output: string;
  /** Entries that the map has taken, and the last checkpoint of the log that was accepted. */
  readonly taken: number;
  readonly accepted: number;
  readonly published?: PublishedMap & { readonly keys: number };
  /** When the published version became so, in milliseconds since 1970. */
  readonly publishedAt?: number;
  readonly rebuilders: readonly RebuilderState[];
  /** The published version lacks the quorum of the rebuilders. */
  readonly late: boolean;
  readonly halted?: string;
  readonly fault?: string;
  /** When a round last ended well, in milliseconds since 1970; 0 before. */
  readonly followed: number;
  readonly memory: { readonly trie: number; readonly retired: number; readonly changed: number };
}
