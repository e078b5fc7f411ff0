/**
 * How much of the processor a thread gets beside the others of its process. On Linux each thread has a niceness of its
 * own, and the process number 0 stands for the thread that calls (setpriority(2), "Notes"). Elsewhere it is the whole
 * process that has one, and nothing is done. piscina's `niceIncrement` needs a native addon for the same.
 */
import { constants, getPriority, setPriority } from 'node:os';

/** Adds `niceness`, 1 to 19, to that of the thread that calls: it gets the less of a core the more others want it. */
export function letOthersFirst(niceness: number): void {
  if (process.platform !== 'linux') return;
  setPriority(0, Math.min(getPriority(0) + niceness, constants.priority.PRIORITY_LOW));
}
