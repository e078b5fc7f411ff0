/** `stele serve` as a separate process, with its times and memory from the kernel. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Linux counts process time in hundredths of a second for every program (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** How long a log may take to make its filter of leaf hashes: 10 million entries take up to 6 s. */
const FILTER_MS = 300_000;

/** Busy seconds of all processors since the machine's start. */
export function machineBusy(): number {
  // cpu user nice system idle iowait irq softirq steal …
  const times = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]!.trim().split(/\s+/).slice(1, 9).map(Number);
  return times.reduce((sum, time, at) => (at === 3 || at === 4 ? sum : sum + time), 0) / TICKS_PER_SECOND;
}

/** A command line without its `node` and `serve`: `[flags of Node] …/client/cli/main.js [flags of stele serve]`. */
export interface ServerCommand {
  readonly node: readonly string[];
  readonly main: string;
  readonly serve: readonly string[];
}

export function serverCommand(line: string): ServerCommand {
  const words = line.split(' ').filter((word) => word !== '');
  const at = words.findIndex((word) => word.endsWith('.js'));
  if (at === -1) throw new Error(`"${line}" names no main.js`);
  return { node: words.slice(0, at), main: resolve(words[at]!), serve: words.slice(at + 1) };
}

export class ServerProcess {
  readonly port: number;
  readonly #adminUrl: string;
  /** Time from the start of the process to its first reply. */
  readonly startMs: number;
  readonly #child: ChildProcess;
  readonly stop: () => Promise<void>;

  private constructor({ child, announced, stop }: RunningCommand, startMs: number) {
    this.#child = child;
    this.stop = stop;
    this.port = Number(new URL(announced.url).port);
    this.#adminUrl = announced.adminUrl;
    this.startMs = startMs;
  }

  static async start({ node, main, serve }: ServerCommand, data: string): Promise<ServerProcess> {
    const started = performance.now();
    const running = await startCommand([...node, main, 'serve'], ['--origin', 'localhost', '--data', data, ...serve]);
    await (await fetch(`${running.announced.url}/checkpoint`)).text();
    return new ServerProcess(running, performance.now() - started);
  }

  /** User and system time so far, in seconds: of all threads, and of the main thread, which runs the event loop. */
  cpu(): { all: number; main: number } {
    const { pid } = this.#child;
    return { all: cpuOf(`/proc/${pid}/stat`), main: cpuOf(`/proc/${pid}/task/${pid}/stat`) };
  }

  /** Resident memory in MiB: now, and at its highest. */
  memory(): { now: number; peak: number } {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'latin1');
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
    return { now: field('VmRSS'), peak: field('VmHWM') };
  }

  /** Resolves once the filter of leaf hashes is in memory. A starting log makes the filter beside its other work. */
  async filterComplete(): Promise<void> {
    const complete = async () =>
      /^stele_leaf_filter_complete 1$/m.test(await (await fetch(`${this.#adminUrl}/metrics`)).text());
    const late = performance.now() + FILTER_MS;
    while (!(await complete())) {
      if (performance.now() > late) throw new Error('the log made no filter of its leaf hashes: see what it logged');
      await sleep(100);
    }
  }
}

export interface RunningCommand {
  readonly child: ChildProcess;
  readonly announced: Announced;
  readonly stop: () => Promise<void>;
}

/** Starts a service of `stele` on free ports. `command` is `[flags of Node] …/main.js serve`, or another command. */
export async function startCommand(command: readonly string[], flags: readonly string[]): Promise<RunningCommand> {
  const own = ['--listen-port', '0', '--admin-port', '0', '--log-level', 'warn', '--json'];
  const child = spawn(process.execPath, [...command, ...own, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const announced = await Promise.race([
    announcedBy(child),
    ended.then(() => Promise.reject(new Error(`${command.join(' ')} ended before it listened`))),
  ]);
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  return { child, announced, stop };
}

/** User and system time in `file`, a `stat` of procfs, in seconds. */
export function cpuOf(file: string): number {
  const stat = readFileSync(file, 'latin1');
  // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** The URL in the JSON that a command prints with `--json` once it listens. */
export interface Announced {
  readonly url: string;
  readonly adminUrl: string;
}

export function announcedBy(child: ChildProcess): Promise<Announced> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      try {
        resolve(JSON.parse(text) as Announced);
      } catch {
        // The JSON is not complete yet.
      }
    });
  });
}

export async function printedUrl(child: ChildProcess): Promise<string> {
  return (await announcedBy(child)).url;
}
