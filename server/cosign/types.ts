/** What the part that has checkpoints cosigned needs from the log. */
import type { ServerError } from '../errors.ts';
import type { TreeReader } from '../tree/reader.ts';

export interface CosignerHooks {
  /** Reads the newest committed tree. */
  committed(): TreeReader;
  /** The note of the public checkpoint with more, or newer, cosignatures. */
  late(note: string): void;
  /** A witness holds a checkpoint that the log must have signed and does not extend; `evidence` is its note. */
  conflict(error: ServerError, evidence: string): void;
}
