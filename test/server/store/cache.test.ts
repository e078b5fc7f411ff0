import { link, mkdtemp, rename, rm, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readWithStats } from '../../../merkle/runtime/disk/files.ts';
import { FileCache } from '../../../server/store/cache.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-cache-'));
});
afterEach(() => rm(dir, { recursive: true }));

/** More than a tick of the file system's clock. */
const TICK_MS = 20;

/** Long after the tests wrote their files. */
const later = () => Date.now() + 60_000;

async function keep(cache: FileCache, name: string, now = later()): Promise<Uint8Array> {
  const file = join(dir, name);
  const read = (await readWithStats(file, 1 << 20))!;
  cache.set(name, { file, ...read }, now);
  return read.bytes;
}

describe('a file that is kept', () => {
  let cache: FileCache;
  let file: string;
  beforeEach(async () => {
    cache = new FileCache(1000);
    file = join(dir, 'a');
    await writeFile(file, 'bytes');
    await sleep(TICK_MS);
  });

  it('is given for as long as it stays as it is', async () => {
    const bytes = await keep(cache, 'a');
    for (let time = 0; time < 3; time++) expect(cache.get('a')).toBe(bytes);
    expect(cache.get('b')).toBeUndefined();
  });

  it.each<[string, () => Promise<unknown>]>([
    ['written again', () => writeFile(file, 'bytez')],
    ['written again, with its time put back', () => touched(file, () => writeFile(file, 'bytez'))],
    ['longer', () => writeFile(file, 'bytes and more')],
    ['another one, with the same time', () => touched(file, () => replaced(file))],
    ['gone', () => unlink(file)],
    ['a directory', () => unlink(file).then(() => mkdtemp(file).then((made) => rename(made, file)))],
    ['touched', () => utimes(file, 1, 1)],
    ['linked to', () => link(file, join(dir, 'b'))],
  ])('is not given once it is %s, and makes room', async (_name, change) => {
    await keep(cache, 'a');
    await change();
    expect(cache.get('a')).toBeUndefined();
    expect(cache.bytes).toBe(0);
  });

  it('is kept again as it is now', async () => {
    await keep(cache, 'a');
    await writeFile(file, 'other bytes');
    const bytes = await keep(cache, 'a');
    expect(cache.get('a')).toBe(bytes);
    expect(cache.bytes).toBe('other bytes'.length);
  });
});

/** `change` with the file's access and modification times as they were. */
async function touched(file: string, change: () => Promise<unknown>): Promise<void> {
  const { atime, mtime } = await stat(file);
  await change();
  await utimes(file, atime, mtime);
}

async function replaced(file: string): Promise<void> {
  await writeFile(`${file}.new`, 'bytez');
  await rename(`${file}.new`, file);
}

describe('what is kept', () => {
  it('are files that nobody wrote lately: two writes within a tick of the clock look the same', async () => {
    const cache = new FileCache(1000);
    await writeFile(join(dir, 'a'), 'bytes');
    const written = (await stat(join(dir, 'a'))).ctimeMs;
    await keep(cache, 'a', Math.floor(written) + 1999);
    expect(cache.get('a')).toBeUndefined();
    // The time of its bytes alone is anybody's word.
    await utimes(join(dir, 'a'), 1, 1);
    const touchedAt = (await stat(join(dir, 'a'))).ctimeMs;
    await keep(cache, 'a', Math.floor(touchedAt) + 1999);
    expect(cache.get('a')).toBeUndefined();
    await keep(cache, 'a', Math.ceil(touchedAt) + 2000);
    expect(cache.get('a')).toBeDefined();
  });

  it('stays within its bound, and what was not asked for goes first', async () => {
    const cache = new FileCache(25);
    for (const name of ['a', 'b', 'c']) await writeFile(join(dir, name), '0123456789');
    await keep(cache, 'a');
    await keep(cache, 'b');
    expect(cache.get('a')).toBeDefined();
    for (let time = 0; time < 8; time++) await keep(cache, 'c');
    expect(cache.bytes).toBe(20);
    expect(['a', 'b', 'c'].filter((name) => cache.get(name) !== undefined)).toEqual(['a', 'c']);
    await writeFile(join(dir, 'd'), Buffer.alloc(26));
    for (let time = 0; time < 8; time++) await keep(cache, 'd');
    expect(cache.get('d')).toBeUndefined();
    expect(cache.bytes).toBe(20);
    cache.clear();
    expect([cache.get('a'), cache.bytes]).toEqual([undefined, 0]);
  });

  it('is not driven out by a walk through everything', async () => {
    const cache = new FileCache(1000);
    const names = Array.from({ length: 250 }, (_, at) => `file ${at}`);
    for (const name of names) await writeFile(join(dir, name), '0123456789');
    for (const name of names) await keep(cache, name);
    expect(cache.bytes).toBe(1000);
    // 150 came when it was full, and 18 of them drove out 18.
    expect(names.slice(0, 100).filter((name) => cache.get(name) !== undefined)).toHaveLength(82);
    expect(names.slice(100).filter((name) => cache.get(name) !== undefined)).toHaveLength(18);
  });

  it('is nothing where the bound is 0', async () => {
    const cache = new FileCache(0);
    await writeFile(join(dir, 'a'), 'x');
    await keep(cache, 'a');
    expect([cache.get('a'), cache.bytes]).toEqual([undefined, 0]);
  });
});
