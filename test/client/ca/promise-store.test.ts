import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PromiseStore } from '../../../client/ca/promise-store.ts';
import { tempDir } from '../../support/log.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => await dir.remove());

const open = () => PromiseStore.open(join(dir.path, 'promises'), () => {});
const promise = (i: number) => ({
  serial: (0x4000 + i).toString(16),
  time: 1_900_000_000_000 + i,
  team: 'ci',
  certificate: Uint8Array.of(1, 2, i % 256),
  digest: Uint8Array.of(3),
  signature: Uint8Array.of(4),
});

it('keeps promises until they are kept or end otherwise, also across a new start', async () => {
  let store = await open();
  expect(store.unfinished).toEqual([]);
  expect(store.latest).toBe(0);
  await Promise.all(Array.from({ length: 300 }, (_, i) => store.keep(promise(i))));
  await store.close();
  store = await open();
  expect(store.unfinished).toHaveLength(300);
  expect(store.unfinished.find(({ serial }) => serial === promise(17).serial)).toEqual(promise(17));
  expect(store.latest).toBe(promise(299).time);
  for (const one of store.unfinished.slice(1)) void store.kept(one, undefined);
  await store.neverGiven(store.unfinished[0]!, 'the log refused it');
  await store.close();
  store = await open();
  expect(store.unfinished).toEqual([]);
  await store.close();
});

it('keeps the latest time, of certificates and of witnesses, until it is set back', async () => {
  let store = await open();
  await store.keep(promise(1));
  await store.kept(promise(1), promise(1).time + 5000);
  expect(store.latest).toBe(promise(1).time + 5000);
  await store.setBack(1000);
  await store.close();
  store = await open();
  expect(store.latest).toBe(1000);
  await store.close();
});
