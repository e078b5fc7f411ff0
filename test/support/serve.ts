/**
 * The built `stele serve` as a separate process, for tests that kill or limit the server, or test other clients with it. Run
 * `npm run build` first. The server uses a free port, and the test can read its stderr.
 *
 *     const server = await startServer(dir);          // rejects with the server's output if it does not start
 *     await fetch(`${server.url}/checkpoint`);
 *     await server.kill();  or  expect(await server.stop()).toBe(0);
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A benchmark runs this file from below dist/. */
const BUILT = import.meta.url.includes('/dist/test/') ? '../../client/cli/main.js' : '../../dist/client/cli/main.js';
export const CLI = fileURLToPath(new URL(BUILT, import.meta.url));

export interface ServeProcess {
  readonly pid: number;
  readonly url: string;
  readonly adminUrl: string;
  readonly origin: string;
  readonly verifierKeys: readonly string[];
  /** Number of published entries when the server started. */
  readonly size: number;
  readonly status: string;
  /** The text on stderr so far. */
  log(): string;
  running(): boolean;
  signal(signal: NodeJS.Signals): void;
  /** Sends SIGKILL, and waits for the end of the process. */
  kill(): Promise<void>;
  /** Sends SIGTERM. Resolves with the exit code, or null if a signal ended the process. */
  stop(): Promise<number | null>;
}

export interface ServeOptions {
  readonly args?: readonly string[];
  /** Added to this process's environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** The Node and the command line that are run. Default: this process's, and the build of this checkout. */
  readonly program?: readonly [node: string, cli: string];
  /** Milliseconds. If the server is not ready by then, it gets SIGKILL, and `startServer` rejects with `Killed`. */
  readonly killAfter?: number;
  /** Called with the process as soon as it is there. */
  readonly onSpawn?: (child: ChildProcess) => void;
}

/** `killAfter` killed the server before it was ready. */
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
  const [node, cli] = options.program ?? [process.execPath, CLI];
  if (!existsSync(cli)) throw new Error(`${cli} is not there: run \`npm run build\` first`);
  const ports = ['--listen-port', '0', '--admin-port', '0', '--log-level', 'warn'];
  const args = [cli, 'serve', '--json', '--origin', 'localhost', '--data', dir, ...ports, ...(options.args ?? [])];
  const child = spawn(node, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnv(), ...options.env },
  });
  options.onSpawn?.(child);
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
      // A line with one brace ends the JSON object.
      if (!text.endsWith('\n}\n')) return;
      const started = JSON.parse(text) as Started & { readonly ok: boolean };
      // A server that ends with an error later prints a second object.
      text = '';
      if (started.ok) resolve(started);
      else reject(new Error(`stele serve did not come up: ${JSON.stringify(started, null, 2)}`));
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

/** The environment of this process without the settings of Stele, which the server reads or refuses. */
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
  { input, ...options }: { cwd?: string; env?: NodeJS.ProcessEnv; input?: string | Uint8Array; uid?: number } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const limits = { maxBuffer: 64 * 1024 * 1024, timeout: 120_000 };
    const env = { ...cleanEnv(), ...options.env };
    const child = execFile(program, [...args], { ...limits, ...options, env }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr: code === -1 ? `${stderr}${String(error)}` : stderr });
    });
    // Some programs ask a question on stdin, and would wait for the answer. A program may end before it reads its input.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

/** One `stele` command. */
export const stele = (args: readonly string[], options: Parameters<typeof run>[2] = {}): Promise<Ran> =>
  run(process.execPath, [CLI, ...args], options);

/** The object that a `--json` command printed. Throws with its stderr if the command failed. */
export async function steleJson(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await stele([...args, '--json'], options);
  if (code !== 0) throw new Error(`stele ${args.join(' ')} ended with ${code}:\n${stderr}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** What a service prints at its start. It is ended then. */
export async function printedAtStart(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ran> {
  const env = { ...cleanEnv(), ...options.env };
  const child = spawn(process.execPath, [CLI, ...args], { ...options, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close') as Promise<[number | null]>;
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    child.kill('SIGTERM');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return { code: (await ended)[0] ?? -1, stdout, stderr };
}
