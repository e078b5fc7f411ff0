/** What belongs to one opened store, and how its end is told. */
import { beforeEach, describe, expect, it } from 'vitest';
import { requestError } from '../../../server/errors.ts';
import { OpenStore } from '../../../server/log/open-store.ts';
import { Replies } from '../../../server/log/replies.ts';
import type { Published } from '../../../server/log/types.ts';
import { Faults, faultyStores } from '../../support/faulty.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';

let disk: MemoryDisk;
let faults: Faults;
beforeEach(() => {
  disk = new MemoryDisk();
  faults = new Faults();
});

const open = async () =>
  await OpenStore.open(faultyStores(await openMemoryStores(disk), faults), async () => undefined);

const published = (store: OpenStore, checkpoint: string): Published => ({ checkpoint, reader: store.tree.reader() });
const stored = () => Buffer.from(disk.checkpoint ?? []).toString();

describe('an open store', () => {
  it('shows checkpoints in the order in which they came', async () => {
    const store = await open();
    const seen: (string | undefined)[] = [];
    const show = (checkpoint: string) =>
      store.show(() => {
        seen.push(store.published?.checkpoint);
        return published(store, checkpoint);
      });
    await Promise.all([show('a'), show('b'), show('c')]);
    expect(seen).toEqual([undefined, 'a', 'b']);
    expect(store.published!.checkpoint).toBe('c');
    expect(stored()).toBe('c');
    await store.close();
  });

  it('writes nothing where the checkpoint is not wanted any more', async () => {
    const store = await open();
    await store.show(() => published(store, 'a'));
    const before = faults.writes.length;
    await store.show(() => undefined);
    expect(faults.writes.length).toBe(before);
    expect(store.published!.checkpoint).toBe('a');
    await store.close();
  });

  it('shows no checkpoint whose write failed', async () => {
    const store = await open();
    await store.show(() => published(store, 'a'));
    faults.failNext('reported-failed');
    await expect(store.show(() => published(store, 'b'))).rejects.toMatchObject({ code: 'store' });
    expect(store.published!.checkpoint).toBe('a');
    await store.close();
  });

  it('gives everybody who waits the reason of its end, and lets readers go on', async () => {
    const store = await open();
    await store.show(() => published(store, 'a'));
    const replies = new Replies(store, {
      whyLate: () => undefined,
      timeoutMs: 60_000,
      onProofError: (error) => expect.fail(String(error)),
    });
    const waiting = replies.wait(7, new Uint8Array(32)).catch((error: unknown) => error);
    const shown = store.show(() => published(store, 'b')).catch((error: unknown) => error);
    const reason = requestError('halted');
    store.end(reason);
    // Only the first end counts.
    store.end(requestError('draining'));
    expect(store.signal.aborted).toBe(true);
    expect(await waiting).toBe(reason);
    expect(await shown).toBe(reason);
    await expect(replies.wait(0, new Uint8Array(32))).rejects.toBe(reason);
    await expect(store.show(() => published(store, 'c'))).rejects.toBe(reason);
    await store.stop();
    expect(store.published!.checkpoint).toBe('a');
    expect(stored()).toBe('a');
    await store.close();
  });

  it('closes the stores where they cannot be taken into service', async () => {
    const stores = await openMemoryStores(disk, { exclusive: true });
    const failing = OpenStore.open(stores, () => Promise.reject(new Error('another history')));
    await expect(failing).rejects.toThrow('another history');
    expect(disk.locked).toBe(false);
  });
});
