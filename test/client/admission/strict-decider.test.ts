/** Reloads of policy and trust that come at one time. */
import { expect, it } from 'vitest';
import { StrictDecider } from '../../../client/admission/strict-decider.ts';
import type { ReloadingDecider } from '../../../client/admission/types.ts';

it('a reload that began earlier does not end later: what is used is what was read last', async () => {
  const ends: ((error?: Error) => void)[] = [];
  let used = 'first';
  let onDisk = 'first';
  const decider: ReloadingDecider = {
    files: [],
    get versions() {
      return used;
    },
    decide: () => Promise.reject(new Error('not asked here')),
    async reload() {
      const read = onDisk;
      await new Promise<void>((resolve, reject) => {
        ends.push((error) => (error === undefined ? resolve() : reject(error)));
      });
      used = read;
    },
    close: async () => {},
  };
  const strict = new StrictDecider(decider);
  onDisk = 'second';
  const one = strict.reload();
  await new Promise(setImmediate);
  onDisk = 'third';
  const two = strict.reload();
  await new Promise(setImmediate);
  expect(ends).toHaveLength(1);
  ends[0]!(new Error('a mistake'));
  expect(await one).toBe('a mistake');
  expect(strict.problem).toBe('a mistake');
  await new Promise(setImmediate);
  ends[1]!();
  expect(await two).toBeUndefined();
  expect([used, strict.problem]).toEqual(['third', undefined]);
});
