/** What a failure of the store, a freeze and a close do to each other. The stores are in memory, the log is the real one. */
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SYSTEM_CLOCK } from '../../../merkle/runtime/service/back-off.ts';
import { ServerError } from '../../../server/errors.ts';
import type { Log } from '../../../server/log/log.ts';
import type { LogOptions } from '../../../server/log/types.ts';
import type { Stores } from '../../../server/store/types.ts';
import { Faults, faultyStores } from '../../support/faulty.ts';
import { bodyOf, LIMITS, logOptions, makeSigner, openTestLog, sharedIngest, tempDir } from '../../support/log.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';
import { turns } from '../../support/until.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let disk: MemoryDisk;
let faults: Faults;
let log: Log | undefined;

beforeEach(async () => {
  dir = await tempDir();
  disk = new MemoryDisk();
  faults = new Faults();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await log?.close();
  log = undefined;
  await dir.remove();
});
afterAll(() => sharedIngest().close());

const openStores = async (): Promise<Stores> => faultyStores(await openMemoryStores(disk), faults);

async function open(changes: Partial<LogOptions> = {}): Promise<Log> {
  log = await openTestLog(dir.path, { openStores, ...changes });
  return log;
}

async function submit(to: Log, name: string) {
  const [outcome] = await to.submit(bodyOf(name), 'json');
  if (outcome === undefined || 'error' in outcome) throw outcome?.error;
  return outcome.entry;
}

/** A signer that signs only after `release`. */
async function heldSigner() {
  const signer = await makeSigner(dir.path);
  const sign = signer.sign.bind(signer);
  const waiting: (() => void)[] = [];
  let held = false;
  let calls = 0;
  signer.sign = async (head, extensions) => {
    calls++;
    await new Promise<void>((go) => (held ? waiting.push(go) : setImmediate(go)));
    return await sign(head, extensions);
  };
  return {
    signer,
    hold: () => {
      held = true;
    },
    /** Lets one waiting call go on. */
    next: async () => {
      await expect.poll(() => waiting.length).toBeGreaterThan(0);
      waiting.shift()!();
    },
    release: () => {
      held = false;
      for (const go of waiting.splice(0)) go();
    },
    get calls() {
      return calls;
    },
  };
}

