/**
 * The tokens that were certified, durable until they expire. A row is `expiry, 8 bytes || digest of the token`, so that the rows of
 * expired tokens are the first ones.
 */
import { GuardedLevel } from '../../merkle/runtime/disk/level.ts';
import { tokenDigest } from '../../merkle/runtime/identity/tokens/compact-token.ts';

/** Milliseconds between two removals of expired tokens, and for which they stay: a clock that is set back must not free them. */
const SWEEP_MS = 60_000;
const KEEP_MS = 24 * 3_600_000;
const NOTHING = new Uint8Array();

export class UsedTokens {
  readonly #level: GuardedLevel;
  readonly #expiries: Map<string, number>;
  readonly #timer: NodeJS.Timeout;
  #rows: Uint8Array[] = [];
  #next: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(level: GuardedLevel, expiries: Map<string, number>) {
    this.#level = level;
    this.#expiries = expiries;
    this.#timer = setInterval(() => void this.#sweep().catch(() => {}), SWEEP_MS).unref();
  }

  /** @throws RuntimeError `locked`, `store`, `file` */
  static async open(dir: string): Promise<UsedTokens> {
    const level = await GuardedLevel.open(dir, { cacheSize: 1024 * 1024 });
    const expiries = new Map<string, number>();
    for await (const rows of level.scan()) {
      for (const [row] of rows) expiries.set(nameOf(row.subarray(8)), Number(Buffer.from(row).readBigUInt64BE()));
    }
    return new UsedTokens(level, expiries);
  }

  /**
   * Marks the token as used. Resolves with true once the mark is durable, and with false where the token was used before.
   * @param token a token that was verified: each spelling of one token counts as that token
   * @param expires milliseconds since 1970
   * @throws RuntimeError `store`: the token counts as used
   */
  async take(token: string, expires: number): Promise<boolean> {
    const digest = Buffer.from(tokenDigest(token), 'hex');
    const name = nameOf(digest);
    if (this.#expiries.has(name)) return false;
    this.#expiries.set(name, expires);
    const row = Buffer.alloc(8 + digest.length);
    row.writeBigUInt64BE(BigInt(Math.max(0, Math.ceil(expires))));
    digest.copy(row, 8);
    await this.#write(row);
    return true;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#next?.catch(() => {});
    await this.#writing.catch(() => {});
    await this.#level.close();
  }

  /** One synced write holds all marks that came while the one before was under way. */
  #write(row: Uint8Array): Promise<void> {
    this.#rows.push(row);
    this.#next ??= this.#writing
      .catch(() => {})
      .then(() => {
        const rows = this.#rows;
        this.#rows = [];
        this.#next = undefined;
        this.#writing = this.#level.write((batch) => {
          for (const one of rows) batch.put(one, NOTHING);
        });
        return this.#writing;
      });
    return this.#next;
  }

  async #sweep(): Promise<void> {
    const end = Buffer.alloc(8);
    end.writeBigUInt64BE(BigInt(Date.now() - KEEP_MS));
    for await (const rows of this.#level.scan({ lt: end })) {
      await this.#level.write((batch) => {
        for (const [row] of rows) batch.del(row);
      });
      for (const [row] of rows) this.#expiries.delete(nameOf(row.subarray(8)));
    }
  }
}

function nameOf(digest: Uint8Array): string {
  return Buffer.from(digest).toString('base64');
}
