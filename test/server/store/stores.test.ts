import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFileTiles } from '../../../server/store/files/files.ts';
import { openLevelState } from '../../../server/store/level/level.ts';
import { MemoryDisk, openMemoryState, openMemoryTiles } from '../../../server/store/memory.ts';
import { storeSuite } from '../../suites/store.ts';

storeSuite('files and level', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'stele-store-'));
  const copyDir = join(dir, 'copy', 'state');
  return {
    copyDir,
    openTiles: () => openFileTiles(join(dir, 'public')),
    openState: () => openLevelState(join(dir, 'state')),
    openCopy: () => openLevelState(copyDir, { create: false }),
    remove: () => rm(dir, { recursive: true }),
  };
});

storeSuite('memory', async () => {
  const disk = new MemoryDisk();
  return {
    copyDir: 'copy',
    openTiles: () => openMemoryTiles(disk),
    openState: () => openMemoryState(disk),
    openCopy: () => openMemoryState(disk.copies.get('copy')!),
    remove: async () => {},
  };
});
