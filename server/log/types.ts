/** The contracts of the log: what it is made of, and what it needs from outside. */
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { Cosigning } from '../cosign/types.ts';
import type { ServerError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Stores, TileStore } from '../store/types.ts';
import type { CommittedTree } from '../tree/committed.ts';
import type { TreeReader } from '../tree/reader.ts';
import type { Encoding, EntryKind, IngestedBody } from '../types.ts';
import type { CheckpointSigner } from './sign.ts';

export interface LogLimits {
  /** New entries whose callers have no answer yet, at most. */
  readonly outstanding: number;
  /** Entries that are committed and not published, at most. */
  readonly unpublished: number;
  /** How long a committed entry waits for its publication before its client is asked to retry, in milliseconds. */
  readonly publishTimeoutMs: number;
  /** How late a checkpoint may be before `notReady` says so, in milliseconds. */
  readonly maxCheckpointDelayMs: number;
}

export interface SequencerOptions {
  /** Entries in a batch, at most. */
  readonly maxSize: number;
  /** How long the first entry of a batch waits for others, in milliseconds. */
  readonly maxAgeMs: number;
}

export interface LogOptions {
  /** Opens the stores; called at the start and after each failure. */
  readonly openStores: () => Promise<Stores>;
  readonly signer: CheckpointSigner;
  /** False while the signing key cannot be reached. */
  readonly signerHealthy: () => boolean;
  /** Asks the witnesses of the policy; undefined for a log without a policy. */
  readonly cosigner?: Cosigning | undefined;
  /** From the start of one publication to that of the next, in milliseconds. */
  readonly minPublishIntervalMs?: number;
  /** A witness proved that this log signed another history: the log stops until its operator acts. `evidence` is the note. */
  readonly onConflict?: (error: ServerError, evidence: string) => Promise<void>;
  readonly entries?: EntryKind;
  readonly ingest: { ingest(body: Uint8Array, encoding: Encoding): Promise<IngestedBody> };
  readonly batch: SequencerOptions;
  /** The filter that tells new entries from duplicates: its memory in bytes, 0 for none, and the file where it is stored. */
  readonly filter: { readonly maxBytes: number; readonly path?: string };
  readonly limits: LogLimits;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** The log cannot go on: its stored data contradicts itself. Called once. */
  readonly onFatal: (error: unknown) => void;
  readonly copyTo: {
    backup(dir: string, tree: CommittedTree, checkpoint: string): Promise<number>;
    export(dir: string, reader: TreeReader, store: Pick<TileStore, 'get'>, checkpoint: string): Promise<number>;
  };
}

/** A checkpoint that is public, or about to be. */
export interface Published {
  /** The signed note. */
  readonly checkpoint: string;
  /** Reads exactly the tree of the checkpoint. */
  readonly reader: TreeReader;
}
