/**
 * One process owns a data directory. Two locks say so, and each of them is free again when its process ends, also by
 * SIGKILL: nobody ever has to judge a stale lock file.
 *
 * - flock(2) on the directory itself (flock.ts). No removal of files undoes it. It cannot be had everywhere.
 * - `<dir>/lock` is a tiny LevelDB that the owner holds open. LevelDB takes an advisory lock of the operating system (fcntl;
 *   on Windows an exclusive handle) on a file in it. A Stele before the first lock knows this one alone. The lock is apart
 *   from the store of the log's state, which is closed and opened again after a failure while the lock must stay.
 *
 * Nothing else in this process may open `<dir>/lock/LOCK`: closing any descriptor of it frees an fcntl lock.
 *
 * `<dir>/owner.json` names the owner, for people and for `stele log freeze`. The file proves nothing: after a crash it is
 * stale, and the locks alone count.
 */
import { unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RuntimeError } from '../runtime-errors.ts';
import { couldNotTry, errnoOf, isFull } from './errno.ts';
import { makeDirDurable, readFileIfThere, removeLeftovers, writeFileDurable } from './files.ts';
import { flockDir } from './flock.ts';
import { GuardedLevel } from './level.ts';

/** The process that holds a directory. */
interface Owner {
  readonly pid: number;
  readonly host: string;
  /** When the process took the lock: UTC, ISO 8601. */
  readonly started: string;
  /** URL of its admin port; absent while the port does not listen. */
  readonly admin?: string;
}

export interface DirLock {
  /** Writes `owner.json` with the URL of the admin port. @throws RuntimeError `file`; `locked` after the release */
  announce(admin: string): Promise<void>;
  /** Frees the directory. May be called more than once. */
  release(): Promise<void>;
}

/** How long a short piece of work waits for another process, and how long until it asks again, in milliseconds. */
const PATIENCE_MS = 20_000;
const PAUSE_MS = 50;

const MAX_OWNER_BYTES = 4096;
const NO_RIGHTS = ['EACCES', 'EPERM', 'EROFS'];

/** Where the disk was full, the lock is completed once there is room. */
const COMPLETE_MS = 5000;

/**
 * Takes the directory for this process, until `release` or the end of the process, and makes it where it is missing.
 * Removes the temporary files that a crash left in it, but not those in directories below.
 *
 * A full disk does not keep a process from its directory: what the lock writes there is written once there is room.
 *
 * @param onFilesAlone receives a sentence where flock(2) cannot be had, so that the lock is good only while its files stay
 * @throws RuntimeError `locked`, with the owner; `store` or `file` when the lock cannot be taken for another reason
 */
export async function lockDir(dir: string, onFilesAlone: (warning: string) => void = () => {}): Promise<DirLock> {
  await makeDirDurable(dir);
  const guard = flockDir(dir);
  if (guard.state === 'locked') throw lockedError(dir, await readOwner(dir));
  const guarded = guard.state === 'held';
  const me = { pid: process.pid, host: hostname(), started: new Date().toISOString() };
  let admin: string | undefined;
  let held: GuardedLevel | undefined;
  let announced = false;
  let released: Promise<void> | undefined;
  let later: NodeJS.Timeout | undefined;

  /** Takes the second lock and writes the name of the owner, as far as there is room. */
  const complete = async (): Promise<void> => {
    try {
      held ??= await openLock(dir, guarded);
      await removeLeftovers(dir);
      await writeFileDurable(ownerPath(dir), Buffer.from(`${JSON.stringify({ ...me, admin })}\n`));
      announced = true;
    } catch (error) {
      if (!guarded || !isFull(error)) throw error;
      // The name of an owner before this one.
      if (!announced) await unlink(ownerPath(dir)).catch(() => {});
      later = setTimeout(() => (working = working.then(retry)), COMPLETE_MS).unref();
    }
  };
  const retry = async (): Promise<void> => {
    if (released === undefined) await complete().catch(() => {});
  };
  let working = complete();
  const release = async (): Promise<void> => {
    clearTimeout(later);
    await working.catch(() => {});
    // The file goes first: once the lock is free, it may belong to the next owner.
    await unlink(ownerPath(dir)).catch(() => {});
    await held?.close();
    if (guarded) guard.release();
  };
  try {
    await working;
  } catch (error) {
    await held?.close();
    if (guarded) guard.release();
    throw error;
  }
  // Windows lets nobody remove a file that is open.
  if (guard.state === 'unknown' && process.platform !== 'win32') {
    onFilesAlone(
      `the directory ${dir} is guarded by the files in ${join(dir, 'lock')} alone: ${guard.why}. Never remove these ` +
        'files while a process uses the directory',
    );
  }
  return {
    announce: async (url) => {
      if (released !== undefined) throw new RuntimeError('locked', `${dir} was freed: lock it again first`);
      admin = url;
      clearTimeout(later);
      working = working.then(complete);
      await working;
    },
    release: () => {
      released ??= release();
      return released;
    },
  };
}

