import { spawnSync } from 'node:child_process';
import { cp, readdir, rename } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest';
import { encodeHex } from '../../../merkle/bytes.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { writeIdentity } from '../../../server/dir/identity.ts';
import { layout } from '../../../server/dir/layout.ts';
import type { Log } from '../../../server/log/log.ts';
import { checkDir } from '../../../server/tools/check.ts';
import { makeSigner, ORIGIN, openTestLog, sharedIngest, tempDir } from '../../support/log.ts';

const SIZE = 700;
const body = (index: number) => Buffer.from(`entry ${index}`);
const keyOf = (index: number) => Buffer.concat([Buffer.from('d'), leafHash(body(index))]);

let dir: Awaited<ReturnType<typeof tempDir>>;
let data: string;

beforeEach(async () => {
  dir = await tempDir();
  data = dir.path;
  const { verifierKeys } = await makeSigner(data);
  await writeIdentity(data, {
    format: 1,
    origin: ORIGIN,
    verifierKeys: [...verifierKeys],
    copy: false,
    entries: 'raw',
  });
  await run(async (log) => {
    await Promise.all(Array.from({ length: SIZE - 1 }, (_, i) => log.add(body(i))));
    await log.add(body(SIZE - 1));
  });
});
afterEach(() => dir.remove());
afterAll(() => sharedIngest().close());

async function run(work: (log: Log) => Promise<void>): Promise<void> {
  const log = await openTestLog(data, { entries: 'raw' });
  try {
    await work(log);
  } finally {
    await log.close();
  }
}

async function change(fill: Parameters<GuardedLevel['write']>[0]): Promise<void> {
  const level = await GuardedLevel.open(layout.state(data));
  await level.write(fill);
  await level.close();
}

/** Every row of the state store, in hex. */
async function rows(): Promise<Map<string, string>> {
  const level = await GuardedLevel.open(layout.state(data), { create: false });
  const found = new Map<string, string>();
  for await (const chunk of level.scan()) for (const [key, value] of chunk) found.set(encodeHex(key), encodeHex(value));
  await level.close();
  return found;
}

const eight = (low: number) => Buffer.from([0, 0, 0, 0, 0, 0, low >> 8, low & 255]);

async function damage(): Promise<void> {
  await change((batch) => {
    batch.put(keyOf(3), Buffer.alloc(8, 255));
    batch.put(keyOf(300), eight(301));
    batch.put(keyOf(600), eight(5000));
    batch.put(keyOf(699), Buffer.from([1]));
    batch.del(keyOf(77));
    // Of an entry that was never logged.
    batch.put(keyOf(9999), eight(9));
  });
}

it('rebuilds a damaged index from the tiles, and changes nothing where it is right', async () => {
  const before = await rows();
  expect(await checkDir(data, { repair: true })).toMatchObject({ size: SIZE, repaired: 0 });
  expect(await rows()).toEqual(before);
  await damage();
  const damaged = await rows();
  await expect(checkDir(data)).rejects.toMatchObject({
    code: 'corrupt',
    message: expect.stringMatching(/entry 3\..*--repair/),
  });
  expect(await rows()).toEqual(damaged);
  const shown: number[] = [];
  const report = await checkDir(data, { repair: true, onProgress: (done) => shown.push(done) });
  expect(report).toMatchObject({ kind: 'data', size: SIZE, repaired: 5 });
  expect(shown.at(-1)).toBe(SIZE);
  expect(await rows()).toEqual(before);
  expect((await readdir(data)).filter((name) => name.startsWith('state'))).toEqual(['state']);
  expect(await checkDir(data)).toMatchObject({ size: SIZE });
  await run(async (log) => {
    for (const index of [3, 77, 300, 600, 699]) expect(await log.add(body(index))).toBe(index);
    expect(await log.add(body(9999))).toBe(SIZE);
  });
});

it('takes an entry that was logged twice for what it is', async () => {
  await change((batch) => batch.del(keyOf(5)));
  await run(async (log) => expect(await log.add(body(5))).toBe(SIZE));
  expect(await checkDir(data)).toMatchObject({ size: SIZE + 1 });
  await change((batch) => batch.put(keyOf(5), eight(5)));
  expect(await checkDir(data)).toMatchObject({ size: SIZE + 1 });
  await change((batch) => batch.put(keyOf(5), eight(6)));
  await expect(checkDir(data)).rejects.toMatchObject({ code: 'corrupt' });
  expect(await checkDir(data, { repair: true })).toMatchObject({ repaired: 2 });
  expect(await checkDir(data)).toMatchObject({ size: SIZE + 1 });
});

it('goes on where a crash cut the rebuild off', async () => {
  await cp(layout.state(data), layout.rebuiltState(data), { recursive: true });
  // A leftover beside a store in its place is not taken.
  await change((batch) => batch.put(keyOf(3), eight(4)));
  await expect(checkDir(data)).rejects.toMatchObject({ code: 'corrupt' });
  await rename(layout.state(data), join(data, 'state.replaced'));
  await run(async (log) => expect(await log.add(body(3))).toBe(3));
  expect(await checkDir(data, { repair: true })).toMatchObject({ repaired: 0 });
});

it('repairs nothing else', async () => {
  await damage();
  await change((batch) => batch.del(Buffer.concat([Buffer.from('t'), eight(699)])));
  await expect(checkDir(data, { repair: true })).rejects.toMatchObject({ code: 'tail-gap' });
  await expect(checkDir(layout.public(data), { repair: true })).rejects.toMatchObject({ code: 'config' });
});

it('says from the command line what it did, and ends with the status of it', async () => {
  await damage();
  const stele = (...flags: string[]) => {
    const args = [resolve('dist/client/cli/main.js'), 'log', 'check', data, ...flags];
    return spawnSync(process.execPath, args, { encoding: 'utf8' });
  };
  expect(stele().status).toBe(1);
  const repaired = stele('--repair');
  expect([repaired.status, repaired.stdout]).toEqual([0, expect.stringContaining('it did not lead to 5 entries')]);
  const again = stele('--repair', '--json');
  expect([again.status, JSON.parse(again.stdout)]).toEqual([0, expect.objectContaining({ ok: true, repaired: 0 })]);
});
