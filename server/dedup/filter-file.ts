/**
 * A filter of leaf hashes in a file, so that a start need not make it anew. The file holds nothing that the tree does not
 * hold: a reader takes only a file that fits to the tree, and works without one.
 *
 * | bytes   | what                                                                                  |
 * |---------|---------------------------------------------------------------------------------------|
 * | 32      | SHA-256 of all that follows                                                           |
 * | 24      | format, and the order of bytes in a word, LE or BE                                    |
 * | 8       | size of the tree whose leaf hashes are all in the filter, big-endian                  |
 * | 32      | root hash of that tree                                                                |
 * | n * 64  | the filter                                                                            |
 */
import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import { equal } from '../../merkle/bytes.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { readFileIfThere, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { ServerError } from '../errors.ts';
import { mapped } from '../store/store-errors.ts';
import { BLOCK_BYTES, LeafFilter } from './filter.ts';

/** A filter with every leaf hash of the tree of this size and root, and perhaps with others. */
export interface SavedFilter {
  readonly filter: LeafFilter;
  readonly size: number;
  readonly root: Uint8Array;
}

const FORMAT = Buffer.from(`stele leaf filter 1 ${endianness()}\n\0`);
const FORMAT_AT = HASH_SIZE;
const SIZE_AT = FORMAT_AT + FORMAT.length;
const ROOT_AT = SIZE_AT + 8;
const FILTER_AT = ROOT_AT + HASH_SIZE;

/**
 * The filter at `path`, of `maxBytes` at most, or undefined where there is no file.
 * @throws ServerError `corrupt` where the file is not a filter, was changed, or comes from another kind of machine; `store`
 * where it cannot be read or is longer
 */
export async function readFilter(path: string, maxBytes: number): Promise<SavedFilter | undefined> {
  const file = await mapped(() => readFileIfThere(path, FILTER_AT + maxBytes));
  if (file === undefined) return undefined;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const bits = file.length - FILTER_AT;
  const whole =
    bits > 0 &&
    bits % BLOCK_BYTES === 0 &&
    FORMAT.equals(file.subarray(FORMAT_AT, SIZE_AT)) &&
    equal(createHash('sha256').update(file.subarray(FORMAT_AT)).digest(), file.subarray(0, HASH_SIZE));
  const size = whole ? Number(view.getBigUint64(SIZE_AT)) : Number.NaN;
  if (!Number.isSafeInteger(size))
    throw new ServerError('corrupt', `${path} is not a filter of leaf hashes, or was changed`);
  return { filter: LeafFilter.from(file.subarray(FILTER_AT)), size, root: file.slice(ROOT_AT, FILTER_AT) };
}

/** Replaces the file at `path`. @throws ServerError `store` */
export async function writeFilter(path: string, { filter, size, root }: SavedFilter): Promise<void> {
  const head = new Uint8Array(FILTER_AT);
  head.set(FORMAT, FORMAT_AT);
  new DataView(head.buffer).setBigUint64(SIZE_AT, BigInt(size));
  head.set(root, ROOT_AT);
  head.set(createHash('sha256').update(head.subarray(FORMAT_AT)).update(filter.bytes).digest());
  await mapped(() => writeFileDurable(path, [head, filter.bytes]));
}
