import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseCheckpoint } from '../../../merkle/checkpoint.ts';
import { parseNote } from '../../../merkle/note.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { lockDir } from '../../../merkle/runtime/disk/lock.ts';
import { readIdentity, writeIdentity } from '../../../server/dir/identity.ts';
import { layout, openDirStores } from '../../../server/dir/layout.ts';
import type { Log } from '../../../server/log/log.ts';
import { checkDir } from '../../../server/tools/check.ts';
import { restore } from '../../../server/tools/restore.ts';
import { CommittedTree } from '../../../server/tree/committed.ts';
import { bodyOf, makeSigner, ORIGIN, openTestLog, sharedIngest, tempDir } from '../../support/log.ts';
import { policyOf, TestWitness } from '../../support/witness.ts';

let root: Awaited<ReturnType<typeof tempDir>>;
let data: string;

beforeEach(async () => {
  root = await tempDir();
  data = join(root.path, 'data');
  await mkdir(data);
  const { verifierKeys } = await makeSigner(data);
  await writeIdentity(data, { format: 1, origin: ORIGIN, verifierKeys: [...verifierKeys], copy: false });
});
afterEach(() => root.remove());
afterAll(() => sharedIngest().close());

/** A log of 600 entries: two full bundles, and a tail. */
async function fill(log: Log, from = 0, to = 600): Promise<void> {
  await Promise.all(Array.from({ length: to - from }, (_, i) => log.submit(bodyOf(`entry ${from + i}`), 'json')));
}

async function filled(): Promise<void> {
  const log = await openTestLog(data);
  await fill(log, 0, 590);
  // A later commit, so that the full bundles are dropped from the tail.
  await fill(log, 590, 600);
  await log.close();
}

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at]! ^= 1;
  await writeFile(path, bytes);
}

describe('stele log check', () => {
  it('verifies a data directory whole', async () => {
    await filled();
    const report = await checkDir(data);
    expect(report).toMatchObject({ kind: 'data', origin: ORIGIN, size: 600, publishedSize: 600 });
    expect(report.signedBy).toHaveLength(1);
  });

  it.each([
    ['an entry bundle', 'tile/entries/000', 77],
    ['a tile', 'tile/0/001', 4000],
  ])('names %s with a flipped byte', async (_, path, at) => {
    await filled();
    await flip(join(layout.public(data), path), at);
    await expect(checkDir(data)).rejects.toMatchObject({ code: 'corrupt', message: expect.stringContaining(path) });
  });

  it('names a file that is missing or cut', async () => {
    await filled();
    const path = join(layout.public(data), 'tile/entries/001');
    await truncate(path, 1000);
    await expect(checkDir(data)).rejects.toMatchObject({ code: 'corrupt' });
    await rm(path);
    await expect(checkDir(data)).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringContaining('tile/entries/001'),
    });
  });

  it('refuses a checkpoint that the log did not sign', async () => {
    await filled();
    const other = await makeSigner(root.path, 'other.pem');
    const note = await other.sign({ size: 600, root: (await checkDir(data)).root });
    await writeFile(join(layout.public(data), 'checkpoint'), note);
    await expect(checkDir(data)).rejects.toMatchObject({ code: 'key-mismatch' });
  });

  it('says who holds a directory that is in use, and what to name where there is no log', async () => {
    await filled();
    const lock = await lockDir(data);
    await expect(checkDir(data)).rejects.toMatchObject({
      code: 'locked',
      message: expect.stringContaining(`process ${process.pid}`),
    });
    await lock.release();
    await mkdir(join(root.path, 'empty'));
    await expect(checkDir(join(root.path, 'empty'))).rejects.toMatchObject({ code: 'config' });
  });
});

