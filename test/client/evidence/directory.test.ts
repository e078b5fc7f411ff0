/** Evidence in folders. */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { directorySource } from '../../../client/evidence/directory-store.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;
const OTHER = `sha256:${'cd'.repeat(32)}`;

describe('directorySource', () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'stele-evidence-'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  async function folder(name: string, files: readonly string[] = []): Promise<string> {
    const path = join(root, name);
    await mkdir(path);
    for (const file of files) {
      await mkdir(join(path, file, '..'), { recursive: true });
      await writeFile(join(path, file), `content of ${file}`);
    }
    return path;
  }

  async function find(path: string, limits = {}, digest = DIGEST): Promise<[source: string, content: string][]> {
    const pieces = await directorySource(path, limits).find({ digest }, new AbortController().signal);
    return pieces.map(({ source, bytes }) => [source.replace(`${path}/`, ''), Buffer.from(bytes).toString()]);
  }

  it('reads every file, in the order of the paths', async () => {
    const path = await folder('all', ['b.json', 'a.sigstore.json', 'B', 'in/it/c.jsonl', '.hidden', '.git/object']);
    const names = ['B', 'a.sigstore.json', 'b.json', 'in/it/c.jsonl'];
    expect(await find(path)).toEqual(names.map((name) => [name, `content of ${name}`]));
  });

  it('reads one file that is named', async () => {
    const path = await folder('one', ['a.json', 'b.json']);
    const pieces = await directorySource(join(path, 'a.json')).find({ digest: DIGEST }, new AbortController().signal);
    expect(pieces.map(({ source }) => source)).toEqual([join(path, 'a.json')]);
  });

  it('finds nothing in an empty folder', async () => {
    expect(await find(await folder('empty'))).toEqual([]);
  });

  it('reads the folder of a digest for that digest alone', async () => {
    const path = await folder('digests', [
      'for-all.json',
      `${DIGEST.replace(':', '-')}/a.json`,
      `${OTHER.replace(':', '-')}/a.json`,
    ]);
    expect((await find(path)).map(([source]) => source)).toEqual([
      'for-all.json',
      `${DIGEST.replace(':', '-')}/a.json`,
    ]);
    expect(await find(path, {}, OTHER)).toHaveLength(2);
    expect(await find(path, {}, `sha256:${'ef'.repeat(32)}`)).toHaveLength(1);
  });

  it('follows the links of a mounted ConfigMap', async () => {
    const path = await folder('mounted', ['..2026_01_01/a.json']);
    await symlink('..2026_01_01', join(path, '..data'));
    await symlink(join('..data', 'a.json'), join(path, 'a.json'));
    expect(await find(path)).toEqual([['a.json', 'content of ..2026_01_01/a.json']]);
  });

  it.each<[string, string, (path: string) => Promise<unknown> | unknown, object?]>([
    ['no folder', 'is not there', (path) => rm(path, { recursive: true })],
    ['a link out of the folder', 'leads out of', (path) => symlink('/etc/hostname', join(path, 'x'))],
    ['a link out by ..', 'leads out of', (path) => symlink('../all/B', join(path, 'x'))],
    ['a link to a folder', 'is a link to a folder', (path) => symlink('in', join(path, 'x'))],
    ['a link to the folder itself', 'leads out of', (path) => symlink('.', join(path, 'x'))],
    ['a link to nothing', 'is not there', (path) => symlink('nothing', join(path, 'x'))],
    ['a link to itself', 'cannot be read (ELOOP)', (path) => symlink('x', join(path, 'x'))],
    ['a pipe', 'is no regular file', (path) => execFileSync('mkfifo', [join(path, 'x')])],
    ['too many files', 'holds more than 3 files and folders', (path) => writeFile(join(path, 'x'), ''), { files: 3 }],
    [
      'folders without end',
      'lies more than 8 folders deep',
      (path) => mkdir(join(path, 'a/'.repeat(10)), { recursive: true }),
    ],
    [
      'a file above 64 MiB',
      'is larger than',
      (path) => writeFile(join(path, 'x'), '').then(() => truncate(join(path, 'x'), 2 ** 26 + 1)),
    ],
    ['too many bytes', '20 bytes are the most of a folder', (path) => writeFile(join(path, 'x'), ''), { bytes: 20 }],
  ])('refuses %s', async (name, why, spoil, limits) => {
    const path = await folder(`bad ${name}`, ['a.json', 'in/b.json']);
    await spoil(path);
    await expect(find(path, limits)).rejects.toThrow(
      expect.objectContaining({ code: 'evidence', message: expect.stringContaining(why) }),
    );
  });

  it('counts each file before it is read, and reads none without room', async () => {
    const path = await folder('counted', ['a.json', 'b.json']);
    const taken: number[] = [];
    const room = (most: number) => ({
      take(bytes: number) {
        taken.push(bytes);
        if (taken.length > most) throw new ClientError('evidence', 'no room');
      },
      give() {},
    });
    const ask = (most: number) =>
      directorySource(path).find({ digest: DIGEST, room: room(most) }, new AbortController().signal);
    expect(await ask(2)).toHaveLength(2);
    expect(taken).toEqual(['content of a.json'.length, 'content of b.json'.length]);
    taken.length = 0;
    await expect(ask(1)).rejects.toMatchObject({ code: 'evidence', message: 'no room' });
  });

  it('ends when it is cancelled', async () => {
    const path = await folder('cancelled', ['a.json']);
    await expect(directorySource(path).find({ digest: DIGEST }, AbortSignal.abort())).rejects.toThrow(
      expect.objectContaining({ code: 'cancelled' }),
    );
  });
});
