/** Turns, shared between registries and namespaces. */
import { expect, it } from 'vitest';
import { LookupTurns } from '../../../client/admission/lookup-turns.ts';

const settled = () => new Promise(setImmediate);

/** Takes turns, and notes who has one. */
function setup(most: number) {
  const turns = new LookupTurns(() => most);
  const running: { name: string; end: () => void }[] = [];
  const take = async (registry: string, namespace: string, signal = new AbortController().signal) => {
    const end = await turns.take(registry, namespace, signal);
    running.push({ name: `${registry} ${namespace}`, end });
  };
  const names = () => running.map(({ name }) => name);
  return { take, running, names };
}

it('one registry and one namespace have a quarter of them', async () => {
  const { take, names } = setup(8);
  for (let n = 0; n < 5; n++) void take('slow', `n${n}`);
  for (let n = 0; n < 5; n++) void take(`r${n}`, 'tenant');
  void take('good', 'good');
  await settled();
  expect(names()).toEqual(['slow n0', 'slow n1', 'r0 tenant', 'r1 tenant', 'good good']);
});

it('one is enough where there are few, and more than all of them are never given', async () => {
  const { take, names } = setup(3);
  for (let n = 0; n < 9; n++) void take(`r${n}`, `n${n}`);
  void take('r0', 'n0');
  await settled();
  expect(names()).toEqual(['r0 n0', 'r1 n1', 'r2 n2']);
});

it('namespaces that wait get them one after the other, and each registry in its order', async () => {
  const { take, running, names } = setup(1);
  const asked = [take('a', 'one'), take('b', 'one'), take('c', 'one'), take('a', 'two'), take('d', 'two')];
  for (let n = 0; n < asked.length; n++) {
    await settled();
    expect(running).toHaveLength(n + 1);
    running[n]!.end();
  }
  expect(names()).toEqual(['a one', 'b one', 'a two', 'c one', 'd two']);
});

it('who leaves gives up the place, and takes no turn', async () => {
  const { take, running, names } = setup(1);
  void take('a', 'one');
  const stop = new AbortController();
  const left = take('b', 'one', stop.signal);
  void take('c', 'one');
  await settled();
  stop.abort(new Error('left'));
  await expect(left).rejects.toThrow('left');
  running[0]!.end();
  await settled();
  expect(names()).toEqual(['a one', 'c one']);
  await expect(take('d', 'one', stop.signal)).rejects.toThrow('left');
});
