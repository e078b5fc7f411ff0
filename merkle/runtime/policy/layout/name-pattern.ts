/**
 * Patterns of artifact names, as in-toto-golang 0.11 reads them: `*` and `?` match every character, a slash too; `[a-c]` is a
 * set, `[!a-c]` everything else, and `\` takes the next character as it is. `^` means nothing. A pattern that is malformed
 * matches nothing.
 *
 * Each `*` takes as little as it can and is never tried again, so that the work is at most the product of both lengths. It
 * may end inside a character of several bytes, where `?` and a set take one byte: in-toto-golang works on bytes.
 */

type Item =
  | { readonly kind: 'any' }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'set';
      readonly negated: boolean;
      readonly ranges: readonly (readonly [low: number, high: number])[];
    };

/** Items in a row. */
interface Chunk {
  /** The row may begin later in the name. */
  readonly star: boolean;
  readonly items: readonly Item[];
}

/** Counts the steps of matching. */
export interface MatchBudget {
  left: number;
}

/** The budget is used up. */
export class TooMuchMatching extends Error {}

/** Steps that a name takes apart from its comparisons. */
const PER_NAME = 4;

export class NamePattern {
  /** Undefined for a malformed pattern. */
  readonly #chunks: readonly Chunk[] | undefined;

  constructor(pattern: string) {
    this.#chunks = parse([...pattern]);
  }

  /** @throws TooMuchMatching */
  matches(name: string, budget: MatchBudget): boolean {
    if (this.#chunks === undefined) return false;
    spend(budget, PER_NAME);
    const bytes = Buffer.from(name);
    let at = 0;
    for (const [index, { star, items }] of this.#chunks.entries()) {
      if (star && items.length === 0) return true;
      const isLast = index === this.#chunks.length - 1;
      const furthest = star ? bytes.length : at;
      let end: number | undefined;
      for (let begin = at; begin <= furthest && end === undefined; begin++) {
        end = endOf(items, bytes, begin, budget);
        if (isLast && end !== bytes.length) end = undefined;
      }
      if (end === undefined) return false;
      at = end;
    }
    return at === bytes.length;
  }
}

function spend(budget: MatchBudget, steps: number): void {
  budget.left -= steps;
  if (budget.left < 0) throw new TooMuchMatching();
}

/** Where the items end that begin at `at`; undefined where they do not fit there. */
function endOf(items: readonly Item[], name: Uint8Array, at: number, budget: MatchBudget): number | undefined {
  let end = at;
  for (const item of items) {
    spend(budget, 1);
    if (end >= name.length) return undefined;
    if (item.kind === 'bytes') {
      for (const byte of item.bytes) if (name[end++] !== byte) return undefined;
      continue;
    }
    const [code, width] = characterAt(name, end);
    if (item.kind === 'set' && item.ranges.some(([low, high]) => low <= code && code <= high) === item.negated) {
      return undefined;
    }
    end += width;
  }
  return end;
}

/** The character at `at`. Inside of a character, and at bytes that are not UTF-8, it is U+FFFD of one byte. */
function characterAt(bytes: Uint8Array, at: number): [code: number, width: number] {
  const first = bytes[at]!;
  const width = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  // Names are whole UTF-8, so that only a byte inside of a character begins none.
  if (first >= 0x80 && first < 0xc0) return [0xfffd, 1];
  return [
    Buffer.from(bytes.subarray(at, at + width))
      .toString()
      .codePointAt(0)!,
    width,
  ];
}

function parse(pattern: readonly string[]): Chunk[] | undefined {
  const chunks: { star: boolean; items: Item[] }[] = [];
  for (let at = 0; at < pattern.length; ) {
    if (pattern[at] === '*' || chunks.length === 0) chunks.push({ star: pattern[at] === '*', items: [] });
    while (pattern[at] === '*') at += 1;
    if (at === pattern.length) break;
    const read = parseItem(pattern, at);
    if (read === undefined) return undefined;
    chunks.at(-1)!.items.push(read.item);
    at = read.end;
  }
  return chunks;
}

interface ReadItem {
  readonly item: Item;
  readonly end: number;
}

function parseItem(pattern: readonly string[], at: number): ReadItem | undefined {
  const character = pattern[at]!;
  if (character === '?') return { item: { kind: 'any' }, end: at + 1 };
  if (character === '[') return parseSet(pattern, at + 1);
  const taken = character === '\\' ? pattern[at + 1] : character;
  if (taken === undefined) return undefined;
  return { item: { kind: 'bytes', bytes: Buffer.from(taken) }, end: at + (character === '\\' ? 2 : 1) };
}

function parseSet(pattern: readonly string[], start: number): ReadItem | undefined {
  const negated = pattern[start] === '!';
  let at = negated ? start + 1 : start;
  const ranges: [number, number][] = [];
  /** One end of a range; undefined where there is none, or nothing follows it. */
  const edge = (): number | undefined => {
    if (pattern[at] === '-' || pattern[at] === ']') return undefined;
    if (pattern[at] === '\\') at += 1;
    const code = pattern[at]?.codePointAt(0);
    at += 1;
    return at < pattern.length ? code : undefined;
  };
  while (pattern[at] !== ']' || ranges.length === 0) {
    const low = edge();
    if (low === undefined) return undefined;
    let high: number | undefined = low;
    if (pattern[at] === '-') {
      at += 1;
      high = edge();
    }
    if (high === undefined) return undefined;
    ranges.push([low, high]);
  }
  return { item: { kind: 'set', negated, ranges }, end: at + 1 };
}
