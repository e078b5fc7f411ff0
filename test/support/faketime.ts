/**
 * libfaketime around a real process: its wall clock is what a file says, at any moment, and its other clocks are the
 * machine's.
 */
import { readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const ROOTS = ['/usr/lib', '/usr/local/lib'];
const LIBRARY = join('faketime', 'libfaketimeMT.so.1');

/** The library; undefined where it is not installed. */
function findLibrary(): string | undefined {
  const found = ROOTS.flatMap((root) => {
    try {
      const below = readdirSync(root).filter((name) => name.includes('linux-gnu'));
      return [root, ...below.map((name) => join(root, name))];
    } catch {
      return [];
    }
  }).filter((dir) => {
    try {
      return readdirSync(join(dir, 'faketime')).includes('libfaketimeMT.so.1');
    } catch {
      return false;
    }
  });
  return found[0] === undefined ? undefined : join(found[0], LIBRARY);
}

const library = findLibrary();

/** Why there is no fake time; undefined where there is. */
export const noFaketime = library === undefined ? 'libfaketime (Debian: faketime) is not installed' : undefined;

export interface FakeClock {
  /** For the environment of the process. */
  readonly env: NodeJS.ProcessEnv;
  /** Moves the wall clock: `+2h`, `-400d`, `+0`. */
  set(offset: string): Promise<void>;
}

/** A clock that the file `file` sets. */
export async function fakeClock(file: string, offset = '+0'): Promise<FakeClock> {
  const set = (to: string) => writeFile(file, `${to}\n`);
  await set(offset);
  const env = {
    LD_PRELOAD: library!,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  return { env, set };
}
