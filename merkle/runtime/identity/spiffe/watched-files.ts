/**
 * Files that are read again when they change. A program that renews several files does not change them at one moment, so
 * contents that cannot be used are a problem only where they stay.
 */
import { stampOf } from '../../disk/file-stamps.ts';

interface WatchOptions {
  readonly paths: readonly string[];
  /** Reads and uses the files. What it throws is the problem. */
  readonly read: () => Promise<void>;
  /** Undefined where what the files hold is in use. */
  readonly onProblem: (problem: string | undefined) => void;
  readonly watchMs: number;
}

export class WatchedFiles {
  readonly #options: WatchOptions;
  readonly #timer: NodeJS.Timeout;
  #seen: string;
  #failed = false;
  #busy: Promise<void> = Promise.resolve();

  private constructor(options: WatchOptions, seen: string) {
    this.#options = options;
    this.#seen = seen;
    this.#timer = setInterval(() => {
      this.#busy = this.#busy.then(() => this.#look());
    }, options.watchMs).unref();
  }

  /** Reads the files once. @throws what `read` throws */
  static async open(options: WatchOptions): Promise<WatchedFiles> {
    const seen = await stampOf(options.paths);
    await options.read();
    return new WatchedFiles(options, seen);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#busy;
  }

  async #look(): Promise<void> {
    const { paths, read, onProblem } = this.#options;
    const seen = await stampOf(paths);
    if (seen === this.#seen && !this.#failed) return;
    try {
      await read();
      this.#failed = false;
      onProblem(undefined);
    } catch (error) {
      if (seen === this.#seen) onProblem((error as Error).message);
      this.#failed = true;
    }
    this.#seen = seen;
  }
}
