/**
 * Pulls the logs that do not push: reads their checkpoint and tiles (c2sp.org/tlog-tiles) from the URL in the file of
 * logs, and hands both to the witness as if the log had sent them. The proof is made here from the tiles; that they are
 * right shows when it verifies.
 */
import { equal } from '../merkle/bytes.ts';
import { parseCheckpoint } from '../merkle/checkpoint.ts';
import { openNoteAsync, parseNote } from '../merkle/note.ts';
import { rootAt, rootNodes, verifyConsistency } from '../merkle/proof.ts';
import { HASH_SIZE } from '../merkle/rfc6962.ts';
import { fastSha256 } from '../merkle/runtime/crypto/hash.ts';
import { type Fetched, fetchBounded } from '../merkle/runtime/service/fetch.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { proveConsistency, readTiles, TILE_WIDTH, type Tile, tilePath } from '../merkle/tile.ts';
import { MAX_WITNESS_BODY } from '../merkle/witness.ts';
import { WitnessError } from './errors.ts';
import type { KnownLog, Logs } from './logs.ts';
import type { Metrics } from './metrics.ts';
import type { Cosigned } from './store.ts';
import type { Witness } from './witness.ts';

const FETCH_MS = 10_000;
const AT_ONCE = 8;
/** An unchanged checkpoint is cosigned again after this time, so that readers see a living witness. */
const AGAIN_MS = 10 * 60_000;

interface PollOptions {
  readonly witness: Witness;
  readonly logs: Logs;
  readonly intervalMs: number;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Default: that of Node. */
  readonly fetch?: typeof fetch | undefined;
}

export class Poller {
  readonly #options: PollOptions;
  readonly #stopping = new AbortController();
  readonly #refreshed = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();

  /** Polls at once, and again `intervalMs` after each round has ended. */
  constructor(options: PollOptions) {
    this.#options = options;
    this.#start();
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }

  #start(): void {
    this.#round = this.#all().finally(() => {
      if (!this.#stopping.signal.aborted) this.#timer = setTimeout(() => this.#start(), this.#options.intervalMs);
    });
  }

  async #all(): Promise<void> {
    const waiting = [...this.#options.logs.all()].filter(({ url }) => url !== undefined);
    const one = async () => {
      for (let log = waiting.shift(); log !== undefined; log = waiting.shift()) await this.#try(log);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
  }

  async #try(log: KnownLog): Promise<void> {
    const { logger, metrics } = this.#options;
    try {
      await this.poll(log);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      metrics.pollFailures.inc();
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn({ origin: log.origin, reason }, 'the log could not be polled');
    }
  }

  /** Polls one log once. Throws if its checkpoint is not cosigned. */
  async poll(log: KnownLog): Promise<void> {
    const { witness } = this.#options;
    const note = await this.#fetch(log, 'checkpoint', MAX_WITNESS_BODY);
    // Only a checkpoint that the log signed is worth fetching tiles.
    const { size, root } = parseCheckpoint((await openNoteAsync(parseNote(note), log.verifiers)).text);
    const stored = witness.cosigned(log.origin);
    // A cache may serve an older checkpoint.
    if (stored !== undefined && size < stored.size) return;
    if (stored !== undefined && size === stored.size && equal(stored.root, root) && !this.#due(log)) return;
    const made = stored === undefined ? { proof: [] } : await this.#prove(log, stored, size, root);
    await witness.addPolled(log, { oldSize: stored?.size ?? 0, proof: made.proof, note }, made.root);
    this.#refreshed.set(log.origin, performance.now());
  }

  #due({ origin }: KnownLog): boolean {
    return performance.now() - (this.#refreshed.get(origin) ?? Number.NEGATIVE_INFINITY) >= AGAIN_MS;
  }

  /** The proof. Where the proof does not verify, also the root of the log's tiles at the stored size. */
  async #prove(
    log: KnownLog,
    stored: Cosigned,
    size: number,
    secondRoot: Uint8Array,
  ): Promise<{ proof: Uint8Array[]; root?: Uint8Array }> {
    const first = stored.size;
    if (first === 0 || first === size) return { proof: [] };
    const fetchTile = (tile: Tile) => this.#tile(log, tile);
    const proof = await proveConsistency(first, size, fetchTile, fastSha256);
    try {
      verifyConsistency({ first, second: size, firstRoot: stored.root, secondRoot, hashes: proof }, fastSha256);
      return { proof };
    } catch {
      const read = await readTiles(rootNodes(first), size, fetchTile, fastSha256);
      return { proof, root: rootAt(first, read, fastSha256) };
    }
  }

  async #tile(log: KnownLog, tile: Tile): Promise<Uint8Array> {
    const limit = TILE_WIDTH * HASH_SIZE;
    try {
      return await this.#fetch(log, tilePath(tile), limit);
    } catch (error) {
      // A log may drop a partial tile once it is full.
      if (tile.width === TILE_WIDTH || !(error instanceof NotFound)) throw error;
      const full = await this.#fetch(log, tilePath({ ...tile, width: TILE_WIDTH }), limit);
      return full.subarray(0, tile.width * HASH_SIZE);
    }
  }

  async #fetch(log: KnownLog, path: string, limit: number): Promise<Uint8Array> {
    const url = `${log.url!.replace(/\/$/, '')}/${path}`;
    let reply: Fetched;
    try {
      reply = await fetchBounded(url, {
        limit,
        timeoutMs: FETCH_MS,
        signal: this.#stopping.signal,
        fetch: this.#options.fetch,
      });
    } catch (cause) {
      throw new WitnessError('poll', (cause as Error).message, { cause });
    }
    if (reply.status === 404) throw new NotFound(url);
    if (reply.status !== 200) throw new WitnessError('poll', `${url} answers with ${reply.status}`);
    return reply.bytes;
  }
}

class NotFound extends WitnessError {
  constructor(url: string) {
    super('poll', `${url} is not there`);
  }
}
