/** Skips tests whose programs are missing. Each skipped test is reported in one line: `SKIPPED: <what>: <why>`. */
import { spawnSync } from 'node:child_process';

/** The path of a program on PATH. */
export function find(program: string): string | undefined {
  const { status, stdout } = spawnSync('sh', ['-c', `command -v "${program}"`], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

export function have(program: string): boolean {
  return find(program) !== undefined;
}

/** Why `programs` cannot run; undefined if all are on PATH. */
export function lacking(...programs: readonly string[]): string | undefined {
  const absent = programs.filter((program) => !have(program));
  return absent.length === 0 ? undefined : `${absent.join(' and ')} not on PATH`;
}

/** Whether to skip `what`, for `describe.skipIf` and `it.skipIf`. `why` names what is missing; undefined if nothing is. */
export function skips(what: string, why: string | undefined): boolean {
  if (why !== undefined) console.warn(`SKIPPED: ${what}: ${why}`);
  return why !== undefined;
}
