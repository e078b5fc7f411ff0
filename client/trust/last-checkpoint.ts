/**
 * The last checkpoint of a frozen log, which the operator pins in the trust files. Where it is known, no time has to tell what
 * the log signed before its end: a tree that is larger, or of the same size with another root, is not of the log.
 */
import { equal } from '../../merkle/bytes.ts';
import { FROZEN_MARK, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { parseNote } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';

/** Longest file with a last checkpoint, in bytes: a note has at most 1 MiB. */
export const MAX_LAST_CHECKPOINT = 1024 * 1024;

export interface LastCheckpoint {
  /** The first line of the log's checkpoints. */
  readonly origin: string;
  /** Entries in the last tree. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** A tree that a log signed. */
type SignedTree = LastCheckpoint;

/**
 * @param file the signed note. Nobody verifies its signatures here: the file is part of the trust, as a key is.
 * @throws ClientError `trust`
 */
export function parseLastCheckpoint(file: Uint8Array): LastCheckpoint {
  if (file.length > MAX_LAST_CHECKPOINT) throw unusable(`it is longer than ${MAX_LAST_CHECKPOINT} bytes`);
  try {
    const { origin, size, root } = parseCheckpoint(parseNote(file).text);
    return { origin, size, root };
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw unusable(cause.message, cause);
  }
}

/**
 * Whether `tree` is the last one of its log, by a last checkpoint that is pinned.
 *
 * @param pinned of any logs
 * @throws ClientError `bad-checkpoint`: `tree` is neither a last one, nor smaller
 */
export function isLastTree(tree: SignedTree, pinned: readonly LastCheckpoint[]): boolean {
  const ofLog = pinned.filter(({ origin }) => origin === tree.origin);
  const beyond = ofLog.find((last) => tree.size >= last.size && !isSameTree(tree, last));
  if (beyond === undefined) return ofLog.some((last) => isSameTree(tree, last));
  const frozen = `the log ${printable(tree.origin)} was frozen with ${beyond.size} entries`;
  const other = tree.size > beyond.size ? `a tree of ${tree.size}` : 'another tree of that size';
  const why = `${frozen}, and this checkpoint is of ${other}: somebody signed it with the log's key after the end of the log`;
  throw new ClientError('bad-checkpoint', why);
}

/**
 * Whether `tree` is the empty one with which its log was frozen, by a last checkpoint that is pinned. It needs no quorum: witnesses
 * cosign no empty tree, and it hides nothing.
 */
export function isEmptyEnd(tree: SignedTree, pinned: readonly LastCheckpoint[]): boolean {
  return tree.size === 0 && pinned.some((last) => last.origin === tree.origin && isSameTree(tree, last));
}

function isSameTree(a: SignedTree, b: SignedTree): boolean {
  return a.size === b.size && equal(a.root, b.root);
}

function unusable(why: string, cause?: unknown): ClientError {
  return new ClientError('trust', `the last checkpoint of a log cannot be used: ${why}`, { cause });
}

/** How much later than the freeze the cosignatures of the last checkpoint may be, in milliseconds. */
const LATE_COSIGNATURES = 5 * 60_000;
/** Bytes of a cosignature (c2sp.org/tlog-cosignature) with Ed25519 and with ML-DSA-44: a time of 8 bytes, and the signature. */
const COSIGNATURE_SIZES = [8 + 64, 8 + 2420];

/**
 * When a log ended, by its last checkpoint: the log signed nothing later, and no witness cosigned later. A cosignature that is
 * more than five minutes after the freeze does not count: nobody but the log moves the end of its key.
 *
 * @param note a last checkpoint that the log signed
 * @returns milliseconds since 1970, a whole second
 * @throws ClientError `trust`: it does not say that the log is frozen, and since when
 */
export function endOf(note: string): number {
  const { text, signatures } = parseNote(note);
  const line = parseCheckpoint(text).extensions.find((one) => one.startsWith(FROZEN_MARK));
  const frozen = line === undefined ? Number.NaN : Date.parse(line.slice(FROZEN_MARK.length));
  if (Number.isNaN(frozen)) throw unusable('it does not say when the log was frozen');
  const cosigned = signatures.filter(({ signature }) => COSIGNATURE_SIZES.includes(signature.length)).map(timeOf);
  const latest = Math.max(frozen, ...cosigned.filter((time) => time <= frozen + LATE_COSIGNATURES));
  return Math.floor(latest / 1000) * 1000 + 1000;
}

/** In milliseconds since 1970. */
function timeOf({ signature }: { readonly signature: Uint8Array }): number {
  return Number(new DataView(signature.buffer, signature.byteOffset).getBigUint64(0)) * 1000;
}
