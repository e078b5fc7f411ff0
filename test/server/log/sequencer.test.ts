import { describe, expect, it } from 'vitest';
import { Sequencer } from '../../../server/log/sequencer.ts';

/** A sequencer whose batches are written down, each under way until it is let go. */
function make(options: { maxSize: number; maxAge: number }) {
  const batches: number[][] = [];
  let release = (): void => {};
  let hold = false;
  const sequencer = new Sequencer<number>(options, async (batch) => {
    batches.push(batch);
    if (hold) await new Promise<void>((resolve) => (release = resolve));
  });
  return { sequencer, batches, hold: () => (hold = true), release: () => release() };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const NEVER = { maxSize: 100, maxAge: 1_000_000 };

describe('Sequencer', () => {
  it('lets a lone entry go at once, and what comes in the same turn with it', async () => {
    const { sequencer, batches } = make(NEVER);
    sequencer.add(1);
    await turn();
    await turn();
    sequencer.add(2);
    sequencer.add(3);
    await turn();
    expect(batches).toEqual([[1], [2, 3]]);
  });

  it('waits for company where the batch before had some, as long as the age allows', async () => {
    const { sequencer, batches } = make({ maxSize: 100, maxAge: 30 });
    sequencer.add(1);
    sequencer.add(2);
    await turn();
    await turn();
    sequencer.add(3);
    await turn();
    expect(batches).toEqual([[1, 2]]);
    sequencer.add(4);
    await expect
      .poll(() => batches)
      .toEqual([
        [1, 2],
        [3, 4],
      ]);
  });

  it('lets a full batch go at once, and none while one is under way', async () => {
    const { sequencer, batches, hold, release } = make({ maxSize: 2, maxAge: 1_000_000 });
    hold();
    for (const entry of [1, 2, 3, 4, 5]) sequencer.add(entry);
    await turn();
    expect(batches).toEqual([[1, 2]]);
    release();
    await turn();
    expect(batches).toEqual([
      [1, 2],
      [3, 4],
    ]);
    release();
  });

  it('waits for no more than 64, and takes all that are there', async () => {
    const { sequencer, batches, hold, release } = make({ maxSize: 100, maxAge: 1_000_000 });
    hold();
    sequencer.add(0);
    sequencer.add(1);
    await turn();
    const later = Array.from({ length: 63 }, (_, i) => i + 2);
    for (const entry of later) sequencer.add(entry);
    release();
    await turn();
    await turn();
    expect(batches).toEqual([[0, 1]]);
    sequencer.add(65);
    await turn();
    expect(batches).toEqual([
      [0, 1],
      [...later, 65],
    ]);
    const many = Array.from({ length: 90 }, (_, i) => i + 66);
    for (const entry of many) sequencer.add(entry);
    release();
    await turn();
    await turn();
    expect(batches.at(-1)).toEqual(many);
    release();
  });

  it('is idle once all is through, and forgets what it is told to', async () => {
    const { sequencer, batches } = make(NEVER);
    sequencer.add(1);
    sequencer.add(2);
    await sequencer.idle();
    expect(batches).toEqual([[1, 2]]);
    sequencer.add(3);
    expect(sequencer.clear()).toEqual([3]);
    await turn();
    expect(batches).toHaveLength(1);
    expect(sequencer.queued).toBe(0);
  });
});
