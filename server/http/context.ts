/** What the routes of the public server share. */
import type { Metrics } from '../metrics.ts';
import type { LogService } from '../types.ts';
import type { Compressor } from './compress.ts';
import type { HttpSettings } from './options.ts';
import type { BodyBudget } from './request-body.ts';

export interface HttpContext {
  readonly log: LogService;
  readonly options: HttpSettings;
  readonly metrics: Metrics;
  readonly budget: BodyBudget;
  readonly compressor: Compressor;
  /** `close` was called: reads are still answered, new entries are not taken. */
  readonly draining: () => boolean;
}
