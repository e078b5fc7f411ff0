/** Hashes a file that was dropped on the page. Nothing of it leaves this browser. */
import type { HashName } from '../../../merkle/rekor/hashes.ts';
import { type HashedFile, hashStream } from '../model/hash-stream.ts';
import type { TaskContext } from './protocol.ts';

export interface HashInput {
  readonly file: Blob;
  /** Each once, at least one. */
  readonly hashes: readonly HashName[];
}

/** @throws ClientError as `hashStream` */
export async function hashDropped({ file, hashes }: HashInput, context: TaskContext): Promise<HashedFile> {
  return await hashStream(file, hashes, context.signal, context.onProgress);
}
