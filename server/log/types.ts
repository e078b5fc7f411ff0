/** The contracts of the log: what it is made of, and what it needs from outside. */
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { Config } from '../config/load.ts';
import type { Cosigner } from '../cosign/cosign.ts';
import type { LogIdentity } from '../dir/identity.ts';
import type { ServerError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Pin } from '../shards/pin.ts';
import type { Stores } from '../store/types.ts';
import type { TreeOptions } from '../tree/committed.ts';
import type { TreeReader } from '../tree/reader.ts';
import type { ScrubOptions } from '../tree/scrub.ts';
import type { Encoding, EntryKind, IngestedBody } from '../types.ts';
import type { KnownHead } from './known-head.ts';
import type { SecondPlace } from './second-place.ts';
import type { CheckpointSigner } from './sign.ts';

export type LogLimits = Pick<Config['limits'], 'outstanding' | 'unpublished' | 'publishTimeout'> &
  Pick<Config['readiness'], 'maxCheckpointDelay'>;

export interface LogOptions {
  /** Opens the stores; called at the start and after each failure. */
  readonly openStores: () => Promise<Stores>;
  /** Opens them to read alone, where a start finds the disk full. */
  readonly openFullDisk?: () => Promise<Stores>;
  readonly signer: CheckpointSigner;
  /** False while the signing key cannot be reached. */
  readonly signerHealthy: () => boolean;
  /** Has checkpoints cosigned by the witnesses of the policy; undefined for a log without a policy. */
  readonly cosigner?: Omit<Cosigner, 'loopback' | 'policy' | 'replacePolicy' | 'useConnections'> | undefined;
  /**
   * This very start made the log, so that no newer state of it can exist. Any other log with a policy waits until its
   * witnesses confirm that.
   */
  readonly isNew?: boolean;
  /** From the start of one publication to that of the next, in milliseconds. */
  readonly minPublishIntervalMs?: number;
  /** A witness proved that this log signed another history: the log stops until its operator acts. `evidence` is the note. */
  readonly onConflict?: (error: ServerError, evidence: string) => Promise<void>;
  /** A place that records each tree head before it is signed. */
  readonly secondPlace?: Pick<SecondPlace, 'check' | 'notReady'> | undefined;
  /** A checkpoint that the operator names: the log does not start with less. */
  readonly atLeast?: KnownHead | undefined;
  /** The next shard has pinned the last checkpoint of this log, which must be frozen with exactly that. */
  readonly pin?: Pin | undefined;
  /** Stores a copy of the plain checkpoint of a frozen log where readers of the data directory find it. */
  readonly keepPlain?: (note: string) => Promise<void>;
  readonly entries?: EntryKind;
  readonly ingest: { ingest(body: Uint8Array, encoding: Encoding): Promise<IngestedBody> };
  readonly batch: Config['batch'];
  /** Memory of the tree; the damaged files are named as `pathOf` says. */
  readonly tree?: Pick<TreeOptions, 'cachedBytes' | 'checksumBytes'> & { readonly pathOf?: (name: string) => string };
  /** How the files are read again and again. Default: not. */
  readonly scrub?: ScrubOptions;
  /** The filter that finds new entries: its memory in bytes, 0 for no filter, and the file where it is stored. */
  readonly filter: { readonly maxBytes: number; readonly path?: string };
  readonly limits: LogLimits;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** The log cannot go on: its stored data contradicts itself. Called once. */
  readonly onFatal: (error: unknown) => void;
  /** What a backup of this log says about its owner. */
  readonly identity: Omit<LogIdentity, 'copy'>;
}

/** A checkpoint that is public, or about to be. */
export interface Published {
  /** The signed note. */
  readonly checkpoint: string;
  /** Reads exactly the tree of the checkpoint. */
  readonly reader: TreeReader;
  /** Of a frozen log: the checkpoint of the same tree with the quorum, and without the line that says so. */
  readonly plain?: string | undefined;
}
