/** A service as a child process: started, read, restarted when it dies, stopped. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { backOffMs, SYSTEM_CLOCK } from '../../../merkle/runtime/service/back-off.ts';
import { ClientError } from '../../errors.ts';

interface ChildOptions {
  /** Begins each line of its output. */
  readonly name: string;
  /** Arguments of node, the script first. The service is up when it prints its `--json` announcement. */
  readonly args: readonly string[];
  /** Gets the lines of its output. */
  readonly write: (line: string) => void;
  /** Gets reports for people: ended, started again. */
  readonly say: (text: string) => void;
}

/** Pauses before a restart. On one machine nothing is gained by a random part. */
const RESTART = { firstMs: 500, longestMs: 10_000, random: () => 0 };
/** A service that ran for this many milliseconds starts again after the first pause. */
const STEADY_MS = 60_000;
/** A service without an announcement after this many milliseconds will not come up. */
const START_MS = 60_000;
/** An announcement is a few kilobytes. */
const MAX_ANNOUNCEMENT = 1024 * 1024;

export class Child<Announced> {
  readonly #options: ChildOptions;
  #process: ChildProcess | undefined;
  #stopping = false;
  #ended: Promise<void> = Promise.resolve();
  readonly #wake = new AbortController();

  constructor(options: ChildOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /**
   * Starts the service, and starts it again each time that it ends. Resolves with its announcement.
   *
   * @throws ClientError `unavailable` where the first start fails: a restart would not help
   */
  async start(): Promise<Announced> {
    const running = this.#spawn();
    this.#ended = running.exited.then(() => {});
    const announced = await Promise.race([
      running.announced,
      running.exited.then(() => undefined),
      sleep(START_MS, undefined, { ref: false }),
    ]);
    if (announced === undefined) {
      this.#stopping = true;
      running.process.kill('SIGKILL');
      await running.exited;
      const { name } = this.#options;
      throw new ClientError('unavailable', `${name} did not come up; its output stands above`);
    }
    this.#ended = this.#keep(running.exited);
    return announced;
  }

  /** Sends SIGTERM, and after `graceMs` milliseconds SIGKILL. Resolves when the process has ended. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#wake.abort();
    this.#process?.kill('SIGTERM');
    const late = setTimeout(() => this.kill(), graceMs);
    await this.#ended;
    clearTimeout(late);
  }

  /** Sends SIGHUP: the service reads its configuration anew. */
  reload(): void {
    this.#process?.kill('SIGHUP');
  }

  kill(): void {
    this.#stopping = true;
    this.#process?.kill('SIGKILL');
  }

  async #keep(exited: Promise<string>): Promise<void> {
    const { say, name } = this.#options;
    let how = exited;
    for (let failures = 1; ; failures++) {
      const started = performance.now();
      const why = await how;
      if (this.#stopping) return;
      if (performance.now() - started > STEADY_MS) failures = 1;
      const wait = backOffMs(RESTART, failures);
      say(`${name} ended (${why}); starting it again in ${wait / 1000} s`);
      await SYSTEM_CLOCK.sleep(wait, this.#wake.signal);
      if (this.#stopping) return;
      const running = this.#spawn();
      running.announced.then(() => say(`${name} is up again`)).catch(() => {});
      how = running.exited;
    }
  }

  #spawn(): { process: ChildProcess; announced: Promise<Announced>; exited: Promise<string> } {
    const { args, write, name } = this.#options;
    const child = spawn(process.execPath, [...args], {
      // A process group of its own: Ctrl-C reaches only the parent, which stops all children in the right order. The
      // channel tells the child of the parent's end, even after SIGKILL.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#process = child;
    // 'close' comes after the last output.
    const exited = once(child, 'close').then(
      ([code, signal]) => (signal === null ? `exit status ${code}` : String(signal)),
      (error: Error) => error.message,
    );
    const line = (text: string) => write(`${name.padEnd(NAME_WIDTH)} | ${text}`);
    eachLine(child.stderr!, line);
    return { process: child, announced: announcement(child, line), exited };
  }
}

const NAME_WIDTH = 9;

/** The JSON object that a service with `--json` prints first; further output goes to `line`. An error has `ok: false`. */
function announcement<T>(child: ChildProcess, line: (text: string) => void): Promise<T> {
  return new Promise((resolve) => {
    let text: string | undefined = '';
    eachLine(child.stdout!, (next) => {
      if (text === undefined) return line(next);
      text += `${next}\n`;
      // The object is on one line, or on many that end with a line of one brace.
      if (text.startsWith('{\n') && next !== '}' && text.length < MAX_ANNOUNCEMENT) return;
      const announced = parsed<T>(text);
      if (announced === undefined) line(text.trimEnd());
      else if (announced.ok !== false) resolve(announced);
      text = undefined;
    });
  });
}

/** Undefined where the text is something else. */
function parsed<T>(text: string): (T & { readonly ok?: boolean }) | undefined {
  try {
    return JSON.parse(text) as T & { readonly ok?: boolean };
  } catch {
    return undefined;
  }
}

function eachLine(input: NodeJS.ReadableStream, line: (text: string) => void): void {
  createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }).on('line', line);
}
