/** What a look at a log found, as plain data: the worker makes it, and the page and the claims read it. */
import type { ClientErrorCode } from '../../errors.ts';

/** A checkpoint that was accepted: the log signed it, it had the quorum, and it continued the one before. */
export interface RememberedHead {
  readonly origin: string;
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** The signed note. */
  readonly note: string;
  /** When this browser saw it, in ms since 1970. */
  readonly seen: number;
  /** When the quorum cosigned it, in ms since 1970; absent without a quorum. */
  readonly cosigned?: number;
}

/** A lie, or what looks like one. */
export interface SeenLie {
  readonly origin: string;
  /** One for each pair of checkpoints. */
  readonly id: string;
  readonly kind: 'fork' | 'went-back' | 'grew-after-freeze';
  readonly seen: number;
  /** The checkpoint that this browser remembered, and the one that the log showed. */
  readonly before: string;
  readonly after: string;
  /** The file that `stele verify --evidence` takes; absent where nothing is proven. */
  readonly evidence?: string;
}

export interface Seen {
  /** By size, the smallest first. */
  readonly heads: readonly RememberedHead[];
  readonly lies: readonly SeenLie[];
}

/** How a checkpoint stands to another one of the same log. */
export type HeadStanding =
  | { readonly stands: 'same' | 'continues' }
  /** The tree is smaller than the one before, and nothing shows another history. A cache can do that. */
  | { readonly stands: 'went-back' }
  /** Both are signed, and no history has both: the file proves it. */
  | { readonly stands: 'fork' | 'grew-after-freeze'; readonly evidence: string }
  /** The tiles do not tell. */
  | { readonly stands: 'unclear'; readonly why: string };

/** A witness of the policy, and what its line under the checkpoint is worth. */
export interface WitnessLook {
  readonly name: string;
  /** When it cosigned, by its own clock, in ms since 1970; undefined without a cosignature that verifies. */
  readonly cosigned: number | undefined;
  /** Why its line does not count. */
  readonly problem: string | undefined;
}

/** A checkpoint that the log signed. */
export interface HeadLook {
  readonly size: number;
  /** Base64. */
  readonly root: string;
  readonly note: string;
  readonly frozen: boolean;
  /** The verifier keys that signed it. */
  readonly signedBy: readonly string[];
  /** Why it cannot be the truth although it is signed. */
  readonly lie: string | undefined;
  /** Why the quorum of the policy is missing; undefined where it is met or no policy is known. */
  readonly quorumMissing: string | undefined;
  /** When the quorum last cosigned, in ms since 1970. */
  readonly quorumSeen: number | undefined;
  readonly witnesses: readonly WitnessLook[];
}

/** What this browser saw before, and how the newest checkpoint stands to it. */
export interface MemoryLook {
  /** The newest checkpoint that was remembered before this look, and how the one of this look stands to it. */
  readonly before: RememberedHead | undefined;
  readonly standing: HeadStanding | undefined;
  /** Why this browser could not remember, or could not read what it remembered. */
  readonly notRemembered: string | undefined;
  readonly seen: Seen;
}

export interface LogLook extends MemoryLook {
  /** When this browser looked, in ms since 1970. */
  readonly at: number;
  /** Undefined where `trouble` says why there is none. */
  readonly head: HeadLook | undefined;
  readonly trouble: { readonly code: ClientErrorCode; readonly message: string } | undefined;
}
