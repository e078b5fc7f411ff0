/** What `loadMonitorConfig` makes of `monitor.yaml`: checked, with absolute paths and milliseconds. Frozen at every depth. */
import type { VerifierKey } from '../../../merkle/note.ts';
import type { Policy } from '../../../merkle/policy.ts';
import type { Rule } from '../rules/types.ts';

/** A secret by where it is read from, each time that it is needed; never the secret itself. */
export type Secret = { readonly file: string } | { readonly env: string };

/** One log, or (`signingConfig`) the logs of a Sigstore signing configuration as they come and go. */
export interface LogConfig {
  /** How messages and metrics call it. Unique. */
  readonly name: string;
  /** Where the tiles are: an http(s) URL or an absolute directory. Absent with `signingConfig`. */
  readonly location?: string;
  /** Paths of a signing configuration, read anew at each round, and of the trusted root with the logs' keys. */
  readonly signingConfig?: { readonly file: string; readonly trustedRoot: string };
  /** The log's verifier keys; together with those of `policy` at least one, except with `signingConfig`. */
  readonly keys: readonly VerifierKey[];
  /** Witness policy: its log keys and its quorum. */
  readonly policy?: Policy;
  /** The log is frozen: any growth past `size` (or, with `true`, past the first tree seen) alerts. */
  readonly frozen?: true | { readonly size: number };
  /** Other views of the same log, which are compared at each round: http(s) URLs of copies or witnesses, or directories. */
  readonly peers: readonly string[];
}

export interface DigestConfig {
  /** How long alerts are gathered, in milliseconds. */
  readonly every: number;
}

export interface SinkCommon {
  /** Unique. */
  readonly name: string;
  /** Only alerts of these kinds; all where it is absent. */
  readonly kinds?: readonly string[];
  /** One message for all alerts of this time, instead of one at once. */
  readonly digest?: DigestConfig;
}

export interface WebhookSinkConfig extends SinkCommon {
  readonly type: 'webhook';
  readonly url: string;
  /** Key of the HMAC. */
  readonly secret: Secret;
  /** Loopback, link-local and private addresses are allowed. */
  readonly allowPrivate: boolean;
  /** Milliseconds for one delivery. */
  readonly timeout: number;
}

export interface EmailSinkConfig extends SinkCommon {
  readonly type: 'email';
  readonly host: string;
  readonly port: number;
  /** TLS from the start, by STARTTLS which must succeed, or none (for a mail server on this host). */
  readonly security: 'tls' | 'starttls' | 'none';
  readonly user?: string;
  readonly password?: Secret;
  readonly from: string;
  readonly to: readonly string[];
  readonly timeout: number;
}

/** JSON lines on standard output. */
export interface StdoutSinkConfig extends SinkCommon {
  readonly type: 'stdout';
}

export interface ExecSinkConfig extends SinkCommon {
  readonly type: 'exec';
  /** Program and arguments, without a shell; the alerts come on its standard input as JSON lines. */
  readonly command: readonly string[];
  readonly timeout: number;
}

export type SinkConfig = WebhookSinkConfig | EmailSinkConfig | StdoutSinkConfig | ExecSinkConfig;

export interface MonitorConfig {
  /** The file that this was read from: absolute. */
  readonly file: string;
  /** Directory of the monitor's state: absolute. */
  readonly state: string;
  /** From one round to the next, in milliseconds. */
  readonly interval: number;
  /** A log that has not been followed for this long alerts as `stale`, in milliseconds. */
  readonly staleAfter: number;
  /** A partial bundle is fetched when it has waited this long, in milliseconds. */
  readonly partialAfter: number;
  /** Bundles fetched at once from one log. */
  readonly parallel: number;
  /** For one request, in milliseconds. */
  readonly timeout: number;
  /** Threads that compare entries with rules. */
  readonly threads: number;
  /** Where Prometheus metrics are served; absent: not. Port 0 takes a free one. */
  readonly metrics?: { readonly host: string; readonly port: number };
  readonly logs: readonly LogConfig[];
  readonly rules: readonly Rule[];
  /** At least one. */
  readonly sinks: readonly SinkConfig[];
}