describe('after a failure', () => {
  it('makes the checkpoint that it finds durable once more, before it shows it', async () => {
    const at = await open();
    faults.failAt(faults.writes.length + 2, 'reported-failed');
    await expect(submit(at, 'a')).rejects.toMatchObject({ code: 'store-failed' });
    await expect.poll(() => at.publishedSize).toBe(1);
    expect(faults.writes[faults.failed! - 1]).toBe('replaceCheckpoint');
    expect(faults.writes.slice(faults.failed)).toContain('replaceCheckpoint');
  });

  it('stops where the store comes back without a tree that was signed', async () => {
    const onFatal = vi.fn();
    const at = await open({ onFatal });
    await submit(at, 'a');
    const { state, tail, dedup } = disk;
    const before = { state, tail: new Map(tail), dedup: new Map(dedup) };
    // Signed, perhaps shown to a witness, and not published; then the commit is gone.
    faults.failAt(faults.writes.length + 2, 'not-persisted');
    const lost = submit(at, 'b').catch((error: unknown) => {
      Object.assign(disk, before);
      return error;
    });
    expect(await lost).toMatchObject({ code: 'store-failed' });
    await expect.poll(() => onFatal.mock.calls.length).toBe(1);
    expect(onFatal.mock.calls[0]![0]).toMatchObject({ code: 'rollback' });
    expect(at.notReady()).toContain('the log has stopped: what it stored contradicts itself');
    await expect(submit(at, 'c')).rejects.toMatchObject({ code: 'broken' });
  });

  it('stays closed where it is closed while the store is opened again', async () => {
    let opened = 0;
    let reached = (): void => {};
    let release = (): void => {};
    const atCheckpoint = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const at = await open({
      openStores: async () => {
        const stores = await openStores();
        if (++opened === 1) return stores;
        const replaceCheckpoint = async (...notes: Parameters<typeof stores.checkpoint.replaceCheckpoint>) => {
          reached();
          await gate;
          await stores.checkpoint.replaceCheckpoint(...notes);
        };
        return { ...stores, checkpoint: { ...stores.checkpoint, replaceCheckpoint } };
      },
    });
    faults.failNext('not-persisted');
    await expect(submit(at, 'a')).rejects.toMatchObject({ code: 'store-failed' });
    await atCheckpoint;
    const closed = at.close();
    await new Promise(setImmediate);
    release();
    await closed;
    expect(at.notReady()).toContain('the log has stopped');
  });

  it('goes on without opening it again where it is unavailable for a moment', async () => {
    let opened = 0;
    const at = await open({
      openStores: async () => {
        opened++;
        return await openStores();
      },
    });
    for (const times of [1, 2, 3]) {
      faults.failNext('unavailable', times);
      expect(await submit(at, `write ${times}`)).toMatchObject({ duplicate: false });
      expect(faults.writes.length).toBeGreaterThan(faults.failed!);
      faults.failReads(times);
      expect(await submit(at, `read ${times}`).then(({ duplicate }) => duplicate)).toBe(false);
    }
    expect([opened, at.notReady()]).toEqual([1, []]);
  });

  it('opens it again where it is unavailable for longer', async () => {
    const at = await open();
    faults.failNext('unavailable', 6);
    await expect(submit(at, 'a')).rejects.toMatchObject({ code: 'store-failed' });
    await expect.poll(() => submit(at, 'a').catch(() => undefined)).toMatchObject({ index: 0, duplicate: false });
  });

  it('does not open a store again and again that fails each time at once', async () => {
    let opened = 0;
    const at = await open({
      openStores: async () => {
        const stores = await openStores();
        const commit = async (): Promise<void> => {
          throw new ServerError('store', 'injected');
        };
        return opened++ === 0 || opened > 1000 ? stores : { ...stores, state: { ...stores.state, commit } };
      },
    });
    const pauses: number[] = [];
    vi.spyOn(SYSTEM_CLOCK, 'sleep').mockImplementation(async (ms) => {
      pauses.push(ms);
      await turns(1);
    });
    faults.failNext('not-persisted');
    await expect
      .poll(
        async () => {
          await submit(at, 'a').catch(() => {});
          return pauses.length;
        },
        { interval: 1 },
      )
      .toBeGreaterThanOrEqual(5);
    expect(pauses[0]).toBe(0);
    for (const [i, longest] of [100, 200, 400, 800].entries()) {
      expect(pauses[i + 1]).toBeGreaterThanOrEqual(longest / 2);
      expect(pauses[i + 1]).toBeLessThanOrEqual(longest);
    }
    // The first store of all, and one store after each pause.
    expect(opened).toBeLessThanOrEqual(pauses.length + 1);
  });

  it('is read from while its store cannot be opened', async () => {
    let broken = false;
    const at = await open({
      openStores: async () => {
        if (broken) throw new ServerError('store', 'injected: no room');
        return await openStores();
      },
    });
    await Promise.all(Array.from({ length: 300 }, (_, i) => submit(at, `e${i}`)));
    faults.failNext('not-persisted');
    broken = true;
    await expect(submit(at, 'a')).rejects.toMatchObject({ code: 'store-failed' });
    await expect.poll(() => at.notReady()).toHaveLength(1);
    expect(await at.entryBundle(0, 256)).toBeDefined();
    expect(await at.tile(0, 0, 256)).toHaveLength(8192);
    expect(await at.entry(7)).toMatchObject({ index: 7 });
    broken = false;
    await expect.poll(() => at.notReady()).toEqual([]);
    expect(await submit(at, 'a')).toMatchObject({ index: 300, duplicate: false });
  });

  it('tells a client to retry where its proof meets a store that fails', async () => {
    const at = await open();
    await Promise.all(Array.from({ length: 300 }, (_, i) => submit(at, `e${i}`)));
    await at.close();
    const again = await open({
      openStores: async () => {
        const stores = await openStores();
        let gets = 0;
        const get = async (path: string) => {
          // The first reads are those of the start.
          if (gets++ > 2) throw new ServerError('store', 'injected');
          return await stores.tiles.get(path);
        };
        return { ...stores, tiles: { ...stores.tiles, get } };
      },
    });
    for (let i = 0; i < 4; i++) await again.entryBundle(0, 256).catch(() => {});
    const message = 'the log could not read what this reply needs; retry';
    await expect(again.entryBundle(0, 256)).rejects.toMatchObject({ code: 'read-failed', message, data: {} });
    await expect(submit(again, 'e0')).rejects.toMatchObject({ code: 'read-failed', message, data: { index: 0 } });
  });
});

