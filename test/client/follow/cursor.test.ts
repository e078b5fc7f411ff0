/** The cursor of a feed skips nothing, whatever crashes, and whatever the log does meanwhile. */

import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { cursorRecord, parseCursor, peerRecords } from '../../../client/follow/cursor-record.ts';
import type { Batch } from '../../../client/follow/types.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { CopyStore, Crash, feedOf } from './feed.ts';

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A store as the next process finds it: the cursor went through its record. */
function reopened(store: CopyStore, log: FakeLog): void {
  const { cursor } = store;
  if (cursor === undefined) return;
  const [record, peers] = JSON.parse(JSON.stringify([cursorRecord(cursor), peerRecords(cursor.peers)]));
  store.cursor = parseCursor({ origin: log.origin, keys: [log.key] }, record, peers);
}

describe('a cursor', () => {
  it.each([
    ['in one step with the work', true],
    ['after the work', false],
  ])('that is stored %s skips no entry in crashes at every step', { timeout: 180_000 }, async (_name, atomic) => {
    const steps = new Set<string>();
    for (let seed = 1; seed <= 5; seed++) {
      const chance = random(seed);
      const log = new FakeLog(new View([]));
      const store = new CopyStore(atomic);
      store.crash = (step) => {
        if (chance() > 0.2) return;
        steps.add(step);
        throw new Crash(step);
      };
      let { feed, round } = feedOf(log, { store });
      const grow = () => {
        const from = log.view.entries.length;
        log.view.grow(Array.from({ length: Math.floor(chance() * 500) }, (_, i) => Buffer.from(`entry ${from + i}`)));
        log.size = log.view.entries.length;
      };
      for (let turn = 0; turn < 30; turn++) {
        if (chance() < 0.3) grow();
        // Some requests fail, too.
        log.serve = (path, bytes) => (chance() < 0.1 && path !== 'checkpoint' ? undefined : bytes);
        const durable = store.cursor?.range.size ?? 0;
        try {
          await round();
        } catch (error) {
          if (error instanceof Crash && chance() < 0.5) {
            // The process is gone, and with it the feed.
            await feed.close();
            reopened(store, log);
            ({ feed, round } = feedOf(log, { store }));
          }
        }
        // The cursor never goes back, and all below it is there.
        const size = store.cursor?.range.size ?? 0;
        expect(size).toBeGreaterThanOrEqual(durable);
        for (let i = durable; i < size; i++) expect(store.copies.get(i)).toBe(`entry ${i}`);
      }
      store.crash = () => {};
      log.serve = (_path, bytes) => bytes;
      await round();
      expect(store.cursor!.range.size).toBe(log.size);
      expect([...store.copies.keys()].sort((a, b) => a - b)).toEqual([...Array(log.size).keys()]);
      // With one step for both, no entry comes twice.
      if (atomic) expect(store.order).toEqual([...Array(log.size).keys()]);
    }
    expect(steps.size).toBe(atomic ? 3 : 4);
  });

  it('moves only when the commit is durable', async () => {
    const log = new FakeLog(new View(entriesOf(300)));
    const { feed, store, round } = feedOf(log);
    store.crash = (step) => {
      if (step === 'before the commit' && store.cursor !== undefined) throw new Crash(step);
    };
    await expect(round()).rejects.toThrow(Crash);
    // The checkpoint is stored, the entries are not.
    expect([feed.cursor!.range.size, feed.cursor!.head.size]).toEqual([0, 300]);
    store.crash = () => {};
    await round();
    expect(feed.cursor!.range.size).toBe(300);
    expect(store.order).toEqual([...Array(300).keys()]);
  });

  it('comes from the consumer again after a failure, and not from memory', async () => {
    const log = new FakeLog(new View(entriesOf(300)));
    const { store, round } = feedOf(log);
    // The commit fails, and is durable all the same.
    store.crash = (step) => {
      if (step === 'after the commit') throw new Crash(step);
    };
    await expect(round()).rejects.toThrow(Crash);
    await expect(round()).rejects.toThrow(Crash);
    store.crash = () => {};
    await round();
    expect(store.order).toEqual([...Array(300).keys()]);
  });

  it('is not moved by a batch that the consumer still works on', async () => {
    const log = new FakeLog(new View(entriesOf(256 * 12)));
    const store = new CopyStore();
    const { feed, round } = feedOf(log, { store });
    const commit = store.commit.bind(store);
    const seen: [number, number][] = [];
    store.commit = async (batch: Batch) => {
      seen.push([batch.first, feed.cursor?.range.size ?? 0]);
      await new Promise((resolve) => setImmediate(resolve));
      await commit(batch);
    };
    await round();
    expect(seen.length).toBeGreaterThan(3);
    for (const [first, cursor] of seen) expect(cursor).toBe(first);
  });

  it('of another tree reads nothing: an edge that is not of the log does not verify', async () => {
    const log = new FakeLog(new View(entriesOf(700)));
    const first = feedOf(log);
    await first.round();
    const other = new FakeLog(new View(entriesOf(700, 'other')));
    const forged = feedOf(other);
    await forged.round();
    const store = new CopyStore();
    store.cursor = { ...first.store.cursor!, range: forged.store.cursor!.range };
    log.show(entriesOf(900));
    const { round } = feedOf(log, { store });
    await expect(round()).rejects.toMatchObject({ code: 'corrupt' });
    expect(store.order).toEqual([]);
  });

  it('comes back from its record as it was, and no record of another log or tree gives one', async () => {
    const log = new FakeLog(new View(entriesOf(700)));
    const { store, round } = feedOf(log);
    await round();
    const cursor = store.cursor!;
    const record = cursorRecord(cursor);
    const peers = peerRecords(new Map([['peer', { agreed: 5, ahead: cursor.head }]]));
    const of = { origin: log.origin, keys: [log.key] };
    const again = parseCursor(of, record, peers);
    expect([cursorRecord(again), peerRecords(again.peers)]).toEqual([record, peers]);
    expect(() => parseCursor(of, { ...record, size: 701 }, {})).toThrow();
    expect(() => parseCursor(of, { ...record, hashes: record.hashes.toReversed() }, {})).toThrow();
    expect(() => parseCursor({ ...of, origin: 'other.test' }, record, {})).toThrow();
    expect(() => parseCursor(of, { ...record, head: record.head.replace('700', '701') }, {})).toThrow();
  });

  it('begins behind the first checkpoint on demand, with the edge of its tree', async () => {
    const log = new FakeLog(new View(entriesOf(700)));
    const { store, round, feed } = feedOf(log, { start: 'now' });
    await round();
    expect([store.order, feed.cursor!.range.size]).toEqual([[], 700]);
    log.show(entriesOf(800));
    await round();
    expect(store.order).toEqual(Array.from({ length: 100 }, (_, i) => 700 + i));
  });

  it('begins with the first entry on that demand where the log had no checkpoint yet', async () => {
    const log = new FakeLog(new View(entriesOf(2)));
    let published = false;
    const missing = () => Promise.reject(new ClientError('missing', 'checkpoint is not there'));
    const open = () => {
      const source = log.source();
      return { ...source, checkpoint: (signal?: AbortSignal) => (published ? source.checkpoint(signal) : missing()) };
    };
    const { store, round } = feedOf(log, { start: 'now', open });
    await expect(round()).rejects.toMatchObject({ code: 'missing' });
    published = true;
    await round();
    expect(store.order).toEqual([0, 1]);
  });
});
