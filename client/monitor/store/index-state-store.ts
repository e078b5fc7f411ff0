/**
 * What the monitor knows of a log that it watches by an index, in one file that is replaced as a whole:
 *
 *     SHA-256 of the rest, hex, newline || JSON
 */
import { join } from 'node:path';
import { decodeBase64, decodeUtf8, encodeBase64, encodeHex, encodeUtf8 } from '../../../merkle/bytes.ts';
import type { KnownPostings } from '../../../merkle/index/verify-lookup.ts';
import { printable } from '../../../merkle/printable.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { makeDirDurable, readFileIfThere, removeFiles, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { ClientError } from '../../errors.ts';
import {
  type CursorRecord,
  cursorRecord,
  type PeerRecords,
  parseCursor,
  peerRecords,
} from '../../follow/cursor-record.ts';
import type { Cursor, FollowedLog } from '../../follow/types.ts';
import type { TreeHead } from '../../tiles/types.ts';
import { FRESH, type Reported } from '../log-state.ts';

const MAX_BYTES = 64 * 1024 * 1024;

/** How far the monitor has come with one key. */
export interface WatchedKey {
  /** The postings that verified lookups have given. */
  readonly known: KnownPostings;
  /** Those of them that are not looked at yet, ascending. */
  readonly pending: readonly number[];
}

export interface IndexState {
  /** The last checkpoint of the log itself. */
  readonly cursor: Cursor;
  readonly input?: TreeHead;
  readonly output?: TreeHead;
  /** By kind, space, value. */
  readonly keys: ReadonlyMap<string, WatchedKey>;
  /** The monitor has looked at every entry below it that a rule may be about. */
  readonly completeThrough: number;
  /** When the index was last verified without a fault, in ms since 1970. */
  readonly followed: number;
  /** A size of the log that the index has not reached, and when it was first seen. */
  readonly behind?: { readonly size: number; readonly since: number };
  readonly reported: ReadonlyMap<string, Reported>;
}

interface TreeRecord {
  readonly size: number;
  readonly root: string;
}

interface StateRecord extends CursorRecord {
  readonly format: 1;
  readonly origin: string;
  readonly views: PeerRecords;
  readonly input?: TreeRecord;
  readonly output?: TreeRecord;
  readonly watched: readonly (readonly [
    name: string,
    key: { readonly count: number; readonly root: string; readonly last?: number; readonly pending: readonly number[] },
  ])[];
  readonly completeThrough: number;
  readonly followed: number;
  readonly behind?: IndexState['behind'];
  readonly reported: Readonly<Record<string, Reported>>;
}

export class IndexStateStore {
  readonly #dir: string;
  readonly #log: FollowedLog;

  constructor(dir: string, log: FollowedLog) {
    this.#dir = dir;
    this.#log = log;
  }

  /** Undefined where there is none. @throws ClientError `state`: it is damaged; RuntimeError `file` */
  async load(): Promise<IndexState | undefined> {
    const bytes = await readFileIfThere(this.#path, MAX_BYTES);
    if (bytes === undefined) return undefined;
    try {
      const text = decodeUtf8(bytes);
      const json = text.slice(65);
      if (encodeHex(fastSha256(encodeUtf8(json))) !== text.slice(0, 64)) throw new Error('its sum is another');
      const { format, origin, views, watched, input, output, reported, ...rest } = JSON.parse(json) as StateRecord;
      if (format !== 1 || origin !== this.#log.origin) throw new Error('it is of another log or version');
      const { completeThrough, followed, behind } = rest;
      return {
        cursor: parseCursor(this.#log, rest, views),
        ...(input && { input: treeOf(input) }),
        ...(output && { output: treeOf(output) }),
        keys: new Map(
          watched.map(([name, { pending, root, ...known }]) => [
            name,
            { known: { ...known, root: decodeBase64(root) }, pending },
          ]),
        ),
        completeThrough,
        followed,
        ...(behind && { behind }),
        reported: new Map(Object.entries(reported)),
      };
    } catch (cause) {
      const why = `the monitor's state of "${printable(this.#log.origin)}", which it watches by an index, is damaged`;
      throw new ClientError('state', `${why}. ${FRESH}`, { cause });
    }
  }

  /** Durable when it resolves. @throws RuntimeError `file` */
  async save(state: IndexState): Promise<void> {
    const { cursor, input, output, keys, reported, completeThrough, followed, behind } = state;
    const record: StateRecord = {
      format: 1,
      origin: this.#log.origin,
      ...cursorRecord(cursor),
      views: peerRecords(cursor.peers),
      ...(input && { input: recordOf(input) }),
      ...(output && { output: recordOf(output) }),
      watched: [...keys].map(([name, { known, pending }]) => [
        name,
        { ...known, root: encodeBase64(known.root), pending },
      ]),
      completeThrough,
      followed,
      ...(behind && { behind }),
      reported: Object.fromEntries(reported),
    };
    const json = JSON.stringify(record);
    await makeDirDurable(this.#dir);
    await writeFileDurable(this.#path, encodeUtf8(`${encodeHex(fastSha256(encodeUtf8(json)))}\n${json}`));
  }

  /** Removes the state, so that the log starts fresh. @throws RuntimeError `file` */
  async forget(): Promise<void> {
    await removeFiles([this.#path]);
  }

  get #path(): string {
    return join(this.#dir, `${encodeHex(fastSha256(encodeUtf8(this.#log.origin))).slice(0, 32)}.state`);
  }
}

function treeOf({ size, root }: TreeRecord): TreeHead {
  return { size, root: decodeBase64(root) };
}

function recordOf({ size, root }: TreeHead): TreeRecord {
  return { size, root: encodeBase64(root) };
}
