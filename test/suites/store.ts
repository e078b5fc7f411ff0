/** What every driver of `TileStore` and `StateStore` must keep: the contracts of server/store/types.ts, one by one. */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeBundle } from '../../merkle/bundle.ts';
import type { Commit, NewEntry, StateStore, TileStore, TreeState } from '../../server/store/types.ts';

/** One place to store things, which outlives the handles that are opened on it. */
export interface StorePlace {
  openTiles(): Promise<TileStore>;
  openState(): Promise<StateStore>;
  /** A name for `copyTo`: an empty or missing directory. */
  readonly copyDir: string;
  openCopy(): Promise<StateStore>;
  remove(): Promise<void>;
}

export function entry(index: number): NewEntry {
  const body = Buffer.from(`entry ${index} ${'.'.repeat(index % 50)}`);
  return { body, leafHash: createHash('sha256').update('\0').update(body).digest() };
}

export function entries(from: number, to: number): NewEntry[] {
  return Array.from({ length: to - from }, (_, i) => entry(from + i));
}

/** The state at `size`. Stores do not check roots, so any 32 bytes that depend on the size do. */
export function state(size: number, more: Partial<TreeState> = {}): TreeState {
  return { size, root: createHash('sha256').update(`root ${size}`).digest(), filed: 0, status: 'open', ...more };
}

export function growth(from: TreeState | undefined, next: TreeState): Commit {
  return { expected: from, next, entries: entries(from?.size ?? 0, next.size) };
}

const code = (value: string) => expect.objectContaining({ code: value });
const plain = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('latin1');
const tile = (fill: number, width = 256) => new Uint8Array(width * 32).fill(fill);
const bundle = (from: number, width = 256) => encodeBundle(entries(from, from + width).map(({ body }) => body));