describe('a freeze', () => {
  it('waits for the store to be open again, and signs nothing meanwhile', async () => {
    const held = await heldSigner();
    let broken = false;
    let refused = 0;
    const at = await open({
      signer: held.signer,
      openStores: async () => {
        if (broken) refused++;
        if (broken) throw new ServerError('store', 'injected: no room');
        return await openStores();
      },
    });
    held.hold();
    const late = submit(at, 'a').catch((error: unknown) => error);
    await expect.poll(() => disk.tail.size).toBe(1);
    const frozen = at.freeze();
    await expect.poll(() => at.info.status).toBe('freezing');
    faults.failNext('not-persisted');
    broken = true;
    const before = held.calls;
    held.release();
    expect(await late).toMatchObject({ code: 'store-failed' });
    await expect.poll(() => refused).toBeGreaterThan(1);
    expect(held.calls - before).toBeLessThanOrEqual(1);
    broken = false;
    expect(await frozen).toContain('\nLog frozen — ');
    expect(at.publishedSize).toBe(1);
  });

  it('is whole where the last checkpoint is stored with it, and its file is not there', async () => {
    const at = await open();
    const last = await at.freeze();
    await at.close();
    disk.checkpoint = undefined;
    expect((await open()).checkpoint).toBe(last);
    expect(Buffer.from(disk.checkpoint!).toString()).toBe(last);
  });

  it.each([1, 2, 3])('ends with one last checkpoint, whichever of its writes fails: %i', async (n) => {
    for (const fault of ['not-persisted', 'reported-failed'] as const) {
      disk = new MemoryDisk();
      faults = new Faults();
      const at = await open();
      await submit(at, 'a');
      faults.failAt(faults.writes.length + n, fault);
      const last = await at.freeze();
      expect(last).toContain('\nLog frozen — ');
      expect(await at.freeze()).toBe(last);
      await at.close();
      const again = await open();
      expect(again.checkpoint).toBe(last);
      expect(Buffer.from(disk.checkpoint!).toString()).toBe(last);
      await again.close();
    }
  });
});

describe('what the log says of itself', () => {
  it('does not call a checkpoint late that comes all the time, though never the newest entry with it', async () => {
    const held = await heldSigner();
    let clock = 0;
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + clock);
    const limits = { ...LIMITS, publishTimeout: 1e9, maxCheckpointDelay: 60_000 };
    const at = await open({ signer: held.signer, limits });
    held.hold();
    const submitted = [];
    for (let i = 0; i < 4; i++) {
      submitted.push(submit(at, `e${i}`));
      await expect.poll(() => disk.tail.size).toBe(i + 1);
      clock += 20_000;
      if (i > 0) {
        await held.next();
        await expect.poll(() => at.publishedSize).toBe(i);
      }
      expect(at.notReady()).toEqual([]);
    }
    clock += 70_000;
    expect(at.notReady().join()).toMatch(/late/);
    held.release();
    await Promise.all(submitted);
    expect(at.notReady()).toEqual([]);
  });

  it('measures every stage, and counts what it refuses while its store is away', async () => {
    let broken = false;
    const options = await logOptions(dir.path, {
      openStores: async () => {
        if (broken) throw new ServerError('store', 'injected: no room');
        return await openStores();
      },
    });
    const at = await open(options);
    await submit(at, 'a');
    const text = await options.metrics.registry.metrics();
    for (const stage of ['ingest', 'dedup', 'commit', 'tiles', 'sign', 'publish', 'total']) {
      expect(text).toMatch(new RegExp(`^stele_stage_duration_seconds_count{stage="${stage}"} [1-9]`, 'm'));
    }
    faults.failNext('not-persisted');
    broken = true;
    await submit(at, 'b').catch(() => {});
    await submit(at, 'b').catch(() => {});
    expect(await options.metrics.registry.metrics()).toContain('stele_refusals_total{reason="store-failed"} 1');
  });

  it('says the size that it has, not the one that it tried, after a failure', async () => {
    const options = await logOptions(dir.path, { openStores });
    const at = await open(options);
    faults.failNext('not-persisted');
    await expect(submit(at, 'a')).rejects.toMatchObject({ code: 'store-failed' });
    await expect.poll(() => at.notReady()).toEqual([]);
    expect((await options.metrics.sequenced.get()).values[0]!.value).toBe(0);
  });
});