/** Runs `work` while no other process has the directory. @throws as `lockDir`, and what `work` throws */
export async function withDirLock<T>(dir: string, work: () => Promise<T>): Promise<T> {
  const lock = await lockDir(dir);
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

/** The same as `lockDir`; waits up to 20 seconds while another process holds the directory. @throws as `lockDir` */
export async function lockOnceFree(dir: string): Promise<DirLock> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await lockDir(dir);
    } catch (error) {
      const taken = error instanceof RuntimeError && error.code === 'locked';
      if (!taken || performance.now() > end) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

/** @throws RuntimeError `locked`; `store` or `file`, which say what may be removed where the files of the lock are damaged */
async function openLock(dir: string, guarded: boolean): Promise<GuardedLevel> {
  const path = join(dir, 'lock');
  try {
    return await GuardedLevel.open(path, { cacheSize: 0 });
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    if (error.code === 'locked') throw lockedError(dir, await readOwner(dir), error);
    if (NO_RIGHTS.includes(errnoOf(error) ?? '')) {
      const why = `this user may not write ${path} (${errnoOf(error)}), which locks the directory`;
      throw new RuntimeError(error.code, `${why}: run as the user that it belongs to`, { cause: error });
    }
    if (couldNotTry(error)) throw error;
    const first = guarded ? 'No other process uses the directory.' : `Make sure that no process uses ${dir}.`;
    throw new RuntimeError(
      error.code,
      `the lock ${path} is damaged (${error.message}). ${first} Then remove ${path}, which holds nothing else, and ` +
        `${ownerPath(dir)} if you like, and start again. Remove nothing else in ${dir}: the rest is the data, and there is no other copy`,
      { cause: error },
    );
  }
}

/**
 * What `owner.json` says, or undefined where no file can be read. It names the owner only while another process holds the
 * lock (`lockDir` rejects with `locked`).
 */
export async function readOwner(dir: string): Promise<Owner | undefined> {
  try {
    const bytes = await readFileIfThere(ownerPath(dir), MAX_OWNER_BYTES);
    return bytes && parseOwner(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

function parseOwner(text: string): Owner | undefined {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, host, started, admin } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(pid) || typeof host !== 'string' || typeof started !== 'string') return undefined;
  if (admin !== undefined && typeof admin !== 'string') return undefined;
  return { pid: pid as number, host, started, ...(admin !== undefined && { admin }) };
}

function lockedError(dir: string, owner: Owner | undefined, cause?: unknown): RuntimeError {
  const who = owner
    ? `process ${owner.pid} on ${owner.host}, started ${owner.started}${owner.admin ? `, admin port ${owner.admin}` : ''}`
    : `another process, whose name does not stand in ${ownerPath(dir)}`;
  return new RuntimeError('locked', `${dir} is in use by ${who}: stop it first, or choose another directory`, {
    cause,
  });
}

function ownerPath(dir: string): string {
  return join(dir, 'owner.json');
}
