import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Queue } from '../../../client/monitor/alerts/alert-queue.ts';
import { LastingQueue } from '../../../client/monitor/alerts/lasting.ts';
import { Rows } from '../../../client/monitor/alerts/queue-rows.ts';
import { DeliveryError } from '../../../client/monitor/alerts/sink.ts';
import type { QueueEvent } from '../../../client/monitor/alerts/sink-line.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { tempDir } from '../../support/log.ts';
import { until } from '../../support/until.ts';
import { alertOf, alertsOf, HandClock, indexes, settle, TestSink } from './alerts.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let clock: HandClock;
let events: QueueEvent[];
let open: Queue[];
let stop: AbortController;
let running: Promise<unknown>[];

beforeEach(async () => {
  dir = await tempDir();
  clock = new HandClock();
  [events, open, running, stop] = [[], [], [], new AbortController()];
});

afterEach(async () => {
  await close();
  await dir.remove();
});

async function queueOf(sinks: TestSink[], more: Partial<Parameters<typeof Queue.open>[1]> = {}): Promise<Queue> {
  const onEvent = (event: QueueEvent) => void events.push(event);
  const store = await GuardedLevel.open(join(dir.path, 'queue'));
  const queue = await Queue.open(store, { sinks, clock, random: () => 0, onEvent, ...more });
  open.push(queue);
  return queue;
}

function run(queue: Queue): void {
  running.push(queue.run(stop.signal));
}

/** As a start after an end. */
async function close(): Promise<void> {
  stop.abort();
  await Promise.all(running);
  for (const queue of open) await queue.close();
  [open, running, stop] = [[], [], new AbortController()];
}

const failing = () => Promise.reject(new DeliveryError('refused', 'answered 500'));
const HOUR = 60 * 60_000;

