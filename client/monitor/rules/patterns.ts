/** Matches many RE2 patterns against a text in one pass. */
import { RE2Set } from 're2js';

/** Most texts whose result is cached: entries repeat issuers, repositories and workflows. */
const KEPT = 4096;
const MAX_KEPT_LENGTH = 512;
/** Memory of the automaton, in bytes. When it is full, RE2 drops states and computes them again. */
const MAX_MEMORY = 4 * 1024 * 1024;
const NONE: readonly number[] = [];

export class PatternSet {
  readonly #set = new RE2Set(RE2Set.ANCHOR_BOTH, 0, MAX_MEMORY);
  /** Least recently used first: a Map keeps the order of insertion. */
  readonly #kept = new Map<string, readonly number[]>();

  /** @param patterns accepted by `compilePattern` */
  constructor(patterns: readonly string[]) {
    for (const pattern of patterns) this.#set.add(pattern);
    this.#set.compile();
  }

  /** Indexes of the patterns that match the whole of `text`. */
  match(text: string): readonly number[] {
    const kept = this.#kept.get(text);
    if (kept !== undefined) {
      this.#kept.delete(text);
      this.#kept.set(text, kept);
      return kept;
    }
    const found = this.#set.match(text);
    const result = found.length === 0 ? NONE : found;
    if (text.length <= MAX_KEPT_LENGTH) {
      if (this.#kept.size >= KEPT) this.#kept.delete(this.#kept.keys().next().value!);
      this.#kept.set(text, result);
    }
    return result;
  }
}
