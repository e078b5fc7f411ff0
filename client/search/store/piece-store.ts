/**
 * The pieces of the attestation store on the disk: a file for each, named by its digest, and LevelDB for everything by which it
 * is found (store-rows.ts).
 *
 * A piece is kept by one synced batch, after its file is durable; it is forgotten by one, before its file goes. So a crash leaves
 * at most a file without a record, which the next open removes. Changes that come together share one batch.
 *
 *     DIR/level/             LevelDB
 *     DIR/pieces/ab/abcd…    the bytes of the piece with the digest sha256:abcd…
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { decodeHex, encodeHex } from '../../../merkle/bytes.ts';
import { isFull } from '../../../merkle/runtime/disk/errno.ts';
import {
  makeDirDurable,
  namesIn,
  readFileIfThere,
  removeFiles,
  removeLeftovers,
} from '../../../merkle/runtime/disk/files.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { Reopening } from '../../../merkle/runtime/disk/reopen.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { type PieceFacts, type Term, type TermKind, termHash } from './piece-facts.ts';
import { PieceRound, type RoundLimits } from './piece-round.ts';
import { StoreError } from './store-errors.ts';
import { type PieceRecord, ROW, readRecord, readTotals, sequenceOf, type Totals } from './store-rows.ts';

const CACHE_BYTES = 16 * 1024 * 1024;
/** Changes that share a batch. */
const MAX_ROUND = 64;
const MAX_ROUND_BYTES = 32 * 1024 * 1024;
/** Rows that one query looks at. A page may then be short, and say where the next one begins. */
const MAX_SCANNED = 4096;
const SCAN_CHUNK = 256;
/** The rarest first: the rows of that one are looked at. */
const SELECTIVE: readonly TermKind[] = ['entry', 'subject', 'name', 'material', 'signer', 'issuer', 'type'];
/** Longer than any piece may be. */
const MAX_FILE = 64 * 1024 * 1024;

export interface KeptPiece {
  /** Lower-case hex. */
  readonly digest: string;
  readonly record: PieceRecord;
}

interface PieceQuery {
  /** At least one; all must hold. */
  readonly terms: readonly Term[];
  /** Pieces that came after this one, up to the other. */
  readonly after: number;
  readonly until: number;
  readonly limit: number;
}

interface PieceStoreOptions {
  readonly dir: string;
  readonly limits: () => RoundLimits;
  /** The store failed, or is open again. */
  readonly onProblem?: (problem: string | undefined) => void;
  readonly onEvicted?: (why: 'age' | 'full', pieces: number) => void;
}

type Open = { readonly level: GuardedLevel; totals: Totals; close(): Promise<void> };

