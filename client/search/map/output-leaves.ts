/**
 * The leaves of the output log, as the operator's own reader sees them. Whatever is in that log counts as the operator's word,
 * and rebuilders refuse to go past a wrong leaf. So the operator looks at each of them, too:
 *
 * - a leaf that this map made is known by its bytes or by the root of its size;
 * - a leaf that is not known, because the map is being built again or an older copy of it goes on, is checked once the map
 *   reaches its size;
 * - any other leaf was written by somebody else, and ends the publication: a new output log is needed, which only the index may
 *   write to (`identity.access` of the log).
 *
 * The cursor in the store is behind the last leaf up to which all are checked. So a crash loses no check.
 */
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8, equal } from '../../../merkle/bytes.ts';
import type { Checkpoint } from '../../../merkle/checkpoint.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { parseOutputLeaf } from '../../../merkle/index/map-leaf.ts';
import type { CompactRange } from '../../../merkle/range.ts';
import { ClientError } from '../../errors.ts';
import {
  type CursorRecord,
  cursorRecord,
  type PeerRecords,
  parseCursor,
  peerRecords,
} from '../../follow/cursor-record.ts';
import { openHead } from '../../follow/signed-head.ts';
import type { Batch, Cursor, FeedConsumer, FollowedLog } from '../../follow/types.ts';
import type { IndexMap } from './index-map.ts';
import { MapHalt } from './map-halt.ts';
import type { MapRoot } from './map-store.ts';

/** A leaf of the output log. */
export interface SeenLeaf {
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly root: Uint8Array;
  readonly keys: number;
  /** The tree of the input log that it names, whose log has signed it. */
  readonly input: Checkpoint;
}

interface OutputRecord {
  readonly cursor: CursorRecord;
  readonly peers: PeerRecords;
  /** The last leaf before the cursor. */
  readonly last?: { readonly index: number; readonly leaf: string };
}

const RECORD = 'output';

export class OutputLeaves implements FeedConsumer {
  readonly #map: IndexMap;
  readonly #input: FollowedLog;
  readonly #output: FollowedLog;
  #latest: SeenLeaf | undefined;
  #checked: SeenLeaf | undefined;
  #checkedRange: CompactRange | undefined;
  #cursor: Cursor | undefined;
  #unchecked: SeenLeaf[] = [];

  constructor(map: IndexMap, input: FollowedLog, output: FollowedLog) {
    this.#map = map;
    this.#input = input;
    this.#output = output;
  }

  /** The last leaf of the output log. */
  get latest(): SeenLeaf | undefined {
    return this.#latest;
  }

  /** The first leaf whose root is not checked yet: the map must come to its size. */
  get next(): SeenLeaf | undefined {
    return this.#unchecked[0];
  }

  async load(): Promise<Cursor | undefined> {
    this.#unchecked = [];
    this.#latest = undefined;
    const bytes = await this.#map.record(RECORD);
    if (bytes === undefined) return undefined;
    try {
      const { cursor: stored, peers, last } = JSON.parse(decodeUtf8(bytes)) as OutputRecord;
      const cursor = parseCursor(this.#output, stored, peers);
      this.#latest = last && this.#read(last.index, decodeBase64(last.leaf));
      this.#checked = this.#latest;
      this.#checkedRange = cursor.range;
      this.#cursor = cursor;
      return cursor;
    } catch (cause) {
      if (cause instanceof MapHalt) throw cause;
      throw new ClientError('state', 'the record of the output log is damaged: build the map again', { cause });
    }
  }

  /** @throws MapHalt `foreign-leaf` */
  async commit({ entries, cursor }: Batch): Promise<void> {
    this.#checkedRange ??= cursor.range;
    for (const { index, body } of entries) await this.#see(index, body);
    this.#cursor = cursor;
    await this.#save();
  }

  /**
   * Compares the root of the next leaf with that of the map, which has reached its size.
   *
   * @throws MapHalt `foreign-leaf`
   */
  async check({ size, root, count }: MapRoot): Promise<void> {
    const leaf = this.#unchecked[0]!;
    if (leaf.input.size !== size || !equal(leaf.root, root) || leaf.keys !== count) {
      throw foreign(leaf.index, `says another root of the map of ${leaf.input.size} entries than this map has`);
    }
    this.#unchecked.shift();
    if (this.#unchecked.length === 0) await this.#save();
  }

  async #see(index: number, body: Uint8Array): Promise<void> {
    const leaf = this.#read(index, body);
    const before = this.#latest;
    if (before !== undefined && leaf.input.size < before.input.size) {
      throw foreign(index, `is about ${leaf.input.size} entries, fewer than the leaf before it`);
    }
    const known = await this.#map.rootAt(leaf.input.size);
    if (known !== undefined) {
      if (!equal(known.root, leaf.root) || known.count !== leaf.keys) {
        throw foreign(index, `says another root of the map of ${known.size} entries than this map had`);
      }
    } else if (leaf.input.size < this.#map.base) {
      throw foreign(index, `is about ${leaf.input.size} entries, of which this map never made a root`);
    } else this.#unchecked.push(leaf);
    this.#latest = leaf;
  }

  /** @throws MapHalt `foreign-leaf` */
  #read(index: number, bytes: Uint8Array): SeenLeaf {
    try {
      const { root, keys, inputCheckpoint } = parseOutputLeaf(bytes);
      return { index, bytes: new Uint8Array(bytes), root, keys, input: openHead(this.#input, inputCheckpoint) };
    } catch (cause) {
      if (!(cause instanceof MerkleError || cause instanceof ClientError)) throw cause;
      throw foreign(index, `is no leaf of a map of this log: ${cause.message}`, cause);
    }
  }

  async #save(): Promise<void> {
    const cursor = this.#cursor!;
    if (this.#unchecked.length === 0) {
      this.#checked = this.#latest;
      this.#checkedRange = cursor.range;
    }
    const last = this.#checked && { index: this.#checked.index, leaf: encodeBase64(this.#checked.bytes) };
    const record: OutputRecord = {
      cursor: cursorRecord({ ...cursor, range: this.#checkedRange! }),
      peers: peerRecords(cursor.peers),
      ...(last !== undefined && { last }),
    };
    await this.#map.saveRecord(RECORD, encodeUtf8(JSON.stringify(record)));
  }
}

function foreign(index: number, why: string, cause?: unknown): MapHalt {
  const act =
    'Somebody else writes to the output log, or an old copy of the index does. Begin a new output log that only this index may write to (`identity.access`)';
  return new MapHalt('foreign-leaf', `the leaf ${index} of the output log ${why}. ${act}`, { cause });
}
