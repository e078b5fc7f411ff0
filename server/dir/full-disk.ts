/**
 * The stores of a data directory whose disk is full, to read alone.
 *
 * LevelDB writes when it opens: a new manifest, a new journal, and a table of what the old journal held. On a full disk it
 * does not open. So it opens a copy that stands where there is room: links to the tables, which never change, and copies
 * of the few other files. Nothing is written to the data directory, and nothing is committed to the copy.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { equal } from '../../merkle/bytes.ts';
import { linkedCopy, removeTree } from '../../merkle/runtime/disk/files.ts';
import { ServerError } from '../errors.ts';
import { openFileStore } from '../store/files/files.ts';
import { openLevelState } from '../store/level/level.ts';
import type { StateStore, Stores } from '../store/types.ts';
import { layout } from './layout.ts';

/** The first is in memory. A directory for temporary files may be on the disk that is full. */
const PLACES = ['/dev/shm', tmpdir()];
/** LevelDB's tables. */
const TABLE = /\.(?:ldb|sst)$/;

/** @throws ServerError `store` where there is no room for the copy either */
export async function openFullDisk(dir: string): Promise<Stores> {
  const files = await openFileStore(layout.public(dir), { readOnly: true });
  try {
    const { state, place } = await openCopy(layout.state(dir));
    return {
      tiles: {
        get: (name) => files.get(name),
        getStamped: (name) => files.getStamped(name),
        // The blobs of the tail: the next store writes them.
        put: async () => {},
        close: () => files.close(),
      },
      checkpoint: {
        readCheckpoint: () => files.readCheckpoint(),
        // A start writes the public checkpoint again to make it durable, which the next store does.
        replaceCheckpoint: async (expected, next) => {
          if (expected === undefined || !equal(expected, next)) await refuse();
        },
        close: () => files.close(),
      },
      state: {
        exclusive: state.exclusive,
        read: () => state.read(),
        tail: (from, to) => state.tail(from, to),
        lookup: (leafHashes) => state.lookup(leafHashes),
        snapshot: () => state.snapshot(),
        commit: refuse,
        load: refuse,
        close: async () => {
          await state.close();
          await removeTree(place);
        },
      },
    };
  } catch (error) {
    await files.close();
    throw error;
  }
}

async function openCopy(dir: string): Promise<{ state: StateStore; place: string }> {
  let failure: unknown;
  for (const parent of PLACES) {
    const place = join(parent, `stele-read-only-${process.pid}`);
    try {
      await removeTree(place);
      await linkedCopy(dir, place, TABLE);
      return { state: await openLevelState(place, { create: false }), place };
    } catch (error) {
      failure = error;
      await removeTree(place).catch(() => {});
    }
  }
  throw new ServerError('store', 'the disk is full, and there is no room for a copy of the state to read', {
    cause: failure,
  });
}

async function refuse(): Promise<never> {
  throw new ServerError('store', 'the disk is full: the stores were opened to read only');
}
