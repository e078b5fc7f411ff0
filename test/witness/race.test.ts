/** The race that the specification describes, made to happen: two requests that were both checked against one old size. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { GuardedLevel } from '../../merkle/runtime/disk/level.ts';
import { Reopening } from '../../merkle/runtime/disk/reopen.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { WitnessClock } from '../../witness/clock.ts';
import { EvidenceFiles } from '../../witness/evidence.ts';
import type { WitnessKey } from '../../witness/keys.ts';
import { Logs } from '../../witness/logs.ts';
import { Metrics } from '../../witness/metrics.ts';
import { cosignedOf, WitnessStore } from '../../witness/store.ts';
import { Witness } from '../../witness/witness.ts';
import { silent } from '../support/silent.ts';
import { turns, until } from '../support/until.ts';
import { later, makeWitness, TestLog, tempDir } from './helpers.ts';

const log = new TestLog();

/** A key that signs when it is told to. */
function heldKey(key: WitnessKey) {
  const waiting: (() => void)[] = [];
  let held = true;
  const slow: WitnessKey = {
    ...key,
    healthy: true,
    sign: async (message) => {
      if (held) await new Promise<void>((resolve) => waiting.push(resolve));
      return await key.sign(message);
    },
  };
  const release = () => {
    held = false;
    for (const go of waiting.splice(0)) go();
  };
  return { slow, waiting, release };
}

async function heldWitness() {
  const dir = await tempDir();
  const { openKeys } = await import('../../witness/keys.ts');
  const { loadConfig } = await import('../../witness/config.ts');
  const config = { ...loadConfig({ flags: { data: dir } }), name: 'witness.test/w' };
  const { keys } = await openKeys({ config, known: new Set(), logger: silent, onError: () => {} });
  const [key] = keys;
  const held = heldKey(key!);
  const logs = await Logs.open(join(dir, 'logs'));
  await logs.add(log.vkey);
  const store = await Reopening.start<WitnessStore>({
    open: () => WitnessStore.open(join(dir, 'store')),
    isFailure: (error) => error instanceof RuntimeError && error.code === 'store',
  });
  later(() => store.close());
  const { limits, rateLimit } = loadConfig({ flags: { 'limits-waiting': '3', 'rate-limit-per-origin': '0' } });
  const metrics = new Metrics({ process: false });
  const evidence = new EvidenceFiles(join(dir, 'evidence'), () => 1, silent);
  const own = { store, logs, keys: [held.slow], clock: new WitnessClock(), live: { limits, rateLimit } };
  const witness = new Witness({ ...own, evidence, metrics, logger: silent });
  return { witness, logs, ...held };
}

describe('two requests from one old size', () => {
  it.each([
    ['the smaller first', 7, 9],
    ['the larger first', 9, 7],
  ])('%s: the first wins, the second gets its size', async (_name, first, second) => {
    const { witness, waiting, release } = await heldWitness();
    const a = witness.addCheckpoint(log.request(0, first));
    await until(() => waiting.length > 0);
    const b = witness.addCheckpoint(log.request(0, second));
    b.catch(() => {});
    await turns();
    // The second has not even been checked: it waits for the first, which is being signed.
    expect(waiting).toHaveLength(1);
    release();
    await expect(a).resolves.toContain('— witness.test/w ');
    await expect(b).rejects.toMatchObject({ code: 'conflict', data: { size: first } });
    expect(witness.cosigned(log.origin)?.size).toBe(first);
  });

  it('are refused with 503 where too many wait', async () => {
    const { witness, release } = await heldWitness();
    const four = [7, 8, 9, 10].map((size) => witness.addCheckpoint(log.request(0, size)));
    // Three wait for the key. Which one comes fourth hangs on the threads that verify.
    const outcomes = four.map((one) => one.catch((error: unknown) => error));
    const busy = { code: 'busy', row: { status: 503 } };
    expect(await Promise.race(outcomes)).toMatchObject(busy);
    release();
    const settled = await Promise.all(outcomes);
    expect(settled.filter((outcome) => (outcome as { code?: string }).code === 'busy')).toHaveLength(1);
    expect(settled.filter((outcome) => typeof outcome === 'string')).toHaveLength(1);
  });
});