describe('the queue of alerts', () => {
  it('delivers to every sink in order, and then holds nothing', async () => {
    const sinks = [new TestSink('a'), new TestSink('b')];
    const queue = await queueOf(sinks);
    run(queue);
    await queue.enqueue(alertsOf(120));
    await until(() => queue.pending() === 0);
    for (const sink of sinks) {
      expect(sink.indexes).toEqual(indexes(alertsOf(120)));
      expect(Math.max(...sink.taken.map((alerts) => alerts.length))).toBe(50);
    }
    await close();
    const store = await GuardedLevel.open(join(dir.path, 'queue'));
    const keys: string[] = [];
    for await (const rows of store.scan()) keys.push(...rows.map(([key]) => String.fromCharCode(key[0]!)));
    await store.close();
    expect(keys).toEqual(['n', 's', 's']);
  });

  it('lets a sink that fails for an hour hold up nobody, asks it seldom, and loses nothing', async () => {
    const good = new TestSink('good');
    const bad = new TestSink('bad');
    bad.behave = failing;
    const queue = await queueOf([bad, good]);
    run(queue);
    await queue.enqueue(alertsOf(10));
    await clock.advance(HOUR / 2);
    await queue.enqueue(alertsOf(10, 10));
    await clock.advance(HOUR / 2);
    expect(good.indexes).toEqual(indexes(alertsOf(20)));
    expect([bad.taken, queue.pending()]).toEqual([[], 20]);
    // 1 s, doubled nine times up to 5 min, and then every 5 min.
    expect(bad.attempts).toBe(20);
    const waits = events.flatMap((event) => (event.kind === 'failed' ? [event.waitMs] : []));
    expect(waits.slice(0, 11)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map((s) => s * 1000));

    bad.behave = undefined;
    await clock.advance(5 * 60_000);
    expect(bad.indexes).toEqual(indexes(alertsOf(20)));
    // After a failure one alone, in case the message was too large.
    expect(bad.taken[0]).toHaveLength(1);
    expect(events).toContainEqual({ kind: 'recovered', sink: 'bad', attempts: 20 });
    expect(queue.state().map(({ failures }) => failures)).toEqual([0, 0]);
  });

  it('shortens pauses at random, and keeps to a longer one that the receiver asks for', async () => {
    const sink = new TestSink('a');
    sink.behave = failing;
    const queue = await queueOf([sink], { random: () => 0.999 });
    run(queue);
    await queue.enqueue(alertsOf(1));
    await settle();
    sink.behave = () => Promise.reject(new DeliveryError('refused', 'answered 429', undefined, 90_000));
    await clock.advance(1000);
    expect(events.map((event) => event.kind === 'failed' && event.waitMs)).toEqual([500, 90_000]);
    sink.behave = undefined;
    await clock.advance(89_000);
    expect(sink.attempts).toBe(2);
    await clock.advance(1000);
    expect(queue.pending()).toBe(0);
  });

  it('gives up a sink that hangs and heeds no signal, and goes on with the others', async () => {
    const hung = new TestSink('hung');
    hung.behave = () => new Promise(() => {});
    const good = new TestSink('good');
    const queue = await queueOf([hung, good], { deliveryMs: 30 });
    run(queue);
    await queue.enqueue(alertsOf(3));
    await until(() => events.some(({ kind }) => kind === 'failed'));
    expect(events.find(({ kind }) => kind === 'failed')).toMatchObject({ sink: 'hung', error: { reason: 'timeout' } });
    expect(good.indexes).toEqual([0, 1, 2]);
    await close();
  });

  it('keeps over a restart what a sink has not taken, and only that', async () => {
    const [a, b] = [new TestSink('a'), new TestSink('b')];
    b.behave = failing;
    const first = await queueOf([a, b]);
    run(first);
    await first.enqueue(alertsOf(70));
    await until(() => a.indexes.length === 70);
    await close();

    const [again, late] = [new TestSink('a'), new TestSink('b')];
    const second = await queueOf([again, late]);
    expect(second.state()).toEqual([
      { sink: 'a', pending: 0, failures: 0 },
      { sink: 'b', pending: 70, failures: 0 },
    ]);
    await second.enqueue(alertsOf(1, 70));
    expect(await second.drain(stop.signal)).toBe(true);
    expect([again.indexes, late.indexes]).toEqual([[70], indexes(alertsOf(71))]);
  });

  it('queues an alert once while it waits, and again after', async () => {
    const [a, b] = [new TestSink('a'), new TestSink('b')];
    b.behave = failing;
    const queue = await queueOf([a, b]);
    await queue.enqueue([...alertsOf(2), ...alertsOf(1)]);
    await queue.enqueue(alertsOf(3));
    expect(queue.pending()).toBe(6);
    run(queue);
    await until(() => a.indexes.length === 3);
    // Taken by one of the two only: it still waits.
    await queue.enqueue(alertsOf(3));
    expect(queue.pending()).toBe(3);
    b.behave = undefined;
    await clock.advance(1000);
    await queue.enqueue(alertsOf(1));
    await settle();
    expect([a.indexes, b.indexes]).toEqual([
      [0, 1, 2, 0],
      [0, 1, 2, 0],
    ]);
  });

  it('hands a sink what it asked for: kinds and severities', async () => {
    const all = new TestSink('all');
    const severe = new TestSink('severe', { severity: 'critical' });
    const some = new TestSink('some', { kinds: ['rollback'] });
    const queue = await queueOf([all, severe, some]);
    const alerts = [
      alertOf(0, { severity: 'info' }),
      alertOf(1, { severity: 'critical' }),
      alertOf(2, { kind: 'rollback' }),
    ];
    await queue.enqueue(alerts);
    await queue.drain(stop.signal);
    expect([all, severe, some].map((sink) => sink.indexes)).toEqual([[0, 1, 2], [1], [2]]);
  });

  it('drops what waits for sinks that are no more, and says so', async () => {
    const sinks = ['a', 'b', 'c'].map((name) => new TestSink(name));
    const first = await queueOf(sinks);
    await first.enqueue(alertsOf(60));
    await close();
    const kept = new TestSink('b');
    const second = await queueOf([kept]);
    expect(events).toEqual(
      expect.arrayContaining([
        { kind: 'forgotten', sink: 'a', alerts: 60 },
        { kind: 'forgotten', sink: 'c', alerts: 60 },
      ]),
    );
    expect(second.pending()).toBe(60);
    await second.drain(stop.signal);
    expect(kept.indexes).toEqual(indexes(alertsOf(60)));
    await close();
    const third = await queueOf([new TestSink('b'), new TestSink('a')]);
    expect(third.pending()).toBe(0);
    await third.enqueue(alertsOf(3));
    await close();
    // Also where nobody is left who waits for the same alerts.
    const fourth = await queueOf([new TestSink('d')]);
    expect(fourth.pending()).toBe(0);
    await fourth.enqueue(alertsOf(3));
    expect(fourth.pending()).toBe(3);
  });

  it('drain waits for a sink that comes back, ends at the signal, and does not wait for one that is gone', async () => {
    const sink = new TestSink('a');
    sink.behave = failing;
    const queue = await queueOf([sink]);
    await queue.enqueue(alertsOf(2));
    const drained = queue.drain(stop.signal);
    await clock.advance(5000);
    sink.behave = undefined;
    await clock.advance(10_000);
    expect(await drained).toBe(true);

    await queue.enqueue(alertsOf(2));
    sink.behave = failing;
    const control = new AbortController();
    const broken = queue.drain(control.signal);
    await clock.advance(5000);
    control.abort();
    expect(await broken).toBe(false);

    sink.behave = () => Promise.reject(new DeliveryError('gone', 'answered 410'));
    const gone = queue.drain(stop.signal);
    await clock.advance(60_000);
    expect(await gone).toBe(false);
    expect([queue.pending(), sink.indexes]).toEqual([2, [0, 1]]);
  });

  it('ends with an error where the store fails', async () => {
    const store = await GuardedLevel.open(join(dir.path, 'shared'));
    const sink = new TestSink('a');
    const queue = await Queue.open(store, { sinks: [sink, new TestSink('b')] });
    const ended = queue.run(stop.signal);
    sink.behave = () => store.close();
    await queue.enqueue(alertsOf(1));
    await expect(ended).rejects.toMatchObject({ code: 'store' });
    await expect(queue.enqueue(alertsOf(1))).rejects.toMatchObject({ code: 'store' });
  });

  it('ends a drain at the signal while its store does not open again', async () => {
    const path = join(dir.path, 'lasting');
    const queue = await LastingQueue.open(path, { sinks: [new TestSink('a')] });
    await rename(path, `${path}.away`);
    await writeFile(path, 'no directory');
    const notJson = { ...alertOf(1), completeThrough: 1n as unknown as number };
    await expect(queue.enqueue([notJson])).rejects.toThrow(/BigInt/);
    await expect(queue.drain(AbortSignal.abort())).rejects.toMatchObject({ code: 'store' });
    await queue.close();
  });

  it('refuses a store that holds something else', async () => {
    const store = await GuardedLevel.open(join(dir.path, 'shared'));
    const sink = new TestSink('a');
    const queue = await Queue.open(store, { sinks: [sink] });
    await queue.enqueue(alertsOf(1));
    await store.write((batch) => batch.del(new Rows(store).alert(0)));
    await expect(queue.drain(stop.signal)).rejects.toMatchObject({ code: 'store' });
    await store.close();
  });

  it('cuts an alert that is too large, and a message of many large ones', async () => {
    const sink = new TestSink('a');
    const queue = await queueOf([sink]);
    const names = Array.from({ length: 10_000 }, (_, i) => `${i}@${'x'.repeat(10_000)}`);
    const large = alertsOf(50).map((alert) => ({ ...alert, entry: { ...alert.entry!, names } }));
    await queue.enqueue(large);
    await queue.drain(stop.signal);
    expect(sink.indexes).toEqual(indexes(large));
    const [first] = sink.taken[0]!;
    expect(first!.entry!.names).toHaveLength(65);
    expect(first!.entry!.names.at(-1)).toBe('… and 9936 more names');
    for (const alerts of sink.taken) expect(JSON.stringify(alerts).length).toBeLessThan(600 * 1024);
  });
});

