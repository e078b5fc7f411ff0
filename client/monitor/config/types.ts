/** What `loadMonitorConfig` makes of `monitor.yaml`: checked, with absolute paths and milliseconds. */

import type { FollowedLog, ShardSource } from '../../follow/types.ts';
import type { SinkOptions } from '../alerts/sink-options.ts';
import type { FollowSettings } from '../follow-settings.ts';
import type { IssuingAuthority } from '../rules/trust.ts';
import type { Rule } from '../rules/types.ts';

export interface MonitorConfig {
  /** The file that this was read from: absolute. */
  readonly file: string;
  /** Directory of the monitor's state: absolute. */
  readonly state: string;
  /** With `shards` together at least one. No two of one origin. */
  readonly logs: readonly FollowedLog[];
  readonly shards: readonly ShardSource[];
  readonly follow: FollowSettings;
  /** No two of one name; may be empty, where only the logs themselves are watched. */
  readonly rules: readonly Rule[];
  /** Whose certificates can be expected; absent: what a certificate says of itself is believed. */
  readonly authorities?: readonly IssuingAuthority[];
  /** Threads that compare entries with rules; 0: the main one does. */
  readonly threads: number;
  /** At least one; no two of one name. */
  readonly sinks: readonly SinkOptions[];
  /** Where Prometheus metrics are served; absent: not. Port 0 takes a free one. */
  readonly metrics?: { readonly host: string; readonly port: number };
}
