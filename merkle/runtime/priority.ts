/**
 * Which thread of a process the system lets run first. Linux gives each thread a niceness of its own, and takes the number
 * of a thread where that of a process is asked for (setpriority(2), "Notes"). Elsewhere all threads stay equal.
 */
import { readlinkSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';

/** Lets every thread of ordinary niceness go before the one that calls this, by `niceness`, 1 to 19. */
export function letOthersFirst(niceness: number): void {
  try {
    // "<process>/task/<thread>"
    const thread = Number(readlinkSync('/proc/thread-self').split('/')[2]);
    setPriority(thread, Math.min(getPriority(thread) + niceness, constants.priority.PRIORITY_LOW));
  } catch {
    // Not Linux, or not allowed to look at itself.
  }
}
