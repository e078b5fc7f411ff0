/** The pace of publications. Upper bounds are for the benchmark: a busy machine has none. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Publisher, type PublisherOptions } from '../../../server/log/publisher.ts';

/** A timer may fire a millisecond early. */
const EARLY_MS = 2;
const PUBLISH_MS = 20;

/** A publisher of a tree that grows with `grow`; when each publication began and ended. */
function publisherOf(changes: Partial<PublisherOptions> = {}) {
  let committed = 0;
  let published = 0;
  const times: { began: number; ended: number; entries: number }[] = [];
  const service = new AbortController();
  const publisher = new Publisher({
    signal: service.signal,
    due: () => published !== committed,
    publish: async () => {
      const began = performance.now();
      const size = committed;
      await sleep(PUBLISH_MS);
      const entries = size - published;
      published = size;
      times.push({ began, ended: performance.now(), entries });
      return entries;
    },
    answer: async () => {},
    minIntervalMs: 0,
    witnesses: true,
    onError: (error) => expect.fail(String(error)),
    ...changes,
  });
  const grow = (entries: number) => {
    committed += entries;
    publisher.request();
  };
  return { publisher, times, service, grow };
}

it('rests after the witnesses were asked for many entries, for as long as that took', async () => {
  const { publisher, times, grow } = publisherOf();
  grow(2);
  await publisher.idle();
  grow(1);
  await publisher.idle();
  expect(times.map(({ entries }) => entries)).toEqual([2, 1]);
  expect(times[1]!.began - times[0]!.ended).toBeGreaterThanOrEqual(PUBLISH_MS - EARLY_MS);
});

it('covers with one publication all that comes while another is under way', async () => {
  const { publisher, times, grow } = publisherOf({ witnesses: false });
  grow(1);
  for (let i = 0; i < 5; i++) grow(1);
  await publisher.idle();
  grow(1);
  grow(1);
  await publisher.idle();
  expect(times.map(({ entries }) => entries).reduce((sum, entries) => sum + entries)).toBe(8);
  expect(times.length).toBeLessThanOrEqual(4);
});

it('keeps its interval, and leaves it out at an end', async () => {
  const { publisher, times, grow } = publisherOf({ witnesses: false, minIntervalMs: 1e6 });
  grow(1);
  await publisher.idle();
  grow(1);
  await publisher.finish(1e6);
  expect(times).toHaveLength(2);
});

it('publishes nothing once the service of its store ended, and does not call that an error', async () => {
  const { publisher, times, service, grow } = publisherOf({ minIntervalMs: 1e6 });
  grow(1);
  await publisher.idle();
  grow(1);
  service.abort(new Error('ended'));
  await publisher.idle();
  grow(1);
  await publisher.idle();
  expect(times).toHaveLength(1);
});

it('stands still after a failure', async () => {
  const errors: unknown[] = [];
  let tries = 0;
  const { publisher, grow } = publisherOf({
    publish: async () => {
      tries++;
      await Promise.resolve();
      grow(1);
      throw new Error('injected');
    },
    onError: (error) => errors.push(error),
  });
  grow(1);
  await publisher.idle();
  expect(tries).toBe(1);
  expect(errors).toHaveLength(1);
});
