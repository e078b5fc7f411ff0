import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDirStores } from '../../../server/dir/layout.ts';
import { cachedTiles } from '../../../server/store/cache.ts';
import { openLevelState } from '../../../server/store/level/level.ts';
import type { Stores } from '../../../server/store/types.ts';
import { type StorePlace, storeSuite } from '../../suites/store.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';

const CACHE_BYTES = 1024 * 1024;

const cached = (stores: Stores): Stores => ({ ...stores, tiles: cachedTiles(stores.tiles, CACHE_BYTES) });

async function directory(wrap: (stores: Stores) => Stores = (stores) => stores): Promise<StorePlace> {
  const dir = await mkdtemp(join(tmpdir(), 'stele-store-'));
  let copies = 0;
  return {
    shared: false,
    open: async () => wrap(await openDirStores(dir)),
    openEmptyState: () => openLevelState(join(dir, `copy ${copies++}`)),
    remove: () => rm(dir, { recursive: true }),
  };
}

async function memory(exclusive: boolean, wrap: (stores: Stores) => Stores = (stores) => stores): Promise<StorePlace> {
  const disk = new MemoryDisk();
  return {
    shared: !exclusive,
    open: async () => wrap(await openMemoryStores(disk, { exclusive })),
    openEmptyState: async () => (await openMemoryStores(new MemoryDisk(), { exclusive })).state,
    remove: async () => {},
  };
}

storeSuite('files and level', () => directory());
storeSuite('files and level, cached', () => directory(cached));
storeSuite('memory', () => memory(false));
storeSuite('memory, one handle', () => memory(true));
storeSuite('memory, cached', () => memory(false, cached));
