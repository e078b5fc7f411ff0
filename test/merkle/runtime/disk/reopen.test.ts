import { describe, expect, it } from 'vitest';
import { Reopening } from '../../../../merkle/runtime/disk/reopen.ts';

class Store {
  readonly number: number;
  closed = 0;
  constructor(number: number) {
    this.number = number;
  }
  async close(): Promise<void> {
    this.closed++;
  }
}

function setUp(opens: readonly ('good' | 'bad' | 'fatal')[]) {
  const stores: Store[] = [];
  const events: string[] = [];
  let tried = 0;
  const options = {
    open: async () => {
      const kind = opens[tried++] ?? 'good';
      if (kind !== 'good') throw new Error(kind);
      const store = new Store(stores.length);
      stores.push(store);
      return store;
    },
    isFailure: (error: unknown) => (error as Error).message === 'failure',
    isFatal: (error: unknown) => (error as Error).message === 'fatal',
    onFailure: () => events.push('failure'),
    onRetry: () => events.push('retry'),
    onReopened: (store: Store) => events.push(`reopened ${store.number}`),
    onFatal: () => events.push('fatal'),
  };
  return { options, stores, events };
}
const failing = async () => {
  throw new Error('failure');
};

describe('a store that reopens', () => {
  it('closes the handle that failed, and uses a new one', async () => {
    const { options, stores, events } = setUp(['good', 'bad', 'good']);
    const reopening = await Reopening.start(options);
    const both = [reopening.use(failing), reopening.use(failing)];
    for (const one of both) await expect(one).rejects.toThrow('failure');
    expect(reopening.mode).toBe('reopening');
    expect(reopening.current).toBeUndefined();
    await expect(reopening.use(async () => 1)).rejects.toMatchObject({ code: 'store' });
    await reopening.recovered;
    expect(events).toEqual(['failure', 'retry', 'reopened 1']);
    expect(stores[0]!.closed).toBeGreaterThan(0);
    expect(await reopening.use(async (store) => store.number)).toBe(1);
    await reopening.close();
    expect(stores[1]!.closed).toBe(1);
  });

  it('stays as it is after an error that is none of the store', async () => {
    const { options, events } = setUp([]);
    const reopening = await Reopening.start(options);
    await expect(reopening.use(() => Promise.reject(new Error('mine')))).rejects.toThrow('mine');
    expect(reopening.mode).toBe('open');
    expect(events).toEqual([]);
    await reopening.close();
  });

  it('stops where another try mends nothing', async () => {
    const { options, events } = setUp(['good', 'fatal']);
    const reopening = await Reopening.start(options);
    await expect(reopening.use(failing)).rejects.toThrow('failure');
    await reopening.recovered;
    expect(reopening.mode).toBe('stopped');
    expect(events).toEqual(['failure', 'fatal']);
    await reopening.close();
  });

  it('ends its tries when it is closed', async () => {
    const { options } = setUp(['good', ...new Array(100).fill('bad')]);
    const reopening = await Reopening.start(options);
    await expect(reopening.use(failing)).rejects.toThrow('failure');
    await reopening.close();
    expect(reopening.mode).toBe('closed');
    await expect(reopening.use(async () => 1)).rejects.toMatchObject({ code: 'store' });
  });

  it('is read from while no other can be opened, where it can be stopped', async () => {
    const { options } = setUp(['good', 'bad', 'good']);
    const stopped: Store[] = [];
    class Stoppable extends Store {
      async stop(): Promise<void> {
        stopped.push(this);
      }
    }
    const open = async () => new Stoppable((await options.open()).number);
    let closedBefore: number | undefined;
    const onReopened = () => {
      closedBefore = first.closed;
    };
    const reopening: Reopening<Store> = await Reopening.start<Store>({ ...options, open, onReopened });
    const first = reopening.latest;
    reopening.fail(new Error('failure'), first);
    expect(reopening.current).toBeUndefined();
    expect(reopening.latest).toBe(first);
    await expect.poll(() => reopening.mode).toBe('open');
    expect(stopped).toContain(first);
    expect(closedBefore).toBe(0);
    await reopening.recovered;
    expect(first.closed).toBe(1);
    expect(reopening.latest.number).toBe(1);
    // An error that comes late is of the store before.
    reopening.fail(new Error('failure'), first);
    expect(reopening.mode).toBe('open');
    await reopening.close();
  });

  it('opens no other once it is abandoned, and closes what an open under way gives', async () => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { options, stores, events } = setUp([]);
    let opens = 0;
    const open = async () => {
      if (opens++ > 0) await gate;
      return await options.open();
    };
    const reopening = await Reopening.start({ ...options, open });
    reopening.fail(new Error('failure'), reopening.latest);
    await expect.poll(() => opens).toBe(2);
    reopening.abandon();
    release();
    await reopening.recovered;
    expect(reopening.mode).toBe('stopped');
    expect(stores[1]!.closed).toBe(1);
    expect(events).toEqual(['failure']);
    await reopening.close();
  });

  it('waits longer each time that a store fails before it worked', async () => {
    const { options } = setUp([]);
    const reopening = await Reopening.start(options);
    const times: number[] = [];
    for (let i = 0; i < 3; i++) {
      const started = performance.now();
      reopening.fail(new Error('failure'), reopening.latest);
      await reopening.recovered;
      times.push(performance.now() - started);
    }
    // A timer may fire a millisecond early; at random, half of each pause is left out.
    for (const [i, least] of [0, 49, 99].entries()) expect(times[i]).toBeGreaterThanOrEqual(least);
    await reopening.use(async () => 1);
    await reopening.close();
  });
});
