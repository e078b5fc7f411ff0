import { describe, expect, it } from 'vitest';
import { FairQueue } from '../../witness/fair-queue.ts';

/** Pieces of work that end when the test says so. */
function pieces(queue: FairQueue) {
  const started: string[] = [];
  const ends: (() => void)[] = [];
  const add = (client: string, name: string) =>
    queue.run(client, async () => {
      started.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
      return name;
    });
  const endAll = async (last: Promise<unknown>) => {
    let done = false;
    const over = last.then(() => {
      done = true;
    });
    while (!done) {
      ends.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await over;
  };
  return { started, add, endAll };
}

describe('a fair queue', () => {
  it('runs one piece at a time, and lets the clients take turns', async () => {
    const queue = new FairQueue({ limit: () => 100, atOnce: 1, leastMs: 0 });
    const { started, add, endAll } = pieces(queue);
    const all = [add('a', 'a1'), add('a', 'a2'), add('a', 'a3'), add('b', 'b1'), add('c', 'c1'), add('b', 'b2')];
    expect(started).toEqual(['a1']);
    await endAll(Promise.all(all));
    // The first to come runs at once. From then on nobody has two turns while another waits.
    expect(started).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2']);
    expect(await Promise.all(all)).toEqual(['a1', 'a2', 'a3', 'b1', 'c1', 'b2']);
  });

  it('runs as many at one time as it is told to', async () => {
    const queue = new FairQueue({ limit: () => 100, atOnce: 2, leastMs: 0 });
    const { started, add, endAll } = pieces(queue);
    const all = [add('a', 'a1'), add('a', 'a2'), add('a', 'a3'), add('b', 'b1')];
    expect(started).toEqual(['a1', 'a2']);
    await endAll(Promise.all(all));
    expect(started).toEqual(['a1', 'a2', 'a3', 'b1']);
  });

  it('gives a client a quarter of its room', async () => {
    const queue = new FairQueue({ limit: () => 8, atOnce: 1, leastMs: 0 });
    const { add, endAll } = pieces(queue);
    const all = ['1', '2', '3'].map((name) => add('a', name));
    expect([queue.length, queue.isFull('a'), queue.isFull('b')]).toEqual([2, true, false]);
    for (const client of ['b', 'c', 'd']) all.push(add(client, client), add(client, client));
    expect(queue.isFull('e')).toBe(true);
    await endAll(Promise.all(all));
    expect([queue.length, queue.isFull('a'), queue.isFull('e')]).toEqual([0, false, false]);
  });

  it('goes on after a piece that fails', async () => {
    const queue = new FairQueue({ limit: () => 8, atOnce: 1, leastMs: 0 });
    const failed = queue.run('a', () => Promise.reject(new Error('wrong')));
    const next = queue.run('a', async () => 'right');
    await expect(failed).rejects.toThrow('wrong');
    expect(await next).toBe('right');
  });

  it('starts a piece so long after the one before', async () => {
    const queue = new FairQueue({ limit: () => 8, atOnce: 1, leastMs: 20 });
    const times = await Promise.all([1, 2, 3].map(() => queue.run('a', async () => performance.now())));
    // A timer of Node may end up to a millisecond early, by another clock than this one.
    expect(times[2]! - times[0]!).toBeGreaterThan(30);
  });
});
