import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { turns } from '../../support/until.ts';
import { follow } from './harness.ts';

describe('a log is followed', () => {
  it('from the start, each entry once, in order and with its own leaf hash', async () => {
    const log = new FakeLog(new View(entriesOf(700)));
    const { round, matcher, follower } = await follow(log, { start: 'start' });
    expect(await round()).toMatchObject({ ok: true, alerts: 0 });
    expect(matcher.seen.map(({ index }) => index)).toEqual([...Array(700).keys()]);
    expect(matcher.seen[699]!.body).toEqual(encodeUtf8('entry 699'));
    expect(Buffer.from(matcher.seen[699]!.leafHash)).toEqual(Buffer.from(log.view.tree.levels[0]![699]!));
    expect(follower.completeThrough).toBe(700);
    log.show(entriesOf(1500));
    await round();
    expect(matcher.seen).toHaveLength(1500);
  });

  it('from now: nothing of before is looked at, all of after is', async () => {
    const log = new FakeLog(new View(entriesOf(700)));
    const { round, matcher, follower } = await follow(log, { start: 'now' });
    expect(await round()).toMatchObject({ ok: true });
    expect([matcher.seen, follower.completeThrough]).toEqual([[], 700]);
    log.show(entriesOf(701));
    await round();
    expect(matcher.seen.map(({ index }) => index)).toEqual([700]);
  });

  it('from the empty tree on', async () => {
    const log = new FakeLog(new View([]));
    const { round, matcher } = await follow(log, { start: 'start' });
    expect(await round()).toMatchObject({ ok: true });
    log.show(entriesOf(3));
    expect(await round()).toMatchObject({ ok: true });
    expect(matcher.seen).toHaveLength(3);
  });

  it('over a backlog of many chunks, with bundles in parallel and no more bytes than allowed', async () => {
    const log = new FakeLog(new View(entriesOf(256 * 90 + 5)));
    let [open, most] = [0, 0];
    const source = log.source();
    const slow = {
      ...source,
      entries: async (index: number, width: number) => {
        most = Math.max(most, ++open);
        await turns();
        open--;
        return await source.entries(index, width);
      },
    };
    const settings = { parallel: 4, chunkBytes: 20_000 };
    const { round, matcher, events } = await follow(log, { start: 'start', settings, open: () => slow });
    expect(await round()).toMatchObject({ ok: true });
    expect(matcher.seen.map(({ index }) => index)).toEqual([...Array(256 * 90 + 5).keys()]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
    expect(events.filter(({ type }) => type === 'progress').length).toBeGreaterThan(10);
  });

  it('with the matches of a chunk queued before the cursor moves, each saying what it is complete through', async () => {
    const entries = entriesOf(300);
    entries[7] = encodeUtf8('evil');
    const order: string[] = [];
    const log = new FakeLog(new View(entries));
    const harness = await follow(log, {
      start: 'start',
      queue: {
        enqueue: async (alerts) => {
          const stored = await harness.store.load({ origin: log.origin, keys: [log.key] });
          order.push(`${alerts.map(({ id, completeThrough }) => `${id} ${completeThrough}`)} at ${stored!.range.size}`);
        },
      },
    });
    expect(await harness.round()).toMatchObject({ ok: true, alerts: 1 });
    expect(order).toEqual(['match log.test 7 300 at 0']);
    expect(harness.follower.completeThrough).toBe(300);
  });

  it('again from the same entry where its alerts could not be queued', async () => {
    const entries = entriesOf(300);
    entries[7] = encodeUtf8('evil');
    let fail = true;
    const queued: string[] = [];
    const log = new FakeLog(new View(entries));
    const { round, follower } = await follow(log, {
      start: 'start',
      queue: {
        enqueue: async (alerts) => {
          if (fail) throw new ClientError('delivery', 'no room');
          queued.push(...alerts.map(({ id }) => id));
        },
      },
    });
    expect(await round()).toMatchObject({ ok: false, fault: 'no room' });
    expect(follower.completeThrough).toBe(0);
    fail = false;
    expect(await round()).toMatchObject({ ok: true, alerts: 1 });
    expect(queued).toEqual(['match log.test 7']);
  });

  it('with entries of a bundle that is not full waiting, but not for ever', async () => {
    const log = new FakeLog(new View(entriesOf(300)));
    const harness = await follow(log, { start: 'start', settings: { partialMs: 1000 } });
    expect(await harness.round()).toMatchObject({ ok: true, waiting: 1000 });
    expect(harness.follower.completeThrough).toBe(256);
    log.show(entriesOf(310));
    harness.clock += 600;
    expect(await harness.round()).toMatchObject({ ok: true, waiting: 400 });
    expect(log.asked.filter((path) => path.includes('entries/001'))).toEqual([]);
    harness.clock += 400;
    expect(await harness.round()).toEqual({ ok: true, alerts: 0, lying: false });
    expect(harness.follower.completeThrough).toBe(310);
    log.show(entriesOf(600));
    await harness.round();
    expect(harness.matcher.seen.map(({ index }) => index)).toEqual([...Array(512).keys()]);
  });
});

describe('what may be a fault on the way', () => {
  const bundle = (path: string) => path.startsWith('tile/entries/');
  it.each<[string, (path: string, bytes: Uint8Array | undefined) => Uint8Array | undefined]>([
    [
      'a log that is away',
      () => {
        throw new ClientError('network', 'away');
      },
    ],
    ['404 for the checkpoint', (path, bytes) => (path === 'checkpoint' ? undefined : bytes)],
    ['garbage for a checkpoint', (path, bytes) => (path === 'checkpoint' ? encodeUtf8('<html>') : bytes)],
    ['404 for bundles', (path, bytes) => (bundle(path) ? undefined : bytes)],
    ['an endless bundle', (path, bytes) => (bundle(path) ? new Uint8Array(2 ** 25) : bytes)],
    [
      'tiles of garbage',
      (path, bytes) => (path.startsWith('tile/0/') || path.startsWith('tile/1/') ? bytes!.map(() => 7) : bytes),
    ],
    [
      'a torn tile',
      (path, bytes) => (path.startsWith('tile/0/') || path.startsWith('tile/1/') ? bytes!.subarray(1) : bytes),
    ],
  ])('%s is no lie, stops nothing, and is stale after a while, once', async (_name, serve) => {
    const log = new FakeLog(new View(entriesOf(600)));
    const harness = await follow(log, { start: 'start' });
    expect(await harness.round()).toMatchObject({ ok: true });
    log.show(entriesOf(1200));
    log.serve = serve;
    for (let i = 0; i < 6; i++) expect(await harness.round()).toMatchObject({ ok: false, lying: false, alerts: 0 });
    harness.clock += 3_600_000;
    expect(await harness.round()).toMatchObject({ ok: false, lying: false, alerts: 1 });
    expect(await harness.round()).toMatchObject({ ok: false, alerts: 0 });
    expect(harness.alerts).toMatchObject([{ kind: 'stale', severity: 'alert', completeThrough: 600 }]);
    log.serve = (_path, bytes) => bytes;
    expect(await harness.round()).toMatchObject({ ok: true });
    expect(harness.follower.completeThrough).toBe(1200);
    expect(harness.events.at(-1)).toEqual({ type: 'recovered' });
    // It is told again when it happens again.
    log.serve = serve;
    log.show(entriesOf(1300));
    harness.clock += 3_600_000;
    expect(await harness.round()).toMatchObject({ ok: false, alerts: 1 });
    expect(new Set(harness.alerts.map(({ id }) => id)).size).toBe(2);
  });

  it('the checkpoint of another log is named', async () => {
    const log = new FakeLog();
    const harness = await follow(log, { start: 'start' });
    log.note = new FakeLog(undefined, 'other.test').sign(new FakeLog(undefined, 'other.test').text());
    expect((await harness.round()).fault).toMatch(/of another log, "other.test" instead of "log.test"/);
    log.note = new FakeLog().sign(log.text());
    expect((await harness.round()).fault).toMatch(/none of its signatures is by a key of that log/);
  });
});
