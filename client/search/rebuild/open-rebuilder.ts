/**
 * Opens a rebuild of a verifiable index. Its directory:
 *
 *     <dir>/map/        the map that is built here (client/search/map/)
 *           leaves/     the leaves of the output log, and their verdicts (rebuild-store.ts)
 *           evidence/   against the operator of the index, and against both logs
 */
import { join } from 'node:path';
import type { Evidence } from '../../../merkle/evidence.ts';
import { Closers } from '../../../merkle/runtime/service/ends.ts';
import type { FeedSettings, FollowedLog } from '../../follow/types.ts';
import { EvidenceFiles } from '../../monitor/store/evidence-files.ts';
import { openSource } from '../../tiles/tiles.ts';
import { Rebuild, type RebuildProgress } from './map-rebuild.ts';
import { RebuildStore } from './rebuild-store.ts';
import { Rebuilder, type RebuilderEvent } from './rebuilder.ts';
import { openRebuiltMap } from './rebuilt-map.ts';

interface OpenRebuildOptions {
  readonly input: FollowedLog;
  readonly output: FollowedLog;
  readonly dir: string;
  readonly settings: FeedSettings;
  readonly fetch?: typeof fetch | undefined;
  readonly onProgress?: (progress: RebuildProgress) => void;
  readonly onEvidence?: (file: string) => void;
  /** Threads that read entries; 0: this thread does. */
  readonly threads: number;
}

export interface OpenRebuild {
  readonly rebuild: Rebuild;
  readonly store: RebuildStore;
  close(): Promise<void>;
}

/** For one file. Whole rounds are tried again. */
const REQUEST = { timeoutMs: 20_000, retries: 1, userAgent: 'stele-rebuilder' };

/** @throws ClientError `state`, `usage`; RuntimeError `locked`, `store`, `file` */
export async function openRebuild(options: OpenRebuildOptions): Promise<OpenRebuild> {
  const { input, output, dir, settings, fetch, onProgress, onEvidence, threads } = options;
  const closers = new Closers();
  try {
    const store = await RebuildStore.open(dir, output);
    closers.add(() => store.close());
    const map = await openRebuiltMap(join(dir, 'map'), input, threads);
    closers.add(() => map.close());
    const files = new EvidenceFiles(join(dir, 'evidence'));
    const rebuild = new Rebuild({
      input,
      output,
      map,
      store,
      open: (location) => openSource(location, { ...REQUEST, fetch }),
      settings,
      ...(onProgress && { onProgress }),
      onEvidence: async (origin: string, evidence: Evidence) => {
        const file = await files.keep(origin, evidence);
        if (file !== undefined) onEvidence?.(file);
      },
    });
    closers.add(() => rebuild.close());
    await rebuild.load();
    return { rebuild, store, close: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

interface OpenRebuilderOptions extends OpenRebuildOptions {
  readonly pollMs: number;
  readonly retryMs: number;
  readonly waitMs: number;
  readonly onEvent?: (event: RebuilderEvent) => void;
}

/** A rebuilder over a rebuild of its own. @throws as `openRebuild` */
export async function openRebuilder(
  options: OpenRebuilderOptions,
): Promise<{ readonly rebuilder: Rebuilder; close(): Promise<void> }> {
  const { output, pollMs, retryMs, waitMs, onEvent } = options;
  const { rebuild, store, close } = await openRebuild(options);
  const rebuilder = new Rebuilder({ output, rebuild, store, pollMs, retryMs, waitMs, ...(onEvent && { onEvent }) });
  return { rebuilder, close };
}
