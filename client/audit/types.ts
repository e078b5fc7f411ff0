/** The options of an audit, and its report. */
import type { Policy } from '../../merkle/policy.ts';
import type { LastCheckpoint } from '../trust/last-checkpoint.ts';
import type { Cosigned } from '../trust/quorum.ts';

export interface AuditOptions {
  /** Verifier key of the log (c2sp.org/signed-note): the checkpoint must be signed with it. */
  readonly logKey?: string | undefined;
  /** One of its logs must have signed the checkpoint, and its quorum of witnesses must have cosigned it. */
  readonly policy?: Policy | undefined;
  /** The last checkpoints of frozen logs: such a log must show exactly this tree. */
  readonly lastCheckpoints?: readonly LastCheckpoint[];
  /** Check the signatures in the entries as well (hashedrekord 0.0.2); false by default. */
  readonly signatures?: boolean;
  /**
   * A file that remembers the log's checkpoints and how far the audit came. After an interrupted audit the next one goes on
   * there. After an audit that came to its end the next one begins at the first entry, and its tree must continue each
   * remembered checkpoint.
   */
  readonly stateFile?: string | undefined;
  /** Milliseconds between two writes of the state; 5,000 by default. */
  readonly stateEveryMs?: number;
  /** After an audit that came to its end, check only what is new since then. Needs `stateFile`. */
  readonly newOnly?: boolean;
  /** Worker threads, 1 or more; one for each processor by default. */
  readonly threads?: number;
  /** Most bundles to fetch at once from a source that is not a directory; 16 by default. */
  readonly concurrency?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called after each piece of work. It must not throw. */
  readonly onProgress?: (progress: AuditProgress) => void;
}

export interface AuditProgress {
  /** Entries that hold so far, with those of the earlier run that this one resumes. */
  readonly entries: number;
  readonly total: number;
  /** Where this run began. */
  readonly from: number;
}

export type CorruptionCode = 'bad-checkpoint' | 'quorum' | 'missing' | 'corrupt' | 'bad-signature';

/** The first thing that is wrong, in the order of the entries. */
export interface Corruption {
  /**
   * - `bad-checkpoint`: it is not a checkpoint, or the log did not sign it, or it is of another tree than before, or beyond
   *   the last checkpoint of a frozen log, or it is
   *   smaller than an earlier one and not shown to be the beginning of its tree.
   * - `quorum`: it lacks the cosignatures of the policy.
   * - `missing`: a file that the tree must have is not there.
   * - `corrupt`: a file is not whole, or a file or the root does not follow from the entries.
   * - `bad-signature`: an entry's signature does not verify.
   */
  readonly code: CorruptionCode;
  /** The file below the log's prefix, such as `tile/entries/x001/234`. */
  readonly path: string;
  /** Index of the entry, or of the first entry below the wrong hash; undefined for a checkpoint. */
  readonly index?: number;
  /** One sentence for people, fit for a terminal. */
  readonly message: string;
  /** The log's checkpoint, a signed note, where it contradicts one of the state: both together are the evidence. */
  readonly note?: string;
}

export interface AuditedTree {
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

export interface AuditReport {
  /** The URL or the directory. */
  readonly source: string;
  /** The tree of the checkpoint; undefined where the audit could not read the checkpoint, or it is not the log's. */
  readonly tree?: AuditedTree;
  /** Verifier keys of the log that signed it; empty where the caller gave no key, and then nobody vouches for the tree. */
  readonly signedBy: readonly string[];
  /** Witnesses of the policy that cosigned it. */
  readonly cosigned: readonly Cosigned[];
  /** Index of the first entry that this run looked at: not 0 where it resumed an earlier one. */
  readonly from: number;
  /** Entries that hash into the tree, from index 0 on; all of them where nothing is wrong. */
  readonly entries: number;
  /** Signatures of the entries up to there; undefined without `signatures` in the options. */
  readonly signatures?: { readonly verified: number; readonly notChecked: number };
  /** Sizes of the earlier trees that this one continues. */
  readonly extended: readonly number[];
  /** Undefined where everything holds. */
  readonly corruption?: Corruption;
}
