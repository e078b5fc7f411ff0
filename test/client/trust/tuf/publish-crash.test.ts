/** kill -9 at each change of a file while a repository is published. Built first (`npm test` does). */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DAY } from '../../../../client/trust/tuf/plan.ts';
import { publish } from '../../../../client/trust/tuf/publish.ts';
import { statusOf } from '../../../../client/trust/tuf/repository-status.ts';
import { signStaged } from '../../../../client/trust/tuf/staged-signing.ts';
import { changePlan, restage, stageTargets } from '../../../../client/trust/tuf/staging.ts';
import { tufKey } from '../../../../client/trust/tuf/tuf-key.ts';
import { tempDir } from '../../../support/log.ts';
import { type Holder, holder, holders, initSigned, NOW, planOf, readAsClient, signAll } from './repository.ts';

const run = promisify(execFile);
const CHILD = join(import.meta.dirname, 'publish-child.mjs');

let path: string;
let remove: () => Promise<void>;
beforeEach(async () => {
  ({ path, remove } = await tempDir());
});
afterEach(() => remove());

/** Publishes in a process that ends before its call `last`. Resolves with the number of calls where it got through. */
async function publishUntil(dir: string, online: readonly Holder[], last: number): Promise<number | undefined> {
  const files = online.map(({ name, key }) => {
    const file = join(path, `${name}.pem`);
    writeFileSync(file, key.privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
    return file;
  });
  try {
    const { stdout } = await run(process.execPath, [CHILD, dir, files.join(','), String(NOW), String(last)]);
    return Number(stdout);
  } catch (error) {
    expect((error as { signal?: string; stderr?: string }).signal, (error as { stderr?: string }).stderr).toBe(
      'SIGKILL',
    );
    return undefined;
  }
}

/** Kills the publication of a copy of `prepared` before each of its calls, and holds what is there then to `check`. */
async function killAtEach(prepared: string, online: readonly Holder[], check: (dir: string) => Promise<void>) {
  const dir = join(path, 'copy');
  for (let last = 1; ; last++) {
    rmSync(dir, { recursive: true, force: true });
    cpSync(prepared, dir, { recursive: true });
    const calls = await publishUntil(dir, online, last);
    await check(dir);
    if (calls !== undefined) {
      expect(calls).toBeGreaterThan(7);
      expect(last).toBe(calls + 1);
      return;
    }
  }
}

const { five, online } = holders();
const three = five.slice(0, 3);
const team = holder('team-1');
const files = (text: string) => [{ name: 'a.txt', bytes: Buffer.from(text) }];
const withTeam = () => {
  const plan = planOf([...five, team], online);
  const only = { root: { ...plan.root, holders: five.map(({ name }) => name) } };
  const delegation = {
    name: 'team',
    holders: ['team-1'],
    threshold: 1,
    paths: ['team/*'],
    terminating: true,
    expires: 90 * DAY,
  };
  return { ...plan, ...only, targets: { ...plan.targets, holders: only.root.holders }, delegations: [delegation] };
};
const stageTeam = (dir: string, text: string) =>
  stageTargets(dir, { role: 'team', files: [{ name: 'team/b.txt', bytes: Buffer.from(text) }] }, NOW);

/** All is done after one more call, and nothing is left. */
async function finishes(dir: string, signers: readonly Holder[]): Promise<void> {
  await publish(dir, { online: signers.map(({ signer }) => signer), now: NOW });
  expect((await statusOf(dir, NOW)).todo).toEqual([]);
  expect(readdirSync(join(dir, 'staged'), { recursive: true })).toEqual(['targets']);
  expect(readdirSync(join(dir, 'public'), { recursive: true }).filter((name) => String(name).endsWith('.tmp'))).toEqual(
    [],
  );
}

/** A repository whose staged versions are all signed. */
async function prepare(name: string): Promise<string> {
  const dir = join(path, name);
  const plan = withTeam();
  await initSigned(dir, { ...plan, delegations: [] }, three);
  await changePlan(dir, NOW, () => plan);
  await stageTargets(dir, { files: files('one') }, NOW);
  await stageTeam(dir, 'one');
  await signAll(dir, 'targets', three);
  await signStaged(dir, team.signer, 'team');
  return dir;
}

const ONE = { 'a.txt': 'one', 'team/b.txt': 'one' };
const TWO = { 'a.txt': 'two', 'team/b.txt': 'two' };

describe('a publication that is killed before any change of a file', () => {
  it('leaves nothing published or all, the first time', { timeout: 300_000 }, async () => {
    await killAtEach(await prepare('first'), [online], async (dir) => {
      if (existsSync(join(dir, 'public', 'timestamp.json'))) expect(readAsClient(dir).targets).toEqual(ONE);
      await finishes(dir, [online]);
      expect(readAsClient(dir)).toMatchObject({ targets: ONE, versions: { root: 1, timestamp: 1 } });
    });
  });

  it('leaves the old versions or the new ones, while three of five keys and the online key are replaced', {
    timeout: 300_000,
  }, async () => {
    const dir = await prepare('second');
    await publish(dir, { online: [online.signer], now: NOW });
    const fresh = [6, 7, 8].map((i) => holder(`holder-${i}`));
    const next = holder('online-2', 'p256');
    const kept = five.slice(3);
    const names = [...kept, ...fresh].map(({ name }) => name);
    await changePlan(dir, NOW, (plan) => ({
      ...plan,
      holders: new Map([...plan.holders, ...[...fresh, next].map((one) => [one.name, tufKey(one.key.spki)] as const)]),
      root: { ...plan.root, holders: names },
      targets: { ...plan.targets, holders: names },
      snapshot: { ...plan.snapshot, holders: ['online-2'] },
      timestamp: { ...plan.timestamp, holders: ['online-2'] },
    }));
    await stageTargets(dir, { files: files('two') }, NOW);
    await stageTeam(dir, 'two');
    await signStaged(dir, team.signer, 'team');
    for (const role of ['root', 'targets']) await signAll(dir, role, [...three, ...fresh]);
    const seen = new Set<string>();
    await killAtEach(dir, [next, online], async (copy) => {
      // Clients that know the first root, at every moment.
      const { targets, versions } = readAsClient(copy);
      expect([ONE, TWO]).toContainEqual(targets);
      seen.add(`${targets['a.txt']} under root ${versions.root}`);
      await finishes(copy, [next, online]);
      expect(readAsClient(copy)).toMatchObject({
        targets: TWO,
        versions: { root: 2, 'targets.json': 2, 'team.json': 2 },
      });
      expect(await restage(copy, NOW)).toEqual([]);
    });
    expect([...seen].sort()).toEqual(['one under root 1', 'two under root 1', 'two under root 2']);
  });
});
