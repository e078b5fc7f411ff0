/** What the verifier of a leaf takes and what it returns. */
import type { Checkpoint } from '../../merkle/checkpoint.ts';
import type { VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';
import type { LastCheckpoint } from '../trust/last-checkpoint.ts';
import type { LogKey } from '../trust/log-key.ts';
import type { Cosigned } from '../trust/quorum.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';

/** Logs that are frozen. */
interface FrozenLogs {
  /** Their last checkpoints, one of each log: a proof that leads beyond one is refused, whatever signed it. */
  readonly lastCheckpoints?: readonly LastCheckpoint[] | undefined;
}

/** Who must have signed the checkpoint: a log's key, the log and the witnesses of a policy, or both. */
export type LogTrust = FrozenLogs &
  (
    | { readonly logKey: VerifierKey; readonly policy?: Policy | undefined }
    | { readonly logKey?: VerifierKey | undefined; readonly policy: Policy }
  );

/** `LogTrust` and a trusted root. At least one of the three is given, and everything that is given must hold. */
export interface CheckpointTrust extends FrozenLogs {
  readonly trustedRoot?: TrustedRoot | undefined;
  readonly logKey?: VerifierKey | undefined;
  readonly policy?: Policy | undefined;
}

/** One trusted root, or several of which one must vouch for everything. */
export type TrustedRoots = TrustedRoot | readonly TrustedRoot[];

/** The root of several that vouches. */
export interface ChosenRoot {
  /** In the list, from 0. */
  readonly index: number;
  /** In the file, from 1; absent for a root that was not read from a file with several. */
  readonly line?: number;
}

/** A checkpoint that the log signed and that the policy's witnesses cosigned. */
export interface VerifiedCheckpoint {
  readonly head: Checkpoint;
  /** The key that signed. */
  readonly key: LogKey;
  /** The keys that count for this log, `key` among them. */
  readonly keys: readonly LogKey[];
  /** Witnesses of the policy that cosigned, each once; empty without a policy. */
  readonly cosigned: readonly Cosigned[];
  /** Names of signature lines by keys that the verifier does not know. */
  readonly unverified: readonly string[];
  /** It is about the tree of the log's last checkpoint, which the trust pins: the log signed it before its end. */
  readonly isLast: boolean;
}

/** A claim that a leaf is in a log. */
export interface LeafProof {
  /** RFC 6962 leaf hash, 32 bytes. */
  readonly leafHash: Uint8Array;
  readonly index: number;
  /** Inclusion proof, from the leaf's sibling upwards: 32 bytes each. */
  readonly hashes: readonly Uint8Array[];
  /** The checkpoint, a signed note. */
  readonly checkpoint: string;
  /** The log and the tree that the proof itself names; absent if it names none. They must be those of the checkpoint. */
  readonly claimed?: { readonly logId: Uint8Array; readonly treeSize: number; readonly root: Uint8Array };
}

/** What holds of a leaf in a log once verification succeeded. */
export interface LoggedLeaf {
  /** Name of the log, which the log signed. */
  readonly origin: string;
  readonly logKey: VerifierKey;
  /** Index of the entry, in [0, treeSize). */
  readonly index: number;
  readonly treeSize: number;
  /** Root hash of that tree, 32 bytes. */
  readonly root: Uint8Array;
  /** RFC 6962 leaf hash of the entry, 32 bytes. */
  readonly leafHash: Uint8Array;
  /** Witnesses of the policy that cosigned, each once; empty without a policy. */
  readonly cosigned: readonly Cosigned[];
  /** Names of signature lines by keys that the verifier does not know. Nothing is known about them. */
  readonly unverified: readonly string[];
}
