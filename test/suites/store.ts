/**
 * What every driver MUST keep: the contracts of server/store/types.ts, one by one. The file is long because a driver runs all of
 * them in one call, over one set of stores.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeBundle } from '../../merkle/bundle.ts';
import { closeStores } from '../../server/store/stores.ts';
import type {
  CheckpointStore,
  Commit,
  NewEntry,
  StatePart,
  StateStore,
  Stores,
  TileStore,
  TreeState,
} from '../../server/store/types.ts';
import { MemoryDisk, openMemoryStores } from '../support/memory-stores.ts';

/** One place to store things, which outlives the handles that are opened on it. */
export interface StorePlace {
  /** Several handles may be open on the place at a time. */
  readonly shared: boolean;
  open(): Promise<Stores>;
  /** A handle of the same driver on another, empty place. */
  openEmptyState(): Promise<StateStore>;
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

async function gather(parts: AsyncIterable<StatePart>): Promise<StatePart[]> {
  const all: StatePart[] = [];
  for await (const part of parts) all.push(part);
  return all;
}

async function* streamed(parts: readonly StatePart[]): AsyncGenerator<StatePart> {
  yield* parts;
}

/** Where each of several calls may win: the codes of those that lost. */
async function losers(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  const results = await Promise.allSettled(calls);
  return results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as { code: unknown }).code] : []));
}

