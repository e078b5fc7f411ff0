/** The stored files that do not hold what the tree has: named for the operator, and forgotten once they hold again. */
import { ServerError } from '../errors.ts';

/** More names would only fill the memory: the disk is lost then. */
const MAX_NAMES = 10_000;
/** Names in the sentence of `GET /readyz`. */
const SHOWN = 3;

interface RottenLogger {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export class RottenFiles {
  readonly #logger: RottenLogger | undefined;
  readonly #pathOf: (name: string) => string;
  /** Address below `public/` to what is wrong, oldest first. */
  readonly #found = new Map<string, string>();

  /** `pathOf` names the file of an address for the operator. */
  constructor(logger?: RottenLogger, pathOf: (name: string) => string = (name) => `public/${name}`) {
    this.#logger = logger;
    this.#pathOf = pathOf;
  }

  /** How many files are known to be damaged. */
  get count(): number {
    return this.#found.size;
  }

  /** Their addresses. */
  get names(): string[] {
    return [...this.#found.keys()];
  }

  /** The error for a reader of the file at `name`, of which `why` says what is wrong. The first one is logged. */
  found(name: string, why: string, cause?: unknown): ServerError {
    const path = this.#pathOf(name);
    const error = new ServerError(
      'rotten',
      `the file ${path} ${why}. Its bytes are not sent; put the file back from a backup, an export or a mirror.`,
      { cause },
    );
    if (!this.#found.has(name)) {
      if (this.#found.size < MAX_NAMES) this.#found.set(name, why);
      this.#logger?.error({ path, err: error }, 'a stored file is damaged');
    }
    return error;
  }

  /** The file at `name` holds what the tree has. */
  holds(name: string): void {
    if (this.#found.size === 0 || !this.#found.delete(name)) return;
    this.#logger?.info({ path: this.#pathOf(name) }, 'a stored file that was damaged holds again');
  }

  /** What is wrong, in one sentence; undefined while nothing is. */
  get reason(): string | undefined {
    const { size } = this.#found;
    if (size === 0) return undefined;
    const shown = [...this.#found].slice(0, SHOWN).map(([name, why]) => `public/${name} ${why}`);
    const more = size > SHOWN ? `, and ${size - SHOWN} more` : '';
    const list = `${shown.join(', ')}${more}`;
    return size === 1
      ? `a stored file is damaged, and requests for it get 503: ${list}; put it back from a backup, an export or a mirror`
      : `${size} stored files are damaged, and requests for them get 503: ${list}; put them back from a backup, an export or a mirror`;
  }
}
