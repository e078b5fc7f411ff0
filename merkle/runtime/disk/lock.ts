/**
 * One process owns a data directory.
 *
 * `<dir>/lock` is a tiny LevelDB that the owner holds open. LevelDB takes an advisory lock of the operating system (fcntl;
 * on Windows an exclusive handle) on a file in it, which the kernel frees when the process ends, also by SIGKILL. So nobody
 * ever has to judge or remove a stale lock file. LevelDB also refuses a second handle within one process. The lock is apart
 * from the store of the log's state, which is closed and opened again after a failure while the lock must stay.
 *
 * Nothing else in this process may open `<dir>/lock/LOCK`: closing any descriptor of it frees an fcntl lock.
 *
 * `<dir>/owner.json` names the owner, for people and for `stele log freeze`. The file proves nothing: after a crash it is
 * stale, and the lock alone counts.
 */
import { unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { RuntimeError } from '../runtime-errors.ts';
import { makeDirDurable, readFileIfThere, removeLeftovers, writeFileDurable } from './files.ts';
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

const MAX_OWNER_BYTES = 4096;

/**
 * Takes the directory for this process, until `release` or the end of the process, and makes it where it is missing.
 * Removes the temporary files that a crash left in it, but not those in directories below.
 * @throws RuntimeError `locked`, with the owner; `store` or `file` when the lock cannot be taken for another reason
 */
export async function lockDir(dir: string): Promise<DirLock> {
  await makeDirDurable(dir);
  let held: GuardedLevel;
  try {
    held = await GuardedLevel.open(join(dir, 'lock'), { cacheSize: 0 });
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'locked') throw lockedError(dir, await readOwner(dir), error);
    throw error;
  }
  const me = { pid: process.pid, host: hostname(), started: new Date().toISOString() };
  let released: Promise<void> | undefined;
  const announce = async (admin?: string): Promise<void> => {
    if (released !== undefined) throw new RuntimeError('locked', `${dir} was freed: lock it again first`);
    await writeFileDurable(ownerPath(dir), Buffer.from(`${JSON.stringify({ ...me, admin })}\n`));
  };
  const release = async (): Promise<void> => {
    // The file goes first: once the lock is free, it may belong to the next owner.
    await unlink(ownerPath(dir)).catch(() => {});
    await held.close();
  };
  try {
    await removeLeftovers(dir);
    await announce();
  } catch (error) {
    await held.close();
    throw error;
  }
  return {
    announce,
    release: () => {
      released ??= release();
      return released;
    },
  };
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

function lockedError(dir: string, owner: Owner | undefined, cause: unknown): RuntimeError {
  const who = owner
    ? `process ${owner.pid} on ${owner.host}, started ${owner.started}${owner.admin ? `, admin port ${owner.admin}` : ''}`
    : 'another process, which has not written its name yet';
  return new RuntimeError('locked', `${dir} is in use by ${who}: stop it first, or choose another directory`, {
    cause,
  });
}

function ownerPath(dir: string): string {
  return join(dir, 'owner.json');
}
