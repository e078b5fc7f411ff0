/** What the parts of the monitor hand each other: entries that were proven, alerts, and what takes them. */

/** One entry of a log after its leaf hash was proven to be under a root that the log signed. */
export interface SeenEntry {
  /** The log's origin: the first line of its checkpoints. */
  log: string;
  /** Its index in the log, from 0. */
  index: number;
  /** RFC 6962 leaf hash of {@link body}: 32 bytes. */
  leafHash: Uint8Array;
  /** The entry as it stands in the bundle: at most 65,535 bytes, written by anybody. */
  body: Uint8Array;
}

/** What an alert is about: the first three come from the entries, the others from the log itself. */
export type AlertKind =
  /** An entry that a rule watches for. */
  | 'match'
  /** An entry that touches a watched name or digest and is not what the rule expects. */
  | 'unexpected'
  /** An entry that could not be read, and so could not be compared with the rules. */
  | 'unreadable'
  /** A signed checkpoint that does not continue the one before it. */
  | 'inconsistent'
  /** A signed checkpoint that is smaller than one that was seen. */
  | 'rollback'
  /** Entries that do not hash into the tree that the log signed. */
  | 'bad-entry'
  /** Two views of one log that cannot both be true. */
  | 'split-view'
  /** A log that signed a further checkpoint after it was frozen. */
  | 'frozen-grew'
  /** A checkpoint of the log without the cosignatures that the policy asks for. */
  | 'quorum-missing'
  /** A log that has not been followed for some time, whatever the reason. */
  | 'stale';

export interface Alert {
  /** Stable: hex SHA-256 over kind, log, entry (index and leaf hash) or what else was found, and rule, so that a second delivery is recognisable. */
  id: string;
  kind: AlertKind;
  severity: 'info' | 'alert' | 'critical';
  /** The log's origin. */
  log: string;
  /** When it was found: ISO 8601, UTC. */
  time: string;
  /** One sentence for people; printable. */
  summary: string;
  /** The name of the rule, where one found it. */
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
  /** Every entry below this tree size has been looked at. */
  completeThrough: number;
}

/** Takes alerts to people. */
export interface Sink {
  readonly name: string;
  /** Resolves when the alerts have been delivered; rejects when they have not. */
  deliver(alerts: readonly Alert[], signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Keeps alerts until every sink has taken them. */
export interface AlertQueue {
  /** Resolves when the alerts are durable: the cursor may pass their entries then. */
  enqueue(alerts: readonly Alert[]): Promise<void>;
  /** How many deliveries are outstanding. */
  pending(): number;
  /** Delivers, with back-off for each sink, until aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** Delivers what is queued; false when something is left when the signal aborts. */
  drain(signal: AbortSignal): Promise<boolean>;
}

/** Compares entries with the rules. */
export interface Matcher {
  readonly rules: readonly { name: string }[];
  /** The alerts of these entries, in their order. Never fails for what an entry contains: that is an `unreadable`. */
  match(entries: readonly SeenEntry[]): Promise<Alert[]>;
}