describe('a digest', () => {
  const at = (hours: number) => hours * HOUR;

  it('gathers until its time, critical alerts apart, and does so over a restart', async () => {
    const settings = { digestAt: at(8) };
    const sink = new TestSink('mail', settings);
    const queue = await queueOf([sink]);
    run(queue);
    await queue.enqueue(alertsOf(60));
    await clock.advance(at(4));
    await queue.enqueue([alertOf(60), alertOf(61, { severity: 'critical' })]);
    await clock.advance(at(3.9));
    expect(sink.indexes).toEqual([61]);
    expect(await queue.drain(stop.signal)).toBe(true);
    expect(queue.pending()).toBe(61);
    await close();

    const again = new TestSink('mail', settings);
    const second = await queueOf([again]);
    run(second);
    await settle();
    expect(again.attempts).toBe(0);
    await clock.advance(at(0.2));
    expect(again.taken.map((alerts) => indexes(alerts))).toEqual([indexes(alertsOf(61))]);
    await second.enqueue(alertsOf(1, 70));
    await clock.advance(at(23));
    expect(again.taken).toHaveLength(1);
    await clock.advance(at(1));
    expect(again.taken).toHaveLength(2);
  });

  it('that has been turned off goes at once', async () => {
    const first = await queueOf([new TestSink('mail', { digestAt: at(8) })]);
    await first.enqueue(alertsOf(3));
    await close();
    const sink = new TestSink('mail');
    const second = await queueOf([sink]);
    expect(await second.drain(stop.signal)).toBe(true);
    expect(sink.indexes).toEqual([0, 1, 2]);
  });

  it('comes when the day has passed while nothing ran', async () => {
    const first = await queueOf([new TestSink('mail', { digestAt: at(8) })]);
    await first.enqueue(alertsOf(3));
    await close();
    clock = new HandClock(clock.now() + at(9));
    const sink = new TestSink('mail', { digestAt: at(8) });
    const second = await queueOf([sink]);
    await second.drain(stop.signal);
    expect(sink.indexes).toEqual([0, 1, 2]);
  });
});

