import { expect, it } from 'vitest';
import { Window } from '../../../../merkle/runtime/service/window.ts';

it('counts each name in windows of a fixed length', () => {
  let now = 500;
  const window = new Window(
    () => 10_000,
    () => now,
  );
  for (const name of ['a', 'a', 'b']) window.count(name);
  expect([window.isFull('a', 2), window.isFull('b', 2), window.isFull('c', 2)]).toEqual([true, false, false]);
  now += 7500;
  expect([window.isFull('a', 2), window.retryAfter]).toEqual([true, 3]);
  now += 2500;
  expect(window.isFull('a', 1)).toBe(false);
});

it('forgets the oldest of 100,000 names for a new one', () => {
  const window = new Window(
    () => 10_000,
    () => 0,
  );
  for (let i = 0; i < 100_000; i++) window.count(`client ${i}`);
  window.count('client 0');
  expect(window.isFull('client 0', 2)).toBe(true);
  window.count('one more');
  expect([window.isFull('client 0', 1), window.isFull('client 1', 1), window.isFull('one more', 1)]).toEqual([
    false,
    true,
    true,
  ]);
});
