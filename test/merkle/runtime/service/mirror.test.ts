import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, rename, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Answer } from '../../../../merkle/runtime/service/http-server.ts';
import { Mirror } from '../../../../merkle/runtime/service/mirror.ts';
import { tempDir } from '../../../support/log.ts';

const HASH = createHash('sha256').update('a target').digest('hex');
const FOR_EVER = 'public, max-age=31536000, immutable';

let dir: Awaited<ReturnType<typeof tempDir>>;
let at: (path: string) => string;
let mirror: Mirror;

beforeEach(async () => {
  dir = await tempDir();
  at = (path) => join(dir.path, 'public', path);
  await mkdir(at('targets/folder'), { recursive: true });
  mirror = new Mirror(dir.path);
});
afterEach(() => dir.remove());

async function put(path: string, text = `the bytes of ${path}`): Promise<void> {
  await writeFile(at('.new'), text);
  await rename(at('.new'), at(path));
}

async function got(path: string): Promise<Answer> {
  const found = await mirror.get(path);
  if (typeof found === 'string') throw new Error(found);
  return found;
}

const text = async (path: string) => Buffer.from((await got(path)).body).toString();

describe('a mirror', () => {
  it.each([
    ['timestamp.json', 'application/json', 'public, max-age=1'],
    ['1.root.json', 'application/json', FOR_EVER],
    ['12.snapshot.json', 'application/json', FOR_EVER],
    ['3.targets.json', 'application/json', FOR_EVER],
    ['3.a-role_of.others.json', 'application/json', FOR_EVER],
    [`targets/${HASH}.trusted_root.json`, 'application/json', FOR_EVER],
    [`targets/${HASH}.log.example.com.vkey`, 'application/octet-stream', FOR_EVER],
    [`targets/${HASH}..hidden`, 'application/octet-stream', FOR_EVER],
    [`targets/folder/${HASH}.policy`, 'application/octet-stream', FOR_EVER],
  ])('serves %s', async (path, type, caching) => {
    await put(path);
    for (let time = 0; time < 2; time++) {
      const { status, headers, body } = await got(path);
      expect(Buffer.from(body).toString()).toBe(`the bytes of ${path}`);
      expect([status, headers]).toEqual([
        200,
        { 'content-type': type, 'cache-control': caching, 'access-control-allow-origin': '*' },
      ]);
    }
    expect(mirror.get(path)).toBeDefined();
  });

  it.each([
    '',
    'plan.yaml',
    'root.json',
    '0.root.json',
    '01.root.json',
    '1.root.json/',
    '1.json',
    '.timestamp.json',
    'timestamp.json.tmp',
    '1..json',
    '1..root.json',
    'folder/1.root.json',
    './timestamp.json',
    '../public/timestamp.json',
    'targets/../timestamp.json',
    'targets//x',
    'targets/',
    'targets',
    'targets/policy',
    `targets/${HASH}`,
    `targets/${HASH}.`,
    `targets/${HASH.toUpperCase()}.policy`,
    `targets/./${HASH}.policy`,
    `targets/folder/../${HASH}.policy`,
    `targets/.../../${HASH}.policy`,
    `targets/.${HASH}.policy`,
    `targets/${'a/'.repeat(300)}${HASH}.policy`,
    `targets/${HASH}.policy/`,
    `targets/${HASH}.po%6Cicy`,
    `targets/${HASH}.a\0b`,
    '%74imestamp.json',
    '1.root.json?x',
    '1.root.json\n',
    '..%2fplan.yaml',
    '..\\plan.yaml',
    '/etc/passwd',
  ])('has no file "%s"', async (path) => {
    await put('timestamp.json');
    await put('1.root.json');
    await put(`targets/${HASH}.policy`);
    for (const other of [
      'root.json',
      '0.root.json',
      '01.root.json',
      '1.json',
      'timestamp.json.tmp',
      'targets/policy',
    ]) {
      await put(other);
    }
    await writeFile(join(dir.path, 'plan.yaml'), 'a plan');
    expect(mirror.get(path)).toBe('missing');
  });

  it('has no file that is a link, is below a link, or is no regular file', async () => {
    await writeFile(join(dir.path, 'secret'), 'a key');
    await symlink(join(dir.path, 'secret'), at('1.root.json'));
    await symlink(dir.path, at('targets/out'));
    await writeFile(join(dir.path, `${HASH}.secret`), 'a key');
    await mkdir(at('2.root.json'));
    execFileSync('mkfifo', [at('3.root.json')]);
    for (const path of ['1.root.json', `targets/out/${HASH}.secret`, '2.root.json', '3.root.json', '4.root.json']) {
      expect(mirror.get(path), path).toBe('missing');
    }
  });

  it('may be below a link itself, for a directory that is replaced as a whole', async () => {
    await put('1.root.json');
    await mkdir(join(dir.path, 'other'));
    await symlink(at(''), join(dir.path, 'other', 'public'));
    mirror = new Mirror(join(dir.path, 'other'));
    expect(await text('1.root.json')).toBe('the bytes of 1.root.json');
  });

  it('shows the newest timestamp, however fast it is replaced and wherever it stood long before', async () => {
    const old = new Date(Date.now() - 3600_000);
    for (const version of ['a', 'b', 'c']) {
      await put('timestamp.json', version);
      if (version === 'a') await utimes(at('timestamp.json'), old, old);
      expect(await text('timestamp.json')).toBe(version);
    }
  });

  it('sends a file whole that is replaced while it is read', async () => {
    const size = 4 * 1024 * 1024;
    await put('timestamp.json', 'a'.repeat(size));
    const reading = Array.from({ length: 8 }, () => got('timestamp.json'));
    await put('timestamp.json', 'b'.repeat(size + 1));
    for (const { body } of await Promise.all(reading)) {
      const whole = Buffer.from(body).toString();
      expect([...new Set(whole)]).toHaveLength(1);
      expect(whole).toHaveLength(whole.startsWith('a') ? size : size + 1);
    }
    expect((await text('timestamp.json')).length).toBe(size + 1);
  });

  it('reads a file once for all that ask for it, and again when another stands in its place', async () => {
    await put('1.root.json');
    const [one, other] = [await got('1.root.json'), await got('1.root.json')];
    expect(other.body).toBe(one.body);
    await put('1.root.json', 'of a new repository');
    expect(await text('1.root.json')).toBe('of a new repository');
  });

  it('has no file longer than its limit, and reads no more at one time than it may', async () => {
    mirror = new Mirror(dir.path, { file: 100, kept: 0, held: 150 });
    for (const name of ['1.root.json', '2.root.json', '3.root.json']) {
      await put(name);
      await truncate(at(name), name.startsWith('3') ? 101 : 100);
    }
    expect(mirror.get('3.root.json')).toBe('missing');
    const first = await got('1.root.json');
    expect(mirror.get('2.root.json')).toBe('busy');
    expect(first.body).toHaveLength(100);
  });

  it('says that nothing is published', async () => {
    expect(mirror.problem()).toContain('timestamp.json is not there');
    await put('timestamp.json');
    expect(mirror.problem()).toBeUndefined();
  });
});
