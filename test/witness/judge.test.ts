/** A cosigner with a judge: what must hold beyond the rules of a witness. */
import { expect, it } from 'vitest';
import { namesIn } from '../../merkle/runtime/disk/files.ts';
import { originHash } from '../../merkle/witness.ts';
import type { Doubt } from '../../witness/judge.ts';
import { gate } from '../support/until.ts';
import { makeWitness, TestLog, treeOf } from './helpers.ts';

const log = new TestLog();
const path = `/${originHash(log.origin)}/checkpoint`;

async function judged(doubt: (size: number) => Promise<Doubt | undefined>) {
  const judge = {
    logs: [],
    judge: ({ size }: { readonly size: number }) => doubt(size),
    notReady: () => [],
    alarms: () => [],
    measure: () => {},
  };
  return await makeWitness([log], { open: { judge } });
}

it('is asked about each checkpoint before it is stored and cosigned', async () => {
  const asked: number[] = [];
  const witness = await judged(async (size) => {
    asked.push(size);
    return undefined;
  });
  expect((await witness.post(log.request(0, 5))).status).toBe(200);
  expect((await witness.post(log.request(5, 5))).status).toBe(200);
  expect(asked).toEqual([5, 5]);
});

it('refuses for good, or for now with Retry-After, and stores nothing', async () => {
  let doubt: Doubt = { final: false, why: 'the map is at leaf 3' };
  const witness = await judged(async () => doubt);
  const later = await witness.post(log.request(0, 5));
  expect(later).toMatchObject({ status: 503, retry: '5', body: 'the map is at leaf 3\n' });
  doubt = { final: true, why: 'leaf 3 is wrong' };
  const never = await witness.post(log.request(0, 5));
  expect(never).toMatchObject({ status: 422, retry: undefined, body: 'leaf 3 is wrong\n' });
  expect((await witness.get(path)).status).toBe(404);
});

it('refuses where the judge fails', async () => {
  const witness = await judged(() => Promise.reject(new Error('the disk')));
  expect((await witness.post(log.request(0, 5))).status).toBe(500);
  expect((await witness.get(path)).status).toBe(404);
});

it('does not wait for the judge to name the size, nor for another request', async () => {
  const slow = gate();
  const witness = await judged(async (size) => {
    if (size === 9) await slow.opened;
    return undefined;
  });
  expect((await witness.post(log.request(0, 4))).status).toBe(200);
  const waiting = witness.post(log.request(4, 9));
  expect((await witness.post(log.request(3, 9))).status).toBe(409);
  expect((await witness.post(log.request(4, 8))).status).toBe(200);
  slow.open();
  // The other request came first, so this one is of an old size now.
  expect((await waiting).status).toBe(409);
});

it('keeps evidence of two histories, whatever the judge says', async () => {
  let asked = 0;
  const witness = await judged(async () => (asked++ > 0 ? { final: true, why: 'no' } : undefined));
  expect((await witness.post(log.request(0, 8))).status).toBe(200);
  expect((await witness.post(log.request(8, 8, treeOf('another', 64)))).status).toBe(422);
  expect(await namesIn(`${witness.dir}/evidence`)).toHaveLength(1);
});
