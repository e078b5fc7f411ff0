import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { openLevelState } from '../../../server/store/level/level.ts';
import { decodeState, encodeState } from '../../../server/store/tree-state.ts';
import type { TreeState } from '../../../server/store/types.ts';
import { entry, growth, state } from '../../suites/store.ts';

const code = (value: string) => expect.objectContaining({ name: 'ServerError', code: value });
const text = (value: TreeState) => Buffer.from(encodeState(value)).toString();

describe('the stored tree state', () => {
  const frozen = state(300, { filed: 256, status: 'frozen', lastCheckpoint: new Uint8Array([0, 10, 255]) });

  it('reads as it was written', () => {
    for (const value of [state(0), state(2 ** 53 - 1, { filed: 2 ** 53 - 256 }), frozen]) {
      expect(text(decodeState(encodeState(value)))).toBe(text(value));
    }
    const zeroes = state(3, { root: new Uint8Array(32) });
    const root = `${'A'.repeat(43)}=`;
    expect(text(zeroes)).toBe(`{"version":1,"size":3,"root":"${root}","filed":0,"status":"open"}`);
  });

  it.each<[string, (good: string) => string]>([
    ['nothing', () => ''],
    ['null', () => 'null'],
    ['a cut end', (good) => good.slice(0, -1)],
    ['a space', (good) => `${good} `],
    ['another order', (good) => good.replace('"version":1,', '').replace('}', ',"version":1}')],
    ['an unknown field', (good) => good.replace('}', ',"more":1}')],
    ['a missing field', (good) => good.replace('"filed":256,', '')],
    ['a text for a number', (good) => good.replace('"size":300', '"size":"300"')],
    ['another form of a number', (good) => good.replace('"size":300', '"size":3e2')],
    ['a size below filed', (good) => good.replace('"size":300', '"size":30')],
    ['an unknown status', (good) => good.replace('frozen', 'melted')],
    ['open with a last checkpoint', (good) => good.replace('frozen', 'open')],
    ['base64 without padding', (good) => good.replace('=', '')],
  ])('is corrupt with %s', (_, change) => {
    const bytes = Buffer.from(change(text(frozen)));
    expect(() => decodeState(bytes)).toThrow(code('corrupt'));
  });

  it('of another format version names the versions', () => {
    const bytes = Buffer.from(text(frozen).replace('"version":1', '"version":2'));
    expect(() => decodeState(bytes)).toThrow(code('format-version'));
  });
});

describe('a level state store that something else changed', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-state-'));
    const store = await openLevelState(dir);
    await store.commit(growth(undefined, state(10)));
    await store.close();
  });
  afterEach(() => rm(dir, { recursive: true }));

  async function change(key: Buffer, value?: Buffer): Promise<void> {
    const level = await GuardedLevel.open(dir);
    await level.write((batch) => (value ? batch.put(key, value) : batch.del(key)));
    await level.close();
  }

  it('says where the tail has a gap', async () => {
    await change(Buffer.from('t\0\0\0\0\0\0\0\x04', 'latin1'));
    const store = await openLevelState(dir);
    expect(await store.tail(5, 10)).toHaveLength(5);
    await expect(store.tail(0, 10)).rejects.toThrow(/entry 4 is missing/);
    await store.close();
  });

  it('is corrupt with another state, or another index', async () => {
    await change(Buffer.from('s'), Buffer.from('{}'));
    await change(Buffer.concat([Buffer.from('d'), entry(3).leafHash]), Buffer.alloc(8, 255));
    const store = await openLevelState(dir);
    await expect(store.read()).rejects.toEqual(code('corrupt'));
    expect(await store.lookup([entry(3).leafHash])).toEqual(['damaged']);
    await store.close();
  });

  it('is open once, and never made where it must be there', async () => {
    const store = await openLevelState(dir);
    await expect(openLevelState(dir)).rejects.toEqual(code('locked'));
    await store.close();
    await expect(openLevelState(join(dir, 'none'), { create: false })).rejects.toEqual(code('store'));
  });
});
