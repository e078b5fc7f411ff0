/** The SVID in use, and why a newer one is not. */
import { timeText } from '../../../x509/utc-time.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import type { Clock } from '../../service/back-off.ts';
import type { Logger } from '../../service/logger.ts';
import type { Svid } from './types.ts';

export class SvidBoard {
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  readonly #listeners = new Set<() => void>();
  #svid: Svid | undefined;
  #problem: string | undefined;

  constructor(clock: Clock, logger: Logger | undefined) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Expired or not. */
  get held(): Svid | undefined {
    return this.#svid;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  /** @throws RuntimeError `svid` */
  current(): Svid {
    const svid = this.#svid;
    const why = this.#problem === undefined ? '' : `: ${this.#problem}`;
    if (svid === undefined) throw new RuntimeError('svid', `this process has no SVID${why}`);
    if (this.#clock.now() > svid.notAfter) {
      const end = timeText(svid.notAfter);
      throw new RuntimeError('svid', `the SVID of ${svid.id.text} expired on ${end}, and no newer one came${why}`);
    }
    return svid;
  }

  /** @param svid undefined where this process has no identity any more */
  put(svid: Svid | undefined): void {
    const isSame = svid?.chain.map((der) => Buffer.from(der).toString('base64')).join() === this.#chainText();
    this.#svid = svid;
    if (isSame) return;
    if (svid !== undefined) {
      this.#logger?.info({ id: svid.id.text, notAfter: timeText(svid.notAfter) }, 'uses another SVID');
    }
    for (const listener of [...this.#listeners]) listener();
  }

  say(problem: string | undefined): void {
    if (this.#problem === problem) return;
    this.#problem = problem;
    if (problem !== undefined) this.#logger?.warn({ reason: problem }, 'the SVID is not up to date');
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #chainText(): string | undefined {
    return this.#svid?.chain.map((der) => Buffer.from(der).toString('base64')).join();
  }
}
