/** Output logs that are away, foreign, forked or rolled back, and input logs that lie. */
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../../merkle/bytes.ts';
import { formatOutputLeaf, parseOutputLeaf } from '../../../../merkle/index/map-leaf.ts';
import { entriesOf, FakeLog, View } from '../../../support/fake-log.ts';
import { tempDir } from '../../../support/log-files.ts';
import { grow, keyOf, openMapped, startOutput } from './mapped-log.ts';

async function published() {
  const log = FakeLog.empty('input.test');
  grow(log, [1, 2]);
  const output = await startOutput();
  const dir = tempDir();
  const mapped = await openMapped(log, output, { dir });
  expect(await mapped.round()).toBe(true);
  return { log, output, dir, ...mapped };
}

describe('the publication stops, and lookups go on from the last version, where', () => {
  it('somebody else wrote to the output log', async () => {
    const { log, output, round, lookup, map } = await published();
    await output.add('not a leaf');
    grow(log, [3]);
    await expect.poll(() => output.size()).toBe(2);
    for (let i = 0; i < 2; i++) expect(await round()).toBe(false);
    expect(map.status.halted).toMatch(/^the leaf 1 of the output log is no leaf .*identity\.access/);
    expect(await lookup(keyOf(2))).toMatchObject({ indexes: [1], output: { size: 1 } });
    expect(await output.size()).toBe(2);
  });

  it.each([
    ['another root', (leaf: ReturnType<typeof parseOutputLeaf>) => ({ ...leaf, root: new Uint8Array(32).fill(9) })],
    ['another number of keys', (leaf: ReturnType<typeof parseOutputLeaf>) => ({ ...leaf, keys: leaf.keys + 1 })],
  ])('the output log got a leaf with %s', async (_, change) => {
    const { log, output, round, map, dir } = await published();
    const { leaf } = map.status.published!;
    await output.add(formatOutputLeaf(change(parseOutputLeaf(leaf))));
    await expect.poll(() => output.size()).toBe(2);
    expect(await round()).toBe(false);
    expect(map.status.halted).toMatch(/^the leaf 1 of the output log says another root/);
    await map.close();
    // Also where the map must come to its size first.
    const again = await openMapped(log, output);
    expect(await again.round()).toBe(false);
    expect(await again.round()).toBe(false);
    expect(again.map.status.halted).toMatch(/^the leaf [01] of the output log says another root/);
    rmSync(dir, { recursive: true });
  });

  it('a leaf names an input checkpoint that another key has signed', async () => {
    const { output, round, map } = await published();
    const other = FakeLog.empty('input.test');
    grow(other, [1, 2]);
    const leaf = parseOutputLeaf(map.status.published!.leaf);
    await output.add(formatOutputLeaf({ ...leaf, inputCheckpoint: other.sign(other.text()) }));
    await expect.poll(() => output.size()).toBe(2);
    expect(await round()).toBe(false);
    expect(map.status.halted).toContain('the leaf 1 of the output log is no leaf of a map of this log');
  });

  it('the input log shows another history', async () => {
    const { log, round, map, output } = await published();
    log.show(entriesOf(9, 'other'));
    expect(await round()).toBe(false);
    expect(map.status.halted).toContain('the input log cannot be followed (fork)');
    expect(await output.size()).toBe(1);
  });

  it('the input log goes back, until it is there again', async () => {
    const { log, round, map } = await published();
    const { view } = log;
    log.view = new View(view.entries.slice(0, 1));
    log.size = 1;
    expect(await round()).toBe(false);
    expect(map.status).toMatchObject({ fault: 'the input log cannot be followed (rollback)' });
    log.view = view;
    log.size = 2;
    expect(await round()).toBe(true);
    expect(map.status.fault).toBeUndefined();
  });

  it('the output log goes back to an old copy', async () => {
    const { log, output, round, map } = await published();
    await output.stop();
    cpSync(join(output.dir, 'data'), join(output.dir, 'old'), { recursive: true });
    await output.start();
    grow(log, [3]);
    expect(await round()).toBe(true);
    await output.stop();
    rmSync(join(output.dir, 'data'), { recursive: true });
    cpSync(join(output.dir, 'old'), join(output.dir, 'data'), { recursive: true });
    await output.start();
    grow(log, [4]);
    expect(await round()).toBe(false);
    expect(map.status.fault).toBe('the output log cannot be followed (rollback)');
    expect(await output.size()).toBe(1);
    // The old copy grows into another history.
    await output.add('one');
    await output.add('two');
    await expect.poll(() => output.size()).toBe(3);
    expect(await round()).toBe(false);
    expect(map.status.halted).toContain('the output log cannot be followed (fork)');
  });
});

describe('the same leaf goes to the output log', () => {
  it('once the log is there again, and only once', async () => {
    const { log, output, round, lookup, map } = await published();
    await output.stop();
    grow(log, [3]);
    for (let i = 0; i < 2; i++) expect(await round()).toBe(false);
    expect(map.status.fault).toBeDefined();
    expect(await lookup(keyOf(3))).toMatchObject({ present: false, input: { size: 2 } });
    await output.start();
    expect(await round()).toBe(true);
    expect(await lookup(keyOf(3))).toMatchObject({ indexes: [2], output: { size: 2 } });
  });

  it.each(['before the log has it', 'after the log has it'])(
    'by the next start, where the index ends %s',
    async (when) => {
      const { log, output, dir, map, round, events } = await published();
      grow(log, [3]);
      const stop = new AbortController();
      const send: typeof fetch = async (url, init) => {
        if (when === 'after the log has it') await fetch(url, init);
        stop.abort();
        throw new Error('the process ends here');
      };
      const ending = await reopened(send);
      await ending.map.round(stop.signal);
      expect(ending.events).toEqual([]);
      await ending.map.close();
      grow(log, [4]);
      const next = await openMapped(log, output, { dir });
      expect(await next.round()).toBe(true);
      expect(await next.round()).toBe(true);
      expect(await next.lookup(keyOf(4))).toMatchObject({ indexes: [3], output: { size: 3 } });
      expect(next.events.map((event) => ('size' in event ? event.size : event.type))).toEqual([3, 4]);
      expect([events.length, await round().catch(() => 'closed')]).toEqual([1, 'closed']);

      async function reopened(fetch: typeof globalThis.fetch) {
        await map.close();
        return await openMapped(log, output, { dir, options: { fetch } });
      }
    },
  );
});

it('takes nothing for an answer of the output log that is none', async () => {
  const { log, output, dir, map } = await published();
  grow(log, [3]);
  await map.close();
  const send: typeof fetch = async () => new Response(encodeUtf8('seven') as unknown as ArrayBuffer, { status: 200 });
  const again = await openMapped(log, output, { dir, options: { fetch: send } });
  expect(await again.round()).toBe(false);
  expect(again.map.status).toMatchObject({ published: { size: 2 } });
  expect(await output.size()).toBe(1);
});
