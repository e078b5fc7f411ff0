/**
 * The built `stele serve` as a process of its own, for tests that kill it, limit it or put foreign clients before it:
 * `npm run build` first. Ports are free ones; stderr is kept.
 *
 *     const server = await startServer(dir);          // rejects with what it printed, if it does not come up
 *     await fetch(`${server.url}/checkpoint`);
 *     await server.kill();  or  expect(await server.stop()).toBe(0);
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const CLI = fileURLToPath(new URL('../../dist/client/cli/main.js', import.meta.url));

export interface ServeProcess {
  readonly pid: number;
  readonly url: string;
  readonly adminUrl: string;
  readonly origin: string;
  readonly verifierKeys: readonly string[];
  /** Entries that were published when it came up. */
  readonly size: number;
  readonly status: string;
  /** What it has written to stderr so far. */
  log(): string;
  running(): boolean;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL, and the wait for its end. */
  kill(): Promise<void>;
  /** SIGTERM; resolves with its exit code, null where a signal ended it. */
  stop(): Promise<number | null>;
}

export interface ServeOptions {
  readonly args?: readonly string[];
  /** Added to this process's environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** SIGKILL so many milliseconds after its start, if it is not up by then: `startServer` then rejects with `Killed`. */
  readonly killAfter?: number;
}

/** The server was killed before it came up, as `killAfter` asked. */
export class Killed extends Error {}

interface Started {
  readonly url: string;
  readonly adminUrl: string;
  readonly origin: string;
  readonly verifierKeys: readonly string[];
  readonly size: number;
  readonly status: string;
}

export async function startServer(dir: string, options: ServeOptions = {}): Promise<ServeProcess> {
  if (!existsSync(CLI)) throw new Error(`${CLI} is not there: run \`npm run build\` first`);
  const ports = ['--listen-port', '0', '--admin-port', '0', '--log-level', 'warn'];
  const args = [CLI, 'serve', '--json', '--data', dir, ...ports, ...(options.args ?? [])];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnv(), ...options.env },
  });
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  // A test that fails must not leave servers behind.
  const reap = () => child.kill('SIGKILL');
  process.once('exit', reap);
  exited.finally(() => process.off('exit', reap));
  let log = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const started = await announced(child, exited, options.killAfter, () => log);
  const running = () => child.exitCode === null && child.signalCode === null;
  return {
    ...started,
    pid: child.pid!,
    log: () => log,
    running,
    signal: (signal) => child.kill(signal),
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    stop: async () => {
      child.kill('SIGTERM');
      return (await exited)[0];
    },
  };
}

async function announced(
  child: ChildProcess,
  exited: Promise<[number | null, NodeJS.Signals | null]>,
  killAfter: number | undefined,
  log: () => string,
): Promise<Started> {
  let timer: NodeJS.Timeout | undefined;
  let killed = false;
  if (killAfter !== undefined) {
    timer = setTimeout(() => {
      killed = true;
      child.kill('SIGKILL');
    }, killAfter);
  }
  const up = new Promise<Started>((resolve, reject) => {
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      // The whole object ends in a line with one brace.
      if (!text.endsWith('\n}\n')) return;
      const started = JSON.parse(text) as Started & { readonly ok: boolean };
      if (started.ok) resolve(started);
      else reject(new Error(`stele serve did not come up: ${text}`));
    });
  });
  try {
    return await Promise.race([
      up,
      exited.then(([code, signal]) => {
        throw killed ? new Killed() : new Error(`stele serve ended with ${code ?? signal} before it was up:\n${log()}`);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

/** This environment without settings of Stele: the tests' own variables are none, and unknown ones are refused. */
function cleanEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STELE_')));
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; never rejects for its exit code. */
export function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const limits = { maxBuffer: 64 * 1024 * 1024, timeout: 120_000 };
    const env = { ...cleanEnv(), ...options.env };
    const child = execFile(program, [...args], { ...limits, ...options, env }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr: code === -1 ? `${stderr}${String(error)}` : stderr });
    });
    // Some programs ask, and would wait for an answer.
    child.stdin?.end();
  });
}

/** One `stele` command. */
export const stele = (args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Promise<Ran> =>
  run(process.execPath, [CLI, ...args], options);

/** The object that a `--json` command printed. Throws with its stderr where it failed. */
export async function steleJson(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await stele([...args, '--json'], options);
  if (code !== 0) throw new Error(`stele ${args.join(' ')} ended with ${code}:\n${stderr}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}
