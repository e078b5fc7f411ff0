/** The configuration of a monitor: checked, with absolute paths and times in milliseconds. */

import type { FollowedLog, ShardSource } from '../../follow/types.ts';
import type { SinkOptions } from '../alerts/sink-options.ts';
import type { WatchedIndex } from '../lookup-follower.ts';
import type { IssuingAuthority } from '../rules/issuer-trust.ts';
import type { Rule } from '../rules/types.ts';
import type { WatchedTrust } from '../trust-watch.ts';
import type { FollowSettings } from '../types.ts';

export interface MonitorConfig {
  /** The absolute path of `monitor.yaml`. */
  readonly file: string;
  /** The absolute path of the state directory. */
  readonly state: string;
  /** No two have the same origin. `logs` and `shards` are not both empty. */
  readonly logs: readonly FollowedLog[];
  readonly shards: readonly ShardSource[];
  /** Logs of `logs` that are watched by an index in the place of a scan. */
  readonly indexes: readonly WatchedIndex[];
  /** The local directory of the followed repository, whose source is among the shards. */
  readonly trust?: string;
  /** TUF repositories that are watched. */
  readonly repositories: readonly WatchedTrust[];
  readonly follow: FollowSettings;
  /** No two have the same name. May be empty: then only the logs themselves are watched. */
  readonly rules: readonly Rule[];
  /** The issuers of expected certificates. Absent: every certificate is trusted as it stands. */
  readonly authorities?: readonly IssuingAuthority[];
  /** Threads that compare entries with rules; with 0 the main thread does. */
  readonly threads: number;
  /** At least one. No two have the same name. */
  readonly sinks: readonly SinkOptions[];
  /** Where Prometheus metrics are served; absent: nowhere. Port 0 takes a free port. */
  readonly metrics?: { readonly host: string; readonly port: number; readonly hosts: readonly string[] };
}
