import { describe, expect, it } from 'vitest';
import type { IndexMap } from '../../../../client/search/map/index-map.ts';
import { FakeLog, View } from '../../../support/fake-log.ts';
import { tempDir } from '../../../support/log-files.ts';
import { literalPostings, literalRoot, mapFeed, openCrafted, readAll } from './maps.ts';

/** A generator of numbers that are the same in each run. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Keys of one shape: the bytes that are not random are the same in all of them. */
const SHAPES: Record<string, (next: (below: number) => number) => Buffer> = {
  'spread keys': (next) => Buffer.from(Array.from({ length: 32 }, () => next(256))),
  'keys that share 8 bytes': (next) => Buffer.concat([Buffer.alloc(8, 0xa5), SHAPES['spread keys']!(next)], 32),
  'keys that share 12 bytes': (next) =>
    Buffer.concat([Buffer.alloc(11, 1), Buffer.of(next(4)), SHAPES['spread keys']!(next)], 32),
  'keys that share 31 bytes': (next) => Buffer.concat([Buffer.alloc(31, 0xff), Buffer.of(next(256))]),
};

/** Entries of one to four keys, of which a few come again and again. */
function entriesOf(count: number, shape: string, next: (below: number) => number, keys: Buffer[]): Uint8Array[] {
  return Array.from({ length: count }, () => {
    const own = Array.from({ length: 1 + next(4) }, () => {
      const known =
        keys.length > 0 && next(3) > 0 ? keys[next(next(2) === 0 ? 3 : keys.length) % keys.length]! : undefined;
      const key = known ?? SHAPES[shape]!(next);
      if (known === undefined) keys.push(key);
      return key;
    });
    return new Uint8Array(Buffer.concat(own));
  });
}

const rootOf = async (map: IndexMap, size: number) => {
  const { root, count } = await map.seal(size);
  return { root: Buffer.from(root).toString('hex'), count };
};

describe('the map has the root that the specification defines', () => {
  it.each(Object.keys(SHAPES))('for %s, at each size, opened again at any point', async (shape) => {
    const next = random(7);
    const log = FakeLog.empty('log.test');
    const dir = tempDir();
    const keys: Buffer[] = [];
    let map = await openCrafted(dir, log);
    let feed = mapFeed(map, log);
    let shown = 0;
    for (let round = 0; round < 14; round++) {
      log.view.grow(entriesOf(1 + next(90), shape, next, keys));
      log.size = log.view.entries.length;
      await readAll(feed);
      const { entries } = log.view;
      // Up to the end, or somewhere before it.
      const size = round % 3 === 0 ? entries.length : Math.max(map.base, entries.length - next(60));
      if (round % 5 !== 4) {
        map.aim(size);
        expect(await rootOf(map, size)).toEqual(literalRoot(entries.slice(0, size)));
        if (round % 2 === 0) {
          await map.show();
          shown = size;
        }
      }
      if (round % 3 === 1) {
        await map.close();
        map = await openCrafted(dir, log);
        feed = mapFeed(map, log);
        expect([map.size, map.shown?.size ?? 0]).toEqual([entries.length, shown]);
      }
      const postings = literalPostings(entries.slice(0, shown));
      for (const key of [...keys.slice(-3), keys[0]!, SHAPES[shape]!(next)]) {
        const found = shown === 0 ? undefined : await map.find(key);
        if (found === undefined) continue;
        const wanted = postings.get(key.toString('hex')) ?? [];
        const own =
          found.postings === undefined ? [] : await map.reader(key, found.postings).slice(0, found.postings.count);
        expect(own).toEqual(wanted);
      }
    }
    expect(await rootOf(map, map.size)).toEqual(literalRoot(log.view.entries));
  });

  it('for a log without entries', async () => {
    const log = FakeLog.empty('log.test');
    const map = await openCrafted(tempDir(), log);
    await readAll(mapFeed(map, log));
    expect(await rootOf(map, 0)).toEqual({ root: '00'.repeat(32), count: 0 });
  });

  it.each([1, 2, 255, 256, 257, 511, 512, 513, 3000])('for a key with %i postings', async (count) => {
    const key = Buffer.alloc(32, 7);
    const log = new FakeLog(new View(Array.from({ length: count }, () => new Uint8Array(key))), 'log.test');
    const dir = tempDir();
    const map = await openCrafted(dir, log);
    await readAll(mapFeed(map, log));
    for (const size of [Math.ceil(count / 3), Math.ceil(count / 2), count]) {
      expect(await rootOf(map, size)).toEqual(literalRoot(log.view.entries.slice(0, size)));
    }
    await map.show();
    const { postings } = (await map.find(key))!;
    expect(await map.reader(key, postings!).slice(0, count)).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(await map.reader(key, postings!).slice(count - 1, count)).toEqual([count - 1]);
  });
});

describe('the map refuses', () => {
  it('a root before the last one that it does not know, and one that it has not reached', async () => {
    const log = new FakeLog(new View(Array.from({ length: 50 }, (_, i) => new Uint8Array(32).fill(i))), 'log.test');
    const map = await openCrafted(tempDir(), log);
    await readAll(mapFeed(map, log));
    await map.seal(20);
    const at30 = await rootOf(map, 30);
    expect(await map.rootAt(20)).toEqual(await map.seal(20));
    expect(await rootOf(map, 30)).toEqual(at30);
    for (const size of [10, 51]) await expect(map.seal(size)).rejects.toMatchObject({ code: 'state' });
  });

  it('the directory of the map of another log', async () => {
    const log = new FakeLog(new View([new Uint8Array(32)]), 'log.test');
    const dir = tempDir();
    const map = await openCrafted(dir, log);
    await readAll(mapFeed(map, log));
    await map.close();
    const other = new FakeLog(new View([new Uint8Array(32)]), 'other.test');
    await expect(openCrafted(dir, other)).rejects.toMatchObject({ code: 'state' });
  });
});
