/** Writes of the map's store that fail, and an output log that is full or slow: the map is opened again, and goes on. */
import { renameSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { GuardedLevel } from '../../../../merkle/runtime/disk/level.ts';
import { RuntimeError } from '../../../../merkle/runtime/runtime-errors.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { tempDir } from '../../../support/log-files.ts';
import { grow, keyOf, openMapped, startOutput } from './mapped-log.ts';

/** The writes of a version: postings and cursor, the root, the leaf on its way, the version. */
const WRITES = 4;

/** The n-th write from now on fails. */
class WriteFaults {
  injected = 0;
  #next = 0;
  #persists = false;

  constructor() {
    const faults = this;
    const { write } = GuardedLevel.prototype;
    vi.spyOn(GuardedLevel.prototype, 'write').mockImplementation(async function (this: GuardedLevel, fill) {
      if (--faults.#next !== 0) return await write.call(this, fill);
      faults.injected++;
      if (faults.#persists) await write.call(this, fill);
      await this.close();
      throw new RuntimeError('store', 'injected: a write failed');
    });
  }

  failAt(next: number, persists: boolean): void {
    this.#next = next;
    this.#persists = persists;
  }
}

afterEach(() => vi.restoreAllMocks());

describe('the store of the map fails', () => {
  it.each([
    ['is not stored', false],
    ['is stored, and reported as failed', true],
  ])('in each write of a version, which %s', async (_, persists) => {
    const log = FakeLog.empty('input.test');
    grow(log, [1]);
    const output = await startOutput();
    const { map, round, lookup, events } = await openMapped(log, output);
    expect(await round()).toBe(true);
    const faults = new WriteFaults();
    for (let n = 1; n <= 2 * WRITES; n++) {
      grow(log, [1, 10 + n]);
      events.length = 0;
      faults.failAt(((n - 1) % WRITES) + 1, persists);
      expect(await round()).toBe(false);
      expect(map.status.fault).toContain('injected');
      // Until it is open again, it says that it cannot answer.
      await expect(map.lookup({ key: keyOf(1), since: 0 })).rejects.toMatchObject({ code: 'store' });
      expect(await round()).toBe(true);
      expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(['fault', 'recovered']));
      expect([faults.injected, map.status.fault]).toEqual([n, undefined]);
      expect(map.status.published).toMatchObject({ size: 1 + 2 * n, index: n });
      const ones = [0, ...Array.from({ length: n }, (__, i) => 1 + 2 * i)];
      expect(await lookup(keyOf(1))).toMatchObject({ indexes: ones, complete: true, input: { size: 1 + 2 * n } });
      expect(await lookup(keyOf(10 + n))).toMatchObject({ indexes: [2 * n] });
      // Each version is in the output log once.
      expect(await output.size()).toBe(n + 1);
    }
  });

  it('since its directory was moved away, until it is there again', async () => {
    const log = FakeLog.empty('input.test');
    grow(log, [1]);
    const dir = `${tempDir()}/map`;
    const { map, round, lookup } = await openMapped(log, await startOutput(), { dir });
    expect(await round()).toBe(true);
    renameSync(dir, `${dir}-away`);
    grow(log, [2]);
    expect(await round()).toBe(false);
    expect(map.status.fault).toContain('removed or replaced');
    renameSync(`${dir}-away`, dir);
    expect(await round()).toBe(true);
    expect(await lookup(keyOf(2))).toMatchObject({ indexes: [1], output: { size: 2 } });
  });
});

describe('the output log', () => {
  it('is full: lookups go on from the last version, and the leaf waits until there is room', async () => {
    const log = FakeLog.empty('input.test');
    grow(log, [1]);
    let full = false;
    const sent: string[] = [];
    const send: typeof fetch = async (url, init) => {
      if (!full) return await fetch(url, init);
      sent.push(Buffer.from(init!.body as Uint8Array).toString());
      return new Response('{"code":14,"message":"the log has no room"}', { status: 503 });
    };
    const output = await startOutput();
    const { map, round, lookup } = await openMapped(log, output, { options: { fetch: send, submitMs: 300 } });
    expect(await round()).toBe(true);
    full = true;
    grow(log, [2]);
    for (let i = 0; i < 3; i++) {
      expect(await round()).toBe(false);
      grow(log, [3 + i]);
    }
    expect(map.status.fault).toBeDefined();
    expect([sent.length > 0, new Set(sent).size]).toEqual([true, 1]);
    expect(await lookup(keyOf(1))).toMatchObject({ indexes: [0], input: { size: 1 } });
    full = false;
    expect(await round()).toBe(true);
    expect(map.status.published).toMatchObject({ size: 2, index: 1 });
    expect(await round()).toBe(true);
    expect(map.status.published).toMatchObject({ size: 5, index: 2 });
    expect(await output.size()).toBe(3);
  });

  it('takes long for its answer: lookups and the end do not wait for it', async () => {
    const log = FakeLog.empty('input.test');
    grow(log, [1]);
    let asked: (() => void) | undefined;
    const hangs: typeof fetch = (url, init) => {
      if (asked === undefined) return fetch(url, init);
      asked();
      const signal = init!.signal!;
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    };
    const { map, round, lookup } = await openMapped(log, await startOutput(), { options: { fetch: hangs } });
    expect(await round()).toBe(true);
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    grow(log, [2]);
    const end = new AbortController();
    const waiting = map.round(end.signal);
    await isAsked;
    expect(await lookup(keyOf(1))).toMatchObject({ indexes: [0], input: { size: 1 } });
    end.abort();
    await waiting;
    expect(map.status.published).toMatchObject({ size: 1 });
  });
});
