/** How results and errors leave the command line: text for people, JSON for scripts, and an exit status for both. */
import { writeSync } from 'node:fs';
import { CommanderError } from 'commander';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import { RuntimeError, type RuntimeErrorCode } from '../../merkle/runtime/runtime-errors.ts';
import { CLIENT_ERRORS, ClientError } from '../errors.ts';
import { asCalled } from './called-as.ts';

/** Errors of work that was tried. All other errors of the runtime mean that a key or a file could not be used. */
const RUNTIME_FAILED: readonly RuntimeErrorCode[] = ['sign', 'signature-wrong', 'store'];

const OTHER_ROOMS: readonly string[] = ['ServerError', 'WitnessError'];
/** Codes of these rooms for a wrong configuration: the command could not try. */
const NOT_TRIED = ['config', 'policy', 'locked', 'unreadable', 'clock'];

interface Described {
  readonly code: string;
  readonly message: string;
  readonly status: number;
}

/** 0 done, 1 refused or failed, 2 could not be tried, 130 interrupted. */
export function exitStatus(error: unknown): number {
  return describe(error).status;
}

/** One paragraph on stderr: `stele: error [code]: what happened, and what to do`. With `json` an object on stdout too. */
export function reportError(error: unknown, json: boolean): void {
  const { code, message } = describe(error);
  if (json) printJson({ ok: false, error: { code, message } });
  process.stderr.write(`stele: error [${code}]: ${message}\n`);
  if (process.env.STELE_DEBUG === '1') {
    for (let at: unknown = error; at instanceof Error; at = at.cause) process.stderr.write(`${at.stack}\n`);
  }
}

/** One line on stderr for one of many files. */
export function reportFailed(file: string, error: unknown): void {
  const { code, message } = describe(error);
  const named = message.startsWith(file) ? message : `${printable(file)}: ${message}`;
  process.stderr.write(`stele: error [${code}]: ${named}\n`);
}

/** Prints the result of a command: `lines` for people, or the object for scripts, with `ok: true` unless it has `ok`. */
export function print(json: boolean | undefined, object: object, lines: readonly string[]): void {
  if (json === true) printJson({ ok: true, ...object });
  else writeOut(`${lines.join('\n')}\n`);
}

export function printJson(value: object): void {
  writeOut(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** Writes to stdout at once: `process.stdout` loads Node's modules of streams and sockets, which takes 3 to 5 ms. */
export function writeOut(output: string | Uint8Array): void {
  let rest: Uint8Array = typeof output === 'string' ? Buffer.from(output) : output;
  try {
    while (rest.length > 0) rest = rest.subarray(writeSync(1, rest));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // `stele … | head` is not an error.
    if (code === 'EPIPE') process.exit(0);
    if (code !== 'EAGAIN') throw error;
    // A full pipe that some other process made non-blocking.
    process.stdout.write(rest);
  }
}

/** Information that is not a result, on stderr. */
export function note(text: string): void {
  process.stderr.write(`stele: ${asCalled(text)}\n`);
}

export function warn(text: string): void {
  note(`warning: ${text}`);
}

export function describe(error: unknown): Described {
  const { message, ...rest } = classify(error);
  return { ...rest, message: asCalled(message) };
}

function classify(error: unknown): Described {
  if (error instanceof ClientError) {
    return { code: error.code, message: error.message, status: CLIENT_ERRORS[error.code] };
  }
  if (error instanceof RuntimeError) {
    return { code: error.code, message: error.message, status: RUNTIME_FAILED.includes(error.code) ? 1 : 2 };
  }
  if (error instanceof CommanderError) {
    const message = error.message
      .replace(/^error: /, '')
      .replace(/\s+/g, ' ')
      .trim();
    // Commander's message for a missing command: it has printed the help.
    if (message === '(outputHelp)') return { code: 'usage', message: 'no command given', status: 2 };
    return { code: 'usage', message: `${message.replace(/\.?$/, '')}. --help shows what is taken`, status: 2 };
  }
  if (error instanceof MerkleError) return { code: error.code, message: error.message, status: 1 };
  // The name must suffice: an import of the server's error class would load a part of the server.
  if (error instanceof Error && OTHER_ROOMS.includes(error.name) && 'code' in error) {
    return { code: String(error.code), message: error.message, status: NOT_TRIED.includes(String(error.code)) ? 2 : 1 };
  }
  const text = error instanceof Error ? error.message : String(error);
  return {
    code: 'internal',
    message: `${text}. This is a fault in Stele, not in how it was called; STELE_DEBUG=1 shows where it happened`,
    status: 1,
  };
}
