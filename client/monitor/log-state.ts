/**
 * What the monitor knows of one log between two runs, and its bytes in the store:
 *
 *   SHA-256 of the rest, 32 bytes || JSON
 *
 * LevelDB does not check the sums of its tables when it reads, so a record carries its own.
 */
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { formatVerifierKey, parseVerifierKey } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import { CompactRange } from '../../merkle/range.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { ClientError } from '../errors.ts';
import { type Head, openHead } from '../follow/signed-head.ts';
import type { FollowedLog } from './follow-settings.ts';

/** A condition that was reported, and lasts. */
export interface Reported {
  readonly id: string;
  /** When it was last seen, in ms since 1970. */
  readonly seen: number;
}

/** What is known of another view. */
export interface View {
  /** When it was last found to agree, in ms since 1970. */
  readonly agreed: number;
  /** A larger checkpoint of its, which could not be compared yet. */
  readonly ahead?: Head;
}

export interface LogState {
  readonly origin: string;
  /** The tree up to the cursor: every alert of its entries has been delivered or queued. */
  readonly range: CompactRange;
  /** The last checkpoint that was believed; never smaller than the cursor. */
  readonly head: Head;
  /** The size that the log must not leave any more. */
  readonly frozen?: { readonly size: number; readonly head?: Head };
  /** When the log was last followed without a fault, in ms since 1970. */
  readonly followed: number;
  /** By `Misbehaviour.condition`. */
  readonly reported: ReadonlyMap<string, Reported>;
  /** By the peer's name. */
  readonly views: ReadonlyMap<string, View>;
  /** Where a log that came by a signing configuration is, to follow it to its end when it has left that again. */
  readonly shard?: { readonly location: string; readonly keys: readonly string[] };
}

const SUM = 32;

export function encodeState(state: LogState): Uint8Array {
  const { origin, range, head, frozen, followed, reported, views, shard } = state;
  const json = encodeUtf8(
    JSON.stringify({
      format: 1,
      origin,
      keys: head.keys.map(formatVerifierKey),
      size: range.size,
      hashes: range.hashes.map(encodeBase64),
      head: head.own,
      ...(frozen !== undefined && {
        frozen: { size: frozen.size, ...(frozen.head !== undefined && { head: frozen.head.own }) },
      }),
      followed,
      reported: Object.fromEntries(reported),
      views: Object.fromEntries(
        [...views].map(([name, { agreed, ahead }]) => [name, { agreed, ...(ahead && { ahead: ahead.own }) }]),
      ),
      ...(shard !== undefined && { shard }),
    }),
  );
  return Buffer.concat([fastSha256(json), json]);
}

interface Stored {
  readonly format: number;
  readonly origin: string;
  readonly keys: string[];
  readonly size: number;
  readonly hashes: string[];
  readonly head: string;
  readonly frozen?: { size: number; head?: string };
  readonly followed: number;
  readonly reported: Record<string, Reported>;
  readonly views: Record<string, { agreed: number; ahead?: string }>;
  readonly shard?: { location: string; keys: string[] };
}

/**
 * The state of `log` in a record.
 *
 * @throws ClientError `state`: it is damaged, or of another log
 */
export function decodeState(log: Pick<FollowedLog, 'origin' | 'keys'>, bytes: Uint8Array): LogState {
  const stored = readState(log.origin, bytes);
  if (stored.origin !== log.origin) throw otherLog(log.origin, `it is of "${printable(stored.origin)}"`);
  const known = new Set(log.keys.map(formatVerifierKey));
  if (!stored.keys.some((key) => known.has(key))) {
    const why =
      'its last checkpoint is signed by a key that the configuration does not name. If the log changed its key,';
    throw otherLog(log.origin, `${why} name the old one as well: ${printable(stored.keys.join(', '))}`);
  }
  try {
    // With the keys of that time: some of them may have been taken out since.
    const of = {
      origin: log.origin,
      keys: [...log.keys, ...stored.keys.filter((key) => !known.has(key)).map(parseVerifierKey)],
    };
    const head = openHead(of, stored.head);
    const range = CompactRange.from(stored.size, stored.hashes.map(decodeBase64), fastSha256);
    if (range.size > head.size || (range.size === head.size && !equal(range.root(), head.root))) throw new Error();
    return {
      origin: log.origin,
      range,
      head,
      ...(stored.frozen !== undefined && {
        frozen: {
          size: stored.frozen.size,
          ...(stored.frozen.head !== undefined && { head: openHead(of, stored.frozen.head) }),
        },
      }),
      followed: stored.followed,
      reported: new Map(Object.entries(stored.reported)),
      views: new Map(
        Object.entries(stored.views).map(([name, { agreed, ahead }]) => [
          name,
          { agreed, ...(ahead !== undefined && { ahead: openHead(of, ahead) }) },
        ]),
      ),
      ...(stored.shard !== undefined && { shard: stored.shard }),
    };
  } catch (cause) {
    throw damaged(log.origin, cause);
  }
}

/** What a record says, with its sum checked. @throws ClientError `state` */
export function readState(origin: string, bytes: Uint8Array): Stored {
  const json = bytes.subarray(SUM);
  if (!equal(fastSha256(json), bytes.subarray(0, SUM))) throw damaged(origin);
  const stored = JSON.parse(decodeUtf8(json)) as Stored;
  if (stored.format !== 1) {
    const why = `the monitor's state of "${printable(origin)}" was written by another version of Stele: use that one`;
    throw new ClientError('state', why);
  }
  return stored;
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
