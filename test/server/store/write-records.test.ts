/** Who wrote: what is kept, and what happens where it cannot be. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeLogger } from '../../../merkle/runtime/service/logger.ts';
import { WriteRecords } from '../../../server/store/write-records.ts';
import { workload } from '../../support/access-policy.ts';
import { tempDir } from '../../support/log.ts';

const DAY = 86_400_000;
const logger = makeLogger({ level: 'silent' });
const written = (index: number) => ({
  index,
  leafHash: new Uint8Array(32).fill(index),
  duplicate: false,
  rule: 'builders',
  origin: 'log.example.com',
  caller: { ...workload('/build'), claims: { secret: 'claim' } },
});

let dir: Awaited<ReturnType<typeof tempDir>>;
let records: WriteRecords | undefined;
let file: string;
let now: number;
const open = async (more: { retention?: number; maxBytes?: number } = {}) => {
  records = await WriteRecords.open({ file, retention: 7 * DAY, logger, now: () => now, ...more });
  return records;
};
const lines = (path = file) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { index?: number; missed?: number });
const names = () => readdirSync(dir.path).sort();

beforeEach(async () => {
  dir = await tempDir();
  file = join(dir.path, 'writes.jsonl');
  now = Date.now();
});
afterEach(async () => {
  await records?.close();
  records = undefined;
  await dir.remove();
});

describe('records of writes', () => {
  it('say who wrote what by which rule, for the operator alone', async () => {
    writeFileSync(file, '', { mode: 0o644 });
    const one = await open();
    await Promise.all(Array.from({ length: 50 }, (_, i) => one.add(written(i))));
    expect(lines().map(({ index }) => index)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(lines()[1]).toEqual({
      time: new Date(now).toISOString(),
      origin: 'log.example.com',
      index: 1,
      leafHash: '01'.repeat(32),
      duplicate: false,
      caller: { kind: 'x509-svid', id: 'spiffe://example.org/build' },
      rule: 'builders',
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('go on in the file that is there, without a line that a crash cut off', async () => {
    await (await open()).add(written(1));
    await records!.close();
    for (const torn of ['{"time":"2026-08', '{', '{"time":"2026-08-01T00:00:00.000Z","origin":"log.exa']) {
      appendFileSync(file, torn);
      await (await open()).add(written(2));
      await records!.close();
    }
    expect(lines().map(({ index }) => index)).toEqual([1, 2, 2, 2]);
  });

  it.each<[string, () => void]>([
    ['another file', () => writeFileSync(file, 'private key')],
    ['another long file', () => writeFileSync(file, Buffer.alloc(100_000, 0x61))],
    ['a directory', () => mkdirSync(file)],
    ['a link', () => symlinkSync(join(dir.path, 'other'), file)],
    [
      'a file in a directory that is not there',
      () => {
        file = join(dir.path, 'none', 'writes.jsonl');
      },
    ],
  ])('refuse to start with %s, and change nothing', async (_what, make) => {
    make();
    const before = existsSync(file) && statSync(file).isFile() ? readFileSync(file) : undefined;
    await expect(open()).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('identity.record.file'),
    });
    if (before !== undefined) expect(readFileSync(file)).toEqual(before);
  });

  it('end a file each day, and remove what is older than the retention', async () => {
    const one = await open({ retention: 2 * DAY });
    await one.add(written(1));
    const day = (n: number) => new Date(now - n * DAY).toISOString().slice(0, 10);
    writeFileSync(join(dir.path, `writes.jsonl.${day(1)}`), '');
    writeFileSync(join(dir.path, `writes.jsonl.${day(9)}`), '');
    writeFileSync(join(dir.path, `writes.jsonl.${day(9)}.2`), '');
    writeFileSync(join(dir.path, `writes.jsonl.${day(9)}.bak`), '');
    writeFileSync(join(dir.path, `other.${day(9)}`), '');
    now += DAY;
    await one.add(written(2));
    expect(lines().map(({ index }) => index)).toEqual([2]);
    const today = new Date(now - DAY).toISOString().slice(0, 10);
    expect(lines(`${file}.${today}`).map(({ index }) => index)).toEqual([1]);
    expect(names()).toEqual(
      [
        `other.${new Date(now - 10 * DAY).toISOString().slice(0, 10)}`,
        'writes.jsonl',
        `${'writes.jsonl'}.${new Date(now - 10 * DAY).toISOString().slice(0, 10)}.bak`,
        `writes.jsonl.${new Date(now - 2 * DAY).toISOString().slice(0, 10)}`,
        `writes.jsonl.${today}`,
      ].sort(),
    );
  });

  it('end the file of an earlier day at a start', async () => {
    await (await open()).add(written(1));
    await records!.close();
    const earlier = new Date(now - 3 * DAY);
    utimesSync(file, earlier, earlier);
    await (await open()).add(written(2));
    expect(lines().map(({ index }) => index)).toEqual([2]);
    expect(lines(`${file}.${earlier.toISOString().slice(0, 10)}`)).toHaveLength(1);
  });

  it('end a file that is large', async () => {
    const one = await open({ maxBytes: 600 });
    for (let i = 0; i < 9; i++) await one.add(written(i));
    const today = new Date(now).toISOString().slice(0, 10);
    expect(names()).toEqual(['writes.jsonl', `writes.jsonl.${today}`, `writes.jsonl.${today}.1`]);
    expect(
      [...lines(`${file}.${today}`), ...lines(`${file}.${today}.1`), ...lines()].map(({ index }) => index),
    ).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('fail while the file cannot be had, and say afterwards how many are missing', async () => {
    const one = await open({ maxBytes: 1 });
    await one.add(written(1));
    expect(one.mayTake()).toBe(true);
    const away = `${dir.path}-away`;
    await rename(dir.path, away);
    await expect(one.add(written(2))).rejects.toThrow();
    await expect(one.add(written(3))).rejects.toThrow();
    expect(one.problem).toContain('the log takes no entries');
    expect(one.mayTake()).toBe(false);
    if (existsSync(dir.path)) rmdirSync(dir.path);
    await rename(away, dir.path);
    now += 1000;
    expect(one.mayTake()).toBe(false);
    await expect.poll(() => one.mayTake()).toBe(true);
    expect(one.problem).toBeUndefined();
    await one.add(written(4));
    const all = names().flatMap((name) => lines(join(dir.path, name)));
    expect(all.filter(({ missed }) => missed === 2)).toHaveLength(1);
    expect(all.flatMap(({ index }) => index ?? []).sort()).toEqual([1, 4]);
  });
});
