/** Evidence in a file or in a folder of files. */
import { opendir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { printable } from '../../merkle/printable.ts';
import { readBounded } from '../../merkle/runtime/disk/bounded.ts';
import { errnoOf } from '../../merkle/runtime/disk/errno.ts';
import { ClientError, cancelled } from '../errors.ts';
import { MAX_BUNDLE } from '../formats/bundle.ts';
import type { EvidencePiece, EvidenceSource, EvidenceSubject } from './types.ts';

const MAX_FILES = 4096;
const MAX_BYTES = 256 * 1024 * 1024;
const MAX_DEPTH = 8;
/** A folder with evidence about one digest: `sha256-HEX`, as OCI registries name the tag of referrers. */
const OF_DIGEST = /^sha(?:256|384|512)-[a-f0-9]+$/;

interface Limits {
  /** Most files and folders. Default 4,096. */
  readonly files?: number;
  /** Most bytes of all files together. Default 256 MiB. */
  readonly bytes?: number;
}

/**
 * The files of a folder and of the folders in it, or one file. Each file is a piece, whatever its name; names that begin with
 * a dot are left out. A folder with a name such as `sha256-HEX` is read for that digest alone. Pieces come in the order of their paths.
 *
 * A symbolic link to a file is followed within the folder (Kubernetes mounts a ConfigMap with such links). Every other link, a pipe,
 * a socket and a device are errors, and so is a limit that is met: nobody would notice evidence that is left out silently.
 *
 * `find` rejects with ClientError `evidence` or `cancelled`.
 */
export function directorySource(path: string, { files = MAX_FILES, bytes = MAX_BYTES }: Limits = {}): EvidenceSource {
  return {
    async find({ digest, room }: EvidenceSubject, signal) {
      const walk = { path, folderOfDigest: digest.replace(':', '-'), files, signal, seen: 0 };
      const pieces: EvidencePiece[] = [];
      let left = bytes;
      for (const file of await filesOf(walk)) {
        if (signal.aborted) throw cancelled();
        const most = Math.min(MAX_BUNDLE, left);
        let counted = 0;
        const count = (size: number) => {
          if (size > counted) room?.take(size - counted);
          counted = size;
        };
        const piece = await readBounded(file, most, ({ size }) => count(Math.min(size, most))).catch((cause) => {
          if (cause instanceof ClientError) throw cause;
          throw unreadable(file, cause, most < MAX_BUNDLE ? `: ${bytes} bytes are the most of a folder` : '');
        });
        // It may have grown.
        count(piece.length);
        left -= piece.length;
        pieces.push({ source: file, bytes: piece });
      }
      return pieces;
    },
  };
}

interface Walk {
  readonly path: string;
  readonly folderOfDigest: string;
  readonly files: number;
  readonly signal: AbortSignal;
  seen: number;
}

/** In the order of their paths. */
async function filesOf(walk: Walk): Promise<readonly string[]> {
  const { path } = walk;
  const root = await realpath(path).catch((cause) => {
    throw unreadable(path, cause);
  });
  if (!(await stat(root)).isDirectory()) return [path];
  const found: string[] = [];
  await collect(walk, root, path, 0, found);
  return found.sort((a, b) => (a < b ? -1 : 1));
}

async function collect(walk: Walk, root: string, folder: string, depth: number, found: string[]): Promise<void> {
  if (depth > MAX_DEPTH) throw wrong(folder, `lies more than ${MAX_DEPTH} folders deep`);
  const entries = await opendir(folder).catch((cause) => {
    throw unreadable(folder, cause);
  });
  for await (const entry of entries) {
    const { name } = entry;
    if (walk.signal.aborted) throw cancelled();
    if (name.startsWith('.')) continue;
    const path = join(folder, name);
    // Folders count too: a tree of empty folders must end as well.
    if (++walk.seen > walk.files) throw wrong(walk.path, `holds more than ${walk.files} files and folders`);
    const real = await realpath(path).catch((cause) => {
      throw unreadable(path, cause);
    });
    if (!real.startsWith(root.endsWith(sep) ? root : root + sep)) {
      throw wrong(path, `is a link that leads out of ${printable(walk.path)}`);
    }
    const stats = await stat(real);
    if (stats.isDirectory()) {
      // Links to folders could make a tree without an end.
      if (entry.isSymbolicLink()) throw wrong(path, 'is a link to a folder');
      if (OF_DIGEST.test(name) && name !== walk.folderOfDigest) continue;
      await collect(walk, root, path, depth + 1, found);
    } else if (!stats.isFile()) {
      throw wrong(path, 'is no regular file');
    } else {
      found.push(path);
    }
  }
}

function unreadable(path: string, cause: unknown, more = ''): ClientError {
  const errno = errnoOf(cause);
  const why = errno === undefined ? `${(cause as Error).message}${more}` : `cannot be read (${errno})`;
  const said = errno === 'ENOENT' ? 'is not there' : why;
  return new ClientError('evidence', `the evidence ${printable(path)} ${said}`, { cause });
}

function wrong(path: string, why: string): ClientError {
  return new ClientError('evidence', `the evidence ${printable(path)} ${why}: name a folder that holds evidence only`);
}
