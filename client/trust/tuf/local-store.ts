/** Files of the local trust: the directory and its files must belong to this user or to root, and nobody else may write them. */
import { hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { readOpened } from '../../../merkle/runtime/disk/bounded.ts';
import { ClientError } from '../../errors.ts';
import { TUF_LIMITS } from './role.ts';

/** Which files are trusted, and for what. */
export const STATE = 'state.json';
export const MAX_STATE = 1024 * 1024;
/** What an update found in the state. */
export const CHECKED = 'checked';

/** Of metadata and targets, by their SHA-256 in hex. */
export function filePath(dir: string, sha256: string): string {
  return join(dir, 'files', sha256);
}

/**
 * A file of metadata, or a target.
 *
 * @param what names it in errors
 * @throws ClientError `trust` where it is not there, or was changed
 */
export function fileOf(dir: string, sha256: string, what: string): Uint8Array {
  const path = filePath(dir, sha256);
  const bytes = readTrusted(path, TUF_LIMITS.target);
  if (bytes === undefined) throw damaged(`${path}, ${what}, is not there`);
  if (hash('sha256', bytes, 'hex') !== sha256) throw damaged(`${path}, ${what}, was changed`);
  return bytes;
}

/** Whether the directory is there, and its directory of files. @throws ClientError `trust`: others may write them */
export function dirsOf(dir: string): { readonly own: boolean; readonly files: boolean } {
  const isThere = (path: string): boolean => {
    const stats = statsIfThere(path);
    if (stats === undefined) return false;
    if (!stats.isDirectory()) {
      const why = `${path} is no directory: name another one for the local trust (--trust, STELE_TRUST)`;
      throw new ClientError('trust', why);
    }
    checkOwner(path, stats);
    return true;
  };
  return { own: isThere(dir), files: isThere(join(dir, 'files')) };
}

/** @throws ClientError `trust` where the path leads through a file, or this user may not look there */
export function statsIfThere(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw new ClientError('trust', `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}

/** The stats are those of the very file that is read. @throws ClientError `trust` */
export function readTrusted(path: string, limit: number): Uint8Array | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ClientError('trust', `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
  try {
    const stats = fstatSync(file);
    checkOwner(path, stats);
    return readOpened(file, stats, limit);
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw damaged(`${path} ${(cause as Error).message}`, cause);
  } finally {
    closeSync(file);
  }
}

/** Who can write these files decides what is trusted. @throws ClientError `trust` */
function checkOwner(path: string, { mode, uid }: Stats): void {
  const self = process.geteuid?.();
  // Windows has no such bits.
  if (self === undefined) return;
  if (uid !== self && uid !== 0) {
    const why = `${path} belongs to another user (${uid}), who could change what is trusted`;
    throw new ClientError('trust', `${why}: use a directory of your own (--trust, STELE_TRUST)`);
  }
  if ((mode & 0o022) === 0) return;
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  throw new ClientError('trust', `${path} can be written by others (mode ${octal}): run \`chmod go-w ${path}\``);
}

/** The advice where no update repairs. */
export const BEGIN_AGAIN = 'run `stele trust forget`, and then `stele trust use` again';

export function damaged(
  why: string,
  cause?: unknown,
  advice = `run \`stele trust update\`; if that does not help, ${BEGIN_AGAIN}`,
) {
  return new ClientError('trust', `the local trust cannot be used: ${why}. To repair it, ${advice}`, { cause });
}
