import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openFileTiles } from '../../../server/store/files/files.ts';

const code = (value: string) => expect.objectContaining({ code: value });

describe('the directory of a tile store', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-tiles-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('is what a static server would serve', async () => {
    const tiles = await openFileTiles(join(dir, 'a', 'public'));
    await tiles.put([{ path: 'tile/0/x001/234', bytes: new Uint8Array(8192).fill(7) }]);
    await tiles.putCheckpoint(Buffer.from('note'));
    await tiles.close();
    expect((await readdir(join(dir, 'a', 'public'), { recursive: true })).sort()).toEqual(
      ['checkpoint', 'tile', 'tile/0', 'tile/0/x001', 'tile/0/x001/234'].map((name) => join(name)),
    );
    expect(await readFile(join(dir, 'a', 'public', 'tile/0/x001/234'))).toEqual(Buffer.alloc(8192, 7));
  });

  it('is cleaned of leftovers by its owner, and left alone by a reader', async () => {
    await mkdir(join(dir, 'tile', '0'), { recursive: true });
    const leftovers = [join(dir, '.00000000000000aa.tmp'), join(dir, 'tile', '0', '.00000000000000bb.tmp')];
    for (const path of leftovers) await writeFile(path, 'part');
    const reader = await openFileTiles(dir, { readOnly: true });
    expect(await readdir(join(dir, 'tile', '0'))).toHaveLength(1);
    await expect(reader.putCheckpoint(Buffer.from('note'))).rejects.toEqual(code('ERR_ASSERTION'));
    await (await openFileTiles(dir)).close();
    expect(await readdir(dir)).toEqual(['tile']);
    expect(await readdir(join(dir, 'tile', '0'))).toEqual([]);
    expect(await reader.get('tile/0/000')).toBeUndefined();
  });

  it('is not made by a reader', async () => {
    const reader = await openFileTiles(join(dir, 'none'), { readOnly: true });
    expect(await reader.getCheckpoint()).toBeUndefined();
    expect(await readdir(dir)).toEqual([]);
  });

  it('gives no file of a wrong length, and reads none without bound', async () => {
    const tiles = await openFileTiles(dir);
    await tiles.put([{ path: 'tile/0/000', bytes: new Uint8Array(8192) }]);
    await truncate(join(dir, 'tile', '0', '000'), 8191);
    await expect(tiles.get('tile/0/000')).rejects.toEqual(code('corrupt'));
    await truncate(join(dir, 'tile', '0', '000'), 8193);
    await expect(tiles.get('tile/0/000')).rejects.toEqual(code('store'));
    await writeFile(join(dir, 'checkpoint'), '');
    await truncate(join(dir, 'checkpoint'), 2 ** 40);
    await expect(tiles.getCheckpoint()).rejects.toEqual(code('store'));
  });

  it('keeps in memory what it gave, until the file changes or the store is closed', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    try {
      const tiles = await openFileTiles(dir, { cacheBytes: 10_000 });
      await tiles.put([{ path: 'tile/0/000', bytes: new Uint8Array(8192) }]);
      expect(tiles.atHand('tile/0/000')).toBeUndefined();
      expect(await tiles.get('tile/0/000', { once: true })).toHaveLength(8192);
      expect(tiles.atHand('tile/0/000')).toBeUndefined();
      const bytes = await tiles.get('tile/0/000');
      expect(tiles.atHand('tile/0/000')).toBe(bytes);
      expect(await tiles.get('tile/0/000')).toBe(bytes);
      // More than a tick of the file system's clock.
      await sleep(20);
      await writeFile(join(dir, 'tile', '0', '000'), Buffer.alloc(8192, 1));
      expect(tiles.atHand('tile/0/000')).toBeUndefined();
      expect(Buffer.from((await tiles.get('tile/0/000'))!)).toEqual(Buffer.alloc(8192, 1));
      await tiles.close();
      expect(tiles.atHand('tile/0/000')).toBeUndefined();
      await expect(tiles.get('tile/0/000')).rejects.toEqual(code('store'));
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses to write where a file stands that is longer than any of its kind', async () => {
    const tiles = await openFileTiles(dir);
    await mkdir(join(dir, 'tile', '0'), { recursive: true });
    await writeFile(join(dir, 'tile', '0', '000'), Buffer.alloc(8193));
    const put = tiles.put([{ path: 'tile/0/000', bytes: new Uint8Array(8192) }]);
    await expect(put).rejects.toEqual(code('tile-conflict'));
  });
});
