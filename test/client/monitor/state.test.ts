import { writeFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ClientError, type ClientErrorCode } from '../../../client/errors.ts';
import { decodeState, encodeState } from '../../../client/monitor/log-state.ts';
import { StateStore } from '../../../client/monitor/store/state-store.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { later, tempDir } from '../../support/log-files.ts';
import { follow } from './harness.ts';

async function refused(work: Promise<unknown> | (() => unknown)): Promise<{ code: ClientErrorCode; message: string }> {
  const error = await (typeof work === 'function' ? Promise.resolve().then(work) : work).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ClientError);
  return error as ClientError;
}

/** A directory with the state of a log that was followed through 600 entries. */
async function stored(log = new FakeLog()): Promise<{ dir: string; log: FakeLog }> {
  const harness = await follow(log, { start: 'start' });
  expect(await harness.round()).toMatchObject({ ok: true });
  await harness.close();
  return { dir: harness.dir, log };
}

async function rewrite(dir: string, change: (value: Buffer) => Buffer): Promise<void> {
  const level = await GuardedLevel.open(join(dir, 'follow'));
  for await (const rows of level.scan()) {
    for (const [key, value] of rows) {
      if (key.length > 1) await level.write((batch) => batch.put(key, change(Buffer.from(value))));
    }
  }
  await level.close();
}

describe('the state of a monitor', () => {
  it('goes on after a restart, where it was', async () => {
    const { dir, log } = await stored();
    log.show(entriesOf(800));
    const again = await follow(log, { dir });
    await again.follower.load();
    expect(again.follower.completeThrough).toBe(600);
    await again.round();
    expect(again.matcher.seen.map(({ index }) => index)).toEqual(Array.from({ length: 200 }, (_, i) => 600 + i));
  });

  it('comes back as it was written', async () => {
    const { dir, log } = await stored();
    const { store } = await StateStore.open(join(dir, 'follow'), false);
    later(() => store.close());
    const state = (await store.load({ origin: log.origin, keys: [log.key] }))!;
    const full = {
      ...state,
      frozen: { size: 600, head: state.head },
      reported: new Map([['stale', { id: 'x', seen: 5 }]]),
      peers: new Map([['peer', { agreed: 7, ahead: state.head }]]),
      shard: { location: 'https://log.test', keys: [log.vkey] },
    };
    expect(encodeState(decodeState({ origin: log.origin, keys: [log.key] }, encodeState(full)))).toEqual(
      encodeState(full),
    );
  });

  it('that is missing is an error, and fresh only on demand', async () => {
    const dir = await tempDir();
    const { code, message } = await refused(StateStore.open(join(dir, 'follow'), false));
    expect(code).toBe('state');
    expect(message).toMatch(/there is no state.*--from-start.*--from-now/);
    expect(await readdir(dir)).toEqual([]);
  });

  it('that was deleted is an error, not a new start', async () => {
    const { dir, log } = await stored();
    await rm(join(dir, 'follow'), { recursive: true });
    expect((await refused(follow(log, { dir }))).code).toBe('state');
  });

  it('without the log that the configuration names is an error that names it', async () => {
    const { dir } = await stored();
    const other = await follow(new FakeLog(undefined, 'other.test'), { dir });
    const { code, message } = await refused(other.round());
    expect(code).toBe('state');
    expect(message).toMatch(/no state of the log "other.test"/);
  });

  it('of another log of the same name is an error', async () => {
    const { dir } = await stored();
    const other = await follow(new FakeLog(), { dir });
    const { code, message } = await refused(other.round());
    expect(code).toBe('state');
    expect(message).toMatch(/is of another log.*key/);
    expect(other.matcher.seen).toEqual([]);
  });

  it.each<[string, (value: Buffer) => Buffer]>([
    ['a flipped bit', (value) => Buffer.from(value.with(value.length - 9, value.at(-9)! ^ 1))],
    ['a cut record', (value) => value.subarray(0, 40)],
    ['an empty record', () => Buffer.alloc(0)],
  ])('with %s is damaged, and an error', async (_name, change) => {
    const { dir, log } = await stored();
    await rewrite(dir, change);
    const again = await follow(log, { dir });
    const { code, message } = await refused(again.round());
    expect(code).toBe('state');
    expect(message).toMatch(/damaged.*--from-start/);
    expect(again.matcher.seen).toEqual([]);
  });

  it('whose files are damaged is an error; a fresh start puts it aside and says where', async () => {
    const { dir } = await stored();
    for (const name of await readdir(join(dir, 'follow'))) {
      if (name.startsWith('MANIFEST') || name === 'CURRENT') writeFileSync(join(dir, 'follow', name), 'garbage');
    }
    const { code, message } = await refused(StateStore.open(join(dir, 'follow'), false));
    expect(code).toBe('state');
    expect(message).toMatch(/damaged/);
    const { store, aside } = await StateStore.open(join(dir, 'follow'), true);
    later(() => store.close());
    expect(await store.isEmpty()).toBe(true);
    expect(await readdir(aside!)).toContain('CURRENT');
  });

  it('is not moved where it cannot be written, and is read again before going on', async () => {
    const { dir, log } = await stored();
    log.show(entriesOf(700));
    const again = await follow(log, { dir });
    const save = again.store.save.bind(again.store);
    let failures = 0;
    again.store.save = async (state) => {
      if (state.range.size < 700 || failures++ > 0) return await save(state);
      throw new RuntimeError('store', 'the disk is full');
    };
    expect(await again.round()).toMatchObject({ ok: false, fault: 'the disk is full' });
    expect(again.follower.completeThrough).toBe(600);
    expect(await again.round()).toMatchObject({ ok: true });
    // At least once: both rounds have looked at them.
    expect(again.matcher.seen).toHaveLength(200);
    expect(again.follower.completeThrough).toBe(700);
  });

  it('holds no more than it needs, whatever the size of the tree', async () => {
    const { dir, log } = await stored(new FakeLog(new View(entriesOf(5000))));
    const { store } = await StateStore.open(join(dir, 'follow'), false);
    later(() => store.close());
    const state = (await store.load({ origin: log.origin, keys: [log.key] }))!;
    expect(encodeState(state).length).toBeLessThan(2000);
  });
});
