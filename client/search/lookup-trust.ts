/** Whom a client trusts about lookups in a verifiable index, and the checkpoints that it saw before. Runs in a browser too. */
import { equal } from '../../merkle/bytes.ts';
import type { Policy } from '../../merkle/policy.ts';
import type { VerifierKey } from '../../merkle/verifier-key.ts';
import { ClientError } from '../errors.ts';
import type { TreeHead } from '../tiles/types.ts';

/** A log of which checkpoints are checked. */
export interface LookupLogTrust {
  /** The first line of its checkpoints. */
  readonly origin: string;
  /** One of them must sign each checkpoint. */
  readonly keys: readonly VerifierKey[];
  /** The quorum of witnesses that each checkpoint needs; without a policy none. */
  readonly policy?: Policy;
}

export interface LookupTrust {
  /** The log that is indexed. */
  readonly input: LookupLogTrust;
  /** The output log of the index. */
  readonly output: LookupLogTrust;
  /**
   * The rebuilders: a policy whose `witness` lines are their keys, and whose quorum says how many must have rebuilt the index. Absent,
   * or with `quorum none`: the operator of the index is believed.
   */
  readonly rebuilders?: Policy;
}

export type LookupLog = 'input' | 'output';

/** The trees that a client saw. Keep it as long as the trust. */
export interface LookupMemory {
  /** The input tree of the last lookup that held: a later one is never smaller. */
  readonly input?: TreeHead;
  /** The output tree of the last lookup that held: a later one is never smaller. */
  readonly output?: TreeHead;
  /** A tree of the input log that the client saw elsewhere: the input tree of a lookup may be smaller, and is of the same history. */
  readonly log?: TreeHead;
}

/**
 * Fetches a proof that the tree of `older` is the beginning of the tree of `newer`, which is larger, from the tiles of the log. Nobody has
 * to trust it. Without this function, no larger tree than the one that was seen holds.
 *
 * @throws ClientError of a source
 */
export type ProveLookupTree = (log: LookupLog, older: TreeHead, newer: TreeHead) => Promise<readonly Uint8Array[]>;

/**
 * A cosignature of a witness says that a log grows, and one of a rebuilder that an index is right. Both look the same, so a key
 * cannot be that of a witness and of a rebuilder: the weaker statement would count as the stronger one.
 *
 * @throws ClientError `policy`
 */
export function checkLookupTrust({ input, output, rebuilders }: LookupTrust): void {
  if (input.origin === output.origin) {
    throw new ClientError('policy', 'the output log of an index cannot be the log that it indexes');
  }
  for (const { name, key } of rebuilders?.witnesses ?? []) {
    const isSame = (other: VerifierKey) => equal(other.key, key.key);
    const witness = output.policy?.witnesses.find((other) => isSame(other.key));
    if (witness !== undefined) {
      const why = `the key of the rebuilder ${name} is that of the witness ${witness.name} of the output log`;
      throw new ClientError('policy', `${why}: its cosignature would not tell whether the index was rebuilt`);
    }
    if (output.keys.some(isSame)) {
      throw new ClientError('policy', `the key of the rebuilder ${name} is that of the output log itself`);
    }
  }
  if (rebuilders !== undefined && rebuilders.logs.length > 0) {
    const named = rebuilders.logs.some(({ key }) => key.name === output.origin);
    if (!named)
      throw new ClientError('policy', `the policy of the rebuilders names another log than "${output.origin}"`);
  }
}
