/** From the entries of a log to the published versions of its map, with a real output log. */
import { describe, expect, it } from 'vitest';
import { parseNote } from '../../../../merkle/note.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { later, tempDir } from '../../../support/log-files.ts';
import { TestWitness } from '../../../support/witness.ts';
import { grow, keyOf, openMapped, startOutput } from './mapped-log.ts';

async function startRebuilder(name: string, key: ConstructorParameters<typeof TestWitness>[1]): Promise<TestWitness> {
  const rebuilder = await new TestWitness(name, key).start();
  later(() => rebuilder.stop());
  return rebuilder;
}

describe('a version of the map', () => {
  it('answers what is there and what is not, and a later one has what came since', async () => {
    const log = FakeLog.empty('input.test');
    grow(log, [1, 2, 1, 3]);
    const { map, round, lookup } = await openMapped(log, await startOutput());
    await expect(map.lookup({ key: keyOf(1), since: 0 })).rejects.toMatchObject({ code: 'not-ready' });
    expect(await round()).toBe(true);
    expect(await lookup(keyOf(1))).toMatchObject({
      present: true,
      complete: true,
      indexes: [0, 2],
      input: { size: 4 },
    });
    expect(await lookup(keyOf(7))).toMatchObject({ present: false, complete: true, indexes: [] });
    grow(log, [1, 9]);
    expect(await round()).toBe(true);
    expect(await lookup(keyOf(1))).toMatchObject({ indexes: [0, 2, 4], input: { size: 6 }, output: { size: 2 } });
    expect(await lookup(keyOf(9))).toMatchObject({ indexes: [5] });
  });

  it('is not made twice for one tree, nor by a second start', async () => {
    const log = FakeLog.empty('input.test');
    grow(log, [1]);
    const output = await startOutput();
    const dir = tempDir();
    const first = await openMapped(log, output, { dir });
    for (let i = 0; i < 3; i++) expect(await first.round()).toBe(true);
    await first.map.close();
    const second = await openMapped(log, output, { dir });
    expect(await second.lookup(keyOf(1))).toMatchObject({ indexes: [0], output: { size: 1 } });
    expect(await second.round()).toBe(true);
    expect(second.map.status.published).toMatchObject({ size: 1, index: 0 });
  });

  it('goes on after the leaves of a map that is lost, each checked as the map is built again', async () => {
    const log = FakeLog.empty('input.test');
    const output = await startOutput();
    const first = await openMapped(log, output);
    for (let i = 0; i < 4; i++) {
      grow(log, [i, 1]);
      expect(await first.round()).toBe(true);
    }
    await first.map.close();
    const again = await openMapped(log, output);
    expect(await again.round()).toBe(true);
    expect(again.map.status.published).toMatchObject({ size: 8, index: 3 });
    expect(await again.lookup(keyOf(1))).toMatchObject({ indexes: [1, 2, 3, 5, 7] });
    grow(log, [5]);
    expect(await again.round()).toBe(true);
    expect(again.map.status.published).toMatchObject({ size: 9, index: 4 });
  });

  it('has the lines of its rebuilders, those of late ones later', async () => {
    const log = FakeLog.empty('input.test');
    grow(log, [1, 2]);
    const output = await startOutput();
    const key = output.followed.keys[0]!;
    const rebuilders = await Promise.all(['r1', 'r2', 'r3'].map((name) => startRebuilder(name, key)));
    rebuilders[2]!.behaviour = 'error-500';
    const { map, round, events } = await openMapped(log, output, { rebuilders, quorum: 2 });
    expect(await round()).toBe(true);
    const lines = () => parseNote(map.status.published!.checkpoint).signatures.map(({ name }) => name);
    expect(map.status.late).toBe(false);
    expect(lines().length).toBeGreaterThanOrEqual(3);
    rebuilders[2]!.behaviour = 'good';
    expect(await round()).toBe(true);
    expect(lines().sort()).toEqual(['output.test', 'r1.test', 'r2.test', 'r3.test']);
    for (const one of rebuilders) one.behaviour = 'hang';
    grow(log, [3]);
    const slow = await openMapped(log, output, { rebuilders, quorum: 2, waitMs: 200 });
    expect(await slow.round()).toBe(true);
    expect(slow.map.status).toMatchObject({ late: true, published: { size: 3 } });
    // It had to publish what it found in the output log, too.
    expect(slow.events.map(({ type }) => type)).toEqual(['published', 'late', 'published', 'late']);
    expect(events.map(({ type }) => type)).toEqual(['published']);
  });

  it.each(['garbage', 'another-tree', 'another-key', 'random-sizes', 'larger', 'unknown-log'] as const)(
    'takes no line of a rebuilder that answers with %s',
    async (behaviour) => {
      const log = FakeLog.empty('input.test');
      grow(log, [1]);
      const output = await startOutput();
      const rebuilder = await startRebuilder('r1', output.followed.keys[0]!);
      rebuilder.behaviour = behaviour;
      const { map, round } = await openMapped(log, output, { rebuilders: [rebuilder], waitMs: 300 });
      expect(await round()).toBe(true);
      expect(map.status.late).toBe(true);
      expect(map.status.rebuilders[0]!.trouble).toBeDefined();
      expect(parseNote(map.status.published!.checkpoint).signatures).toHaveLength(1);
    },
  );
});
