import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cachedTiles } from '../../../server/store/cache.ts';
import { type FileStore, openFileStore } from '../../../server/store/files/files.ts';
import { tickAfter } from '../../support/until.ts';

const code = (value: string) => expect.objectContaining({ code: value });

describe('the directory of a tile store', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-tiles-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('is what a static server would serve', async () => {
    const tiles = await openFileStore(join(dir, 'a', 'public'));
    await tiles.put([{ name: 'tile/0/x001/234', bytes: new Uint8Array(8192).fill(7) }]);
    await tiles.replaceCheckpoint(undefined, Buffer.from('note'));
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
    const reader = await openFileStore(dir, { readOnly: true });
    expect(await readdir(join(dir, 'tile', '0'))).toHaveLength(1);
    await expect(reader.replaceCheckpoint(undefined, Buffer.from('note'))).rejects.toEqual(code('ERR_ASSERTION'));
    await (await openFileStore(dir)).close();
    expect(await readdir(dir)).toEqual(['tile']);
    expect(await readdir(join(dir, 'tile', '0'))).toEqual([]);
    expect(await reader.get('tile/0/000')).toBeUndefined();
  });

  it('is not made by a reader', async () => {
    const reader = await openFileStore(join(dir, 'none'), { readOnly: true });
    expect(await reader.readCheckpoint()).toBeUndefined();
    expect(await readdir(dir)).toEqual([]);
  });

  it('gives no file of a wrong length, and reads none without bound', async () => {
    const tiles = await openFileStore(dir);
    await tiles.put([{ name: 'tile/0/000', bytes: new Uint8Array(8192) }]);
    await truncate(join(dir, 'tile', '0', '000'), 8191);
    await expect(tiles.get('tile/0/000')).rejects.toEqual(code('corrupt'));
    await truncate(join(dir, 'tile', '0', '000'), 8193);
    await expect(tiles.get('tile/0/000')).rejects.toEqual(code('corrupt'));
    await writeFile(join(dir, 'checkpoint'), '');
    await truncate(join(dir, 'checkpoint'), 2 ** 40);
    await expect(tiles.readCheckpoint()).rejects.toEqual(code('store'));
  });

  it('keeps in memory behind a cache what it gave, until the file changes or the store is closed', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
    try {
      const tiles = cachedTiles(await openFileStore(dir), 10_000);
      await tiles.put([{ name: 'tile/0/000', bytes: new Uint8Array(8192) }]);
      expect(tiles.atHand!('tile/0/000')).toBeUndefined();
      expect(await tiles.get('tile/0/000', { once: true })).toHaveLength(8192);
      expect(tiles.atHand!('tile/0/000')).toBeUndefined();
      const bytes = await tiles.get('tile/0/000');
      expect(tiles.atHand!('tile/0/000')).toBe(bytes);
      expect(await tiles.get('tile/0/000')).toBe(bytes);
      await tickAfter(join(dir, 'tile', '0', '000'));
      await writeFile(join(dir, 'tile', '0', '000'), Buffer.alloc(8192, 1));
      expect(tiles.atHand!('tile/0/000')).toBeUndefined();
      expect(Buffer.from((await tiles.get('tile/0/000'))!)).toEqual(Buffer.alloc(8192, 1));
      await tiles.close();
      expect(tiles.atHand!('tile/0/000')).toBeUndefined();
      await expect(tiles.get('tile/0/000')).rejects.toEqual(code('store'));
    } finally {
      vi.useRealTimers();
    }
  });

  it('refuses to write where a file stands that is longer than any of its kind', async () => {
    const tiles = await openFileStore(dir);
    await mkdir(join(dir, 'tile', '0'), { recursive: true });
    await writeFile(join(dir, 'tile', '0', '000'), Buffer.alloc(8193));
    const put = tiles.put([{ name: 'tile/0/000', bytes: new Uint8Array(8192) }]);
    await expect(put).rejects.toEqual(code('tile-conflict'));
  });
});

describe('the stamp of a blob', () => {
  const name = 'tile/0/000';
  let dir: string;
  let file: string;
  let tiles: FileStore;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-stamps-'));
    file = join(dir, name);
    tiles = await openFileStore(dir);
    await tiles.put([{ name, bytes: new Uint8Array(8192) }]);
    await tickAfter(file);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 });
  });
  afterEach(async () => {
    vi.useRealTimers();
    await tiles.close();
    await rm(dir, { recursive: true });
  });

  const isCurrent = async () => (await tiles.getStamped(name))!.isCurrent;

  it('holds for as long as the file stays as it is', async () => {
    const still = (await isCurrent())!;
    for (let time = 0; time < 3; time++) expect(still()).toBe(true);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['written again', () => writeFile(file, Buffer.alloc(8192, 1))],
    ['written again, with its time put back', () => touched(file, () => writeFile(file, Buffer.alloc(8192, 1)))],
    ['longer', () => writeFile(file, Buffer.alloc(8193))],
    ['another one, with the same time', () => touched(file, () => replaced(file))],
    ['gone', () => unlink(file)],
    ['a directory', () => unlink(file).then(() => mkdtemp(file).then((made) => rename(made, file)))],
    ['touched', () => utimes(file, 1, 1)],
    ['linked to', () => link(file, join(dir, 'b'))],
  ])('ends once the file is %s', async (_name, change) => {
    const still = (await isCurrent())!;
    await change();
    expect(still()).toBe(false);
  });

  it('is missing where the file was written a short time ago: two writes within a tick of the clock look the same', async () => {
    const written = (await stat(file)).ctimeMs;
    vi.setSystemTime(Math.floor(written) + 1999);
    expect(await isCurrent()).toBeUndefined();
    // Anybody can set the time of the bytes alone.
    await utimes(file, 1, 1);
    const touchedAt = (await stat(file)).ctimeMs;
    vi.setSystemTime(Math.floor(touchedAt) + 1999);
    expect(await isCurrent()).toBeUndefined();
    vi.setSystemTime(Math.ceil(touchedAt) + 2000);
    expect(await isCurrent()).toBeDefined();
  });
});

/** `change` with the file's access and modification times as they were. */
async function touched(file: string, change: () => Promise<unknown>): Promise<void> {
  const { atime, mtime } = await stat(file);
  await change();
  await utimes(file, atime, mtime);
}

async function replaced(file: string): Promise<void> {
  await writeFile(`${file}.new`, Buffer.alloc(8192, 1));
  await rename(`${file}.new`, file);
}
