/**
 * A small log in memory, with the real ingest, a real tree, a real Ed25519 key and verified proofs. It has no durability, no
 * batching and no witnesses: each call publishes at once.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { encodeBundle } from '../../merkle/bundle.ts';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { ed25519VerifierKey, formatNote, formatVerifierKey, logId } from '../../merkle/note.ts';
import { consistencyProof, inclusionProof, rootAt, verifyInclusion } from '../../merkle/proof.ts';
import { CompactRange } from '../../merkle/range.ts';
import { digestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { TILE_WIDTH, tileWidth } from '../../merkle/tile.ts';
import { RequestError, requestError } from '../../server/errors.ts';
import { DEFAULT_LIMITS, ingestBody } from '../../server/ingest/ingest-body.ts';
import type { LogStatus, NewEntry } from '../../server/store/types.ts';
import type { Encoding, Ingested, LoggedEntry, LogInfo, LogService, Outcome } from '../../server/types.ts';

export class MemoryLog implements LogService {
  status: LogStatus = 'open';
  checkpoint = '';
  /** Runs before each `submit` and each read. A test throws here to imitate a failing store or a full log. */
  fault: () => void | Promise<void> = () => {};
  reasons: string[] = [];
  raised: string[] = [];
  readonly backups: string[] = [];
  readonly #origin: string;
  readonly #key = generateKeyPairSync('ed25519');
  readonly #vkey;
  readonly #verifier = digestVerifier();
  readonly #entries: NewEntry[] = [];
  readonly #indexes = new Map<string, number>();
  /** The hashes of perfect subtrees, by level and index. */
  readonly #nodes: Uint8Array[][] = [];
  readonly #range = CompactRange.empty();
  #draining = false;

  constructor(origin = 'log.example.com') {
    this.#origin = origin;
    const spki = this.#key.publicKey.export({ format: 'der', type: 'spki' });
    this.#vkey = ed25519VerifierKey(origin, spki.subarray(-32));
    this.#publish();
  }

  get info(): LogInfo {
    const { status } = this;
    const verifierKeys = [formatVerifierKey(this.#vkey)];
    return { origin: this.#origin, verifierKeys, logId: logId(this.#vkey), status, entries: 'signed' };
  }

  get plainCheckpoint(): string | undefined {
    return undefined;
  }

  get publishedSize(): number {
    return this.#entries.length;
  }

  async submit(body: Uint8Array, encoding: Encoding): Promise<readonly Outcome[]> {
    await this.fault();
    if (this.status !== 'open') throw requestError('frozen');
    if (this.#draining) throw requestError('draining');
    const ingested = ingestBody(body, encoding, DEFAULT_LIMITS, this.#verifier);
    if ('refusal' in ingested) throw new RequestError(ingested.refusal.code, ingested.refusal.message);
    const placed = ingested.items.map((item) => this.#place(item));
    this.#publish();
    return placed.map((at) =>
      at instanceof RequestError ? { error: at } : { entry: this.#logged(at.index, at.duplicate) },
    );
  }

  async add(): Promise<number> {
    throw requestError('not-raw');
  }

  async tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    await this.fault();
    if (width > tileWidth(level, index, this.publishedSize)) return undefined;
    const from = index * TILE_WIDTH;
    return Buffer.concat(this.#nodes[level * 8]!.slice(from, from + width));
  }

  async entryBundle(index: number, width: number): Promise<Uint8Array | undefined> {
    await this.fault();
    if (width > tileWidth(0, index, this.publishedSize)) return undefined;
    const from = index * TILE_WIDTH;
    return encodeBundle(this.#entries.slice(from, from + width).map((entry) => entry.body));
  }

  atHand(_path: string): Uint8Array | undefined {
    return undefined;
  }

  async entry(index: number): Promise<LoggedEntry | undefined> {
    await this.fault();
    return index < this.publishedSize ? this.#logged(index, false) : undefined;
  }

  async consistencyProof(first: number, second: number): Promise<Uint8Array[]> {
    await this.fault();
    if (first > second || second > this.publishedSize) {
      throw requestError('invalid-argument', `the tree sizes must be 0 <= first <= second <= ${this.publishedSize}`);
    }
    return consistencyProof(first, second, this.#read);
  }

  notReady(): readonly string[] {
    return this.reasons;
  }

  alarms(): readonly string[] {
    return this.raised;
  }

  async freeze(): Promise<string> {
    this.status = 'frozen';
    this.#publish(['Log frozen — 2026-01-01T00:00:00Z']);
    return this.checkpoint;
  }

  async backup(dir: string): Promise<number> {
    await this.fault();
    this.backups.push(dir);
    return this.publishedSize;
  }

  async export(dir: string): Promise<number> {
    return this.backup(dir);
  }

  async drain(): Promise<void> {
    this.#draining = true;
  }

  async close(): Promise<void> {}

  readonly #read = (level: number, index: number): Uint8Array => this.#nodes[level]![index]!;

  #place(item: Ingested): { index: number; duplicate: boolean } | RequestError {
    if ('refusal' in item) return new RequestError(item.refusal.code, item.refusal.message);
    const all = item.entries.map((entry) => {
      const id = Buffer.from(entry.leafHash).toString('hex');
      const known = this.#indexes.get(id);
      if (known !== undefined) return { index: known, duplicate: true };
      const index = this.#entries.push(entry) - 1;
      this.#indexes.set(id, index);
      this.#range.append(entry.leafHash, (level, at, hash) => {
        this.#nodes[level] ??= [];
        this.#nodes[level][at] = hash;
      });
      return { index, duplicate: false };
    });
    return all[0]!;
  }

  #logged(index: number, duplicate: boolean): LoggedEntry {
    const { body, leafHash } = this.#entries[index]!;
    const size = this.publishedSize;
    const root = rootAt(size, this.#read);
    const hashes = inclusionProof(index, size, this.#read);
    verifyInclusion({ index, size, leafHash, root, hashes });
    return { index, body, duplicate, proof: { treeSize: size, root, hashes, checkpoint: this.checkpoint } };
  }

  #publish(extensions: string[] = []): void {
    const { name, keyId } = this.#vkey;
    const text = formatCheckpoint({
      origin: this.#origin,
      size: this.publishedSize,
      root: this.#range.root(),
      extensions,
    });
    const signature = sign(null, encodeUtf8(text), this.#key.privateKey);
    this.checkpoint = formatNote(text, [{ name, keyId, signature }]);
  }
}
