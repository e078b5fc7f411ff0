/** An entry on its way from ingest to its commit, and the promise of its place for every caller. */
import type { NewEntry } from '../store/types.ts';

/** Where an entry stands. */
export interface Placed {
  readonly index: number;
  /** The entry was in the log, or on its way there, before. */
  readonly duplicate: boolean;
}

export class Pending {
  readonly leafHash: Uint8Array;
  readonly body: Uint8Array;
  /** The entry is new, and counts against the limit until its caller is answered. */
  taken = false;
  readonly placed: Promise<Placed>;
  resolve!: (placed: Placed) => void;
  reject!: (error: unknown) => void;

  constructor({ leafHash, body }: NewEntry) {
    this.leafHash = leafHash;
    this.body = body;
    this.placed = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}