describe('the start of a log', () => {
  it('stops where the tail does not follow the files', async () => {
    const log = await openTestLog(data);
    await fill(log, 0, 300);
    await fill(log, 300, 600);
    await log.close();
    await rm(join(layout.public(data), 'tile/0/000'));
    // The bundle holds the same; without both there is no start.
    const again = await openTestLog(data);
    expect(again.notReady()).toEqual([expect.stringContaining('tile/0/000 is missing')]);
    await again.close();
    await rm(join(layout.public(data), 'tile/entries/000'));
    await expect(openTestLog(data)).rejects.toMatchObject({
      code: 'tail-gap',
      message: expect.stringContaining('restore'),
    });
  });

  it('writes the files of the last commit again', async () => {
    const entries = Array.from({ length: 300 }, (_, i) => {
      const body = Buffer.from(`entry ${i}`);
      return { body, leafHash: leafHash(body) };
    });
    let tree = await CommittedTree.open(await openDirStores(data), fastSha256);
    await (await tree.append(entries)).filed;
    await tree.close();
    const paths = ['tile/entries/000', 'tile/0/000'].map((path) => join(layout.public(data), path));
    const before = await Promise.all(paths.map((path) => readFile(path)));
    await Promise.all(paths.map((path) => rm(path)));
    tree = await CommittedTree.open(await openDirStores(data), fastSha256);
    await tree.close();
    expect(await Promise.all(paths.map((path) => readFile(path)))).toEqual(before);
  });
});

describe('stele log export', () => {
  it('writes a static tree that verifies alone', async () => {
    const log = await openTestLog(data);
    const out = join(root.path, 'static');
    await fill(log);
    expect(await log.export(out)).toBe(600);
    expect(await checkDir(out)).toMatchObject({ kind: 'static', size: 600, signedBy: [] });
    await fill(log, 600, 900);
    await rm(out, { recursive: true });
    expect(await log.export(out)).toBe(900);
    const { verifierKeys } = (await readIdentity(data))!;
    expect(await checkDir(out, { verifierKeys })).toMatchObject({ kind: 'static', size: 900 });
    for (const path of ['tile/0/003.p/132', 'tile/1/000.p/3', 'tile/entries/003.p/132']) {
      await flip(join(out, path), 40);
      await expect(checkDir(out)).rejects.toMatchObject({ code: 'corrupt' });
      await flip(join(out, path), 40);
    }
    await log.close();
  });
});

describe('the directory of a copy', () => {
  it('is outside of every data directory', async () => {
    const log = await openTestLog(data);
    const inside = { code: 'config', message: expect.stringContaining(data) };
    for (const dir of [data, layout.public(data), join(data, 'deep', 'er')]) {
      await expect(log.export(dir)).rejects.toMatchObject(inside);
      await expect(log.backup(dir)).rejects.toMatchObject(inside);
    }
    await log.close();
  });

  it.each(['an older export', 'a file', 'a copy that was cut off'])('is empty: not %s', async (kind) => {
    const log = await openTestLog(data);
    await fill(log, 0, 3);
    const out = join(root.path, 'static');
    await mkdir(out);
    if (kind === 'an older export') await log.export(out);
    else if (kind === 'a file') await writeFile(join(out, '.hidden'), '');
    else await mkdir(join(out, 'tile'));
    const before = await readdir(out, { recursive: true });
    for (const copy of ['export', 'backup'] as const) {
      await expect(log[copy](out)).rejects.toMatchObject({
        code: 'config',
        message: expect.stringContaining(`${out} is not empty`),
      });
    }
    expect(await readdir(out, { recursive: true })).toEqual(before);
    await log.close();
  });
});

