/** Hashes a file of any length with several hashes at once. Two pieces of the file are in memory at a time. */
import { createHash } from 'node:crypto';
import { read, readSync } from 'node:fs';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { type DigestAlgorithm, HASH_NAME, type HashName } from '../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { cancelled } from '../errors.ts';
import type { ArtifactDigests } from '../verify/content.ts';
import { isDirectory, reading } from './files.ts';
import { inputName, readInput } from './input.ts';
import { withProgress } from './progress.ts';

const CHUNK = 1024 * 1024;

interface FileDigests {
  readonly digests: ArtifactDigests;
  /** Bytes. */
  readonly size: number;
}

/** @throws ClientError `file`, `cancelled` */
export async function digestFile(path: string, algorithm: DigestAlgorithm, signal?: AbortSignal): Promise<Uint8Array> {
  const name = HASH_NAME[algorithm];
  return (await digestsOf(path, [name], signal)).digests[name]!;
}

/**
 * @param hash hashes a file that fits in one piece, such as the `hash` of primitives that remember messages
 * @throws ClientError `file`, `cancelled`
 */
export async function digestsOf(
  path: string,
  names: readonly HashName[],
  signal?: AbortSignal,
  hash?: Primitives['hash'],
): Promise<FileDigests> {
  return await reading(path, () =>
    readInput(path, {
      file: (file, stats) => {
        if (stats.isDirectory()) throw isDirectory(path);
        return hashPieces(piecesOf(file, stats.isFile() && stats.size < CHUNK), stats.size);
      },
      pipe: (pieces) => hashPieces(pieces, 0),
    }),
  );

  async function hashPieces(pieces: AsyncIterable<Uint8Array>, expected: number): Promise<FileDigests> {
    const hashes = names.map((name) => [name, createHash(name)] as const);
    let whole: Uint8Array | undefined;
    const size = await withProgress(`hashing ${basename(inputName(path))}`, 'bytes', async (update) => {
      let done = 0;
      for await (const piece of pieces) {
        if (signal?.aborted) throw cancelled();
        for (const [, streamed] of hashes) streamed.update(piece);
        whole = done === 0 ? piece : undefined;
        done += piece.length;
        update(done, Math.max(done, expected));
      }
      return done;
    });
    const digests = hashes.map(([name, streamed]) => [
      name,
      hash !== undefined && whole !== undefined ? hash(name, whole) : streamed.digest(),
    ]);
    return { digests: Object.fromEntries(digests), size };
  }
}

// node:fs/promises takes 2 ms to load.
const readBeside = promisify(read);
const readNow = async (file: number, into: Buffer, at: number, length: number, position: null) => ({
  bytesRead: readSync(file, into, at, length, position),
});

/**
 * A piece is only good until the one after the next. The next piece is read while the caller has this one.
 *
 * @param small the file is read before the threads of Node's pool would have started
 */
async function* piecesOf(file: number, small: boolean): AsyncGenerator<Uint8Array> {
  const readPiece = small ? readNow : readBeside;
  let [piece, spare] = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)];
  let next = readPiece(file, piece, 0, CHUNK, null);
  try {
    for (;;) {
      const { bytesRead } = await next;
      if (bytesRead === 0) return;
      next = readPiece(file, spare, 0, CHUNK, null);
      yield piece.subarray(0, bytesRead);
      [piece, spare] = [spare, piece];
    }
  } finally {
    // The caller closes the file.
    await next.catch(() => {});
  }
}
