/**
 * Runs a program for each message: without a shell, with the configured arguments, the JSON document on standard input, and
 * an environment of PATH, LANG, TZ and the variables that the configuration names. Exit status 0 means that the program took
 * the alerts. The sink reads the output, so that the program does not block. It keeps only the beginning of standard error,
 * for the message of a failure.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { printable } from '../../../../merkle/printable.ts';
import type { Alert } from '../../types.ts';
import { documentOf } from '../render.ts';
import { type ConfiguredSink, DeliveryError, type SinkSettings, settingsOf } from '../sink.ts';
import type { ExecOptions } from '../sink-options.ts';

const PASSED = ['PATH', 'LANG', 'TZ'];
const WINDOWS = process.platform === 'win32';
/** Few programs start on Windows without these. */
const PASSED_ON_WINDOWS = ['SystemRoot', 'SystemDrive', 'PATHEXT', 'TEMP'];
const MAX_ERROR_TEXT = 2048;
/** Most bytes of output that the sink reads. */
const MAX_OUTPUT = 1024 * 1024;

export class ExecSink implements ConfiguredSink {
  readonly name: string;
  readonly settings: SinkSettings;
  readonly #options: ExecOptions;

  constructor(options: ExecOptions) {
    this.name = options.name;
    this.settings = settingsOf(options);
    this.#options = options;
  }

  /** @throws DeliveryError `exec`, `timeout` */
  deliver(alerts: readonly Alert[], signal: AbortSignal): Promise<void> {
    const { command, timeout, env } = this.#options;
    const [program = '', ...args] = command;
    const limit = AbortSignal.timeout(timeout);
    const stop = AbortSignal.any([signal, limit]);
    return new Promise((resolve, reject) => {
      let child: ChildProcess;
      try {
        // A new process group, so that the children of the program end with it.
        const group = { detached: !WINDOWS, windowsHide: true };
        child = spawn(program, args, { shell: false, ...group, env: environment(env), cwd: '/', stdio: 'pipe' });
      } catch (cause) {
        return reject(this.#failure('exec', 'cannot be started', cause));
      }
      let why: DeliveryError | undefined;
      const kill = (failure: DeliveryError) => {
        why ??= failure;
        killGroup(child);
        // A process outside the group may hold the pipes open.
        for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
      };
      const onAbort = () => {
        const what = limit.aborted ? `did not end in ${timeout} ms and was killed` : 'was killed: the monitor stops';
        kill(this.#failure('timeout', what));
      };
      if (stop.aborted) onAbort();
      else stop.addEventListener('abort', onAbort, { once: true });

      let errorText = '';
      let output = 0;
      const onOutput = (part: Uint8Array) => {
        output += part.length;
        if (output > MAX_OUTPUT) kill(this.#failure('exec', `wrote more than ${MAX_OUTPUT} bytes and was killed`));
      };
      child.stdout?.on('data', onOutput);
      child.stderr?.on('data', (part: Uint8Array) => {
        onOutput(part);
        if (errorText.length < MAX_ERROR_TEXT) errorText += Buffer.from(part).toString('utf8');
      });
      child.on('error', (cause: NodeJS.ErrnoException) => {
        why ??= this.#failure('exec', `cannot be started: ${cause.code ?? cause.message}`, cause);
        if (child.pid === undefined) finish(null, null);
      });
      const finish = (code: number | null, by: string | null) => {
        stop.removeEventListener('abort', onAbort);
        if (why !== undefined) return reject(why);
        if (code === 0) return resolve();
        const said = printable(errorText.slice(0, MAX_ERROR_TEXT));
        const end = `ended with ${code === null ? by : `status ${code}`}`;
        reject(this.#failure('exec', said === '' ? end : `${end}: ${said}`));
      };
      child.on('close', finish);
      // The program may end without reading. Its exit status says what that means.
      child.stdin?.on('error', () => {});
      child.stdin?.end(documentOf(alerts));
    });
  }

  #failure(reason: DeliveryError['reason'], what: string, cause?: unknown): DeliveryError {
    return new DeliveryError(reason, `the program ${this.#options.command[0]} ${what}`, cause);
  }
}

function environment(names: readonly string[]): Record<string, string> {
  const wanted = [...PASSED, ...(WINDOWS ? PASSED_ON_WINDOWS : []), ...names];
  const found = wanted.map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(found.filter((pair): pair is readonly [string, string] => pair[1] !== undefined));
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    if (WINDOWS) child.kill('SIGKILL');
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    // The program has ended already.
  }
}
