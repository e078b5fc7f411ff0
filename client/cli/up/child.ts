/** A server as a process of its own: started, read, restarted when it dies, stopped. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError } from '../../errors.ts';

interface ChildOptions {
  /** Stands before each of its lines. */
  readonly name: string;
  /** Arguments of node: the script first. Its `--json` announcement is what says that it is up. */
  readonly args: readonly string[];
  /** Takes the lines that it writes. */
  readonly write: (line: string) => void;
  /** What happens to it, for people. */
  readonly say: (text: string) => void;
}

/** Waits before a restart, in milliseconds: doubled each time, and short again once it has run for long enough. */
const RESTART_MIN_MS = 500;
const RESTART_MAX_MS = 10_000;
const STEADY_MS = 60_000;
/** A server that says nothing for so long at its first start will not come up, in milliseconds. */
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
   * Starts it, and from then on again each time that it ends. Resolves with what it announced.
   *
   * @throws ClientError `unavailable` where it ends before it is up, the first time: a restart would not help
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
      throw new ClientError('unavailable', `${name} did not come up; what it said stands above`);
    }
    this.#ended = this.#keep(running.exited);
    return announced;
  }

  /** SIGTERM, and after `graceMs` SIGKILL. Resolves when it has ended. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#wake.abort();
    this.#process?.kill('SIGTERM');
    const late = setTimeout(() => this.kill(), graceMs);
    await this.#ended;
    clearTimeout(late);
  }

  kill(): void {
    this.#stopping = true;
    this.#process?.kill('SIGKILL');
  }

  async #keep(exited: Promise<string>): Promise<void> {
    const { say, name } = this.#options;
    let how = exited;
    for (let wait = RESTART_MIN_MS; ; wait = Math.min(2 * wait, RESTART_MAX_MS)) {
      const started = performance.now();
      const why = await how;
      if (this.#stopping) return;
      if (performance.now() - started > STEADY_MS) wait = RESTART_MIN_MS;
      say(`${name} ended (${why}); starting it again in ${wait / 1000} s`);
      await sleep(wait, undefined, { signal: this.#wake.signal }).catch(() => {});
      if (this.#stopping) return;
      const running = this.#spawn();
      running.announced.then(() => say(`${name} is up again`)).catch(() => {});
      how = running.exited;
    }
  }

  #spawn(): { process: ChildProcess; announced: Promise<Announced>; exited: Promise<string> } {
    const { args, write, name } = this.#options;
    const child = spawn(process.execPath, [...args], {
      // A group of its own: Ctrl-C reaches this process alone, which then stops all in the right order. Through the
      // channel the child learns of this process's end, however it ends.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#process = child;
    // What it still says when it ends is read before the end is told.
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

/** The JSON object that a server prints first, with `--json`; further output goes to `line`. An error says `ok: false`. */
function announcement<T>(child: ChildProcess, line: (text: string) => void): Promise<T> {
  return new Promise((resolve) => {
    let text = '';
    const read = (part: string) => {
      text += part;
      // On one line, or on many, the last of which is one brace.
      const end = text.startsWith('{\n') ? text.indexOf('\n}\n') + 2 : text.indexOf('\n');
      if (end < 2 && text.length < MAX_ANNOUNCEMENT) return;
      child.stdout!.off('data', read);
      const rest = text.slice(end + 1);
      eachLine(child.stdout!, line, rest);
      const announced = parsed<T>(text.slice(0, end));
      if (announced === undefined) line(text.slice(0, end));
      else if (announced.ok !== false) resolve(announced);
    };
    child.stdout!.setEncoding('utf8').on('data', read);
  });
}

/** Undefined where it is something else: whoever waits for it waits in vain, and sees what it was. */
function parsed<T>(text: string): (T & { readonly ok?: boolean }) | undefined {
  try {
    return JSON.parse(text) as T & { readonly ok?: boolean };
  } catch {
    return undefined;
  }
}

/** `first` was read already. */
function eachLine(stream: NodeJS.ReadableStream, line: (text: string) => void, first = ''): void {
  let rest = '';
  const read = (part: string) => {
    const lines = (rest + part).split('\n');
    rest = lines.pop()!;
    for (const text of lines) line(text);
  };
  read(first);
  stream.setEncoding('utf8').on('data', read);
  stream.on('end', () => {
    if (rest !== '') line(rest);
  });
}
