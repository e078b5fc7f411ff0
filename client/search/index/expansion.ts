/** The values that a prefix or a pattern matches, where they are few enough to follow the postings of each. */
import { ClientError } from '../../errors.ts';
import { type TermTester, termTester } from '../terms.ts';
import type { SearchTerm } from '../types.ts';
import type { Comparing } from './comparing.ts';
import type { IndexStore } from './index-store.ts';
import {
  after,
  FAMILY,
  kindNumber,
  MAX_NUMBER,
  NUMBER_BYTES,
  numberKey,
  type PackedValue,
  prefixRanges,
  readValueKey,
  rowKey,
  valueKey,
  valueText,
} from './layout.ts';
import { Work } from './work.ts';

/** More values than these are not followed one by one. */
const MAX_VALUES = 128;
/** Units of work to find them, apart from those of the search: what was found serves later pages too. */
const UNITS = 200_000;
const ROWS = 256;
const KEPT = 256;

/** Keys of values (layout.ts), each of a kilobyte at most; `many`: too many match, or too many would have to be compared. */
type Expanded = readonly Uint8Array[] | 'many';

export class Expansion {
  readonly #store: IndexStore;
  readonly #comparing: Comparing;
  readonly #kept = new Map<string, { readonly size: number; readonly found: Expanded }>();

  constructor(store: IndexStore, comparing: Comparing) {
    this.#store = store;
    this.#comparing = comparing;
  }

  /**
   * Keys of the values that match a prefix or a pattern: at least those of the first `size` entries, all of which are in the store.
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
    const found: Uint8Array[] = [];
    const { kind, match, value } = tester.term;
    for (const { form, gte, lt } of prefixRanges(kind, match === 'prefix' ? value : '')) {
      for await (const packed of this.#all(log, tester.term, form, gte, lt, work)) {
        if (await this.#comparing.test(tester, valueText(packed), work)) found.push(valueKey(packed));
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
    const prefix = rowKey(FAMILY.posting, log, kindNumber(kind), form);
    const end = lt === undefined ? after(prefix)! : Buffer.concat([prefix, lt]);
    let from = Buffer.concat([prefix, gte]);
    let last: Uint8Array = Buffer.alloc(0);
    for (;;) {
      const rows = await this.#store.rows({ gte: from, lt: end }, ROWS);
      work.spend(100 + rows.length);
      await work.breathe();
      for (const [key] of rows) {
        const name = key.subarray(0, key.length - NUMBER_BYTES);
        if (Buffer.compare(last, name) === 0) continue;
        last = name;
        const { value, long } = readValueKey(kind, form, name.subarray(prefix.length));
        if (!long) yield value;
        else yield { ...value, bytes: await this.#longText(log, name.subarray(3)) };
      }
      if (rows.length < ROWS) return;
      // Behind all rows of the last value: many values have few rows, and few have many.
      from = Buffer.concat([last, numberKey(MAX_NUMBER), Buffer.of(0)]);
    }
  }

  async #longText(log: number, name: Uint8Array): Promise<Uint8Array> {
    const text = await this.#store.get(rowKey(FAMILY.value, log, name));
    if (text !== undefined) return text;
    throw new ClientError('state', 'the index lacks a row that it must have: build it anew with --rebuild');
  }
}

export async function testersOf(terms: readonly SearchTerm[]): Promise<TermTester[]> {
  return await Promise.all(terms.map(termTester));
}
