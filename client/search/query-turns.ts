/** How many queries run at one time, and how many of one client: a stranger's query must not hold up those of others. */
import type { IncomingMessage } from 'node:http';
import { IndexError } from './index-errors.ts';
import type { SearchQuery } from './types.ts';

/** Of the queries at one time, what one client may have. */
const SHARE = 1 / 4;

interface TurnLimits {
  /** Queries at one time. */
  readonly queries: number;
  /** Of these, queries that compare many keys: with a beginning or a pattern. */
  readonly scans: number;
  /** Milliseconds for one query. */
  readonly queryTime: number;
}

/** Whether the index may have to compare many keys for it. */
export function isScan({ terms }: Pick<SearchQuery, 'terms'>): boolean {
  return terms.some(({ match }) => match !== 'exact');
}

export class QueryTurns {
  readonly #limits: () => TurnLimits;
  readonly #counts = { queries: 0, scans: 0 };
  readonly #ofClient = new Map<string, number>();

  /** `limits` is read at each query. */
  constructor(limits: () => TurnLimits) {
    this.#limits = limits;
  }

  get underWay(): { readonly queries: number; readonly scans: number } {
    return this.#counts;
  }

  /**
   * Runs the query at once or not at all. Its signal aborts when its time is over, and when its client goes away.
   *
   * @param client as `ClientAddresses.of` names it
   * @throws IndexError `busy`, `too-slow`; what `work` throws
   */
  async run<T>(
    client: string,
    scan: boolean,
    { socket }: Pick<IncomingMessage, 'socket'>,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    this.#take(client, scan);
    const stop = new AbortController();
    const gone = () => stop.abort();
    socket.once('close', gone);
    let late = false;
    const { queryTime } = this.#limits();
    const timer = setTimeout(() => {
      late = true;
      stop.abort();
    }, queryTime);
    try {
      return await work(stop.signal);
    } catch (error) {
      if (!late) throw error;
      const why = `the query takes longer than ${queryTime / 1000} s, which is the most for one: narrow it, by a range of indexes or an exact term`;
      throw new IndexError('too-slow', why, {}, { cause: error });
    } finally {
      clearTimeout(timer);
      socket.off('close', gone);
      this.#release(client, scan);
    }
  }

  #take(client: string, scan: boolean): void {
    const { queries, scans } = this.#limits();
    const own = this.#ofClient.get(client) ?? 0;
    const share = Math.max(1, Math.floor(queries * SHARE));
    if (this.#counts.queries >= queries || own >= share || (scan && this.#counts.scans >= scans)) {
      throw new IndexError('busy', 'too many queries run here already: try again', { retryAfter: 1 });
    }
    this.#ofClient.set(client, own + 1);
    this.#counts.queries++;
    if (scan) this.#counts.scans++;
  }

  #release(client: string, scan: boolean): void {
    const left = this.#ofClient.get(client)! - 1;
    if (left === 0) this.#ofClient.delete(client);
    else this.#ofClient.set(client, left);
    this.#counts.queries--;
    if (scan) this.#counts.scans--;
  }
}
