import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { journalIsDamaged } from '../../../../merkle/runtime/disk/journal.ts';
import { GuardedLevel } from '../../../../merkle/runtime/disk/level.ts';

const key = (i: number) => Buffer.from(String(i).padStart(6, '0'));
let dir: string;
let path: string;
let journal: Buffer;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-journal-'));
  const level = await GuardedLevel.open(join(dir, 'db'));
  // Batches within one block, and over several.
  for (const [i, bytes] of [100, 300, 70_000, 50, 40_000, 200, 90_000].entries()) {
    await level.write((batch) => batch.put(key(i), Buffer.alloc(bytes, i + 1)));
  }
  await level.close();
  path = join(dir, 'db', (await readdir(join(dir, 'db'))).find((name) => name.endsWith('.log'))!);
  journal = await readFile(path);
});
afterAll(() => rm(dir, { recursive: true }));

it('takes whole journals, cut ones, and ones whose last batch was never confirmed', () => {
  expect(journalIsDamaged(journal)).toBe(false);
  for (let end = 0; end < journal.length; end += 331) expect(journalIsDamaged(journal.subarray(0, end))).toBe(false);
  // Pages of the last batch that a loss of power left unwritten, and room that was only reserved.
  const torn = Buffer.from(journal).fill(0, journal.length - 80_000, journal.length - 70_000);
  expect(journalIsDamaged(torn)).toBe(false);
  expect(journalIsDamaged(Buffer.concat([journal, Buffer.alloc(100_000)]))).toBe(false);
});

it('finds what was damaged before the last batch', async () => {
  const last = journal.length - 90_100;
  let tried = 0;
  for (let at = 0; at < last; at += 97) {
    const damaged = Buffer.from(journal);
    damaged[at]! ^= 0x10;
    expect(journalIsDamaged(damaged), `byte ${at}`).toBe(true);
    tried++;
  }
  expect(tried).toBeGreaterThan(1000);
  const damaged = Buffer.from(journal);
  damaged[50]! ^= 1;
  await writeFile(path, damaged);
  await expect(GuardedLevel.open(join(dir, 'db'))).rejects.toThrow(/journal .* is damaged/);
  await writeFile(path, journal);
  await (await GuardedLevel.open(join(dir, 'db'))).close();
});
