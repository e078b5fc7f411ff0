/** What the parts of a rebuild of a verifiable index hand each other. */
import type { FeedConsumer } from '../../follow/types.ts';

/**
 * A map that somebody builds for themselves: the durable consumer of the feed of the input log. Its state is exactly that
 * of the cursor of its last commit.
 */
export interface RebuiltMap extends FeedConsumer {
  /** The root of the map and the number of its keys, at the cursor of the last commit. */
  root(): Promise<RebuiltRoot>;
  close(): Promise<void>;
}

export interface RebuiltRoot {
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** Keys in the map. */
  readonly keys: number;
}

/** What of a leaf of the output log does not hold. */
export type LeafClaim =
  /** It is no leaf of an index, or of another version of the format. */
  | 'format'
  /** Its input checkpoint is of another log. */
  | 'origin'
  /** Its input checkpoint is not signed with a key of the input log. */
  | 'signature'
  /** Its input checkpoint lacks the quorum of witnesses that is asked for. */
  | 'quorum'
  /** Its input checkpoint is smaller than that of the leaf before. */
  | 'size'
  /** Its input checkpoint is of another tree than the one that the input log shows. */
  | 'input'
  /** The map over that tree has another root. */
  | 'root'
  /** The map over that tree has another number of keys. */
  | 'keys';

/** The first leaf of the output log that does not hold. */
export interface WrongLeaf {
  /** Its index in the output log. */
  readonly index: number;
  readonly claim: LeafClaim;
  /** One sentence for people. */
  readonly why: string;
  /** For `size`, `input`, `root` and `keys`: what the rebuild has, and what the leaf says. */
  readonly expected?: string;
  readonly found?: string;
  /** Size of the input tree that the leaf names, where it can be read. */
  readonly inputSize?: number;
  /** The bytes of the leaf. */
  readonly leaf: Uint8Array;
  /** The checkpoint of the output log that covers the leaf, as the log signed it, and the proof of the leaf in it. */
  readonly checkpoint?: string;
  readonly proof?: readonly Uint8Array[];
}

/** How far a rebuild has come. */
export interface RebuildStatus {
  /** Leaves of the output log that hold: all below this index. */
  readonly verified: number;
  /** Leaves that the output log has shown. */
  readonly leaves: number;
  /** Size of the input tree of the last leaf that held. */
  readonly inputSize: number;
  /** Why it cannot go on now, one sentence. */
  readonly waiting?: string;
  /** Nothing is checked any more: the index lied, or the output log did. */
  readonly halted?: string;
}
