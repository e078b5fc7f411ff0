/** Whether a file that was read before still has the same bytes, by its stats. */
import type { BigIntStats } from 'node:fs';

/**
 * A file must have been left alone for so long before it was read, or two versions of it may look the same. Two writes
 * within one tick of the file system's clock have the same time: 4 to 10 ms on Linux, and 2 s on FAT, the coarsest.
 */
const SETTLED_NS = 2_000_000_000n;
const NS_PER_MS = 1_000_000n;

/**
 * Every write changes `ctime`, and nobody can set it: `utimes` and `cp -p` put `mtime` back, and change `ctime`. A change
 * behind the file system's back stays unseen, as in the kernel's own page cache; on a network file system, a change on
 * another host shows as late as the mount's own cache of stats allows.
 */
export function isSame(before: BigIntStats, now: BigIntStats | undefined): boolean {
  return (
    now !== undefined &&
    now.ctimeNs === before.ctimeNs &&
    now.mtimeNs === before.mtimeNs &&
    now.size === before.size &&
    now.ino === before.ino &&
    now.dev === before.dev
  );
}

/** @param now milliseconds since 1970, from before the file was read */
export function isSettled({ ctimeNs, mtimeNs }: BigIntStats, now: number): boolean {
  const last = ctimeNs > mtimeNs ? ctimeNs : mtimeNs;
  return BigInt(now) * NS_PER_MS - last >= SETTLED_NS;
}
