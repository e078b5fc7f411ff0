/**
 * What the monitor knows of one log between two runs, and its bytes in the store:
 *
 *   SHA-256 of the rest, 32 bytes || JSON
 *
 * LevelDB does not check the sums of its tables when it reads, so a record carries its own.
 */
import { decodeUtf8, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { formatVerifierKey } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { ClientError } from '../errors.ts';
import {
  type CursorRecord,
  cursorRecord,
  type PeerRecords,
  parseCursor,
  peerRecords,
} from '../follow/cursor-record.ts';
import type { Cursor, FollowedLog } from '../follow/types.ts';

/** A condition that the monitor has reported, and that lasts. */
export interface Reported {
  /** The ID of the alert. */
  readonly id: string;
  /** When the monitor last saw the condition, in ms since 1970. */
  readonly seen: number;
}

/** The queue holds, or the sinks have taken, every alert about the entries below the cursor. */
export interface MonitoredLog extends Cursor {
  readonly origin: string;
  /** When the monitor last followed the log without a fault, in ms since 1970. */
  readonly followed: number;
  /** By `LogCondition.condition`. */
  readonly reported: ReadonlyMap<string, Reported>;
  /** Where a log of a signing configuration is, to follow it to its end after it has left the configuration. */
  readonly shard?: { readonly location: string; readonly keys: readonly string[] };
}

const SUM = 32;

interface LogRecord extends CursorRecord {
  readonly format: number;
  readonly origin: string;
  readonly followed: number;
  readonly reported: Readonly<Record<string, Reported>>;
  readonly views: PeerRecords;
  readonly shard?: MonitoredLog['shard'];
}

export function encodeState(state: MonitoredLog): Uint8Array {
  const { origin, followed, reported, peers, shard } = state;
  const record: LogRecord = {
    format: 1,
    origin,
    ...cursorRecord(state),
    followed,
    reported: Object.fromEntries(reported),
    views: peerRecords(peers),
    ...(shard !== undefined && { shard }),
  };
  const json = encodeUtf8(JSON.stringify(record));
  return Buffer.concat([fastSha256(json), json]);
}

/** The state of `log` in a record. @throws ClientError `state`: it is damaged, or of another log */
export function decodeState(log: Pick<FollowedLog, 'origin' | 'keys'>, bytes: Uint8Array): MonitoredLog {
  const record = readLogRecord(log.origin, bytes);
  const { origin, keys, followed, reported, views, shard } = record;
  if (origin !== log.origin) throw otherLog(log.origin, `it is of "${printable(origin)}"`);
  const known = new Set(log.keys.map(formatVerifierKey));
  if (!keys.some((key) => known.has(key))) {
    const why = 'its last checkpoint is signed by a key that the configuration does not name';
    const what = `If the log changed its key, name the old one as well: ${printable(keys.join(', '))}`;
    throw otherLog(log.origin, `${why}. ${what}`);
  }
  try {
    return {
      ...parseCursor(log, record, views),
      origin,
      followed,
      reported: new Map(Object.entries(reported)),
      ...(shard !== undefined && { shard }),
    };
  } catch (cause) {
    throw damaged(log.origin, cause);
  }
}

/** The record in these bytes, with its sum checked. @throws ClientError `state` */
export function readLogRecord(origin: string, bytes: Uint8Array): LogRecord {
  const json = bytes.subarray(SUM);
  if (!equal(fastSha256(json), bytes.subarray(0, SUM))) throw damaged(origin);
  const record = JSON.parse(decodeUtf8(json)) as LogRecord;
  if (record.format !== 1) {
    const why = `the monitor's state of "${printable(origin)}" was written by another version of Stele: use that one`;
    throw new ClientError('state', why);
  }
  return record;
}

export const FRESH =
  'To start fresh, give --from-start (looks at every entry again) or --from-now (looks at none of those that are there)';

function otherLog(origin: string, why: string): ClientError {
  return new ClientError('state', `the monitor's state of "${printable(origin)}" is of another log: ${why}. ${FRESH}`);
}

function damaged(origin: string, cause?: unknown): ClientError {
  const why = `the monitor's state of "${printable(origin)}" is damaged, and how far the log was looked at is not known. ${FRESH}`;
  return new ClientError('state', why, { cause });
}
