/** Hashes a file as a stream, in JavaScript: no file is too large, and a strict policy of the page lets no WebAssembly run. */
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { encodeHex } from '../../../merkle/bytes.ts';
import type { HashName } from '../../../merkle/rekor/hashes.ts';
import { ClientError, cancelled } from '../../errors.ts';

const HASHERS = { sha256, sha384, sha512 };

export interface HashedFile {
  readonly bytes: number;
  /** Lower-case hex. */
  readonly digests: Readonly<Partial<Record<HashName, string>>>;
}

/** How often the page hears of the progress, in bytes. */
const TELL_EVERY = 4 * 1024 * 1024;

/**
 * @param hashes each once, at least one
 * @throws ClientError `file`: it cannot be read, or changed while it was read; `cancelled`
 */
export async function hashStream(
  file: Blob,
  hashes: readonly HashName[],
  signal: AbortSignal,
  onProgress: (progress: { readonly done: number; readonly total: number }) => void,
): Promise<HashedFile> {
  const running = hashes.map((name) => ({ name, hash: HASHERS[name].create() }));
  let bytes = 0;
  let told = 0;
  try {
    const reader = file.stream().getReader();
    for (;;) {
      if (signal.aborted) {
        await reader.cancel();
        throw cancelled();
      }
      const { done, value } = await reader.read();
      if (done) break;
      for (const { hash } of running) hash.update(value);
      bytes += value.length;
      if (bytes - told >= TELL_EVERY) {
        told = bytes;
        onProgress({ done: bytes, total: file.size });
      }
    }
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ClientError('file', `the file cannot be read, or changed while it was read: ${why}`, { cause });
  }
  if (bytes !== file.size) throw new ClientError('file', `the file has ${file.size} bytes, and ${bytes} were read`);
  return { bytes, digests: Object.fromEntries(running.map(({ name, hash }) => [name, encodeHex(hash.digest())])) };
}
