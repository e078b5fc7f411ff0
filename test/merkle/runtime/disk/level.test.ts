import { cp, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GuardedLevel } from '../../../../merkle/runtime/disk/level.ts';

const code = (value: string) => expect.objectContaining({ name: 'RuntimeError', code: value });
const key = (i: number) => Buffer.from(String(i).padStart(6, '0'));

describe('guarded level', () => {
  let dir: string;
  let level: GuardedLevel;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-level-'));
    level = await GuardedLevel.open(join(dir, 'db'));
  });
  afterEach(async () => {
    await level.close();
    await rm(dir, { recursive: true });
  });

  it('keeps a batch, for plain views of a larger buffer too, over a reopening', async () => {
    const whole = new Uint8Array([1, 2, 3, 4, 5, 6]);
    await level.write((batch) => batch.put(whole.subarray(1, 3), whole.subarray(3)));
    await level.close();
    level = await GuardedLevel.open(join(dir, 'db'));
    expect([...(await level.get(new Uint8Array([2, 3])))!]).toEqual([4, 5, 6]);
    expect(await level.getMany([key(1), whole.subarray(1, 3)])).toEqual([undefined, Buffer.from([4, 5, 6])]);
  });

  it('copies keys and values when they are put, so that one buffer serves many', async () => {
    const scratch = new Uint8Array(1);
    await level.write((batch) => {
      for (let i = 0; i < 3; i++) {
        scratch[0] = i;
        batch.put(scratch, scratch);
      }
      scratch[0] = 1;
      batch.del(scratch);
      scratch[0] = 9;
    });
    const found = await level.getMany([0, 1, 2, 9].map((i) => Buffer.from([i])));
    expect(found).toEqual([Buffer.from([0]), undefined, Buffer.from([2]), undefined]);
  });

  it('scans a range in order, as it was when the scan began', async () => {
    await level.write((batch) => {
      for (let i = 0; i < 2000; i++) batch.put(key(i), Buffer.alloc(i % 7));
    });
    const seen: string[] = [];
    for await (const rows of level.scan({ gte: key(5), lt: key(1900) }, 100)) {
      if (seen.length === 0) {
        await level.write((batch) => {
          batch.del(key(1800));
          batch.put(Buffer.from('000500a'), key(0));
        });
      }
      for (const [name] of rows) seen.push(Buffer.from(name).toString());
    }
    expect(seen).toEqual(Array.from({ length: 1895 }, (_, i) => key(i + 5).toString()));
  });

  it('writes nothing and stays good when the batch cannot be made', async () => {
    const failing = level.write((batch) => {
      batch.put(key(1), key(1));
      throw new RangeError('a bug');
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(await level.get(key(1))).toBeUndefined();
    await level.write((batch) => batch.put(key(2), key(2)));
  });

  it('is open once, and says so', async () => {
    await expect(GuardedLevel.open(join(dir, 'db'))).rejects.toEqual(code('locked'));
    expect(await level.get(key(1))).toBeUndefined();
  });

  it('does not make a store where it must be there, nor open one that is broken', async () => {
    await expect(GuardedLevel.open(join(dir, 'none'), { create: false })).rejects.toEqual(code('store'));
    await level.close();
    await writeFile(join(dir, 'db', 'CURRENT'), 'MANIFEST-000099\n');
    await expect(GuardedLevel.open(join(dir, 'db'))).rejects.toEqual(code('store'));
  });

  it('does not begin anew, or go on with less, where LevelDB would not miss a file', async () => {
    await level.write((batch) => batch.put(key(1), key(1)));
    await level.close();
    const copy = async (lost: (name: string) => boolean) => {
      const to = join(dir, 'copy');
      await rm(to, { recursive: true, force: true });
      await cp(join(dir, 'db'), to, { recursive: true });
      for (const name of await readdir(to)) if (lost(name)) await rm(join(to, name));
      return to;
    };
    for (const [file, lost] of [
      [/its file CURRENT is lost/, (name: string) => name === 'CURRENT'],
      [/its journal is lost/, (name: string) => name.endsWith('.log')],
    ] as const) {
      const damaged = await copy(lost);
      const before = await readdir(damaged);
      await expect(GuardedLevel.open(damaged)).rejects.toThrow(file);
      expect(await readdir(damaged)).toEqual(before);
    }
    // The making of a store was cut off.
    const begun = await copy((name) => /^(?:CURRENT|0.*\.log)$/.test(name));
    await (await GuardedLevel.open(begun)).close();
  });

  it('stores nothing more once its directory was removed or replaced', async () => {
    await level.write((batch) => batch.put(key(1), key(1)));
    await rename(join(dir, 'db'), join(dir, 'away'));
    await expect(level.write((batch) => batch.put(key(2), key(2)))).rejects.toThrow(/removed or replaced/);
    await expect(level.get(key(1))).rejects.toEqual(code('store'));
    await rename(join(dir, 'away'), join(dir, 'db'));
  });

  it('is of no more use after a read that failed, closes, and can be opened anew', async () => {
    await level.write((batch) => {
      for (let i = 0; i < 20_000; i++) batch.put(key(i), Buffer.alloc(1000, i));
    });
    await level.close();
    level = await GuardedLevel.open(join(dir, 'db'));
    await cp(join(dir, 'db'), join(dir, 'broken'), { recursive: true, filter: (name) => !name.endsWith('LOCK') });
    for (const name of await readdir(join(dir, 'broken'))) {
      if (name.endsWith('.ldb')) await truncate(join(dir, 'broken', name), 1000);
    }
    const broken = await GuardedLevel.open(join(dir, 'broken'));
    const scan = broken.scan()[Symbol.asyncIterator]();
    await expect(broken.get(key(7))).rejects.toEqual(code('store'));
    await expect(scan.next()).rejects.toEqual(code('store'));
    await expect(broken.get(key(7))).rejects.toThrow(/failed .* open it anew/);
    await expect(broken.write((batch) => batch.put(key(1), key(1)))).rejects.toEqual(code('store'));
    await broken.close();
    await (await GuardedLevel.open(join(dir, 'broken'))).close();
  });

  it('lets what is under way end when it is closed, and refuses the rest', async () => {
    const writing = level.write((batch) => batch.put(key(1), key(1)));
    await level.close();
    await writing;
    await expect(level.get(key(1))).rejects.toThrow(/is closed/);
    level = await GuardedLevel.open(join(dir, 'db'));
    expect(await level.get(key(1))).toEqual(key(1));
  });

  it('reads around damaged tables where a caller can do without a value', async () => {
    // More than the memory of a journal, so that there are tables.
    for (let first = 0; first < 24_000; first += 1000) {
      await level.write((batch) => {
        for (let i = first; i < first + 1000; i++) batch.put(key(i), Buffer.alloc(1000, i));
      });
    }
    await level.close();
    const tables = (await readdir(join(dir, 'db'))).filter((name) => name.endsWith('.ldb'));
    expect(tables.length).toBeGreaterThan(0);
    const table = join(dir, 'db', tables[0]!);
    const bytes = await readFile(table);
    await writeFile(table, bytes.fill(0xff, 1000, bytes.length >> 1));
    level = await GuardedLevel.open(join(dir, 'db'));
    const found = Array.from({ length: 24_000 }, (_, i) => level.getSound(key(i)));
    expect(found).toContain('damaged');
    const sound = found.filter(
      (value, i) => typeof value === 'object' && Buffer.compare(value, Buffer.alloc(1000, i)) === 0,
    );
    expect(sound.length).toBeGreaterThan(10_000);
    // The handle is as good as before.
    await level.write((batch) => batch.put(key(0), Buffer.from('new')));
    expect(String(level.getSound(key(0)))).toBe('new');
    expect(() => level.getSync(key(found.indexOf('damaged', 1)))).toThrow(code('store'));
    expect(() => level.getSound(key(0))).toThrow(code('store'));
  });
});
