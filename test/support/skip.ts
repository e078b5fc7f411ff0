/** For tests of what a machine may lack. A test that does not run says so in one line: `SKIPPED: <what>: <why>`. */
import { spawnSync } from 'node:child_process';

/** The path of a program on PATH. */
export function find(program: string): string | undefined {
  const { status, stdout } = spawnSync('sh', ['-c', `command -v "${program}"`], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

export function have(program: string): boolean {
  return find(program) !== undefined;
}

/** Why `programs` cannot run here; undefined where all are on PATH. */
export function lacking(...programs: readonly string[]): string | undefined {
  const absent = programs.filter((program) => !have(program));
  return absent.length === 0 ? undefined : `${absent.join(' and ')} not on PATH`;
}

/**
 * Whether `what` is skipped: for `describe.skipIf` and `it.skipIf`.
 *
 * @param why what is missing; undefined where nothing is
 */
export function skips(what: string, why: string | undefined): boolean {
  if (why !== undefined) console.warn(`SKIPPED: ${what}: ${why}`);
  return why !== undefined;
}
