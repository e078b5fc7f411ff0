/** Hashes a file of any length with several hashes at once. Two pieces of the file are in memory at a time. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import type { HashName } from '../../../merkle/rekor/hashes.ts';
import { ClientError, cancelled } from '../../errors.ts';
import type { ArtifactDigests } from '../../verify/content.ts';
import { isDirectory } from '../files.ts';
import { startProgress } from '../progress.ts';

const CHUNK = 1024 * 1024;

interface FileDigests {
  readonly digests: ArtifactDigests;
  /** Bytes. */
  readonly size: number;
}

/** @throws ClientError `file`, `cancelled` */
export async function digestsOf(path: string, names: readonly HashName[], signal: AbortSignal): Promise<FileDigests> {
  try {
    return await read(path, names, signal);
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'it is not allowed' : (code ?? message);
    throw new ClientError('file', `${path} cannot be read: ${why}`, { cause });
  }
}

async function read(path: string, names: readonly HashName[], signal: AbortSignal): Promise<FileDigests> {
  const file = await open(path, 'r');
  const progress = startProgress(`hashing ${basename(path)}`, 'bytes');
  try {
    const stats = await file.stat();
    if (stats.isDirectory()) throw isDirectory(path);
    const hashes = names.map((name) => [name, createHash(name)] as const);
    // The next piece is read while this one is hashed.
    let [piece, spare] = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)];
    let size = 0;
    let next = file.read(piece, 0, CHUNK, null);
    for (;;) {
      const { bytesRead } = await next;
      if (bytesRead === 0) break;
      if (signal.aborted) throw cancelled();
      next = file.read(spare, 0, CHUNK, null);
      for (const [, hash] of hashes) hash.update(piece.subarray(0, bytesRead));
      [piece, spare] = [spare, piece];
      size += bytesRead;
      progress.update(size, Math.max(size, stats.size));
    }
    return { digests: Object.fromEntries(hashes.map(([name, hash]) => [name, hash.digest()])), size };
  } finally {
    progress.stop();
    await file.close();
  }
}
