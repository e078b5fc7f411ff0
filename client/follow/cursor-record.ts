/** A cursor as members of a JSON record, for the store of a consumer. */
import { decodeBase64, encodeBase64, equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { formatVerifierKey, parseVerifierKey } from '../../merkle/note.ts';
import { CompactRange } from '../../merkle/range.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { openHead } from './signed-head.ts';
import type { Cursor, FollowedLog, PeerView, SignedHead } from './types.ts';

export interface CursorRecord {
  /** Verifier keys that signed `head`. */
  readonly keys: readonly string[];
  /** The right edge of the tree below the cursor: its size, and the roots of its perfect subtrees, the largest first. */
  readonly size: number;
  readonly hashes: readonly string[];
  /** Signed notes, with the log's own signatures. */
  readonly head: string;
  readonly frozen?: { readonly size: number; readonly head?: string };
}

export type PeerRecords = Readonly<Record<string, { readonly agreed: number; readonly ahead?: string }>>;

export function cursorRecord({ range, head, frozen }: Cursor): CursorRecord {
  return {
    keys: head.keys.map(formatVerifierKey),
    size: range.size,
    hashes: range.hashes.map(encodeBase64),
    head: head.own,
    ...(frozen !== undefined && {
      frozen: { size: frozen.size, ...(frozen.head !== undefined && { head: frozen.head.own }) },
    }),
  };
}

export function peerRecords(peers: Cursor['peers']): PeerRecords {
  return Object.fromEntries(
    [...peers].map(([name, { agreed, ahead }]) => [name, { agreed, ...(ahead && { ahead: ahead.own }) }]),
  );
}

/**
 * The cursor of `log` in a record. Its heads may be signed by keys that the log no longer names.
 *
 * @throws MerkleError, ClientError: the record is not what `cursorRecord` and `peerRecords` made
 */
export function parseCursor(
  log: Pick<FollowedLog, 'origin' | 'keys'>,
  record: CursorRecord,
  peers: PeerRecords,
): Cursor {
  const known = new Set(log.keys.map(formatVerifierKey));
  const earlier = record.keys.filter((key) => !known.has(key)).map(parseVerifierKey);
  const open = (note: string): SignedHead => openHead({ origin: log.origin, keys: [...log.keys, ...earlier] }, note);
  const head = open(record.head);
  const range = CompactRange.from(record.size, record.hashes.map(decodeBase64), fastSha256);
  if (range.size > head.size || (range.size === head.size && !equal(range.root(), head.root))) {
    throw new MerkleError('bad-proof', 'the cursor is not within the tree of its checkpoint');
  }
  const { frozen } = record;
  return {
    range,
    head,
    ...(frozen !== undefined && {
      frozen: { size: frozen.size, ...(frozen.head !== undefined && { head: open(frozen.head) }) },
    }),
    peers: new Map(
      Object.entries(peers).map(([name, { agreed, ahead }]): [string, PeerView] => [
        name,
        { agreed, ...(ahead !== undefined && { ahead: open(ahead) }) },
      ]),
    ),
  };
}
