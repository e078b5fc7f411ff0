/** The map of a rebuild: the engine that operators use too, opened again after a failure. */
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import type { FollowedLog } from '../../follow/types.ts';
import { IndexMap } from '../map/index-map.ts';
import type { RebuiltMap } from './types.ts';

/**
 * @param threads threads that read entries; 0: this thread does
 * @throws ClientError `state`: it is of another log, or damaged; RuntimeError `locked`, `store`, `file`
 */
export async function openRebuiltMap(dir: string, log: FollowedLog, threads: number): Promise<RebuiltMap> {
  const open = () => IndexMap.open({ dir, log, threads });
  let map = await open();
  let failed = false;
  /** After a failed write the map takes no further call. */
  const using = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof RuntimeError) failed = true;
      throw error;
    }
  };
  return {
    load: async () => {
      if (failed) {
        await map.close().catch(() => {});
        map = await open();
        failed = false;
      }
      return await using(() => map.load());
    },
    commit: (batch) => using(() => map.commit(batch)),
    root: async () => {
      const { root, count } = await using(() => map.seal(map.size));
      return { root, keys: count };
    },
    close: () => map.close(),
  };
}