export function storeSuite(driver: string, openPlace: () => Promise<StorePlace>): void {
  describe(driver, () => {
    let place: StorePlace;
    let stores: Stores;
    let tiles: TileStore;
    let checkpoint: CheckpointStore;
    let store: StateStore;
    const open = async () => {
      stores = await place.open();
      ({ tiles, checkpoint, state: store } = stores);
    };
    const reopen = async () => {
      await closeStores(stores);
      await open();
    };
    beforeEach(async () => {
      place = await openPlace();
      await open();
    });
    afterEach(async () => {
      await closeStores(stores);
      await place.remove();
    });

    describe('tile store', () => {
      it('gives back what was put, also to the next handle', async () => {
        const blobs = [
          { name: 'tile/0/000', bytes: tile(1) },
          { name: 'tile/0/x001/234', bytes: tile(2) },
          { name: 'tile/1/000.p/17', bytes: tile(3, 17) },
          { name: 'tile/entries/x001/x234/067', bytes: bundle(0) },
        ];
        await tiles.put(blobs);
        for (const { name, bytes } of blobs) expect(plain(await tiles.get(name))).toBe(plain(bytes));
        await reopen();
        for (const { name, bytes } of blobs) expect(plain(await tiles.get(name))).toBe(plain(bytes));
      });

      it('has at hand nothing but what it gives', async () => {
        const blobs = [
          { name: 'tile/0/000', bytes: tile(1) },
          { name: 'tile/entries/000', bytes: bundle(0) },
        ];
        await tiles.put(blobs);
        for (const { name, bytes } of blobs) {
          for (let time = 0; time < 2; time++) {
            expect([undefined, plain(bytes)]).toContain(plain(tiles.atHand?.(name)));
            await tiles.get(name);
          }
        }
        for (const name of ['tile/0/001', 'checkpoint', '../state/CURRENT', 'tile/0/0', '', 'tile/0/000\0']) {
          expect(tiles.atHand?.(name)).toBeUndefined();
        }
        await tiles.close();
        expect(tiles.atHand?.('tile/0/000')).toBeUndefined();
      });

      it('stamps what it gives, where it has stamps', async () => {
        await tiles.put([{ name: 'tile/0/000', bytes: tile(1) }]);
        if (tiles.getStamped === undefined) return;
        const stamped = await tiles.getStamped('tile/0/000');
        expect(plain(stamped!.bytes)).toBe(plain(tile(1)));
        expect([undefined, true]).toContain(stamped!.isCurrent?.());
        expect(await tiles.getStamped('tile/0/001')).toBeUndefined();
      });

      it('gives the same bytes to a caller that asks once', async () => {
        await tiles.put([{ name: 'tile/0/000', bytes: tile(1) }]);
        for (const once of [true, false, true]) {
          expect(plain(await tiles.get('tile/0/000', { once }))).toBe(plain(tile(1)));
        }
      });

      it('has nothing where nothing was put', async () => {
        expect(await tiles.get('tile/0/000')).toBeUndefined();
        expect(await tiles.get('tile/entries/x123/456')).toBeUndefined();
        await tiles.put([]);
      });

      it('takes the same bytes again, in a later put and within one', async () => {
        const blob = { name: 'tile/0/000', bytes: tile(1) };
        await tiles.put([blob, { ...blob, bytes: tile(1) }]);
        await tiles.put([blob]);
        expect(plain(await tiles.get(blob.name))).toBe(plain(blob.bytes));
      });

      it('refuses other bytes at an address and leaves what is there', async () => {
        await tiles.put([{ name: 'tile/0/000', bytes: tile(1) }]);
        const other = tile(1);
        other[8191] = 2;
        await expect(tiles.put([{ name: 'tile/0/000', bytes: other }])).rejects.toEqual(code('tile-conflict'));
        await expect(tiles.put([{ name: 'tile/0/001', bytes: tile(1) }])).rejects.toEqual(code('store'));
        await reopen();
        expect(plain(await tiles.get('tile/0/000'))).toBe(plain(tile(1)));
        const longer = Buffer.concat([bundle(0), Buffer.from('more')]);
        await tiles.put([{ name: 'tile/entries/000', bytes: bundle(0) }]);
        await expect(tiles.put([{ name: 'tile/entries/000', bytes: longer }])).rejects.toEqual(code('tile-conflict'));
      });

      it('refuses different bytes for one name within a put', async () => {
        const name = 'tile/0/000';
        const put = tiles.put([
          { name, bytes: tile(1) },
          { name, bytes: tile(2) },
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
      ])('knows no name %j', async (name) => {
        await expect(tiles.get(name)).rejects.toEqual(code('bad-tile'));
        await expect(tiles.put([{ name, bytes: tile(1) }])).rejects.toEqual(code('bad-tile'));
      });

      it('takes no tile of another length than its name says', async () => {
        await expect(tiles.put([{ name: 'tile/0/000', bytes: tile(1, 255) }])).rejects.toEqual(code('ERR_ASSERTION'));
      });

      it('does not share memory with the caller', async () => {
        const bytes = tile(1);
        await tiles.put([{ name: 'tile/0/000', bytes }]);
        bytes.fill(9);
        expect(plain(await tiles.get('tile/0/000'))).toBe(plain(tile(1)));
      });

      it('keeps one of two blobs that come to a name at the same time', async () => {
        const name = 'tile/0/000';
        const other = place.shared ? await place.open() : stores;
        const puts = [tiles.put([{ name, bytes: tile(1) }]), other.tiles.put([{ name, bytes: tile(2) }])];
        const won = (await Promise.allSettled(puts)).findIndex(({ status }) => status === 'fulfilled');
        expect(await losers(puts)).toEqual(['tile-conflict']);
        expect(plain(await tiles.get(name))).toBe(plain(tile(won + 1)));
        expect(plain(await other.tiles.get(name))).toBe(plain(tile(won + 1)));
        await closeStores(other);
      });

      it('shows a blob to other handles at once', async () => {
        if (!place.shared) return;
        const other = await place.open();
        expect(await other.tiles.get('tile/0/000')).toBeUndefined();
        await tiles.put([{ name: 'tile/0/000', bytes: tile(1) }]);
        expect(plain(await other.tiles.get('tile/0/000'))).toBe(plain(tile(1)));
        await closeStores(other);
      });

      it('waits at its close for the writes under way', async () => {
        const blobs = [1, 2, 3].map((i) => ({ name: `tile/0/00${i}`, bytes: tile(i) }));
        const puts = blobs.map((blob) => tiles.put([blob]));
        await closeStores(stores);
        expect((await Promise.allSettled(puts)).map(({ status }) => status)).toEqual(blobs.map(() => 'fulfilled'));
        await open();
        for (const { name, bytes } of blobs) expect(plain(await tiles.get(name))).toBe(plain(bytes));
      });

      it('is of no use once closed, and closes twice', async () => {
        await tiles.close();
        await tiles.close();
        await expect(tiles.put([{ name: 'tile/0/000', bytes: tile(1) }])).rejects.toEqual(code('store'));
        await expect(tiles.get('tile/0/000')).rejects.toEqual(code('store'));
      });
    });

    describe('checkpoint store', () => {
      const [first, second, third] = ['a longer first note', 'second note', 'third'].map((text) => Buffer.from(text));

      it('begins without a note', async () => {
        expect(await checkpoint.readCheckpoint()).toBeUndefined();
      });

      it('replaces the note, also for the next handle', async () => {
        await checkpoint.replaceCheckpoint(undefined, first!);
        await checkpoint.replaceCheckpoint(first, second!);
        for (const again of [false, true]) {
          if (again) await reopen();
          expect(plain(await checkpoint.readCheckpoint())).toBe('second note');
        }
        await checkpoint.replaceCheckpoint(second, third!);
        expect(plain(await checkpoint.readCheckpoint())).toBe('third');
      });

      it('takes the same note again', async () => {
        await checkpoint.replaceCheckpoint(undefined, first!);
        await checkpoint.replaceCheckpoint(first, new Uint8Array(first!));
        expect(plain(await checkpoint.readCheckpoint())).toBe('a longer first note');
      });

      it('refuses to replace another note than it is said to have, changes nothing, and stays good', async () => {
        const refused = expect.objectContaining({ name: 'ServerError', code: 'conflict' });
        await expect(checkpoint.replaceCheckpoint(first, second!)).rejects.toEqual(refused);
        expect(await checkpoint.readCheckpoint()).toBeUndefined();
        await checkpoint.replaceCheckpoint(undefined, first!);
        for (const expected of [undefined, second, first!.subarray(1), Buffer.concat([first!, third!])]) {
          await expect(checkpoint.replaceCheckpoint(expected, third!)).rejects.toEqual(refused);
        }
        expect(plain(await checkpoint.readCheckpoint())).toBe('a longer first note');
        await checkpoint.replaceCheckpoint(first, second!);
        expect(plain(await checkpoint.readCheckpoint())).toBe('second note');
      });

      it('lets one of several replacements win', async () => {
        const others = place.shared ? [await place.open(), await place.open()] : [stores, stores];
        for (const expected of [undefined, first]) {
          if (expected !== undefined) await checkpoint.replaceCheckpoint(await checkpoint.readCheckpoint(), expected);
          const handles = [stores, ...others];
          const calls = handles.map((handle, i) =>
            handle.checkpoint.replaceCheckpoint(expected, Buffer.from(`note of ${i}`)),
          );
          const won = (await Promise.allSettled(calls)).findIndex(({ status }) => status === 'fulfilled');
          expect(await losers(calls)).toEqual(['conflict', 'conflict']);
          for (const handle of handles) {
            expect(plain(await handle.checkpoint.readCheckpoint())).toBe(`note of ${won}`);
          }
        }
        if (place.shared) for (const other of others) await closeStores(other);
      });

      it('takes no note that is empty or longer than 1 MiB', async () => {
        for (const length of [0, 1024 * 1024 + 1]) {
          const call = async () => checkpoint.replaceCheckpoint(undefined, new Uint8Array(length));
          await expect(call()).rejects.toEqual(code('ERR_ASSERTION'));
        }
        await checkpoint.replaceCheckpoint(undefined, new Uint8Array(1024 * 1024).fill(7));
      });

      it('does not share memory with the caller', async () => {
        const note = Buffer.from(first!);
        await checkpoint.replaceCheckpoint(undefined, note);
        note.fill(0);
        expect(plain(await checkpoint.readCheckpoint())).toBe('a longer first note');
      });

      it('waits at its close for the write under way', async () => {
        const replaced = checkpoint.replaceCheckpoint(undefined, first!);
        await closeStores(stores);
        await replaced;
        await open();
        expect(plain(await checkpoint.readCheckpoint())).toBe('a longer first note');
      });

      it('is of no use once closed, and closes twice', async () => {
        await checkpoint.close();
        await checkpoint.close();
        await expect(checkpoint.replaceCheckpoint(undefined, first!)).rejects.toEqual(code('store'));
        await expect(checkpoint.readCheckpoint()).rejects.toEqual(code('store'));
      });
    });

    describe('state store', () => {
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

      it('does not share memory with the caller', async () => {
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

      it('says whether it is alone, and then is', async () => {
        expect(store.exclusive).toBe(!place.shared);
        if (place.shared) return;
        await expect(place.open()).rejects.toEqual(code('locked'));
        await store.commit(growth(undefined, state(1)));
        expect(await store.read()).toEqual(plainState(state(1)));
      });

      it('lets one of several commits win, and shows it to every handle', async () => {
        if (!place.shared) return;
        const others = [await place.open(), await place.open()];
        for (const expected of [undefined, state(3)]) {
          const from = expected?.size ?? 0;
          const handles = [stores, ...others];
          const calls = handles.map((handle) => handle.state.commit(growth(expected, state(from + 3))));
          expect(await losers(calls)).toEqual(['conflict', 'conflict']);
          for (const { state: handle } of handles) {
            expect(await handle.read()).toEqual(plainState(state(from + 3)));
            expect((await handle.tail(from, from + 3)).length).toBe(3);
            expect(await handle.lookup([entry(from + 2).leafHash])).toEqual([from + 2]);
          }
        }
        // A handle that lost reads anew and goes on.
        await others[0]!.state.commit(growth(state(6), state(7)));
        for (const other of others) await closeStores(other);
      });

      it('streams one committed state while commits go on, and is filled from the stream', async () => {
        const filed = state(3000, { filed: 2816 });
        await store.commit(growth(undefined, state(3000)));
        await store.commit(growth(state(3000), filed));
        const parts = store.snapshot()[Symbol.asyncIterator]();
        const streamedParts = [(await parts.next()).value as StatePart];
        await store.commit(growth(filed, state(3100, { filed: 2816 })));
        await store.commit(growth(state(3100, { filed: 2816 }), state(3100, { filed: 3072 })));
        streamedParts.push(...(await gather({ [Symbol.asyncIterator]: () => parts })));
        expect(Math.max(...streamedParts.map(({ leaves, tail }) => leaves.length + tail.length))).toBeLessThan(4097);
        expect(streamedParts.filter((part) => part.state !== undefined)).toHaveLength(1);

        // Any driver is filled from any other.
        const { state: between } = await openMemoryStores(new MemoryDisk());
        await between.load(streamed(streamedParts));
        const copy = await place.openEmptyState();
        try {
          expect(await copy.load(between.snapshot())).toEqual(plainState(filed));
          expect(await copy.read()).toEqual(plainState(filed));
          const tail = (await copy.tail(2816, 3000)).map(plain);
          expect(tail).toEqual(entries(2816, 3000).map(({ body }) => plain(body)));
          const all = await copy.lookup(entries(0, 3100).map(({ leafHash }) => leafHash));
          expect(all).toEqual(Array.from({ length: 3100 }, (_, i) => (i < 3000 ? i : undefined)));
          await copy.commit(growth(filed, state(3001, { filed: 2816 })));
        } finally {
          await copy.close();
        }
        expect(await store.read()).toEqual(plainState(state(3100, { filed: 3072 })));
      });

      it('keeps the last checkpoint of a frozen log in a snapshot', async () => {
        const frozen = state(0, { status: 'frozen', lastCheckpoint: Buffer.from('the last note') });
        await store.commit(growth(undefined, frozen));
        const copy = await place.openEmptyState();
        await copy.load(store.snapshot());
        expect(await copy.read()).toEqual(plainState(frozen));
        await copy.close();
      });

      it('streams nothing without a state, and is filled once, from a whole snapshot', async () => {
        await expect(gather(store.snapshot())).rejects.toEqual(code('store'));
        await store.commit(growth(undefined, state(1)));
        const parts = await gather(store.snapshot());
        await expect(store.load(streamed(parts))).rejects.toEqual(code('conflict'));
        expect(await store.read()).toEqual(plainState(state(1)));
        const without = parts.map(({ leaves, tail }) => ({ leaves, tail }));
        for (const wrong of [without, [...parts, ...parts]]) {
          const copy = await place.openEmptyState();
          await expect(copy.load(streamed(wrong))).rejects.toEqual(code('corrupt'));
          expect(await copy.read()).toBeUndefined();
          await copy.close();
        }
        const cut = async function* (): AsyncGenerator<StatePart> {
          yield* parts;
          throw new Error('the source failed');
        };
        const copy = await place.openEmptyState();
        await expect(copy.load(cut())).rejects.toThrow('the source failed');
        expect(await copy.read()).toBeUndefined();
        await copy.close();
      });

      it('waits at its close for the commit under way', async () => {
        const committed = store.commit(growth(undefined, state(300)));
        await closeStores(stores);
        await committed;
        await open();
        expect(await store.read()).toEqual(plainState(state(300)));
      });

      it('is of no use once closed, and closes twice', async () => {
        await store.close();
        await store.close();
        await expect(store.read()).rejects.toEqual(code('store'));
        await expect(store.commit(growth(undefined, state(0)))).rejects.toEqual(code('store'));
        await expect(store.tail(0, 1)).rejects.toEqual(code('store'));
        await expect(store.lookup([entry(0).leafHash])).rejects.toEqual(code('store'));
        await expect(gather(store.snapshot())).rejects.toEqual(code('store'));
        await expect(store.load(streamed([]))).rejects.toEqual(code('store'));
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
