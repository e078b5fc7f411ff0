/** A version of the map in the output log, as it is kept and given out. */
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8 } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { formatSignature, type NoteSignature, parseNote } from '../../../merkle/note.ts';

export interface PublishedMap {
  /** Entries of the input log that it is made from. */
  readonly size: number;
  /** Index of its leaf in the output log. */
  readonly index: number;
  /** The leaf: merkle/index/map-leaf.ts. */
  readonly leaf: Uint8Array;
  /** Inclusion proof of the leaf in the tree of the checkpoint. */
  readonly proof: readonly Uint8Array[];
  /** The checkpoint of the output log over `index + 1` leaves, with all cosignatures that are known. */
  readonly checkpoint: string;
}

export function encodePublished({ leaf, proof, ...rest }: PublishedMap): Uint8Array {
  return encodeUtf8(JSON.stringify({ ...rest, leaf: encodeBase64(leaf), proof: proof.map(encodeBase64) }));
}

/** @throws MerkleError `bad-state`: not a record of `encodePublished` */
export function decodePublished(record: Uint8Array): PublishedMap {
  try {
    const { size, index, leaf, proof, checkpoint } = JSON.parse(decodeUtf8(record));
    parseNote(checkpoint);
    if (!Number.isSafeInteger(size) || !Number.isSafeInteger(index)) throw new Error('its numbers');
    return { size, index, leaf: decodeBase64(leaf), proof: (proof as string[]).map(decodeBase64), checkpoint };
  } catch (cause) {
    throw new MerkleError('bad-state', 'the record of the published map is damaged', { cause });
  }
}

/** The note with further signature lines, each once. */
export function withSignatures(note: string, signatures: readonly NoteSignature[]): string {
  const lines = new Set(parseNote(note).signatures.map(formatSignature));
  return note + [...new Set(signatures.map(formatSignature))].filter((line) => !lines.has(line)).join('');
}
