/** The two checkpoints in a lookup: who signed and cosigned them, and whether they continue what the client saw. Pure. */
import { equal } from '../../merkle/bytes.ts';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { checkpointVerifier } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { openNote, parseNote, type SignedNote } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { EMPTY_ROOT, type Sha256 } from '../../merkle/rfc6962.ts';
import { ClientError } from '../errors.ts';
import { isConsistent } from '../tiles/tree-proofs.ts';
import type { TreeHead } from '../tiles/types.ts';
import { type Cosigned, quorumTime, verifyQuorum } from '../trust/quorum.ts';
import type { LookupLog, LookupLogTrust, LookupMemory, ProveLookupTree } from './lookup-trust.ts';

/** What a lookup claims, in the order in which it is checked. */
export type LookupClaim =
  /** It has the form of a lookup. */
  | 'form'
  /** The output log signed its checkpoint. */
  | 'output-signature'
  /** The witnesses of the output log cosigned it. */
  | 'output-quorum'
  /** The rebuilders cosigned it. */
  | 'rebuilders'
  /** The input log signed the input checkpoint. */
  | 'input-signature'
  /** The witnesses of the input log cosigned it. */
  | 'input-quorum'
  /** The postings are those of the key in the map whose root is in the output log. */
  | 'map'
  /** The output log continues what the client saw of it. */
  | 'output-history'
  /** The input log continues what the client saw of it. */
  | 'input-history';

/** A claim that does not hold. */
export class FailedClaim extends Error {
  readonly claim: LookupClaim;

  constructor(claim: LookupClaim, why: string, options?: ErrorOptions) {
    super(why, options);
    this.claim = claim;
  }
}

/** A checkpoint that its log signed, with the witnesses of the policy that cosigned it. */
export interface LookupHead extends TreeHead {
  readonly origin: string;
  /** The signed note. */
  readonly note: string;
  readonly signed: SignedNote;
  readonly cosigned: readonly Cosigned[];
  /** When the quorum had cosigned it, in seconds since 1970; undefined without a quorum. */
  readonly time?: number;
}

/** @throws FailedClaim */
export function openLookupHead(
  log: LookupLog,
  trusted: LookupLogTrust,
  note: string,
  primitives: Primitives,
): LookupHead {
  const { origin, keys, policy } = trusted;
  const signature = log === 'input' ? 'input-signature' : 'output-signature';
  const what = `the checkpoint of the ${log} log`;
  let signed: SignedNote;
  let tree: ReturnType<typeof parseCheckpoint>;
  try {
    signed = parseNote(note);
    const verifiers = keys.map((key) => checkpointVerifier(key, primitives.cosignature));
    tree = parseCheckpoint(openNote(signed, verifiers).text);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new FailedClaim(signature, `${what} is not signed with a key of "${printable(origin)}": ${cause.message}`, {
      cause,
    });
  }
  if (tree.origin !== origin) {
    throw new FailedClaim(signature, `${what} is of "${printable(tree.origin)}", and not of "${printable(origin)}"`);
  }
  if (tree.size === 0 && !equal(tree.root, EMPTY_ROOT)) {
    throw new FailedClaim(signature, `${what} has a root for the empty tree that the empty tree does not have`);
  }
  const cosigned = policy === undefined ? [] : quorumOf(log === 'input' ? 'input-quorum' : 'output-quorum');
  const time = policy && quorumTime(policy, cosigned);
  const { size, root } = tree;
  return { origin, size, root, note, signed, cosigned, ...(time !== undefined && { time }) };

  function quorumOf(claim: LookupClaim): readonly Cosigned[] {
    try {
      return verifyQuorum(policy!, signed, primitives.cosignature);
    } catch (cause) {
      if (!(cause instanceof ClientError)) throw cause;
      throw new FailedClaim(claim, `${what}: ${cause.message}`, { cause });
    }
  }
}

/**
 * Compares both trees with what the client saw. Resolves with the memory from now on.
 *
 * @throws FailedClaim; ClientError of `prove`
 */
export async function checkLookupHistory(
  { input, output }: { readonly input: TreeHead; readonly output: TreeHead },
  memory: LookupMemory,
  prove: ProveLookupTree | undefined,
  hash: Sha256,
): Promise<LookupMemory & { readonly input: TreeHead; readonly output: TreeHead }> {
  await continues('output', memory.output, output);
  await continues('input', memory.input, input);
  if (memory.log !== undefined) {
    const [older, newer] = memory.log.size <= input.size ? [memory.log, input] : [input, memory.log];
    await sameHistory('input', older, newer);
  }
  return { ...memory, input: treeOf(input), output: treeOf(output) };

  async function continues(log: LookupLog, seen: TreeHead | undefined, tree: TreeHead): Promise<void> {
    if (seen === undefined) return;
    if (tree.size < seen.size) {
      const why = `the ${log} log went back: it had ${seen.size} entries when this client saw it, and the lookup is of ${tree.size}`;
      throw new FailedClaim(`${log}-history`, why);
    }
    await sameHistory(log, seen, tree);
  }

  async function sameHistory(log: LookupLog, older: TreeHead, newer: TreeHead): Promise<void> {
    const claim = `${log}-history` as const;
    const [first, second] = [older.size, newer.size];
    if (first === second) {
      if (equal(older.root, newer.root)) return;
      const why = `the ${log} log shows two trees of ${first} entries: this client saw another one before`;
      throw new FailedClaim(claim, why);
    }
    if (first === 0) return;
    const from = `from ${first} to ${second} entries`;
    if (prove === undefined)
      throw new FailedClaim(claim, `the ${log} log grew ${from}, and nothing proves that it only grew`);
    const why = `the ${log} log grew ${from}, and its tiles do not prove that it only grew`;
    try {
      const hashes = await prove(log, older, newer);
      if (isConsistent({ first, second, firstRoot: older.root, secondRoot: newer.root, hashes }, hash)) return;
    } catch (cause) {
      if (!(cause instanceof MerkleError)) throw cause;
      throw new FailedClaim(claim, `${why}: ${cause.message}`, { cause });
    }
    throw new FailedClaim(claim, why);
  }
}

function treeOf({ size, root }: TreeHead): TreeHead {
  return { size, root };
}
