/**
 * flock(2) on a directory itself: a lock that no removal of files undoes.
 *
 * Node has no such call, so koffi calls the C library of the process. The lock belongs to one open descriptor, which the
 * threads of the process share and which no program that it starts inherits (Node opens with O_CLOEXEC). The kernel frees
 * the lock when the process ends, however it ends.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { loadKoffi } from '../koffi.ts';
import { fileError } from './files.ts';

/** `locked`: another descriptor has it, of this process or another one. `unknown`: the call cannot be had here, and why. */
type Flock =
  | { readonly state: 'held'; readonly release: () => void }
  | { readonly state: 'locked' }
  | { readonly state: 'unknown'; readonly why: string };

/** Both numbers are the same on Linux and macOS. */
const LOCK_EX = 2;
const LOCK_NB = 4;

/** Takes the lock of the directory without waiting. @throws RuntimeError `file` where the directory cannot be opened */
export function flockDir(dir: string): Flock {
  if (process.platform === 'win32') return { state: 'unknown', why: 'Windows has no such lock of a directory' };
  let descriptor: number;
  try {
    descriptor = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw fileError('open', dir, error);
  }
  const taken = take(descriptor);
  if (taken.state === 'held') return taken;
  closeSync(descriptor);
  return taken;
}

function take(descriptor: number): Flock {
  try {
    // Loaded here: its native code costs a start some milliseconds.
    const koffi = loadKoffi();
    const flock = koffi.load(null).func('int flock(int descriptor, int operation)');
    if (flock(descriptor, LOCK_EX | LOCK_NB) === 0) {
      return { state: 'held', release: () => closeSync(descriptor) };
    }
    const errno = koffi.errno();
    const { EWOULDBLOCK } = koffi.os.errno;
    if (errno === EWOULDBLOCK) return { state: 'locked' };
    // A network file system that turns it into a lock of a file's bytes, which a directory does not have.
    const name = Object.entries(koffi.os.errno).find(([, number]) => number === errno)?.[0] ?? errno;
    return { state: 'unknown', why: `its file system has no such lock of a directory (${name})` };
  } catch (error) {
    return { state: 'unknown', why: `flock(2) cannot be called: ${(error as Error).message}` };
  }
}
