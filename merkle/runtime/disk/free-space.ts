/** The room that is left for a data directory: what the file system gives to this user (statfs(2)). */
import { statfsSync } from 'node:fs';

interface FreeSpace {
  /** Undefined where the file system does not say. */
  bytes(): number | undefined;
  /** Why the service should have more room, in one sentence; empty where there is enough. */
  reasons(): readonly string[];
}

/** @param least bytes; 0 never gives a reason */
export function freeSpace(dir: string, least: number, setting = ''): FreeSpace {
  const bytes = () => {
    try {
      const { bavail, bsize } = statfsSync(dir);
      return bavail * bsize;
    } catch {
      return undefined;
    }
  };
  return {
    bytes,
    reasons: () => {
      const free = bytes();
      if (free === undefined || free >= least) return [];
      const named = setting === '' ? '' : ` (\`${setting}\`)`;
      return [
        `the disk of ${dir} has ${mebibytes(free)} MiB left, less than ${mebibytes(least)} MiB${named}: make room before nothing can be stored`,
      ];
    },
  };
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 2 ** 20);
}
