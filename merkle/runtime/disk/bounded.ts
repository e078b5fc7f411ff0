/**
 * Reads a small file that somebody else wrote, without trust in its size. The calls are synchronous: such a file is read before
 * the threads of Node's pool would have started.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';

/**
 * The bytes of the regular file `path`, at most `limit` of them. `check` gets the stats of the very file that is read: another
 * file may take its name in the meantime.
 * @throws Error with Node's own message, or 'is not a regular file', or 'is larger than … bytes', or what `check` throws
 */
export async function readBounded(path: string, limit: number, check?: (stats: Stats) => void): Promise<Uint8Array> {
  // Without O_NONBLOCK, opening a FIFO waits for a writer, and for ever where no writer comes.
  const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stats = fstatSync(file);
    if (stats.isFile()) check?.(stats);
    return readOpened(file, stats, limit);
  } finally {
    closeSync(file);
  }
}

/** `readBounded`, of the file with this open descriptor. The caller closes it. */
export function readOpened(file: number, stats: Stats, limit: number): Uint8Array {
  if (!stats.isFile()) throw new Error('is not a regular file');
  // Only the memory that the file needs: a buffer of megabytes for each file keeps the garbage collector busy.
  let buffer = Buffer.alloc(Math.min(limit, stats.size) + 1);
  let length = 0;
  for (;;) {
    const bytesRead = readSync(file, buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
    if (length > limit) throw new Error(`is larger than ${limit} bytes`);
    // The file grew, or its file system does not know its size.
    if (length === buffer.length) buffer = Buffer.concat([buffer], limit + 1);
  }
}

/** Whom this process runs as. */
interface Identity {
  readonly uid: number;
  readonly groups: readonly number[];
}

/**
 * Why a file is too open for a secret (a key, a passphrase, a PIN, a token), with the command that closes it: the end of a
 * sentence about the file. Undefined where it is closed.
 *
 * Others have no right to such a file, and its group no right but to read. The group may read only a file of root, and only the
 * group of this process or of root itself: so are secrets that Kubernetes and systemd mount for a process without rights.
 */
export function tooOpen(
  path: string,
  { mode, uid, gid }: Pick<Stats, 'mode' | 'uid' | 'gid'>,
  self: Identity | undefined = ownIdentity(),
): string | undefined {
  // Windows has no such bits and reports all of them as set.
  if (self === undefined || (mode & 0o077) === 0) return undefined;
  const shared = uid === 0 && (gid === 0 || self.groups.includes(gid));
  if (shared && (mode & 0o037) === 0) return undefined;
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  return `is open to others (mode ${octal}): run \`${howToClose(path, uid, gid, self)}\``;
}

/** Another mode than 0600 is for a process that is not the owner. */
function howToClose(path: string, uid: number, gid: number, self: Identity): string {
  if (uid === self.uid || self.uid === 0) return `chmod 600 ${path}`;
  if (uid !== 0) return `chown ${self.uid} ${path} && chmod 600 ${path}`;
  const own = self.groups.includes(gid) ? '' : `chgrp ${self.groups[0]} ${path} && `;
  return `${own}chmod 640 ${path}`;
}

function ownIdentity(): Identity | undefined {
  const { geteuid, getegid, getgroups } = process;
  if (geteuid === undefined || getegid === undefined || getgroups === undefined) return undefined;
  return { uid: geteuid(), groups: [getegid(), ...getgroups()] };
}
