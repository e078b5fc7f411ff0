import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openFileTiles } from '../../../server/store/files.ts';

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

  it('refuses to write where a file stands that is longer than any of its kind', async () => {
    const tiles = await openFileTiles(dir);
    await mkdir(join(dir, 'tile', '0'), { recursive: true });
    await writeFile(join(dir, 'tile', '0', '000'), Buffer.alloc(8193));
    const put = tiles.put([{ path: 'tile/0/000', bytes: new Uint8Array(8192) }]);
    await expect(put).rejects.toEqual(code('tile-conflict'));
  });
});