describe('stele log backup and restore', () => {
  /** A backup at 300 entries of a log that goes on to 600; with the checkpoints of both. */
  async function backedUp() {
    const log = await openTestLog(data);
    await fill(log, 0, 290);
    await fill(log, 290, 300);
    const early = join(root.path, 'early.txt');
    await writeFile(early, log.checkpoint);
    const backup = join(root.path, 'backup');
    // Entries keep coming while it is copied, and afterwards.
    const [size] = await Promise.all([log.backup(backup), fill(log, 300, 590)]);
    expect(size).toBeGreaterThanOrEqual(300);
    await fill(log, 590, 600);
    const late = join(root.path, 'late.txt');
    await writeFile(late, log.checkpoint);
    await log.close();
    return { backup, early, late, size };
  }

  it('copies a running log consistently', async () => {
    const { backup, size } = await backedUp();
    expect(await checkDir(backup)).toMatchObject({ kind: 'backup', size });
  });

  it('starts from a copy whose tree extends what is known', async () => {
    const { backup, early, size } = await backedUp();
    const to = join(root.path, 'restored');
    expect(await restore({ from: backup, to, atLeast: early })).toEqual({ size, atLeast: 300, witnesses: [] });
    await cp(join(data, 'key.pem'), join(to, 'key.pem'));
    const log = await openTestLog(to);
    expect(log.publishedSize).toBe(size);
    await fill(log, 900, 910);
    expect(log.publishedSize).toBe(size + 10);
    await log.close();
    expect(await checkDir(to)).toMatchObject({ kind: 'data', size: size + 10 });
  });

  it('refuses a copy that is older than what somebody has seen', async () => {
    const { backup, late } = await backedUp();
    const to = join(root.path, 'restored');
    await expect(restore({ from: backup, to, atLeast: late })).rejects.toMatchObject({ code: 'rollback' });
    expect(await readIdentity(to)).toBeUndefined();
  });

  it('refuses a copy from before the log was frozen', async () => {
    const { backup } = await backedUp();
    const log = await openTestLog(data);
    const frozen = join(root.path, 'frozen.txt');
    const after = join(root.path, 'after');
    await writeFile(frozen, await log.freeze());
    await log.backup(after);
    await log.close();
    const to = join(root.path, 'restored');
    await expect(restore({ from: backup, to, atLeast: frozen })).rejects.toMatchObject({
      code: 'rollback',
      message: expect.stringContaining('frozen'),
    });
    expect(await readIdentity(to)).toBeUndefined();
    expect(await restore({ from: after, to, atLeast: frozen })).toMatchObject({ size: 600 });
  });

  it('asks the witnesses of the policy what they hold', async () => {
    const { backup, early, late, size } = await backedUp();
    const [key] = (await makeSigner(data)).keys;
    const policy = join(root.path, 'policy');
    const held = async (file: string) => {
      const note = await readFile(file);
      return { note, checkpoint: parseCheckpoint(parseNote(note).text) };
    };
    const witnesses = await Promise.all(['a', 'b', 'c'].map((name) => new TestWitness(name, key!).start()));
    try {
      await writeFile(policy, policyOf(witnesses, 2));
      witnesses[0]!.held = await held(early);
      await witnesses[2]!.stop();
      const report = await restore({ from: backup, to: join(root.path, 'restored'), atLeast: early, policy });
      expect(report).toEqual({
        size,
        atLeast: 300,
        witnesses: [
          { witness: 'a', size: 300 },
          { witness: 'b', size: 0 },
          { witness: 'c', size: undefined, failed: 'refuses connections' },
        ],
      });
      witnesses[1]!.held = await held(late);
      const to = join(root.path, 'again');
      await expect(restore({ from: backup, to, atLeast: early, policy })).rejects.toMatchObject({
        code: 'rollback',
        message: expect.stringContaining('the witness b holds a checkpoint of 600 entries'),
      });
      expect(await readIdentity(to)).toBeUndefined();
    } finally {
      await Promise.all(witnesses.map((witness) => witness.stop()));
    }
  });

  it('refuses a checkpoint of another tree, of another key, and a directory that is no backup', async () => {
    const { backup, early } = await backedUp();
    const to = join(root.path, 'restored');
    const fork = join(root.path, 'fork.txt');
    await writeFile(fork, await (await makeSigner(data)).sign({ size: 10, root: new Uint8Array(32) }));
    await expect(restore({ from: backup, to, atLeast: fork })).rejects.toMatchObject({ code: 'rollback' });
    const other = await makeSigner(root.path, 'other.pem');
    await writeFile(fork, await other.sign({ size: 10, root: new Uint8Array(32) }));
    await expect(restore({ from: backup, to, atLeast: fork })).rejects.toMatchObject({ code: 'config' });
    await expect(restore({ from: data, to, atLeast: early })).rejects.toMatchObject({ code: 'config' });
  });

  it('refuses a damaged copy', async () => {
    const { backup, early } = await backedUp();
    await flip(join(layout.public(backup), 'tile/entries/000'), 99);
    const to = join(root.path, 'restored');
    await expect(restore({ from: backup, to, atLeast: early })).rejects.toMatchObject({ code: 'corrupt' });
  });
});
