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
});
