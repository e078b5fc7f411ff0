/** What an audit is asked for, and what it answers. */
import type { Policy } from '../../merkle/policy.ts';
import { ClientError } from '../errors.ts';
import type { Cosigned } from '../trust/quorum.ts';

export interface AuditOptions {
  /** Verifier key of the log (c2sp.org/signed-note): the checkpoint must be signed with it. */
  readonly logKey?: string | undefined;
  /** A log of it must have signed the checkpoint, and its quorum of witnesses must have cosigned it. */
  readonly policy?: Policy | undefined;
  /** Check the signatures in the entries as well (hashedrekord 0.0.2); false unless told. */
  readonly signatures?: boolean;
  /**
   * A file that remembers the log's checkpoints and how far the audit came. An audit that was interrupted goes on there;
   * one that came to its end is done anew from the first entry, and what was seen before must be what the tree begins with.
   */
  readonly stateFile?: string | undefined;
  /** Milliseconds between two writes of the state; 5,000 unless told. */
  readonly stateEveryMs?: number;
  /** After an audit that came to its end, check what is new since only. Needs `stateFile`. */
  readonly newOnly?: boolean;
  /** Worker threads, from 1; one for each processor unless told. */
  readonly threads?: number;
  /** Most bundles that are fetched at once from a source that is no directory; 16 unless told. */
  readonly concurrency?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told after each piece of work; it must not throw. */
  readonly onProgress?: (progress: AuditProgress) => void;
}

export interface AuditProgress {
  /** Entries that hold so far, those of an earlier run that is resumed among them. */
  readonly entries: number;
  /** Entries of the tree. */
  readonly total: number;
  /** Where this run began. */
  readonly from: number;
}

export type CorruptionCode = 'bad-checkpoint' | 'quorum' | 'missing' | 'corrupt' | 'bad-signature';

/** The first thing that is wrong, in the order of the entries. */
export interface Corruption {
  /**
   * - `bad-checkpoint`: it is no checkpoint, or not signed by the log, or it went back, or is of another tree than before.
   * - `quorum`: the witnesses that the policy asks for did not cosign it.
   * - `missing`: a file that the tree must have is not there.
   * - `corrupt`: a file is not whole, or does not follow from the entries, or the root does not.
   * - `bad-signature`: an entry's signature does not verify.
   */
  readonly code: CorruptionCode;
  /** The file below the log's prefix, such as `tile/entries/x001/234`. */
  readonly path: string;
  /** Index of the entry, or of the first entry below the wrong hash; undefined for a checkpoint. */
  readonly index?: number;
  /** One sentence for people, fit for a terminal. */
  readonly message: string;
}

export interface AuditedTree {
  readonly origin: string;
  /** Number of entries. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

export interface AuditReport {
  /** The URL or the directory. */
  readonly source: string;
  /** The tree of the checkpoint; undefined where that could not be read or is not the log's. */
  readonly tree?: AuditedTree;
  /** Verifier keys of the log that signed it; empty where none was given, and then nobody vouches for the tree. */
  readonly signedBy: readonly string[];
  /** Witnesses of the policy that cosigned it. */
  readonly cosigned: readonly Cosigned[];
  /** Index of the first entry that this run looked at: not 0 where it went on from an earlier one. */
  readonly from: number;
  /** Entries that hash into the tree, from index 0 on; all of them where nothing is wrong. */
  readonly entries: number;
  /** Signatures of the entries up to there; undefined where they were not asked for. */
  readonly signatures?: { readonly verified: number; readonly notChecked: number };
  /** Sizes of the trees that were seen before and that this one begins with. */
  readonly extended: readonly number[];
  /** Undefined where everything holds. */
  readonly corruption?: Corruption;
}

/** A corruption on its way to the report. */
export class AuditProblem extends ClientError {
  readonly corruption: Corruption;

  constructor(code: CorruptionCode, path: string, message: string, index?: number, options?: ErrorOptions) {
    super(code, message, options);
    this.corruption = { code, path, message, ...(index === undefined ? {} : { index }) };
  }
}

/** What a source says of a file that is not there or not whole is about the log; its other errors are about the way to it. */
export async function about<T>(path: string, index: number, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (!(cause instanceof ClientError) || (cause.code !== 'missing' && cause.code !== 'corrupt')) throw cause;
    throw new AuditProblem(cause.code, path, cause.message, index, { cause });
  }
}
