import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeHex } from '../../../merkle/bytes.ts';
import { verifyInclusion } from '../../../merkle/proof.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import type { Log } from '../../../server/log/log.ts';
import { Metrics } from '../../../server/metrics.ts';
import { CommittedTree } from '../../../server/tree/committed.ts';
import type { LoggedEntry } from '../../../server/types.ts';
import { bodyOf, openTestLog, tempDir } from '../../support/log.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';

const entryOf = (index: number) => {
  const body = Buffer.from(`entry ${index}`);
  return { body, leafHash: leafHash(body, fastSha256) };
};

describe('a damaged record of the index of duplicates', () => {
  /** A tree of 5,003 entries: 20 tiles, of which the newest 16 are searched, and a tail. */
  const SIZE = 5003;

  async function grown() {
    const disk = new MemoryDisk();
    let damaged = 0;
    const open = async () =>
      CommittedTree.open(await openMemoryStores(disk, { exclusive: true }), fastSha256, {
        onDamagedRecord: () => void damaged++,
      });
    const tree = await open();
    for (let first = 0; first < SIZE; first += 1000) {
      const count = Math.min(1000, SIZE - first);
      await (await tree.append(Array.from({ length: count }, (_, i) => entryOf(first + i)))).filed;
    }
    await tree.close();
    return { disk, tree: await open(), met: () => damaged };
  }

  it('never gives the index of another entry, nor one past the tree', async () => {
    const { disk, tree, met } = await grown();
    const records = fc.oneof(
      fc.constant('damaged' as const),
      fc.nat(SIZE - 1),
      fc.nat(2 ** 31),
      fc.constantFrom(SIZE, SIZE + 1, Number.MAX_SAFE_INTEGER),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(SIZE - 1), records, async (index, record) => {
        const { leafHash: hash } = entryOf(index);
        disk.dedup.set(encodeHex(hash), record);
        const before = met();
        // Those that are searched, and the one whose record is right by chance.
        const expected = index >= (19 - 16) * 256 || record === index ? index : undefined;
        expect(await tree.lookup([hash, entryOf(SIZE).leafHash])).toEqual([expected, undefined]);
        expect(met() - before).toBe(record === index ? 0 : 1);
        disk.dedup.set(encodeHex(hash), index);
      }),
      { numRuns: 300 },
    );
    await tree.close();
  });

  it('is told from a sound one while the entry is in no file yet', async () => {
    const disk = new MemoryDisk();
    const stores = await openMemoryStores(disk, { exclusive: true });
    let write: () => void = () => {};
    const written = new Promise<void>((resolve) => {
      write = resolve;
    });
    const put = stores.tiles.put.bind(stores.tiles);
    stores.tiles.put = async (blobs) => {
      if (blobs.length > 0) await written;
      await put(blobs);
    };
    const tree = await CommittedTree.open(stores, fastSha256);
    const { filed } = await tree.append(Array.from({ length: 600 }, (_, i) => entryOf(i)));
    expect(tree.snapshot.size).toBe(0);
    expect(await tree.lookup([3, 300, 599].map((i) => entryOf(i).leafHash))).toEqual([3, 300, 599]);
    disk.dedup.set(encodeHex(entryOf(3).leafHash), 300);
    expect(await tree.lookup([entryOf(3).leafHash])).toEqual([3]);
    write();
    await filed;
    expect(await tree.lookup([3, 300, 599].map((i) => entryOf(i).leafHash))).toEqual([3, 300, 599]);
    await tree.close();
  });

  it('is checked against the bundle where the tile is damaged too, and counts as absent where both are', async () => {
    for (const bundleToo of [false, true]) {
      const { disk, tree, met } = await grown();
      disk.blobs.set('tile/0/001', new Uint8Array(8192));
      if (bundleToo) disk.blobs.delete('tile/entries/001');
      expect(await tree.lookup([entryOf(300).leafHash])).toEqual([bundleToo ? undefined : 300]);
      expect(met()).toBe(bundleToo ? 1 : 0);
      await tree.close();
    }
  });
});

describe('a log whose index of duplicates is damaged', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  beforeEach(async () => {
    dir = await tempDir();
  });
  afterEach(() => dir.remove());

  async function logged(log: Log, name: string): Promise<LoggedEntry> {
    const [outcome] = await log.submit(bodyOf(name), 'json');
    expect(outcome).toHaveProperty('entry');
    const { entry } = outcome as { entry: LoggedEntry };
    const { treeSize: size, root, hashes } = entry.proof;
    verifyInclusion({ index: entry.index, size, leafHash: leafHash(entry.body), root, hashes });
    return entry;
  }

  const RECORDS: [string, Buffer][] = [
    ['no integer', Buffer.alloc(8, 255)],
    ['too short', Buffer.from([0, 0, 1])],
    ['too long', Buffer.alloc(9)],
    ['empty', Buffer.alloc(0)],
    ["another entry's index", Buffer.from([0, 0, 0, 0, 0, 0, 0, 1])],
    ['past the tree', Buffer.from([0, 0, 0, 0, 0, 0, 0x10, 0])],
    ['far past the tree', Buffer.from([0, 0x1f, 255, 255, 255, 255, 255, 255])],
  ];

  it.each(RECORDS)('goes on with a record that is %s', async (_name, record) => {
    let log = await openTestLog(dir.path);
    const first = await logged(log, 'a');
    for (const name of ['b', 'c']) await logged(log, name);
    await log.close();
    const level = await GuardedLevel.open(join(dir.path, 'state'));
    await level.write((batch) => batch.put(Buffer.concat([Buffer.from('d'), leafHash(first.body)]), record));
    await level.close();
    const metrics = new Metrics({ process: false });
    const failed: unknown[] = [];
    log = await openTestLog(dir.path, { metrics, onFatal: (error) => failed.push(error) });
    for (let time = 0; time < 3; time++) expect(await logged(log, 'a')).toMatchObject({ index: 0, duplicate: true });
    expect(await logged(log, 'd')).toMatchObject({ index: 3, duplicate: false });
    expect([log.notReady(), failed]).toEqual([[], []]);
    expect(log.alarms()).toEqual([
      expect.stringContaining('damaged records of the index of duplicates were met 3 times'),
    ]);
    expect(await metrics.registry.metrics()).toContain('stele_damaged_index_records_total 3');
    expect(await metrics.registry.metrics()).toContain('stele_store_failures_total 0');
    await log.close();
  });
});
