/**
 * The verified feed of a log: what it takes and what it gives. It knows nothing of what a consumer does with the entries.
 *
 * A consumer calls `look`, handles the facts, then calls `read`. What a crash leaves behind, in the order of the steps:
 *
 * | step                                                       | after a crash behind it                            |
 * |------------------------------------------------------------|----------------------------------------------------|
 * | `look` fetches, verifies and compares a checkpoint         | nothing: the next look begins again                |
 * | `commit` of that checkpoint, without entries               | `read` goes on to it, and never accepts less       |
 * | the feed fetches a batch and proves its entries            | nothing: the feed fetches the batch again          |
 * | `commit` is under way                                      | either the old cursor or the new one, see `commit` |
 * | `commit` resolves                                          | the feed goes on behind the batch                  |
 *
 * The feed keeps no state of its own. A cursor is the whole right edge of the tree below it, not a number: the feed
 * proves each batch to be what the signed tree has directly behind that edge. So no entry can be left out, and no entry
 * of a tree that the log did not sign gets through.
 */
import type { Checkpoint } from '../../merkle/checkpoint.ts';
import type { EntryEvidence } from '../../merkle/entry-evidence.ts';
import type { Evidence } from '../../merkle/evidence.ts';
import type { SignedNote, VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import type { CompactRange } from '../../merkle/range.ts';

/** A log to follow, and whom to trust about it. */
export interface FollowedLog {
  /** The first line of its checkpoints. */
  readonly origin: string;
  /** Its keys, one or more, types 1, 2 and 6; several during a rotation. One of them must sign each checkpoint. */
  readonly keys: readonly VerifierKey[];
  /** Where its checkpoint, tiles and bundles are: an http(s) URL or a directory. */
  readonly location: string;
  /** The quorum that its checkpoints need; without a policy they need none. */
  readonly policy?: Policy;
  /** The longest time since the quorum cosigned what the log shows, in ms. Absent: any. Needs a policy with a quorum. */
  readonly maxCheckpointAge?: number;
  /** The log is declared frozen: `true` for the size that the feed sees first, or that size. */
  readonly frozen?: boolean | number;
  /** The last checkpoint of a frozen log, as its operator pinned it: one that is larger or different is a lie. */
  readonly last?: SignedHead;
  /** Other views: http(s) URLs of copies of the log or of witnesses, or directories. */
  readonly peers?: readonly string[];
  /** A configuration of Sigstore named the log. */
  readonly shard?: boolean;
}

/** A configuration of Sigstore that names logs over time, with a `trusted_root.json` that has their keys. */
export interface ShardSource {
  /** For messages. */
  readonly name: string;
  /** Locations of the files, as `ReadLocation` takes them. Exactly one of the two configurations is given. */
  readonly signingConfig?: string;
  readonly monitorConfig?: string;
  readonly trustedRoot: string;
  /** The location in which the last checkpoints of frozen logs lie, each as `ORIGIN.last-checkpoint`. */
  readonly lastCheckpoints?: string;
  /** For each of the logs, as in `FollowedLog`. */
  readonly policy?: Policy;
  readonly maxCheckpointAge?: number;
  readonly peers?: readonly string[];
  /** Reads these locations, in the place of the reader of all sources. */
  readonly read?: (location: string, limit: number) => Promise<Uint8Array>;
}

export interface FeedSettings {
  /** How long entries of a bundle that is not full wait for more entries, in milliseconds. 0: they do not wait. */
  readonly partialMs: number;
  /** Bundles that the feed fetches at once, 1 or more. */
  readonly parallel: number;
  /** Bytes of bundles in memory at once. The feed always takes one bundle, which has up to 16 MiB. */
  readonly chunkBytes: number;
}

/** A checkpoint that the log signed. Signed is not accepted: `look` compares it with what is known of the log. */
export interface SignedHead extends Checkpoint {
  /** The note as the log served it, with every signature. */
  readonly note: string;
  /** The same, parsed. */
  readonly signed: SignedNote;
  /** The note with the log's own signatures alone: the form for records and evidence. */
  readonly own: string;
  /** The log's keys that signed it. */
  readonly keys: readonly VerifierKey[];
  /** The log says in it that it signs no further entry, and a signature that covers this line verifies. */
  readonly frozen: boolean;
  /** The plain checkpoint of the same tree, where `frozen` and only that one has the quorum. */
  readonly plain?: SignedHead;
}

/** One entry of a log. The feed has proven its leaf hash to be under a root that the log signed. */
export interface FeedEntry {
  /** The origin of the log. */
  log: string;
  /** Index in the log, from 0. */
  index: number;
  /** RFC 6962 leaf hash of {@link body}: 32 bytes. */
  leafHash: Uint8Array;
  /** The bytes in the bundle: at most 65,535. Anybody may have written them. */
  body: Uint8Array;
}

export interface PeerView {
  /** When the peer last agreed with the log, in ms since 1970. */
  readonly agreed: number;
  /** A larger checkpoint of the peer that the feed could not compare yet. */
  readonly ahead?: SignedHead;
}

/** How far a consumer has come with a log, and all that the feed must know to go on. */
export interface Cursor {
  /** The right edge of the tree below the cursor: the consumer has committed its work for each entry of that tree. */
  readonly range: CompactRange;
  /** The last checkpoint that the feed accepted; never smaller than the cursor. */
  readonly head: SignedHead;
  /** The log must never sign a tree larger than `size`; `head` says so where the log itself did. */
  readonly frozen?: { readonly size: number; readonly head?: SignedHead };
  /** By the peer's location. */
  readonly peers: ReadonlyMap<string, PeerView>;
}

export interface Batch {
  /** Index of the first entry: the size of the tree below the cursor before. */
  readonly first: number;
  /** The entries from `first` on without a gap. Empty where only the checkpoint is new. */
  readonly entries: readonly FeedEntry[];
  /** The cursor behind these entries. Its `head` covers them. */
  readonly cursor: Cursor;
}

/** The durable memory of a consumer, for one log. The feed makes one call at a time, but for `prepare`. */
export interface FeedConsumer {
  /**
   * The cursor of the last durable commit; undefined where there was none. The feed calls it before its first look and
   * after each failure.
   */
  load(): Promise<Cursor | undefined>;
  /**
   * Entries, from index `first` on, that a later `commit` may bring: the consumer can begin to read them while it stores those
   * before. They are proven. It MUST NOT store anything of them, and must not throw.
   */
  prepare?(first: number, entries: readonly FeedEntry[]): void;
  /**
   * Stores what the consumer makes of the entries, and the cursor.
   *
   * MUST NOT resolve before both are durable. SHOULD store both in one atomic step; a consumer that cannot do so MUST make
   * its work durable before the cursor, and MUST be able to take the same entries again. MUST reject where either may not
   * be durable; the feed then calls `load` and delivers the entries behind that cursor again.
   */
  commit(batch: Batch): Promise<void>;
}

/** What is wrong with a log. `proven: false`: a fault on the way can look the same, so a consumer waits until it stays. */
export type Fact =
  | SplitView
  | BadEntry
  /** The log signed a root for the empty tree that the empty tree does not have. */
  | { readonly type: 'empty-root'; readonly proven: true; readonly head: SignedHead }
  /** Two signed trees of one log are not of one history; `head` is the later one that the log showed. */
  | {
      readonly type: 'fork';
      readonly proven: true;
      readonly before: SignedHead;
      readonly head: SignedHead;
      readonly evidence: Evidence;
    }
  /** The log shows a smaller tree than before, of the same history as far as anybody can tell. A cache can do that. */
  | { readonly type: 'rollback'; readonly proven: false; readonly before: SignedHead; readonly head: SignedHead }
  /** The log signed a larger tree after it was frozen at `size`. */
  | {
      readonly type: 'grew-after-freeze';
      readonly proven: true;
      readonly size: number;
      readonly head: SignedHead;
      readonly evidence?: Evidence;
    }
  /** The cosignatures of the policy are missing. A late witness adds its cosignature afterwards. */
  | { readonly type: 'quorum-missing'; readonly proven: false; readonly head: SignedHead; readonly why: string }
  /** The quorum cosigned the checkpoint last at `seen` (ms since 1970), which is too long ago. The feed accepts it. */
  | { readonly type: 'old-checkpoint'; readonly proven: true; readonly head: SignedHead; readonly seen: number };

/** A peer shows another history of the log. */
export interface SplitView {
  readonly type: 'split-view';
  readonly proven: true;
  /** The location of the peer. */
  readonly peer: string;
  /** What the log shows. */
  readonly head: SignedHead;
  /** What the peer shows, or showed earlier. */
  readonly seen: SignedHead;
  readonly evidence: Evidence;
}

/** The bundle has other bytes for an entry than the tree that the log signed. */
export interface BadEntry {
  readonly type: 'bad-entry';
  readonly proven: false;
  readonly head: SignedHead;
  readonly index: number;
  /** The leaf that the tree has there: 32 bytes. */
  readonly leafHash: Uint8Array;
  /** The bytes in the bundle; undefined where it ends before the entry or does not parse. */
  readonly served: Uint8Array | undefined;
  readonly evidence: EntryEvidence;
}

export interface PeerLook {
  readonly peer: string;
  readonly view: PeerView;
  /** Why the feed could not compare the peer now: it is away, serves something else, or is ahead of the log. */
  readonly trouble?: string;
  readonly split?: SplitView;
}

export interface Look {
  readonly head: SignedHead;
  /** `read` may go on to this checkpoint. */
  readonly accepted: boolean;
  /** What is wrong with the log. Where the checkpoint is not accepted, the first fact says why. */
  readonly facts: readonly Fact[];
  /** Empty where the checkpoint failed before the feed asked the peers. */
  readonly peers: readonly PeerLook[];
}

/** How far `read` has come. */
export interface ReadOutcome {
  /** The entry that ended it. */
  readonly fact?: BadEntry;
  /** Entries wait until their bundle is full, or for at most so many milliseconds. */
  readonly waiting?: number;
}
