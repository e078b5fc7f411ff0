/** What the routes of the public server share. */
import type { Mirror } from '../../merkle/runtime/service/mirror.ts';
import type { Config } from '../config/load.ts';
import type { Metrics } from '../metrics.ts';
import type { LogService } from '../types.ts';
import type { Compressor } from './compress.ts';

/** The settings of the public server, and what a file of the settings holds. */
export interface HttpOptions
  extends Pick<Config, 'limits' | 'rateLimit' | 'trustProxy' | 'duplicates' | 'retryAfter' | 'publicUrl'> {
  readonly log: Pick<Config['log'], 'requests'>;
  /** PEM contents of the certificate chain and its key; plain HTTP if undefined. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** The TUF repository that is served; undefined without one. */
  readonly mirror?: Mirror | undefined;
  /** Rate at which the slowest client that is served reads its reply, in bytes a second. Default 16 KiB. */
  readonly replyRate?: number;
}

export interface HttpContext {
  readonly log: LogService;
  readonly options: HttpOptions;
  readonly metrics: Metrics;
  readonly compressor: Compressor;
  /** `close` was called: reads are still answered, new entries are not taken. */
  readonly draining: () => boolean;
}