export function storeSuite(name: string, openPlace: () => Promise<StorePlace>): void {
  describe(name, () => {
    let place: StorePlace;
    beforeEach(async () => {
      place = await openPlace();
    });
    afterEach(() => place.remove());

    describe('tile store', () => {
      let tiles: TileStore;
      beforeEach(async () => {
        tiles = await place.openTiles();
      });
      afterEach(() => tiles.close());

      it('gives back what was put, also to the next handle', async () => {
        const blobs = [
          { path: 'tile/0/000', bytes: tile(1) },
          { path: 'tile/0/x001/234', bytes: tile(2) },
          { path: 'tile/1/000.p/17', bytes: tile(3, 17) },
          { path: 'tile/entries/x001/x234/067', bytes: bundle(0) },
        ];
        await tiles.put(blobs);
        for (const { path, bytes } of blobs) expect(plain(await tiles.get(path))).toBe(plain(bytes));
        await tiles.close();
        tiles = await place.openTiles();
        for (const { path, bytes } of blobs) expect(plain(await tiles.get(path))).toBe(plain(bytes));
      });

      it('has at hand nothing but what it gives', async () => {
        const blobs = [
          { path: 'tile/0/000', bytes: tile(1) },
          { path: 'tile/entries/000', bytes: bundle(0) },
        ];
        await tiles.put(blobs);
        for (const { path, bytes } of blobs) {
          for (let time = 0; time < 2; time++) {
            expect([undefined, plain(bytes)]).toContain(plain(tiles.atHand(path)));
            await tiles.get(path);
          }
        }
        for (const path of ['tile/0/001', 'checkpoint', '../state/CURRENT', 'tile/0/0', '', 'tile/0/000\0']) {
          expect(tiles.atHand(path)).toBeUndefined();
        }
        await tiles.close();
        expect(tiles.atHand('tile/0/000')).toBeUndefined();
        tiles = await place.openTiles();
      });

      it('has nothing where nothing was put', async () => {
        expect(await tiles.get('tile/0/000')).toBeUndefined();
        expect(await tiles.get('tile/entries/x123/456')).toBeUndefined();
        expect(await tiles.getCheckpoint()).toBeUndefined();
        await tiles.put([]);
      });

      it('takes the same bytes again, in a later put and within one', async () => {
        const blob = { path: 'tile/0/000', bytes: tile(1) };
        await tiles.put([blob, { ...blob, bytes: tile(1) }]);
        await tiles.put([blob]);
        expect(plain(await tiles.get(blob.path))).toBe(plain(blob.bytes));
      });

      it('refuses other bytes at an address and leaves what is there', async () => {
        await tiles.put([{ path: 'tile/0/000', bytes: tile(1) }]);
        const other = tile(1);
        other[8191] = 2;
        await expect(tiles.put([{ path: 'tile/0/000', bytes: other }])).rejects.toEqual(code('tile-conflict'));
        await expect(tiles.put([{ path: 'tile/0/001', bytes: tile(1) }])).rejects.toEqual(code('store'));
        await tiles.close();
        tiles = await place.openTiles();
        expect(plain(await tiles.get('tile/0/000'))).toBe(plain(tile(1)));
        const longer = Buffer.concat([bundle(0), Buffer.from('more')]);
        await tiles.put([{ path: 'tile/entries/000', bytes: bundle(0) }]);
        await expect(tiles.put([{ path: 'tile/entries/000', bytes: longer }])).rejects.toEqual(code('tile-conflict'));
      });

      it('refuses different bytes for one path within a put', async () => {
        const path = 'tile/0/000';
        const put = tiles.put([
          { path, bytes: tile(1) },
          { path, bytes: tile(2) },
        ]);
        await expect(put).rejects.toEqual(code('tile-conflict'));
      });

      it.each([
        'checkpoint',
        '../state/CURRENT',
        'tile/0/../../stele.json',
        '/etc/passwd',
        'tile/0/0',
        'tile/0/x000/001',
        'tile/00/000',
        'tile/64/000',
        'tile/0/000.p/256',
        'tile/0/000.p/0',
        'tile/entries/..',
        'tile/0/000\0',
        '',
      ])('knows no path %j', async (path) => {
        await expect(tiles.get(path)).rejects.toEqual(code('bad-tile'));
        await expect(tiles.put([{ path, bytes: tile(1) }])).rejects.toEqual(code('bad-tile'));
      });

      it('takes no tile of another length than its path says', async () => {
        await expect(tiles.put([{ path: 'tile/0/000', bytes: tile(1, 255) }])).rejects.toEqual(code('ERR_ASSERTION'));
      });

      it('does not share memory with the one who put', async () => {
        const bytes = tile(1);
        await tiles.put([{ path: 'tile/0/000', bytes }]);
        bytes.fill(9);
        expect(plain(await tiles.get('tile/0/000'))).toBe(plain(tile(1)));
      });

      it('replaces the checkpoint, also for the next handle', async () => {
        await tiles.putCheckpoint(Buffer.from('a longer first note'));
        await tiles.putCheckpoint(Buffer.from('second note'));
        expect(plain(await tiles.getCheckpoint())).toBe('second note');
        await tiles.close();
        tiles = await place.openTiles();
        expect(plain(await tiles.getCheckpoint())).toBe('second note');
      });

      it('is of no use once closed, and closes twice', async () => {
        await tiles.close();
        await tiles.close();
        await expect(tiles.put([{ path: 'tile/0/000', bytes: tile(1) }])).rejects.toEqual(code('store'));
        await expect(tiles.get('tile/0/000')).rejects.toEqual(code('store'));
        await expect(tiles.putCheckpoint(tile(1))).rejects.toEqual(code('store'));
        await expect(tiles.getCheckpoint()).rejects.toEqual(code('store'));
      });
    });

    describe('state store', () => {
      let store: StateStore;
      beforeEach(async () => {
        store = await place.openState();
      });
      afterEach(() => store.close());
      const reopen = async () => {
        await store.close();
        store = await place.openState();
      };

      it('begins without a state', async () => {
        expect(await store.read()).toBeUndefined();
        expect(await store.lookup([entry(0).leafHash])).toEqual([undefined]);
        expect(await store.lookup([])).toEqual([]);
        expect(await store.tail(0, 0)).toEqual([]);
      });

      it('keeps state, tail and leaf hashes of each commit, also for the next handle', async () => {
        await store.commit(growth(undefined, state(0)));
        await store.commit(growth(state(0), state(3)));
        await store.commit(growth(state(3), state(1000)));
        for (const again of [false, true]) {
          if (again) await reopen();
          expect(await store.read()).toEqual(plainState(state(1000)));
          expect((await store.tail(0, 1000)).map(plain)).toEqual(entries(0, 1000).map(({ body }) => plain(body)));
          expect((await store.tail(255, 258)).map(plain)).toEqual(entries(255, 258).map(({ body }) => plain(body)));
          const hashes = [999, 0, 5000, 3].map((index) => entry(index).leafHash);
          expect(await store.lookup(hashes)).toEqual([999, 0, undefined, 3]);
        }
      });

      it('drops the tail below `filed`, and keeps its leaf hashes', async () => {
        await store.commit(growth(undefined, state(600)));
        await store.commit(growth(state(600), state(601, { filed: 512 })));
        expect((await store.tail(512, 601)).length).toBe(89);
        await expect(store.tail(511, 601)).rejects.toEqual(code('tail-gap'));
        await reopen();
        expect(await store.read()).toEqual(plainState(state(601, { filed: 512 })));
        expect(await store.lookup([entry(0).leafHash, entry(600).leafHash])).toEqual([0, 600]);
      });

      it('says which tail entry is missing', async () => {
        await store.commit(growth(undefined, state(3)));
        await expect(store.tail(0, 4)).rejects.toThrow(/entry 3 is missing/);
        await reopen();
        await expect(store.tail(7, 9)).rejects.toEqual(code('tail-gap'));
      });

      it('refuses a commit on another state, changes nothing, and stays good', async () => {
        const there = state(3);
        await expect(store.commit(growth(state(0), there))).rejects.toEqual(code('conflict'));
        expect(await store.read()).toBeUndefined();
        await store.commit(growth(undefined, there));
        const others: (TreeState | undefined)[] = [
          undefined,
          state(2),
          state(3, { root: state(2).root }),
          state(3, { status: 'freezing' }),
        ];
        for (const expected of others) {
          const size = expected?.status === 'open' ? 5 : (expected?.size ?? 0);
          const next = { ...(expected ?? state(0)), size, ...(size === 5 && { root: state(5).root }) };
          await expect(store.commit(growth(expected, next)), JSON.stringify(expected)).rejects.toEqual(
            code('conflict'),
          );
        }
        expect(await store.read()).toEqual(plainState(there));
        await expect(store.tail(3, 4)).rejects.toEqual(code('tail-gap'));
        expect(await store.lookup([entry(3).leafHash])).toEqual([undefined]);
        await store.commit(growth(there, state(4)));
        expect(await store.read()).toEqual(plainState(state(4)));
      });

      it('is frozen once and for good', async () => {
        const freezing = state(3, { status: 'freezing' });
        const frozen = state(3, { status: 'frozen', lastCheckpoint: Buffer.from('the last\nnote\0') });
        await store.commit(growth(undefined, state(3)));
        await store.commit(growth(state(3), freezing));
        await expect(store.commit(growth(freezing, state(3)))).rejects.toEqual(code('ERR_ASSERTION'));
        await store.commit(growth(freezing, frozen));
        await reopen();
        expect(await store.read()).toEqual(plainState(frozen));
        await expect(store.commit(growth(frozen, freezing))).rejects.toEqual(code('ERR_ASSERTION'));
        await store.commit(growth(frozen, frozen));
      });

      it.each<[string, Commit]>([
        ['fewer entries than the size grows', { expected: state(3), next: state(5), entries: entries(3, 4) }],
        ['a tree that shrinks', { expected: state(3), next: state(2), entries: [] }],
        ['another root at the same size', growth(state(3), state(3, { root: state(4).root }))],
        ['filed between bundles', growth(state(3), state(400, { filed: 255 }))],
        ['filed above the size', growth(state(3), state(100, { filed: 256 }))],
        ['filed that shrinks', growth(state(600, { filed: 512 }), state(600, { filed: 256 }))],
        ['a root that is none', growth(state(3), state(4, { root: new Uint8Array(31) }))],
        ['a size that is none', growth(state(3), state(3.5))],
        ['frozen without its checkpoint', growth(state(3), state(3, { status: 'frozen' }))],
        ['a checkpoint without frozen', growth(state(3), state(3, { lastCheckpoint: Buffer.from('x') }))],
        ['an entry after freezing', growth(state(3, { status: 'freezing' }), state(4, { status: 'freezing' }))],
        [
          'an empty entry',
          { expected: state(0), next: state(1), entries: [{ body: new Uint8Array(), leafHash: new Uint8Array(32) }] },
        ],
        [
          'an entry that is too long',
          { expected: state(0), next: state(1), entries: [{ ...entry(0), body: new Uint8Array(65_536) }] },
        ],
        [
          'a short leaf hash',
          { expected: state(0), next: state(1), entries: [{ ...entry(0), leafHash: new Uint8Array(31) }] },
        ],
      ])('takes no commit with %s', async (_, change) => {
        await expect(store.commit(change)).rejects.toEqual(code('ERR_ASSERTION'));
        expect(await store.read()).toBeUndefined();
      });

      it('does not share memory with the one who commits', async () => {
        const change = growth(undefined, state(1));
        await store.commit(change);
        const { body, leafHash } = change.entries[0]!;
        const expected = entry(0);
        body.fill(0);
        leafHash.fill(0);
        change.next.root.fill(0);
        expect((await store.tail(0, 1)).map(plain)).toEqual([plain(expected.body)]);
        expect(await store.lookup([expected.leafHash])).toEqual([0]);
        expect(await store.read()).toEqual(plainState(state(1)));
      });

      it('copies one committed state while commits go on', async () => {
        await store.commit(growth(undefined, state(3000)));
        await store.commit(growth(state(3000), state(3000, { filed: 2816 })));
        const copying = store.copyTo(place.copyDir);
        await store.commit(growth(state(3000, { filed: 2816 }), state(3100, { filed: 2816 })));
        await store.commit(growth(state(3100, { filed: 2816 }), state(3100, { filed: 3072 })));
        const copied = await copying;
        const copy = await place.openCopy();
        try {
          expect(await copy.read()).toEqual(plainState(copied));
          expect((await copy.tail(copied.filed, copied.size)).length).toBe(copied.size - copied.filed);
          const all = await copy.lookup(entries(0, 3100).map(({ leafHash }) => leafHash));
          expect(all).toEqual(Array.from({ length: 3100 }, (_, i) => (i < copied.size ? i : undefined)));
          await copy.commit(growth(copied, state(copied.size + 1, { filed: copied.filed })));
        } finally {
          await copy.close();
        }
        expect(await store.read()).toEqual(plainState(state(3100, { filed: 3072 })));
      });

      it('copies nothing without a state, and not over something', async () => {
        await expect(store.copyTo(place.copyDir)).rejects.toEqual(code('store'));
        await reopen();
        await store.commit(growth(undefined, state(1)));
        await store.copyTo(place.copyDir);
        await expect(store.copyTo(place.copyDir)).rejects.toEqual(code('store'));
        await store.commit(growth(state(1), state(2)));
      });

      it('is of no use once closed, and closes twice', async () => {
        await store.close();
        await store.close();
        await expect(store.read()).rejects.toEqual(code('store'));
        await expect(store.commit(growth(undefined, state(0)))).rejects.toEqual(code('store'));
        await expect(store.tail(0, 1)).rejects.toEqual(code('store'));
        await expect(store.lookup([entry(0).leafHash])).rejects.toEqual(code('store'));
        await expect(store.copyTo(place.copyDir)).rejects.toEqual(code('store'));
      });
    });
  });
}

/** Drivers give any kind of byte array; the comparison wants one. */
function plainState(value: TreeState): unknown {
  const { lastCheckpoint, ...rest } = value;
  const last = lastCheckpoint && { lastCheckpoint: new Uint8Array(lastCheckpoint) };
  return { ...rest, root: new Uint8Array(value.root), ...last };
}
