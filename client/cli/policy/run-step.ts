/** Runs the command of a step, without a shell. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { printable } from '../../../merkle/printable.ts';
import { type ClientError, cancelled, usage } from '../../errors.ts';

/** Most bytes of each stream that are recorded. */
const MAX_STREAM = 64 * 1024;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

interface StepRun {
  /** The exit status; 128 and its number where a signal ended the command, as shells give it. */
  readonly status: number;
  /** For people: `status 2`, `SIGKILL`. */
  readonly ending: string;
  /** Members of the link: `return-value`, and the streams where they are recorded. */
  readonly byproducts: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Resolves when the command has ended and its streams are closed. Signals to this process go to the command too.
 *
 * @param streams record what the command prints, and print it; otherwise it prints by itself
 * @param aside its standard output goes to standard error
 * @throws ClientError `usage` where the command cannot be started; `cancelled` after a signal
 */
export async function runStep(
  command: readonly string[],
  { streams, aside }: { readonly streams: boolean; readonly aside: boolean },
): Promise<StepRun> {
  const [program = '', ...args] = command;
  const out = aside ? process.stderr : process.stdout;
  let interrupted = false;
  // Before the command begins: a signal at once would end this process, and not the command.
  const listeners = SIGNALS.map((signal) => {
    const pass = () => {
      interrupted = true;
      // A terminal sends SIGINT to the command itself.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    process.on(signal, pass);
    return () => process.off(signal, pass);
  });
  const child = spawn(program, args, {
    shell: false,
    stdio: streams ? ['inherit', 'pipe', 'pipe'] : ['inherit', aside ? process.stderr.fd : 'inherit', 'inherit'],
  });
  const kept = { stdout: keeper(), stderr: keeper() };
  child.stdout?.on('data', (piece: Buffer) => {
    kept.stdout.keep(piece);
    out.write(piece);
  });
  child.stderr?.on('data', (piece: Buffer) => {
    kept.stderr.keep(piece);
    process.stderr.write(piece);
  });
  try {
    const { code, signal } = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(
      (resolve, reject) => {
        child.once('error', (cause) => reject(unstarted(program, cause)));
        child.once('close', (code, signal) => resolve({ code, signal }));
      },
    );
    if (interrupted) throw cancelled();
    const status = code ?? 128 + (constants.signals[signal ?? 'SIGKILL'] ?? 0);
    const recorded = streams ? { ...kept.stdout.members('stdout'), ...kept.stderr.members('stderr') } : {};
    return {
      status,
      ending: signal ?? `status ${status}`,
      byproducts: { 'return-value': status, stdout: '', stderr: '', ...recorded },
    };
  } finally {
    for (const stop of listeners) stop();
  }
}

function unstarted(program: string, cause: NodeJS.ErrnoException): ClientError {
  const why = cause.code === 'ENOENT' ? 'there is no such program' : cause.message;
  return usage(`${printable(program)} cannot be started: ${why}. It is run without a shell: for one, run sh -c '…'`);
}

/** Keeps the beginning of a stream. */
function keeper() {
  const pieces: Buffer[] = [];
  let size = 0;
  return {
    keep(piece: Buffer): void {
      if (size < MAX_STREAM) pieces.push(Buffer.from(piece.subarray(0, MAX_STREAM - size)));
      size += piece.length;
    },
    members: (name: string) => ({
      [name]: Buffer.concat(pieces).toString(),
      ...(size > MAX_STREAM ? { [`${name}-cut`]: true } : {}),
    }),
  };
}
