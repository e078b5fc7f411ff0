/**
 * Terms that too many values match to follow their postings: compared with the values of each entry, block by block. A search
 * goes over the entries in their order, so it can stop at any of them, and a later page goes on there.
 */
import { ClientError } from '../../errors.ts';
import type { TermTester } from '../terms.ts';
import { BLOCK, Block } from './block.ts';
import type { Comparing } from './comparing.ts';
import type { IndexStore } from './index-store.ts';
import { valueText } from './layout.ts';
import { blockKey } from './log-index.ts';
import type { Work } from './work.ts';

/** Units of work to read a block, and for each of its values and entries. */
const READ = 100;
const PART = 0.3;

export class BlockFilter {
  readonly #store: IndexStore;
  readonly #log: number;
  readonly #testers: readonly TermTester[];
  readonly #comparing: Comparing;
  readonly #work: Work;
  #start = -1;
  #block: Block | undefined;
  /** For each tester the values of the block: 0 not compared yet, 1 matches, 2 does not. */
  #known: Uint8Array[] = [];

  constructor(store: IndexStore, log: number, testers: readonly TermTester[], comparing: Comparing, work: Work) {
    this.#store = store;
    this.#log = log;
    this.#testers = testers;
    this.#comparing = comparing;
    this.#work = work;
  }

  /** Whether the entry matches all terms. @throws RuntimeError `store`, `pool`; ClientError `state`, `cancelled` */
  async test(index: number): Promise<boolean> {
    const start = index - (index % BLOCK);
    // A block that ended before the entry has grown since.
    if (start !== this.#start || index - start >= this.#block!.entries) await this.#load(start);
    const block = this.#block!;
    const place = index - start;
    if (place >= block.entries) {
      throw new ClientError(
        'state',
        `the index lacks entry ${index}: its files are damaged. Build it anew with --rebuild`,
      );
    }
    for (const [i, tester] of this.#testers.entries()) {
      if (!(await this.#matches(block, place, tester, this.#known[i]!))) return false;
    }
    return true;
  }

  async #matches(block: Block, place: number, tester: TermTester, known: Uint8Array): Promise<boolean> {
    for (const number of block.numbersOf(place)) {
      const value = block.values[number]!;
      if (value.kind !== tester.term.kind) continue;
      if (known[number] === 0) {
        known[number] = (await this.#comparing.test(tester, valueText(value), this.#work)) ? 1 : 2;
      }
      if (known[number] === 1) return true;
    }
    return false;
  }

  async #load(start: number): Promise<void> {
    const row = await this.#store.get(blockKey(this.#log, start));
    this.#block = new Block(row ?? Buffer.of(0, 0));
    this.#start = start;
    this.#known = this.#testers.map(() => new Uint8Array(this.#block!.values.length));
    this.#work.spend(READ + PART * (this.#block.values.length + this.#block.entries));
    await this.#work.breathe();
  }
}
