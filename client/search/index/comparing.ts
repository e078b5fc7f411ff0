/** Compares values with terms: short texts on this thread, long ones with a pattern in a worker. */
import { createPool, type Pool, workerUrl } from '../../../merkle/runtime/threads/pool.ts';
import type { TermTester } from '../terms.ts';
import type { Work } from './work.ts';

/** Steps times characters that this thread compares at once: 4 ms at most. */
const INLINE = 100_000;
/** Steps times characters for a unit of work. */
const STEPS_PER_UNIT = 30;

export class Comparing {
  #pool: Pool | undefined;

  /** Whether the value matches. @throws RuntimeError `pool` */
  async test(tester: TermTester, value: string, work: Work): Promise<boolean> {
    const cost = tester.steps * value.length;
    work.spend(1 + cost / STEPS_PER_UNIT);
    if (cost <= INLINE) return tester.test(value);
    this.#pool ??= createPool({ file: workerUrl('client/search/index/pattern-worker'), threads: 1, youngMb: 16 });
    const task = new TextEncoder().encode(JSON.stringify([tester.term.value, value])).buffer;
    const [found] = JSON.parse(Buffer.from(await this.#pool.run(task)).toString()) as [boolean];
    return found === true;
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }
}