describe('a queue that is killed', () => {
  const script = join(import.meta.dirname, 'queue-child.mjs');

  it('in the middle of deliveries delivers all of it, in order, at the next starts', async () => {
    const path = join(dir.path, 'queue');
    const received: number[] = [];
    const fromStart: number[][] = [];
    for (let round = 0; round < 8; round++) {
      const child = fork(script, [path, String(round * 100), '100'], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      const got: number[] = [];
      let queued = 0;
      child.on('message', (message: { queued?: number; took?: number }) => {
        if (message.queued !== undefined) queued = message.queued;
        if (message.took !== undefined) got.push(message.took);
      });
      await until(() => queued === 100);
      const some = received.length + 5 + round * 3;
      await until(() => received.length + got.length >= some);
      child.kill('SIGKILL');
      await once(child, 'close');
      received.push(...got);
      fromStart.push(got);
    }
    const sink = new TestSink('child');
    const queue = await queueOf([sink], {});
    await queue.drain(stop.signal);
    received.push(...sink.indexes);
    expect([...new Set(received)]).toEqual(Array.from({ length: 800 }, (_, i) => i));
    // At most the one that was under way came twice.
    expect(received.length - 800).toBeLessThanOrEqual(8 * 50);
    for (const got of fromStart) expect(got).toEqual([...got].sort((a, b) => a - b));
  });
});
