import type { Stores } from './types.ts';

/** Closes all handles. Never rejects: an owner that closes after a failure has no more use for a second one. */
export async function closeStores({ tiles, checkpoint, state }: Stores): Promise<void> {
  await Promise.allSettled([tiles.close(), checkpoint.close(), state.close()]);
}
