/** The files that make a directory a shard, for copies of a log. The key is in none of them. */
import { readFileIfThere, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { MAX_CHECKPOINT_BYTES } from '../store/blobs.ts';
import { pinPath } from './pin.ts';
import { MAX_SHARD_FILE, shardFilePath } from './shard-record.ts';

/** Copies the record and the pin of the shard in `from` to `to`, which is there. Paths below `from` are relative in the record. */
export async function copyShardFiles(from: string, to: string): Promise<void> {
  const pin = await readFileIfThere(pinPath(from), MAX_CHECKPOINT_BYTES);
  const record = await readFileIfThere(shardFilePath(from), MAX_SHARD_FILE);
  if (pin !== undefined) await writeFileDurable(pinPath(to), pin);
  if (record !== undefined) await writeFileDurable(shardFilePath(to), record, { mode: 0o600 });
}

/** What a copy of a log holds. */
export interface CopiedShards {
  /** Entries of the newest shard that has begun. */
  readonly size: number;
  /** Each shard that has begun, where there are several. */
  readonly shards?: readonly { readonly origin: string; readonly size: number }[];
}

export function copied(shards: readonly { readonly origin: string; readonly size: number }[]): CopiedShards {
  const size = shards.at(-1)?.size ?? 0;
  return shards.length > 1 ? { size, shards } : { size };
}