it('a log that is disabled meanwhile gets no cosignature any more, and none is stored', async () => {
  const { witness, logs, waiting, release } = await heldWitness();
  const signing = witness.addCheckpoint(log.request(0, 7));
  await until(() => waiting.length > 0);
  const queued = witness.addCheckpoint(log.request(0, 9));
  for (const one of [signing, queued]) one.catch(() => {});
  await turns();
  expect(waiting).toHaveLength(1);
  await logs.disable(log.origin);
  release();
  await expect(signing).rejects.toMatchObject({ code: 'unknown-log' });
  await expect(queued).rejects.toMatchObject({ code: 'unknown-log' });
  expect(witness.cosigned(log.origin)).toBeUndefined();
});

describe('the store', () => {
  const record = (size: number) => cosignedOf(log.note(log.text(size)));

  it('compares and stores in one step, whoever comes past the queue', async () => {
    const dir = await tempDir();
    const store = await WitnessStore.open(dir);
    later(() => store.close());
    const results = await Promise.allSettled([store.put(undefined, record(7)), store.put(undefined, record(9))]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    await expect(store.put(undefined, record(9))).rejects.toMatchObject({ code: 'conflict' });
    // Equal is not enough: it must be the record that was read.
    await expect(store.put(record(7), record(9))).rejects.toMatchObject({ code: 'conflict' });
    await store.put(store.get(log.origin), record(9));
    await expect(store.put(store.get(log.origin), record(8))).rejects.toThrow('never goes back');
    expect(store.get(log.origin)?.size).toBe(9);
  });

  it('has everything again after it was opened anew, and refuses what does not add up', async () => {
    const dir = await tempDir();
    const store = await WitnessStore.open(dir);
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => {
        const one = new TestLog(`log${i}.test`, log.tree);
        return store.put(undefined, cosignedOf(one.note(one.text(i))));
      }),
    );
    await store.close();
    const again = await WitnessStore.open(dir);
    expect(again.count).toBe(50);
    expect(again.get('log17.test')).toEqual({ ...again.get('log17.test'), origin: 'log17.test', size: 17 });
    await again.close();
    const level = await GuardedLevel.open(dir);
    await level.write((batch) =>
      batch.put(Buffer.concat([Buffer.from('c'), Buffer.alloc(32)]), Buffer.from('nonsense')),
    );
    await level.close();
    await expect(WitnessStore.open(dir)).rejects.toMatchObject({ code: 'corrupt' });
  });
});

describe('a store that fails', () => {
  it.each([
    ['nothing stored', false],
    ['all stored, and reported as failed', true],
  ])('%s: no cosignature leaves, and the witness goes on from what is there', async (_name, persisted) => {
    let fail = false;
    const openStore = async (dir: string) => {
      const store = await WitnessStore.open(dir);
      const put = store.put.bind(store);
      store.put = async (expected, next) => {
        if (!fail) return put(expected, next);
        fail = false;
        if (persisted) await put(expected, next);
        throw new RuntimeError('store', 'injected');
      };
      return store;
    };
    const witness = await makeWitness([log], { open: { openStore } });
    expect((await witness.post(log.request(0, 5))).status).toBe(200);
    fail = true;
    const reply = await witness.post(log.request(5, 9));
    expect(reply.status).toBe(503);
    expect(reply.body).not.toContain('—');
    expect(witness.witness.notReady()).toEqual(['the store is not open']);
    expect((await witness.post(log.request(5, 9))).status).toBe(503);
    await witness.store.recovered;
    expect(witness.witness.notReady()).toEqual([]);
    const size = persisted ? 9 : 5;
    const conflict = await witness.post(log.request(2, 9));
    expect(conflict).toMatchObject({ status: 409, body: `${size}\n` });
    expect((await witness.post(log.request(size, 12))).status).toBe(200);
  });
});
