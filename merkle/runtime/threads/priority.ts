/**
 * The priority of one thread within its process. On Linux each thread has its own niceness, and process number 0 means the
 * calling thread (setpriority(2), "Notes"). Other systems have one niceness for the whole process, so this file does
 * nothing there. piscina's `niceIncrement` needs a native addon for the same.
 */
import { constants, getPriority, setPriority } from 'node:os';

/** Adds `niceness`, 1 to 19, to the niceness of the calling thread. A busy core then runs the other threads first. */
export function letOthersFirst(niceness: number): void {
  if (process.platform !== 'linux') return;
  setPriority(0, Math.min(getPriority(0) + niceness, constants.priority.PRIORITY_LOW));
}
