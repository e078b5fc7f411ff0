/** The contract between the log and the part that has its checkpoints cosigned. */
import type { ServerError } from '../errors.ts';
import type { TreeReader } from '../tree/reader.ts';

export interface CosignerHooks {
  /** Reads the newest committed tree. */
  committed(): TreeReader;
  /** The note of the public checkpoint with more, or newer, cosignatures. */
  late(note: string): void;
  /** A witness holds what the log must have signed and does not extend; `evidence` is that note. */
  conflict(error: ServerError, evidence: string): void;
}

export interface Cosigning {
  /**
   * Asks each witness for what it holds of this log, for as long as one request may take.
   *
   * @throws ServerError `rollback` if `tree` does not extend it: nothing may be signed then
   */
  check(tree: TreeReader): Promise<void>;
  start(hooks: CosignerHooks): void;
  /** Takes the checkpoint that is public when a store is opened. It is cosigned further, and again when it gets old. */
  adopt(note: string, reader: TreeReader): void;
  /**
   * Resolves with the note and its cosignatures once it may be published. `note` is signed by the log and replaces every
   * note before it. Rejects with the reason of `signal` once that is aborted.
   */
  quorum(note: string, reader: TreeReader, signal: AbortSignal): Promise<string>;
  /** Why nothing is published, or soon will not be: each reason in one sentence. */
  notReady(): readonly string[];
  close(): void;
}