interface Job {
  readonly bytes: number;
  run(round: PieceRound): Promise<void>;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class PieceStore {
  readonly #options: PieceStoreOptions;
  readonly #store: Reopening<Open>;
  #waiting: Job[] = [];
  #working: Promise<void> | undefined;

  private constructor(options: PieceStoreOptions, store: Reopening<Open>) {
    this.#options = options;
    this.#store = store;
  }

  /** @throws RuntimeError `locked`, `store`, `file` */
  static async open(options: PieceStoreOptions): Promise<PieceStore> {
    const store = await Reopening.start<Open>({
      open: () => openPieces(options.dir),
      isFailure: (error) => error instanceof RuntimeError && error.code === 'store',
      onFailure: (error) => options.onProblem?.((error as Error).message),
      onReopened: () => options.onProblem?.(undefined),
    });
    return new PieceStore(options, store);
  }

  get totals(): Totals {
    return this.#store.latest.totals;
  }

  /** The piece is durable once this resolves. @throws StoreError `blocked`, `full`, `…-full`, `storage` */
  async keep(
    bytes: Uint8Array,
    facts: PieceFacts,
    by: 'submission' | 'import',
  ): Promise<{ readonly digest: string; readonly known: boolean }> {
    const digest = createHash('sha256').update(bytes).digest();
    let known = false;
    await this.#change(bytes.length, async (round) => {
      known = await round.keep(digest, bytes, facts, by);
    });
    return { digest: encodeHex(digest), known };
  }

  /**
   * Forgets a piece: its file and every row about it.
   * @param block keep this piece, and all bundles of the same content, from coming back
   * @returns whether it was there
   */
  async forget(digest: string, { block }: { readonly block: boolean }): Promise<boolean> {
    let found = false;
    await this.#change(0, async (round) => {
      found = await round.forget(decodeHex(digest), block);
    });
    // Identities of signers stand in the record.
    if (found) await this.#use(({ level }) => level.compact(ROW.record(decodeHex(digest))));
    return found;
  }

  /** Lets a piece come back. @returns whether it was blocked */
  async unblock(digest: string): Promise<boolean> {
    let found = false;
    await this.#change(0, async (round) => {
      found = await round.unblock(decodeHex(digest));
    });
    return found;
  }

  /** Forgets the pieces that came before a time, 256 at most. @returns how many */
  async forgetBefore(time: number): Promise<number> {
    let count = 0;
    await this.#change(0, async (round) => {
      count = await round.forgetBefore(time);
    });
    if (count > 0) this.#options.onEvicted?.('age', count);
    return count;
  }

  /** @param digest lower-case hex. @throws StoreError `damaged`, `storage` */
  async read(digest: string): Promise<{ readonly bytes: Uint8Array; readonly record: PieceRecord } | undefined> {
    const record = await this.record(digest);
    if (record === undefined) return undefined;
    const bytes = await readFileIfThere(pathOf(this.#options.dir, digest), MAX_FILE).catch((cause) => {
      throw new StoreError('storage', 'the piece cannot be read now: try again later', {}, { cause });
    });
    if (bytes !== undefined && createHash('sha256').update(bytes).digest('hex') === digest) return { bytes, record };
    // It may have been forgotten meanwhile.
    if (bytes === undefined && (await this.record(digest)) === undefined) return undefined;
    throw new StoreError('damaged', 'the bytes that are stored are not those of the digest');
  }

  /** @param digest lower-case hex. @throws StoreError `storage` */
  async record(digest: string): Promise<PieceRecord | undefined> {
    const value = await this.#use(({ level }) => level.get(ROW.record(decodeHex(digest))));
    return value === undefined ? undefined : readRecord(value);
  }

  /** In the order in which they came. `next`: where the next page begins, if there may be more. @throws StoreError `storage` */
  async find({ terms, after, until, limit }: PieceQuery): Promise<{
    readonly pieces: readonly KeptPiece[];
    readonly next?: number;
  }> {
    const [first, ...others] = [...terms]
      .sort((a, b) => SELECTIVE.indexOf(a.kind) - SELECTIVE.indexOf(b.kind))
      .map(termHash);
    const found: Uint8Array[] = [];
    const at = { scanned: 0, last: after, more: false };
    await this.#use(async ({ level }) => {
      const range = { gte: ROW.posting(first!, after + 1), lt: ROW.posting(first!, until + 1) };
      scan: for await (const rows of level.scan(range, SCAN_CHUNK)) {
        const sequences = rows.map(([key]) => sequenceOf(key));
        const holds = await Promise.all(
          others.map((term) => level.getMany(sequences.map((sequence) => ROW.posting(term, sequence)))),
        );
        for (const [row, [, digest]] of rows.entries()) {
          if (found.length >= limit || at.scanned >= MAX_SCANNED) {
            at.more = true;
            break scan;
          }
          at.scanned += 1;
          at.last = sequences[row]!;
          if (holds.every((column) => column[row] !== undefined)) found.push(digest);
        }
      }
    });
    const records = await this.#use(({ level }) => level.getMany(found.map(ROW.record)));
    const pieces = found.flatMap((digest, index): KeptPiece[] => {
      const record = records[index];
      return record === undefined ? [] : [{ digest: encodeHex(digest), record: readRecord(record) }];
    });
    return { pieces, ...(at.more && { next: at.last }) };
  }

  async close(): Promise<void> {
    await this.#working;
    await this.#store.close();
  }

  async #use<T>(work: (store: Open) => Promise<T>): Promise<T> {
    try {
      return await this.#store.use(work);
    } catch (error) {
      throw asStoreError(error);
    }
  }

  async #change(bytes: number, run: Job['run']): Promise<void> {
    await new Promise<void>((done, failed) => {
      this.#waiting.push({ bytes, run, done, failed });
      this.#working ??= this.#work().finally(() => {
        this.#working = undefined;
      });
    });
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const jobs: Job[] = [];
      let bytes = 0;
      while (this.#waiting.length > 0 && jobs.length < MAX_ROUND) {
        bytes += this.#waiting[0]!.bytes;
        if (jobs.length > 0 && bytes > MAX_ROUND_BYTES) break;
        jobs.push(this.#waiting.shift()!);
      }
      await this.#round(jobs);
    }
  }

  async #round(jobs: readonly Job[]): Promise<void> {
    const { dir, limits, onEvicted } = this.#options;
    const decided: Job[] = [];
    try {
      await this.#store.use(async (store) => {
        const round = new PieceRound(store.level, store.totals, limits(), (digest) => pathOf(dir, digest));
        for (const job of jobs) {
          try {
            await job.run(round);
            decided.push(job);
          } catch (error) {
            if (!(error instanceof StoreError)) throw error;
            job.failed(error);
          }
        }
        await round.commit();
        store.totals = round.totals;
        if (round.evicted > 0) onEvicted?.('full', round.evicted);
      });
      for (const job of decided) job.done();
    } catch (error) {
      // A job that failed before has its own error, and another one changes nothing.
      for (const job of jobs) job.failed(asStoreError(error));
    }
  }
}

/** What is no error of the disk stays as it is. */
function asStoreError(error: unknown): unknown {
  if (!(error instanceof RuntimeError)) return error;
  const text = isFull(error)
    ? 'the disk of the store is full: nothing more is kept until there is room'
    : 'the disk of the store fails now: try again later';
  return new StoreError('storage', text, {}, { cause: error });
}

function pathOf(dir: string, digest: string): string {
  return join(dir, 'pieces', digest.slice(0, 2), digest);
}

async function openPieces(dir: string): Promise<Open> {
  await makeDirDurable(dir);
  const level = await GuardedLevel.open(join(dir, 'level'), { cacheSize: CACHE_BYTES });
  try {
    const totals = readTotals(await level.get(ROW.totals));
    await removeStrays(dir, level);
    return { level, totals, close: () => level.close() };
  } catch (error) {
    await level.close();
    throw error;
  }
}

/** Removes what a crash left behind: files that were written, and not kept any more or not yet. */
async function removeStrays(dir: string, level: GuardedLevel): Promise<void> {
  const pieces = join(dir, 'pieces');
  await makeDirDurable(pieces);
  for (const folder of await namesIn(pieces)) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    const path = join(pieces, folder);
    await removeLeftovers(path);
    const names = (await namesIn(path)).filter((name) => /^[0-9a-f]{64}$/.test(name));
    const records = await level.getMany(names.map((name) => ROW.record(decodeHex(name))));
    await removeFiles(names.filter((_, at) => records[at] === undefined).map((name) => join(path, name)));
  }
}
