/** An update that dies at any time leaves trust that loads, old or new, and that the next update completes. Built code. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CLI, stele } from '../../../support/serve.ts';
import { Followed } from './followed.ts';

let followed: Followed;
beforeAll(async () => {
  followed = await Followed.start();
  await followed.use();
});
afterAll(async () => await followed.close());

it('is whole after SIGKILL at any time of an update, and no version goes back', async () => {
  const { maker, mirror, store } = followed;
  let last = 0;
  let killed = 0;
  for (let round = 1; round <= 14; round++) {
    // Every third round replaces the keys of timestamp and snapshot, or three keys of the root.
    if (round % 3 === 0) {
      const before = maker.keys.root;
      if (round % 2 === 0) maker.replace('root', [...before.slice(0, 2), ...maker.newKeys(3)]);
      else for (const role of ['timestamp', 'snapshot'] as const) maker.replace(role, maker.newKeys(1));
      maker.newRoot(before);
    }
    followed.change(`${round}\n`);
    const args = [CLI, 'trust', 'update', '--trust', store.dir];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'ignore'] });
    const ended = once(child, 'close');
    mirror.reset();
    // Kills it between two requests, or at a random time while it writes.
    const path = ['timestamp.json', 'targets/'][round % 2]!;
    while (
      child.exitCode === null &&
      child.signalCode === null &&
      !mirror.requests.some((one) => one.startsWith(path))
    ) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 25));
    child.kill('SIGKILL');
    const [, signal] = await ended;
    if (signal === 'SIGKILL') killed += 1;
    const now = Number(await followed.policy().then((text) => (text === 'first\n' ? 0 : text)));
    expect([last, round]).toContain(now);
    last = now;
    // Half of the rounds leave what the death left to the next one.
    if (round % 2 === 0) {
      expect((await stele(['trust', 'update', '--trust', store.dir])).code).toBe(0);
      last = round;
      expect(await followed.policy()).toBe(`${round}\n`);
    }
  }
  expect(killed).toBeGreaterThan(3);
  await followed.update();
  const names = readdirSync(join(store.dir, 'files'));
  expect(names.filter((name) => !/^[0-9a-f]{64}$/.test(name))).toEqual([]);
}, 240_000);

it('lets five processes update at once', async () => {
  const { store } = followed;
  followed.change('all\n');
  const all = await Promise.all(
    Array.from({ length: 5 }, () => stele(['trust', 'update', '--trust', store.dir, '--json'])),
  );
  expect(all.map(({ code, stderr }) => [code, stderr])).toEqual(all.map(() => [0, '']));
  expect(all.filter(({ stdout }) => JSON.parse(stdout).changed)).toHaveLength(1);
  expect(await followed.policy()).toBe('all\n');
}, 120_000);
