/**
 * The durable write of files.ts for a thread that has nothing else to do: the same steps, and each one blocks.
 *
 * No step goes through another thread and back, which would be half of the processor time. Measured on ext4: 0.4 ms of
 * processor time for a small file, against 0.7 with steps that do not block; 0.65 against 1.15 ms for 2 files of 80 kB;
 * either way 1 to 3 ms of wall time.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { fileError } from './files.ts';

interface FileToWrite {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * Replaces or creates the files, each whole or not at all, and fsyncs each directory once. The directories must be there.
 * @throws RuntimeError `file`; any subset of the files is then in place
 */
export function writeFilesDurableSync(files: readonly FileToWrite[]): void {
  const temporaries: string[] = [];
  try {
    for (const { path, bytes } of files) {
      const temporary = join(dirname(path), `.${randomBytes(8).toString('hex')}.tmp`);
      try {
        const fd = fs.openSync(temporary, 'wx');
        temporaries.push(temporary);
        try {
          writeAll(fd, bytes);
          fs.fdatasyncSync(fd);
        } finally {
          fs.closeSync(fd);
        }
      } catch (error) {
        throw fileError('write', path, error);
      }
    }
    for (const { path } of files) {
      try {
        fs.renameSync(temporaries[0]!, path);
        temporaries.shift();
      } catch (error) {
        throw fileError('write', path, error);
      }
    }
  } finally {
    // On a full disk this gives the room back. Where it fails as well, `removeLeftovers` does it at the next start.
    for (const left of temporaries) fs.rmSync(left, { force: true });
  }
  for (const dir of new Set(files.map(({ path }) => dirname(path)))) syncDirSync(dir);
}

/** The size of the file in bytes, or undefined where there is no file. @throws RuntimeError `file` */
export function sizeOfFileSync(path: string): number | undefined {
  try {
    return fs.statSync(path, { throwIfNoEntry: false })?.size;
  } catch (error) {
    throw fileError('look at', path, error);
  }
}

/** The kernel may take fewer bytes than it is given. */
function writeAll(fd: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) written += fs.writeSync(fd, bytes, written);
}

function syncDirSync(path: string): void {
  if (process.platform === 'win32') return;
  try {
    const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  } catch (error) {
    throw fileError('fsync the directory', path, error);
  }
}
