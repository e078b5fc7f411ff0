/** What the parts of the monitor hand each other: alerts, and what makes and takes them. */
import type { FeedEntry, FeedSettings } from '../follow/types.ts';

/** What an alert is about. The first three come from entries, the others from the log itself. */
export const ALERT_KINDS = [
  /** An entry that a rule watches for. */
  'match',
  /** An entry that touches a watched name or digest and is not what the rule expects. */
  'unexpected',
  /** An entry that the monitor could not read, and so could not compare with the rules. */
  'unreadable',
  /** A signed checkpoint that does not continue the one before it. */
  'inconsistent',
  /** A signed checkpoint that is smaller than an earlier one. */
  'rollback',
  /** Entries that do not hash into the tree that the log signed. */
  'bad-entry',
  /** Two views of one log that cannot both be true. */
  'split-view',
  /** A log that signed a further checkpoint after it was frozen. */
  'frozen-grew',
  /** A checkpoint of the log without the cosignatures that the policy asks for. */
  'quorum-missing',
  /** A verifiable index, by which the monitor watches the log, gave an answer that does not hold. */
  'bad-index',
  /** The monitor could not follow the log for some time, whatever the reason. */
  'stale',
  /** A new version of root, targets or a delegated role in a watched TUF repository. */
  'trust-changed',
  /** A watched TUF repository serves what clients refuse. */
  'trust-refused',
  /** The mirror of a TUF repository serves what the operator's own repository did not publish, or holds news back. */
  'trust-foreign',
] as const;

export type AlertKind = (typeof ALERT_KINDS)[number];

export interface Alert {
  /** Hex SHA-256 over kind, log, entry (index, leaf hash) or other find, and rule: the same in a second delivery. */
  id: string;
  kind: AlertKind;
  severity: 'info' | 'alert' | 'critical';
  /** The origin. */
  log: string;
  /** When the monitor found it: ISO 8601, UTC. */
  time: string;
  /** One sentence for people; printable. */
  summary: string;
  /** The name of the rule that found it. */
  rule?: string;
  entry?: {
    index: number;
    /** Base64. */
    leafHash: string;
    names: string[];
    issuer?: string;
    keyFingerprint?: string;
    digest?: string;
  };
  /** Path of the evidence file, where two signed checkpoints contradict each other. */
  evidence?: string;
  /** The monitor has looked at every entry below this tree size. */
  completeThrough: number;
}

/** How the monitor follows its logs. All times are in milliseconds. */
export interface FollowSettings extends FeedSettings {
  /** From the end of a round to the next one. */
  readonly pollMs: number;
  /** The monitor reports a log that it could not follow for so long. */
  readonly staleMs: number;
  /** First pause after a failure. It doubles up to `pollMs`, or up to 60 s where that is longer. */
  readonly retryMs: number;
  /** The monitor reports what may be a fault on the way when so many looks in a row have shown it: 1 or more. */
  readonly confirmations: number;
}

/** Takes alerts to people. */
export interface Sink {
  readonly name: string;
  /** Resolves when the alerts have been delivered; rejects when they have not. */
  deliver(alerts: readonly Alert[], signal: AbortSignal): Promise<void>;
  close?(): void;
}

/** Holds alerts until every sink has taken them. */
export interface AlertQueue {
  /** Resolves when the alerts are durable: the cursor may pass their entries then. */
  enqueue(alerts: readonly Alert[]): Promise<void>;
  /** How many deliveries remain. */
  pending(): number;
  /** Delivers, with back-off for each sink, until aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** Delivers the queue; false where the signal aborts before all is delivered. */
  drain(signal: AbortSignal): Promise<boolean>;
}

/** Compares entries with the rules. */
export interface Matcher {
  /** The alerts of these entries, in their order. An entry that cannot be read gives an `unreadable`, and no error. */
  match(entries: readonly FeedEntry[]): Promise<Alert[]>;
  /** Ends the threads. Idempotent. */
  close(): Promise<void>;
}
