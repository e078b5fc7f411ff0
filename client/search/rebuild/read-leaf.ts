/** What of a leaf of the output log can be told without the map: its form, and the input checkpoint in it. */
import { equal } from '../../../merkle/bytes.ts';
import { parseCheckpoint } from '../../../merkle/checkpoint.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { parseOutputLeaf } from '../../../merkle/index/map-leaf.ts';
import { parseNote } from '../../../merkle/note.ts';
import { printable } from '../../../merkle/printable.ts';
import { ClientError } from '../../errors.ts';
import { describeHead } from '../../follow/open-head.ts';
import { openHead, quorumMissing } from '../../follow/signed-head.ts';
import type { FollowedLog, SignedHead } from '../../follow/types.ts';
import type { LeafClaim, RebuiltRoot, WrongLeaf } from './types.ts';

/** A leaf with the input checkpoint that it names, signed by the input log. */
export interface ReadLeaf extends RebuiltRoot {
  readonly index: number;
  readonly head: SignedHead;
  readonly bytes: Uint8Array;
}

/** A leaf that does not hold. */
export class WrongLeafError extends Error {
  readonly wrong: WrongLeaf;
  readonly head: SignedHead | undefined;

  constructor(
    leaf: Pick<ReadLeaf, 'index' | 'bytes'> & Partial<ReadLeaf>,
    claim: LeafClaim,
    why: string,
    expected?: string,
    found?: string,
  ) {
    super(why);
    this.head = leaf.head;
    this.wrong = {
      index: leaf.index,
      claim,
      why,
      ...(expected !== undefined && { expected }),
      ...(found !== undefined && { found }),
      ...(leaf.head !== undefined && { inputSize: leaf.head.size }),
      leaf: leaf.bytes,
    };
  }
}

/**
 * @param input the log that is indexed
 * @param before the input tree of the leaf before; no root before the first leaf
 * @throws WrongLeafError
 */
export function readLeaf(
  index: number,
  bytes: Uint8Array,
  input: Pick<FollowedLog, 'origin' | 'keys' | 'policy'>,
  before: { readonly size: number; readonly root?: Uint8Array | undefined },
): ReadLeaf {
  const { note, ...claimed } = parsed(index, bytes);
  let head: SignedHead;
  try {
    head = openHead(input, note);
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    const origin = originOf(note);
    if (origin !== undefined && origin !== input.origin) {
      const why = `its input checkpoint is of "${printable(origin)}"`;
      throw new WrongLeafError({ index, bytes }, 'origin', why, input.origin, printable(origin));
    }
    throw new WrongLeafError({ index, bytes }, 'signature', `its input checkpoint does not hold: ${cause.message}`);
  }
  const leaf = { index, bytes, head, ...claimed };
  const missing = quorumMissing(input, head);
  if (missing !== undefined) throw new WrongLeafError(leaf, 'quorum', `its input checkpoint does not hold: ${missing}`);
  if (head.size < before.size) {
    const why = 'its input checkpoint is smaller than that of the leaf before';
    throw new WrongLeafError(leaf, 'size', why, `at least ${before.size} entries`, `${head.size} entries`);
  }
  if (before.root !== undefined && head.size === before.size && !equal(head.root, before.root)) {
    const why = 'its input checkpoint is of another tree than that of the leaf before, of the same size';
    throw new WrongLeafError(
      leaf,
      'input',
      why,
      describeHead({ size: before.size, root: before.root }),
      describeHead(head),
    );
  }
  return leaf;
}

function parsed(index: number, bytes: Uint8Array): RebuiltRoot & { readonly note: string } {
  try {
    const { root, keys, inputCheckpoint } = parseOutputLeaf(bytes);
    return { root, keys, note: inputCheckpoint };
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new WrongLeafError(
      { index, bytes },
      'format',
      `it is no leaf of an index that is read here: ${cause.message}`,
    );
  }
}

/** The origin that a note claims; undefined where it is no checkpoint. */
function originOf(note: string): string | undefined {
  try {
    return parseCheckpoint(parseNote(note).text).origin;
  } catch {
    return undefined;
  }
}
