/**
 * The keys whose leaf in the trie is not of their postings, until the trie has it.
 *
 * Nearly every key that comes is new and has one posting. Such a key is *fresh*: one number beside its name, since objects of
 * millions of keys would take more time of the garbage collector than their hashes take. The trie tells which keys are new, so that
 * none of them is looked up in the store.
 */
import type { ExtractedRun } from './key-extractor.ts';
import type { FullChunk, KeyHistory } from './key-history.ts';
import { type KeyPostings, NO_POSTINGS, onePosting } from './key-postings.ts';
import type { MapStore } from './map-store.ts';
import type { Trie } from './trie.ts';

interface Changed {
  readonly postings: KeyPostings;
  /** It has a leaf in the trie. */
  readonly known: boolean;
}

/** What a batch of entries changed, for the store. */
interface TakenKeys {
  /** Names of keys and their only posting. */
  readonly fresh: readonly (readonly [name: string, posting: number])[];
  readonly several: readonly (readonly [name: string, postings: KeyPostings])[];
  readonly chunks: readonly (FullChunk & { readonly name: string })[];
}

/** A key that the trie gets a leaf of. */
interface ReadyKey {
  readonly name: string;
  /** A number where it is the only one. */
  readonly postings: KeyPostings | number;
  readonly known: boolean;
}

const HASH = 32;
/** Keys of several postings whose postings stay in memory: they change again and again. */
const MOST_KEPT = 50_000;

export class ChangedKeys {
  readonly #store: MapStore;
  readonly #trie: Trie;
  readonly #history: KeyHistory;
  /** By name: the key hash as a text of 32 characters, one a byte. It takes less time and memory than an array. */
  readonly #fresh = new Map<string, number>();
  readonly #changed = new Map<string, Changed>();
  readonly #kept = new Map<string, KeyPostings>();

  constructor(store: MapStore, trie: Trie, history: KeyHistory) {
    this.#store = store;
    this.#trie = trie;
    this.#history = history;
  }

  get size(): number {
    return this.#fresh.size + this.#changed.size;
  }

  /** Whether a key that the store has is not in the trie yet. */
  isNew(name: string): boolean {
    return this.#fresh.has(name) || this.#changed.get(name)?.known === false;
  }

  /** A key that the store has, with postings that its leaf does not have. */
  set(name: string, postings: KeyPostings, known: boolean): void {
    this.#changed.set(name, { postings, known });
  }

  /** Adds the postings of runs of entries from `first` on. After an error this is neither before nor behind them. */
  async take(first: number, runs: readonly ExtractedRun[]): Promise<TakenKeys> {
    const names = runs.map(({ length, hashes }) => Array.from({ length }, (_, i) => nameAt(hashes, i)));
    await this.#read(runs, names);
    const fresh: string[] = [];
    const several = new Set<string>();
    const chunks: (FullChunk & { readonly name: string })[] = [];
    for (const [number, run] of runs.entries()) {
      const base = first + run.first;
      for (let i = 0, next = 0; i < run.length; next += run.counts[i++]!) {
        const name = names[number]![i]!;
        const single = this.#fresh.get(name);
        const changed = single === undefined ? this.#changed.get(name) : undefined;
        if (run.counts[i] === 1 && single === undefined && changed === undefined) {
          this.#fresh.set(name, base + run.places[next]!);
          fresh.push(name);
          continue;
        }
        const before = single === undefined ? (changed?.postings ?? NO_POSTINGS) : onePosting(single);
        const places = run.places.subarray(next, next + run.counts[i]!);
        const postings = this.#history.added(before, places, base, (chunk) => chunks.push({ name, ...chunk }));
        if (single !== undefined) this.#fresh.delete(name);
        this.#changed.set(name, { postings, known: changed?.known ?? false });
        several.add(name);
      }
    }
    return {
      fresh: fresh.flatMap((name) => {
        const posting = this.#fresh.get(name);
        return posting === undefined ? [] : [[name, posting] as const];
      }),
      several: [...several].map((name) => [name, this.#changed.get(name)!.postings] as const),
      chunks,
    };
  }

  /** Gets the postings of keys that the map has already. */
  async #read(runs: readonly ExtractedRun[], names: readonly (readonly string[])[]): Promise<void> {
    const unread = new Set<string>();
    for (const [number, { length, hashes }] of runs.entries()) {
      for (let i = 0; i < length; i++) {
        const name = names[number]![i]!;
        if (this.#fresh.has(name) || this.#changed.has(name)) continue;
        const kept = this.#kept.get(name);
        if (kept !== undefined) {
          this.#kept.delete(name);
          this.#changed.set(name, { postings: kept, known: true });
        } else if (this.#trie.has(hashes, i * HASH)) unread.add(name);
      }
    }
    const read = await this.#store.manyPostings([...unread].map(keyOf));
    for (const [i, name] of [...unread].entries()) {
      const postings = read[i];
      // Otherwise another key begins with the same bytes.
      if (postings !== undefined) this.#changed.set(name, { postings, known: true });
    }
  }

  /** The keys that have postings below `size`, with those postings, in the order of their hashes: some at a time. */
  async *below(size: number): AsyncGenerator<readonly ReadyKey[]> {
    const groups: string[][] = Array.from({ length: 256 }, () => []);
    for (const [name, posting] of this.#fresh) if (posting < size) groups[name.charCodeAt(0)]!.push(name);
    for (const name of this.#changed.keys()) groups[name.charCodeAt(0)]!.push(name);
    for (const group of groups) {
      const ready: ReadyKey[] = [];
      for (const name of group.sort()) {
        const posting = this.#fresh.get(name);
        if (posting !== undefined) {
          ready.push({ name, postings: posting, known: false });
          continue;
        }
        const { postings: all, known } = this.#changed.get(name)!;
        const postings = all.last < size ? all : await this.#history.below(keyOf(name), all, size);
        if (postings.count > 0) ready.push({ name, postings, known });
      }
      yield ready;
      for (const { name } of ready) this.#done(name, size);
    }
  }

  /** A key has its leaf of `size` entries in the trie. */
  #done(name: string, size: number): void {
    // A key with one posting rarely gets another.
    if (this.#fresh.delete(name)) return;
    const { postings } = this.#changed.get(name)!;
    if (postings.last >= size) return void this.#changed.set(name, { postings, known: true });
    this.#changed.delete(name);
    if (postings.count === 1) return;
    this.#kept.set(name, postings);
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
  }
}

export function nameAt(hashes: Uint8Array, i: number): string {
  return Buffer.from(hashes.buffer, hashes.byteOffset + i * HASH, HASH).toString('latin1');
}

export function keyOf(name: string): Buffer {
  return Buffer.from(name, 'latin1');
}
