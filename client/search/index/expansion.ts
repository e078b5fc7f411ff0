/** The values that a prefix or a pattern matches, where they are few enough to follow the postings of each. */
import type { LevelRange } from '../../../merkle/runtime/disk/level.ts';
import { type TermTester, termTester } from '../terms.ts';
import type { SearchTerm } from '../types.ts';
import type { Comparing } from './comparing.ts';
import type { IndexStore } from './index-store.ts';
import {
  after,
  FAMILY,
  idLength,
  kindNumber,
  MAX_TEXT_KEY,
  type PackedValue,
  prefixRanges,
  rowKey,
  valueText,
} from './layout.ts';
import { Work } from './work.ts';

/** More values than these are not followed one by one. */
const MAX_VALUES = 128;
/** Units of work to find them, apart from those of the search: what was found serves later pages too. */
const UNITS = 200_000;
const ROWS = 256;
const KEPT = 256;

/** `many`: too many match, or too many would have to be compared. */
type Expanded = readonly PackedValue[] | 'many';

export class Expansion {
  readonly #store: IndexStore;
  readonly #comparing: Comparing;
  readonly #kept = new Map<string, { readonly size: number; readonly found: Expanded }>();

  constructor(store: IndexStore, comparing: Comparing) {
    this.#store = store;
    this.#comparing = comparing;
  }

  /**
   * The values that match a prefix or a pattern: at least those of the first `size` entries, all of which are in the store.
   *
   * @throws RuntimeError `store`, `pool`; ClientError `cancelled`
   */
  async values(log: number, tester: TermTester, size: number, signal: AbortSignal): Promise<Expanded> {
    const { kind, match, value } = tester.term;
    const name = JSON.stringify([log, kind, match, value]);
    const kept = this.#kept.get(name);
    // Values never vanish, so what are many stay many.
    if (kept !== undefined && (kept.found === 'many' || kept.size >= size)) return kept.found;
    const found = await this.#find(log, tester, new Work(signal, UNITS));
    this.#kept.delete(name);
    this.#kept.set(name, { size, found });
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    return found;
  }

  async #find(log: number, tester: TermTester, work: Work): Promise<Expanded> {
    const found: PackedValue[] = [];
    const { kind, match, value } = tester.term;
    for (const { form, gte, lt } of prefixRanges(kind, match === 'prefix' ? value : '')) {
      for await (const packed of this.#all(log, tester.term, form, gte, lt, work)) {
        if (await this.#comparing.test(tester, valueText(packed), work)) found.push(packed);
        if (work.isOver || found.length > MAX_VALUES) return 'many';
      }
    }
    return found;
  }

  /** The values of one form in a range, each once. */
  async *#all(
    log: number,
    { kind }: SearchTerm,
    form: number,
    gte: Buffer,
    lt: Buffer | undefined,
    work: Work,
  ): AsyncGenerator<PackedValue> {
    const place =
      form === 0 ? ([FAMILY.value, kindNumber(kind)] as const) : ([FAMILY.posting, kindNumber(kind), form] as const);
    const [family, ...parts] = place;
    const prefix = rowKey(family, log, ...parts);
    // A text goes on in the value of its row, so the range of a long prefix begins with what stands in a key.
    const low = gte.subarray(0, MAX_TEXT_KEY);
    const high = gte.length > MAX_TEXT_KEY ? after(low) : lt;
    let range: LevelRange = {
      gte: Buffer.concat([prefix, low]),
      lt: high === undefined ? after(prefix)! : Buffer.concat([prefix, high]),
    };
    let last: Uint8Array | undefined;
    for (;;) {
      const rows = await this.#store.rows(range, ROWS);
      work.spend(100 + rows.length);
      await work.breathe();
      for (const [key, value] of rows) {
        const bytes = key.subarray(prefix.length);
        const isLong = form === 0 && bytes.length > MAX_TEXT_KEY;
        const packed = {
          kind,
          form,
          bytes: isLong ? value : form === 0 ? bytes : bytes.subarray(0, idLength(kind, form) - 1),
        };
        if (last !== undefined && form !== 0 && Buffer.compare(last, packed.bytes) === 0) continue;
        last = packed.bytes;
        yield packed;
      }
      if (rows.length === 0) return;
      // Directly behind the last row.
      range = { ...range, gte: Buffer.concat([rows.at(-1)![0], Buffer.of(0)]) };
    }
  }
}

export async function testersOf(terms: readonly SearchTerm[]): Promise<TermTester[]> {
  return await Promise.all(terms.map(termTester));
}
