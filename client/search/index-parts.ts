/** What the service gives each of its parts, and what a part gives the service: serve-index.ts joins them. */
import type { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { DocumentedRoute } from '../../merkle/runtime/service/openapi.ts';
import type { OperatorCalls } from '../../merkle/runtime/service/operator-app.ts';
import type { ReadLocation } from '../follow/shards.ts';
import type { OpenSource } from '../tiles/types.ts';
import type { IndexConfig, LiveIndex } from './index-config.ts';
import type { IndexMetrics } from './index-metrics.ts';
import type { QueryTurns } from './query-turns.ts';

/** A part beside the plain index, which `index.yaml` turns on: the verifiable index, the store of attestations. */
export interface IndexPart {
  /** What `GET /stele/v1/index` calls it, in `parts`. */
  readonly name: string;
  /** Of the public port. Errors of a route are an `IndexError`, an `IdentityError` or a `SearchError`. */
  readonly routes: readonly DocumentedRoute[];
  /** Of the operator's port: what changes something there needs the admin token. */
  readonly calls?: OperatorCalls;
  /** A line for people for each call, such as `GET  /stele/v1/search       …`. */
  readonly about: readonly string[];
  /** What `GET /stele/v1/index` says about it. */
  describe(): unknown;
  /** Its work in the background, until the signal aborts. Rejects where the service cannot go on. */
  run?(signal: AbortSignal): Promise<void>;
  /** Why it does not do its work, one sentence a reason. */
  notReady?(): readonly string[];
  /** What needs the operator although it works, one sentence each. */
  alarms?(): readonly string[];
  /** Called when `run` has ended. */
  close(): Promise<void>;
}

export interface PartContext {
  readonly config: IndexConfig;
  /** A directory of the part's own, which may not be there yet. */
  readonly dir: string;
  /** Read it at each use. */
  readonly live: LiveIndex;
  /** A part adds metrics of its own by `metrics.gauge`, `counter` and `histogram`; their names begin with `stele_index_`. */
  readonly metrics: IndexMetrics;
  readonly logger: Logger;
  readonly clients: ClientAddresses;
  /** Bounds what strangers may ask at one time. */
  readonly turns: QueryTurns;
  readonly open: OpenSource;
  readonly read: ReadLocation;
  /** Node's `fetch` if undefined. */
  readonly fetch: typeof fetch | undefined;
}

export type OpenPart = (context: PartContext) => Promise<IndexPart>;
