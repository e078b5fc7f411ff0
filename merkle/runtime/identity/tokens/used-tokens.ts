/**
 * The tokens that were used, for a service where a token works once. What is taken stays taken, whatever ends the process, until the
 * token has expired; two requests with one token at the same moment get one yes.
 *
 * A row is the expiry of a token (milliseconds since 1970, 8 bytes, big-endian) and the digest of what its issuer signed
 * (`tokenDigest`), so the rows of expired tokens come first. A removal keeps the latest expiry that it removed, in the same write: a
 * token up to there is refused, also where the clock was set back and the token seems to be valid. It keeps that expiry and not
 * the time of the removal, since a clock that was far ahead for a moment would end all tokens until that time.
 */
import { GuardedLevel } from '../../disk/level.ts';
import { Reopening } from '../../disk/reopen.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { IdentityError } from '../types.ts';
import { tokenDigest } from './compact-token.ts';

/** No expiry is so early. */
const REMOVED_KEY = Buffer.alloc(8);
const NOTHING = new Uint8Array();
/** Most rows that one write removes. */
const REMOVED_AT_ONCE = 10_000;
/** Between two removals, in milliseconds. */
const REMOVE_EVERY_MS = 10_000;
/** 40 bytes each. Past it no token is taken until some have expired. */
const MAX_TOKENS = 10_000_000;

interface Options {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Tokens that are kept at one time. */
  readonly most?: number;
}

/** What is known of one opened store. */
interface Opened {
  readonly level: GuardedLevel;
  /** The latest expiry of a removed row. */
  removed: number;
  /** Rows. */
  count: number;
  removedAt: number;
  close(): Promise<void>;
}

interface Taking {
  readonly row: Buffer;
  readonly expires: number;
  readonly resolve: (taken: boolean) => void;
  readonly reject: (error: unknown) => void;
}

export class UsedTokens {
  readonly #stores: Reopening<Opened>;
  readonly #now: () => number;
  readonly #most: number;
  #waiting: Taking[] = [];
  #writing: Promise<void> | undefined;

  constructor(stores: Reopening<Opened>, { now = Date.now, most = MAX_TOKENS }: Options) {
    this.#stores = stores;
    this.#now = now;
    this.#most = most;
  }

  /**
   * Uses a verified token. True is durable when it comes, and comes once for each token, in whatever spelling.
   * @param expires `exp` in milliseconds since 1970
   * @returns false where the token was used, or may have been
   * @throws RuntimeError `store`: the token may count as used; IdentityError `identity-unavailable`: too many tokens are kept
   */
  async take(token: string, expires: number): Promise<boolean> {
    const row = Buffer.alloc(40);
    row.writeBigUInt64BE(BigInt(Math.ceil(expires)));
    row.write(tokenDigest(token), 8, 'hex');
    return await new Promise<boolean>((resolve, reject) => {
      this.#waiting.push({ row, expires, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#stores.close();
  }

  /**
   * One write at a time takes all tokens that came during the one before. The end of the loop and of `#writing` are one step: a
   * token that comes between them would wait for ever.
   */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const takings = this.#waiting;
      this.#waiting = [];
      try {
        const taken = await this.#stores.use((store) => this.#write(store, takings));
        for (const taking of takings) taking.resolve(taken.has(taking));
      } catch (error) {
        for (const { reject } of takings) reject(error);
      }
    }
    this.#writing = undefined;
  }

  /** The takings that win. */
  async #write(store: Opened, takings: readonly Taking[]): Promise<ReadonlySet<Taking>> {
    await this.#remove(store);
    const known = await store.level.getMany(takings.map(({ row }) => row));
    const winners = new Map<string, Taking>();
    for (const [i, taking] of takings.entries()) {
      const name = taking.row.toString('latin1');
      if (known[i] === undefined && !winners.has(name) && taking.expires > store.removed) winners.set(name, taking);
    }
    if (winners.size === 0) return new Set();
    if (store.count + winners.size > this.#most) {
      const why = `${this.#most} used tokens that have not expired are kept, and there is no room for more`;
      throw new IdentityError('identity-unavailable', `${why}: let the issuers give tokens that end sooner`);
    }
    await store.level.write((batch) => {
      for (const { row } of winners.values()) batch.put(row, NOTHING);
    });
    store.count += winners.size;
    return new Set(winners.values());
  }

  async #remove(store: Opened): Promise<void> {
    const now = this.#now();
    // A clock that was set back is before the last removal.
    if (Math.abs(now - store.removedAt) < REMOVE_EVERY_MS) return;
    store.removedAt = now;
    const rows: Uint8Array[] = [];
    // A row counts until the moment after its expiry.
    for await (const chunk of store.level.scan({ gte: keyOf(1), lt: keyOf(now) })) {
      rows.push(...chunk.map(([row]) => row));
      if (rows.length >= REMOVED_AT_ONCE) break;
    }
    const last = rows.at(-1);
    if (last === undefined) return;
    const removed = Math.max(store.removed, expiryOf(last));
    await store.level.write((batch) => {
      for (const row of rows) batch.del(row);
      batch.put(REMOVED_KEY, keyOf(removed));
    });
    store.removed = removed;
    store.count -= rows.length;
    if (rows.length >= REMOVED_AT_ONCE) store.removedAt = 0;
  }
}

/**
 * Opens the memory of used tokens in the directory `dir`, and makes it where there is none. One process has it open at a time.
 * @throws RuntimeError `locked`, `store`, `file`
 */
export async function openUsedTokens(dir: string, options: Options = {}): Promise<UsedTokens> {
  const isFailure = (error: unknown) => error instanceof RuntimeError && error.code === 'store';
  // Where the directory is gone after a failure, an empty one in its place would let all tokens work again.
  let create = true;
  const open = async () => {
    const store = await openStore(dir, create);
    create = false;
    return store;
  };
  return new UsedTokens(await Reopening.start({ open, isFailure }), options);
}

async function openStore(dir: string, create: boolean): Promise<Opened> {
  const level = await GuardedLevel.open(dir, { cacheSize: 1024 * 1024, create });
  try {
    const removed = await level.get(REMOVED_KEY);
    let count = 0;
    for await (const rows of level.scan({ gte: keyOf(1) }, 10_000)) count += rows.length;
    const removedUpTo = removed === undefined ? 0 : expiryOf(removed);
    return { level, removed: removedUpTo, count, removedAt: 0, close: () => level.close() };
  } catch (error) {
    await level.close();
    throw error;
  }
}

function keyOf(time: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(Math.ceil(time)));
  return key;
}

function expiryOf(row: Uint8Array): number {
  return Number(Buffer.from(row.subarray(0, 8)).readBigUInt64BE());
}
