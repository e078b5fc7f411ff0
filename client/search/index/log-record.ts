/** What the index keeps of a log beside its entries: how far it is, and the checkpoints that it gave out. */
import { decodeUtf8, encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { formatVerifierKey } from '../../../merkle/note.ts';
import { printable } from '../../../merkle/printable.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { ClientError } from '../../errors.ts';
import {
  type CursorRecord,
  cursorRecord,
  type PeerRecords,
  parseCursor,
  peerRecords,
} from '../../follow/cursor-record.ts';
import type { Cursor, FollowedLog } from '../../follow/types.ts';

/** How far the index is with a log. All entries below the cursor are indexed. */
export interface IndexedLog extends Cursor {
  readonly origin: string;
  /** The number of the log in keys. */
  readonly number: number;
  /** The time of the last checkpoint that made the tree grow, in ms since 1970; 0 before the first. */
  readonly time: number;
  /** Where a log of a configuration of shards is, to follow it after it has left the configuration. */
  readonly shard?: ShardPlace;
}

export interface ShardPlace {
  readonly location: string;
  readonly keys: readonly string[];
}

interface IndexedRecord extends CursorRecord {
  readonly origin: string;
  readonly number: number;
  readonly time: number;
  readonly views: PeerRecords;
  readonly shard?: ShardPlace;
}

/** A checkpoint for which answers are given: all of its tree is indexed. */
export interface AnsweredHead {
  readonly size: number;
  readonly root: Uint8Array;
  /** The time of the tree, in ms since 1970. */
  readonly time: number;
  /** When it became the newest one here, in ms since 1970: how long it is kept depends on its successor's. */
  readonly since: number;
  /** Signed note. */
  readonly note: string;
}

const SUM = 32;

/** `SHA-256 of the rest ‖ JSON`: LevelDB does not check the sums of its tables when it reads. */
function summed(value: unknown): Buffer {
  const json = encodeUtf8(JSON.stringify(value));
  return Buffer.concat([fastSha256(json), json]);
}

function opened<T>(what: string, bytes: Uint8Array): T {
  const json = bytes.subarray(SUM);
  if (equal(fastSha256(json), bytes.subarray(0, SUM))) return JSON.parse(decodeUtf8(json)) as T;
  throw new ClientError('state', `${what} in the index is damaged. ${AGAIN}`);
}

const AGAIN = 'Build the index anew with --rebuild: it reads every entry again';

export function encodeIndexedLog(log: IndexedLog): Buffer {
  const { origin, number, time, peers, shard } = log;
  const record: IndexedRecord = {
    origin,
    number,
    ...cursorRecord(log),
    time,
    views: peerRecords(peers),
    ...(shard !== undefined && { shard }),
  };
  return summed(record);
}

/** @throws ClientError `state`: it is damaged, or of another log */
export function decodeIndexedLog(log: Pick<FollowedLog, 'origin' | 'keys'>, bytes: Uint8Array): IndexedLog {
  const record = readIndexedRecord(bytes);
  const { origin, number, time, keys, views, shard } = record;
  const known = new Set(log.keys.map(formatVerifierKey));
  if (origin !== log.origin || !keys.some((key) => known.has(key))) {
    const why = `the index has a log "${printable(origin)}" whose last checkpoint is signed by a key that the configuration does not name`;
    const what = `If the log changed its key, name the old one as well: ${printable(keys.join(', '))}`;
    throw new ClientError('state', `${why}. ${what}. ${AGAIN}`);
  }
  try {
    return { ...parseCursor(log, record, views), origin, number, time, ...(shard !== undefined && { shard }) };
  } catch (cause) {
    throw new ClientError('state', `the record of "${printable(origin)}" in the index is damaged. ${AGAIN}`, { cause });
  }
}

export function readIndexedRecord(
  bytes: Uint8Array,
): Pick<IndexedRecord, 'origin' | 'number' | 'shard'> & IndexedRecord {
  return opened('the record of a log', bytes);
}

export function encodeHead({ root, ...rest }: AnsweredHead): Buffer {
  return summed({ ...rest, root: Buffer.from(root).toString('base64') });
}

/** @throws ClientError `state` */
export function decodeHead(bytes: Uint8Array): AnsweredHead {
  const { root, ...rest } = opened<Omit<AnsweredHead, 'root'> & { readonly root: string }>('a checkpoint', bytes);
  return { ...rest, root: new Uint8Array(Buffer.from(root, 'base64')) };
}
