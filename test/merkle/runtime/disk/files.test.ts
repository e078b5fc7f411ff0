import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  linkFilesDurable,
  makeDirDurable,
  makeDirsBelow,
  makeManyDirsBelow,
  readFileIfThere,
  removeFiles,
  removeLeftovers,
  writeFileDurable,
  writeFilesDurable,
} from '../../../../merkle/runtime/disk/files.ts';
import { sizeOfFileSync, writeFilesDurableSync } from '../../../../merkle/runtime/disk/files-sync.ts';

const fileError = expect.objectContaining({ name: 'RuntimeError', code: 'file' });

describe('durable files', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-files-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('writes a file with the mode asked for, replaces it, and leaves nothing beside it', async () => {
    const path = join(dir, 'a');
    await writeFileDurable(path, Buffer.from('first and longer'), { mode: 0o600 });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await writeFileDurable(path, Buffer.from('second'));
    expect(await readFile(path, 'utf8')).toBe('second');
    expect(await readdir(dir)).toEqual(['a']);
  });

  it('replaces a symbolic link instead of writing through it', async () => {
    await writeFile(join(dir, 'target'), 'target');
    await symlink('target', join(dir, 'link'));
    await writeFileDurable(join(dir, 'link'), Buffer.from('new'));
    expect(await readFile(join(dir, 'target'), 'utf8')).toBe('target');
  });

  it('makes many directories, writes, links and removes many files at once', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `d${i % 7}/e${i % 3}/f${i}`);
    const at = (...parts: string[]) => join(dir, ...parts);
    const folders = (below: string) => names.map((name) => join(dir, below, name, '..'));
    await makeManyDirsBelow(dir, [...folders('a'), ...folders('b')]);
    const files = names.map((name) => ({ path: at('a', name), bytes: Buffer.from(name) }));
    await writeFilesDurable(files);
    await writeFile(at('b', names[0]!), 'in the way');
    await linkFilesDurable(names.map((name, i) => ({ ...files[i]!, from: files[i]!.path, path: at('b', name) })));
    // Without the other name, a file is written anew.
    await linkFilesDurable([{ from: at('nothing'), path: at('c'), bytes: Buffer.from('c') }]);
    await removeFiles([...files.map(({ path }) => path), at('nothing')]);
    for (const name of names) expect(await readFile(at('b', name), 'utf8')).toBe(name);
    expect((await readdir(at('a'), { recursive: true })).filter((name) => /f\d+$/.test(name))).toEqual([]);
    expect(await readFile(at('c'), 'utf8')).toBe('c');
    await expect(writeFilesDurable([{ path: at('none', 'x'), bytes: Buffer.from('x') }])).rejects.toEqual(fileError);
    await expect(makeManyDirsBelow(at('a'), [at('b', 'x')])).rejects.toEqual(fileError);
  });

  it('writes many files over several directories', async () => {
    await makeDirsBelow(dir, join(dir, 'x', 'y'));
    const files = Array.from({ length: 40 }, (_, i) => ({
      path: i % 2 ? join(dir, `${i}`) : join(dir, 'x', 'y', `${i}`),
      bytes: Buffer.from(`file ${i}`),
    }));
    writeFilesDurableSync(files);
    writeFilesDurableSync(files.slice(0, 2));
    for (const { path, bytes } of files) expect(await readFile(path)).toEqual(bytes);
    expect(await readdir(join(dir, 'x', 'y'))).toHaveLength(20);
  });

  it('names the file, the cause and what to do when it cannot write, and leaves nothing', async () => {
    await mkdir(join(dir, 'occupied'));
    await expect(writeFileDurable(join(dir, 'occupied'), Buffer.from('x'))).rejects.toEqual(fileError);
    await expect(writeFileDurable(join(dir, 'no', 'a'), Buffer.from('x'))).rejects.toThrow(
      /ENOENT.*directory is missing/,
    );
    const files = ['a', 'occupied', 'b'].map((name) => ({ path: join(dir, name), bytes: Buffer.from(name) }));
    expect(() => writeFilesDurableSync(files)).toThrow(fileError);
    const missing = { path: join(dir, 'no', 'a'), bytes: Buffer.from('x') };
    expect(() => writeFilesDurableSync([missing])).toThrow(/ENOENT.*directory is missing/);
    expect((await readdir(dir)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('tells the size of a file, and whether there is one', async () => {
    await writeFile(join(dir, 'a'), 'four');
    expect(sizeOfFileSync(join(dir, 'a'))).toBe(4);
    expect(sizeOfFileSync(join(dir, 'b'))).toBeUndefined();
  });

  it('reads within the bound only, and undefined where there is no file', async () => {
    const path = join(dir, 'a');
    await writeFile(path, 'four');
    expect(Buffer.from((await readFileIfThere(path, 4))!).toString()).toBe('four');
    await expect(readFileIfThere(path, 3)).rejects.toEqual(fileError);
    expect(await readFileIfThere(join(dir, 'b'), 4)).toBeUndefined();
    expect(await readFileIfThere(join(dir, 'b', 'c'), 4)).toBeUndefined();
    await expect(readFileIfThere(dir, 1 << 20)).rejects.toEqual(fileError);
    await writeFile(path, '');
    expect(await readFileIfThere(path, 0)).toHaveLength(0);
  });

  it('makes directories with those above, twice, and refuses a file in the way', async () => {
    const deep = join(dir, 'a', 'b', 'c');
    await makeDirDurable(deep);
    await makeDirDurable(deep);
    expect((await stat(deep)).isDirectory()).toBe(true);
    await writeFile(join(dir, 'file'), '');
    await expect(makeDirDurable(join(dir, 'file', 'a'))).rejects.toEqual(fileError);
    await expect(makeDirDurable(join(dir, 'file'))).rejects.toEqual(fileError);
    // ENOENT in a directory that is there.
    if (process.platform === 'linux') await expect(makeDirDurable('/proc/stele/a')).rejects.toEqual(fileError);
    await expect(makeDirsBelow(join(dir, 'a'), dir)).rejects.toEqual(fileError);
  });

  it('takes away leftovers, and only those', async () => {
    await mkdir(join(dir, 'sub'));
    const leftovers = ['.0123456789abcdef.tmp', join('sub', '.fedcba9876543210.tmp')];
    const others = ['.gitignore', '.0123456789abcdef.tmpx', '0123456789abcdef.tmp', join('sub', '000')];
    for (const name of [...leftovers, ...others]) await writeFile(join(dir, name), '');
    await removeLeftovers(dir);
    expect(await readdir(dir)).not.toContain(leftovers[0]);
    expect(await readdir(join(dir, 'sub'))).toHaveLength(2);
    await removeLeftovers(dir, { recursive: true });
    for (const name of others) expect((await stat(join(dir, name))).isFile()).toBe(true);
    expect(await readdir(join(dir, 'sub'))).toEqual(['000']);
  });
});
