/**
 * The state of every followed log, in one LevelDB.
 *
 * | key                        | value                                     |
 * |----------------------------|-------------------------------------------|
 * | `v`                        | `1`, the version of this format           |
 * | `l`, SHA-256 of the origin | the record of the log: see log-state.ts   |
 *
 * Each write is one synced batch. After a failure the store opens LevelDB again, and the caller that got the error reads its
 * state again before it goes on.
 */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { isThere } from '../../../merkle/runtime/disk/files.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { Reopening } from '../../../merkle/runtime/disk/reopen.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../../errors.ts';
import type { FollowedLog } from '../../follow/types.ts';
import { decodeState, encodeState, FRESH, type MonitoredLog, readLogRecord } from '../log-state.ts';

const VERSION_KEY = Buffer.from('v');
const VERSION = Buffer.from('1');
const PREFIX = Buffer.from('l');
const AFTER_PREFIX = Buffer.from('m');

type Origin = Pick<FollowedLog, 'origin' | 'keys'>;

/** A log that a signing configuration once named. */
interface KnownShard {
  readonly origin: string;
  readonly location: string;
  readonly keys: readonly string[];
}

export class StateStore {
  readonly #store: Reopening<GuardedLevel>;

  private constructor(store: Reopening<GuardedLevel>) {
    this.#store = store;
  }

  /**
   * Opens the state in `dir`. With `fresh` it makes a missing one, and puts one that does not open aside, under the name
   * `aside`, to make a new one.
   *
   * @throws ClientError `state`: it is missing or damaged; RuntimeError `locked`, `store`, `file`
   */
  static async open(dir: string, fresh: boolean): Promise<{ readonly store: StateStore; readonly aside?: string }> {
    // Every store of LevelDB has this file.
    const there = await isThere(join(dir, 'CURRENT'));
    if (!there && !fresh) {
      const why = `there is no state of a monitor in ${dir}: it is lost, or this is a first start`;
      throw new ClientError('state', `${why}. ${FRESH}`);
    }
    try {
      return { store: await StateStore.#start(dir, !there) };
    } catch (cause) {
      if (cause instanceof RuntimeError && cause.code === 'locked') throw cause;
      if (!there) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      if (!fresh) throw new ClientError('state', `the monitor's state is damaged: ${why}. ${FRESH}`, { cause });
      const aside = `${dir}.damaged-${Date.now()}`;
      await rename(dir, aside);
      return { store: await StateStore.#start(dir, true), aside };
    }
  }

  static async #start(dir: string, create: boolean): Promise<StateStore> {
    let first = create;
    const open = async (): Promise<GuardedLevel> => {
      const level = await GuardedLevel.open(dir, { create: first, cacheSize: 1024 * 1024 });
      try {
        const version = await level.get(VERSION_KEY);
        if (version === undefined && first) await level.write((batch) => batch.put(VERSION_KEY, VERSION));
        else if (version === undefined || !equal(version, VERSION)) {
          throw new RuntimeError('store', `${dir} does not hold the state of a monitor, or that of another version`);
        }
        first = false;
        return level;
      } catch (error) {
        await level.close();
        throw error;
      }
    };
    const isFailure = (error: unknown) => error instanceof RuntimeError && error.code === 'store';
    return new StateStore(await Reopening.start({ open, isFailure }));
  }

  /** The state of a log; undefined where there is none. @throws ClientError `state`; RuntimeError `store` */
  async load(log: Origin): Promise<MonitoredLog | undefined> {
    const bytes = await this.#store.use((level) => level.get(keyOf(log.origin)));
    return bytes === undefined ? undefined : decodeState(log, bytes);
  }

  /** Durable when it resolves. @throws RuntimeError `store`: it may or may not be durable; load it before going on */
  async save(state: MonitoredLog): Promise<void> {
    const value = encodeState(state);
    await this.#store.use((level) => level.write((batch) => batch.put(keyOf(state.origin), value)));
  }

  /** Removes the record of a log that is damaged or of another log, so that the log starts fresh. */
  async forget(origin: string): Promise<void> {
    await this.#store.use((level) => level.write((batch) => batch.del(keyOf(origin))));
  }

  /** Whether the store has no record of any log. */
  async isEmpty(): Promise<boolean> {
    return await this.#store.use(async (level) => {
      for await (const rows of level.scan({ gte: PREFIX, lt: AFTER_PREFIX }, 1)) return rows.length === 0;
      return true;
    });
  }

  /** Logs of signing configurations, with those that have left them. @throws ClientError `state` */
  async shards(): Promise<KnownShard[]> {
    return await this.#store.use(async (level) => {
      const shards: KnownShard[] = [];
      for await (const rows of level.scan({ gte: PREFIX, lt: AFTER_PREFIX })) {
        for (const [, value] of rows) {
          const { origin, shard } = readLogRecord('a log', value);
          if (shard !== undefined) shards.push({ origin, ...shard });
        }
      }
      return shards;
    });
  }

  async close(): Promise<void> {
    await this.#store.close();
  }
}

function keyOf(origin: string): Buffer {
  return Buffer.concat([PREFIX, fastSha256(encodeUtf8(origin))]);
}
