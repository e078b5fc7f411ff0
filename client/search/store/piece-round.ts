/**
 * Changes of the attestation store that are decided one after the other, and become durable together. What a later change asks
 * sees what an earlier one decided.
 */
import { dirname } from 'node:path';
import { decodeHex, encodeHex } from '../../../merkle/bytes.ts';
import { makeDirDurable, removeFiles, writeFilesDurable } from '../../../merkle/runtime/disk/files.ts';
import type { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { type PieceFacts, type TermKind, termHash } from './piece-facts.ts';
import { StoreError, type StoreErrorCode } from './store-errors.ts';
import {
  countRow,
  jsonRow,
  orderFrom,
  type PieceRecord,
  ROW,
  readCount,
  readRecord,
  sequenceOf,
  type Totals,
} from './store-rows.ts';

export interface RoundLimits {
  readonly maxBytes: number;
  readonly maxPieces: number;
  readonly perSubject: number;
  readonly perSigner: number;
  /** What happens when the store is full. */
  readonly whenFull: 'refuse' | 'forget-oldest';
}

/** Pieces of one log entry: one entry could come in bundles of any number of forms. */
const PER_ENTRY = 4;
const HASH = 32;
/** Pieces that make room for one, at most. */
const MAX_EVICTED = 256;

const COUNTED: Partial<Record<TermKind, StoreErrorCode>> = {
  subject: 'subject-full',
  signer: 'signer-full',
  entry: 'entry-full',
};

interface Stored {
  readonly record: PieceRecord;
  /** Hashes of its terms, 32 bytes each. */
  readonly terms: Uint8Array;
}

export class PieceRound {
  readonly #level: GuardedLevel;
  readonly #limits: RoundLimits;
  readonly #pathOf: (digest: string) => string;
  /** Rows by the hex of their key; null for one that goes. */
  readonly #rows = new Map<string, Uint8Array | null>();
  readonly #writes = new Map<string, Uint8Array>();
  readonly #removals = new Set<string>();
  #oldest = 0;
  totals: Totals;
  evicted = 0;

  constructor(level: GuardedLevel, totals: Totals, limits: RoundLimits, pathOf: (digest: string) => string) {
    this.#level = level;
    this.totals = totals;
    this.#limits = limits;
    this.#pathOf = pathOf;
  }

  /** @returns whether it was there before. @throws StoreError; nothing is changed then */
  async keep(digest: Uint8Array, bytes: Uint8Array, facts: PieceFacts, by: 'submission' | 'import'): Promise<boolean> {
    if ((await this.#get(ROW.record(digest))) !== undefined) return true;
    await this.#refuseBlocked(digest, facts.content);
    const hashed = facts.terms.map((term) => ({ kind: term.kind, hash: termHash(term) }));
    const counted = hashed.filter(({ kind }) => COUNTED[kind] !== undefined);
    const counts = await Promise.all(counted.map(async ({ hash }) => readCount(await this.#get(ROW.count(hash)))));
    for (const [at, { kind }] of counted.entries()) this.#refuseMore(kind, counts[at]!, by);
    await this.#makeRoom(bytes.length);

    const sequence = this.totals.sequence + 1;
    const record: PieceRecord = {
      ...facts.description,
      sequence,
      size: bytes.length,
      time: Date.now(),
      content: encodeHex(facts.content),
      counted: counted.length,
    };
    const ordered = [...counted, ...hashed.filter((one) => !counted.includes(one))].map(({ hash }) => hash);
    this.#put(ROW.record(digest), jsonRow(record));
    this.#put(ROW.terms(digest), Buffer.concat(ordered));
    this.#put(ROW.order(sequence), digest);
    for (const hash of ordered) this.#put(ROW.posting(hash, sequence), digest);
    // An eviction may have changed the counts.
    for (const { hash } of counted) await this.#count(hash, 1);
    const { pieces, bytes: all } = this.totals;
    this.totals = { sequence, pieces: pieces + 1, bytes: all + bytes.length };
    const path = this.#pathOf(encodeHex(digest));
    this.#writes.set(path, bytes);
    this.#removals.delete(path);
    return false;
  }

  async forget(digest: Uint8Array, block: boolean): Promise<boolean> {
    const stored = await this.#stored(digest);
    if (block) {
      const content = stored === undefined ? new Uint8Array(0) : decodeHex(stored.record.content);
      const known = await this.#get(ROW.blocked(digest));
      if (known === undefined || content.length > 0) this.#put(ROW.blocked(digest), content);
      if (content.length > 0) this.#put(ROW.blockedContent(content), digest);
    }
    if (stored === undefined) return false;
    await this.#forget(digest, stored);
    return true;
  }

  async unblock(digest: Uint8Array): Promise<boolean> {
    const content = await this.#get(ROW.blocked(digest));
    if (content === undefined) return false;
    this.#del(ROW.blocked(digest));
    if (content.length > 0) this.#del(ROW.blockedContent(content));
    return true;
  }

  async forgetBefore(time: number): Promise<number> {
    for (let count = 0; count < MAX_EVICTED; count++) {
      const oldest = await this.#oldestPiece();
      if (oldest === undefined || oldest.stored.record.time >= time) return count;
      await this.#forget(oldest.digest, oldest.stored);
    }
    return MAX_EVICTED;
  }

  /** @throws RuntimeError `file`: nothing is kept; `store`: it may be */
  async commit(): Promise<void> {
    if (this.#rows.size === 0) return;
    const files = [...this.#writes].map(([path, bytes]) => ({ path, bytes }));
    for (const dir of new Set(files.map(({ path }) => dirname(path)))) await makeDirDurable(dir);
    try {
      await writeFilesDurable(files);
    } catch (error) {
      await removeFiles(files.map(({ path }) => path)).catch(() => {});
      throw error;
    }
    await this.#level.write((batch) => {
      for (const [key, value] of this.#rows) {
        if (value === null) batch.del(decodeHex(key));
        else batch.put(decodeHex(key), value);
      }
      batch.put(ROW.totals, jsonRow(this.totals));
    });
    // The next open removes what is left of them.
    await removeFiles([...this.#removals]).catch(() => {});
  }

  async #refuseBlocked(digest: Uint8Array, content: Uint8Array): Promise<void> {
    const rows = await Promise.all([this.#get(ROW.blocked(digest)), this.#get(ROW.blockedContent(content))]);
    if (rows.every((row) => row === undefined)) return;
    throw new StoreError('blocked', 'the operator removed this attestation, and this store keeps it out');
  }

  #refuseMore(kind: TermKind, count: number, by: 'submission' | 'import'): void {
    const { perSubject, perSigner } = this.#limits;
    const most = kind === 'subject' ? perSubject : kind === 'entry' ? PER_ENTRY : perSigner;
    // The operator's own imports are bounded by the whole store.
    if (count < most || (by === 'import' && kind !== 'entry')) return;
    const about = { subject: 'about one of its subjects', signer: 'of its signer', entry: 'of its log entry' };
    throw new StoreError(
      COUNTED[kind]!,
      `the store keeps ${most} pieces ${about[kind as keyof typeof about]} already, which is the most`,
    );
  }

  async #makeRoom(bytes: number): Promise<void> {
    const { maxBytes, maxPieces, whenFull } = this.#limits;
    const fits = () => this.totals.bytes + bytes <= maxBytes && this.totals.pieces < maxPieces;
    const full = () =>
      new StoreError('full', `the store is full: it keeps at most ${maxPieces} pieces and ${maxBytes} bytes`);
    if (fits()) return;
    if (whenFull === 'refuse' || bytes > maxBytes) throw full();
    for (let count = 0; count < MAX_EVICTED && !fits(); count++) {
      const oldest = await this.#oldestPiece();
      if (oldest === undefined) throw full();
      await this.#forget(oldest.digest, oldest.stored);
      this.evicted += 1;
    }
    if (!fits()) throw full();
  }

  async #forget(digest: Uint8Array, { record, terms }: Stored): Promise<void> {
    const { sequence, counted, size } = record;
    this.#del(ROW.record(digest));
    this.#del(ROW.terms(digest));
    this.#del(ROW.order(sequence));
    for (let at = 0; at * HASH < terms.length; at++) {
      const hash = terms.subarray(at * HASH, (at + 1) * HASH);
      this.#del(ROW.posting(hash, sequence));
      if (at < counted) await this.#count(hash, -1);
    }
    const { pieces, bytes } = this.totals;
    this.totals = { ...this.totals, pieces: pieces - 1, bytes: bytes - size };
    const path = this.#pathOf(encodeHex(digest));
    if (!this.#writes.delete(path)) this.#removals.add(path);
  }

  async #oldestPiece(): Promise<{ readonly digest: Uint8Array; readonly stored: Stored } | undefined> {
    for await (const rows of this.#level.scan(orderFrom(this.#oldest), 16)) {
      for (const [key, digest] of rows) {
        const stored = await this.#stored(digest);
        if (stored !== undefined && stored.record.sequence === sequenceOf(key)) return { digest, stored };
        this.#oldest = sequenceOf(key) + 1;
      }
    }
    return undefined;
  }

  async #stored(digest: Uint8Array): Promise<Stored | undefined> {
    const record = await this.#get(ROW.record(digest));
    if (record === undefined) return undefined;
    return { record: readRecord(record), terms: (await this.#get(ROW.terms(digest))) ?? new Uint8Array(0) };
  }

  async #count(hash: Uint8Array, change: number): Promise<void> {
    const key = ROW.count(hash);
    const count = readCount(await this.#get(key)) + change;
    if (count > 0) this.#put(key, countRow(count));
    else this.#del(key);
  }

  async #get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const own = this.#rows.get(encodeHex(key));
    if (own !== undefined) return own ?? undefined;
    return await this.#level.get(key);
  }

  #put(key: Uint8Array, value: Uint8Array): void {
    this.#rows.set(encodeHex(key), value);
  }

  #del(key: Uint8Array): void {
    this.#rows.set(encodeHex(key), null);
  }
}
