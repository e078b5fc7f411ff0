/** What the routes of the public server share. */
import type { ExplorerSite } from '../../merkle/runtime/service/explorer-site.ts';
import type { Mirror } from '../../merkle/runtime/service/mirror.ts';
import type { Config } from '../config/load.ts';
import type { Metrics } from '../metrics.ts';
import type { LogInfo, LogService } from '../types.ts';
import type { Compressor } from './compress.ts';
import type { Writers } from './writers.ts';

/** The settings of the public server, and what a file of the settings holds. */
export interface HttpOptions
  extends Pick<Config, 'limits' | 'rateLimit' | 'trustProxy' | 'duplicates' | 'retryAfter' | 'publicUrl'> {
  readonly log: Pick<Config['log'], 'requests'>;
  /** PEM contents of the certificate chain and its key; plain HTTP if undefined. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** The TUF repository that is served; undefined without one. */
  readonly mirror?: Mirror | undefined;
  /** The page that is served at `/explorer/`; undefined without one. */
  readonly page?: ExplorerSite | undefined;
  /** Where only those may write whose identity is proven and whom the access policy allows; undefined: everybody may. */
  readonly writers?: Writers | undefined;
  /** Rate at which the slowest client that is served reads its reply, in bytes a second. Default 16 KiB. */
  readonly replyRate?: number;
}

/** Another shard of the same log, as `GET /stele/v1/log` names it. */
export interface ShardName {
  readonly origin: string;
  readonly url?: string;
  readonly verifierKeys: readonly string[];
  readonly status: LogInfo['status'];
}

/** What a log says about the other shards. */
export interface Relations {
  /** The shard that follows. */
  readonly successor?: ShardName | undefined;
  /** Every shard, the first one first; undefined where there is one alone. */
  readonly shards?: readonly ShardName[] | undefined;
}

/** A log that the port serves. */
export interface Served {
  readonly log: LogService;
  readonly metrics: Metrics;
  readonly publicUrl: string | undefined;
  readonly relations: () => Relations;
}

export interface HttpContext extends Served {
  readonly options: HttpOptions;
  readonly compressor: Compressor;
  /** `close` was called: reads are still answered, new entries are not taken. */
  readonly draining: () => boolean;
}
