/** Random changes of a repository, in random order: whatever is published, every client that ever followed it can go on. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ClientError } from '../../../../client/errors.ts';
import { HOUR, type TrustPlan } from '../../../../client/trust/tuf/plan.ts';
import { publish } from '../../../../client/trust/tuf/publish.ts';
import { signStaged, versionsToSign } from '../../../../client/trust/tuf/staged-signing.ts';
import { changePlan, stageTargets } from '../../../../client/trust/tuf/staging.ts';
import { tufKey } from '../../../../client/trust/tuf/tuf-key.ts';
import { tempDir } from '../../../support/log.ts';
import { type Holder, holder, initSigned, NOW, planOf, readAsClient, signAll } from './repository.ts';

let dir: string;
let remove: () => Promise<void>;
beforeEach(async () => {
  const temp = await tempDir();
  remove = temp.remove;
  dir = join(temp.path, 'repository');
});
afterEach(() => remove());

/** A generator of numbers below `limit`, the same for the same seed (mulberry32). */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

it.each([1, 2])('seed %i', { timeout: 120_000 }, async (seed) => {
  const below = numbers(seed);
  const all: Holder[] = Array.from({ length: 8 }, (_, i) => holder(`holder-${i}`, i % 2 === 0 ? 'ed25519' : 'p256'));
  const onlineKeys = [holder('online-0'), holder('online-1', 'p256')];
  const signers = onlineKeys.map(({ signer }) => signer);
  await initSigned(dir, planOf(all.slice(0, 5), onlineKeys[0]!), all.slice(0, 3));
  await publish(dir, { online: signers, now: NOW });
  let published: Record<string, string> = {};
  let staged: Record<string, string> = {};
  let versions = readAsClient(dir).versions;
  const keyOf = ({ name, key }: Holder) => [name, tufKey(key.spki)] as const;
  const roleWith = (plan: TrustPlan, role: 'root' | 'targets') => {
    const names = all.filter(() => below(2) === 0).map(({ name }) => name);
    const holders = names.length === 0 ? [all[0]!.name] : names;
    return { ...plan[role], holders, threshold: 1 + below(holders.length) };
  };
  const steps: readonly (() => Promise<void>)[] = [
    async () => {
      const name = `t${below(4)}`;
      staged = { ...staged, [name]: `${below(3)}` };
      await stageTargets(dir, { files: [{ name, bytes: Buffer.from(staged[name]!) }] }, NOW);
    },
    async () => {
      const [name] = Object.keys(staged);
      if (name === undefined) return;
      const { [name]: _, ...rest } = staged;
      staged = rest;
      await stageTargets(dir, { remove: [name] }, NOW);
    },
    async () => {
      await changePlan(dir, NOW, (plan) => ({
        ...plan,
        holders: new Map([...all, ...onlineKeys].map(keyOf)),
        root: roleWith(plan, 'root'),
        targets: roleWith(plan, 'targets'),
        timestamp: { ...plan.timestamp, holders: [onlineKeys[below(2)]!.name] },
      }));
    },
    async () => {
      const { versions } = await versionsToSign(dir);
      const one = all[below(all.length)]!;
      // A holder who is not one of the role cannot sign it.
      for (const { role } of versions) {
        await signStaged(dir, one.signer, role).catch((error) => expect((error as ClientError).code).toBe('key'));
      }
    },
    async () => {
      try {
        await publish(dir, { online: signers, now: NOW });
        published = staged;
      } catch (error) {
        expect((error as ClientError).code).toBe('tuf-signatures');
      }
    },
  ];
  const everybody = async () => {
    for (const { role, delegators } of (await versionsToSign(dir)).versions) {
      const may = all.filter(({ key }) => delegators.some((one) => one.type === 'root' && one.keys.has(key.id)));
      for (const one of may)
        await signAll(dir, role, [one]).catch((error) => expect((error as ClientError).code).toBe('key'));
    }
  };
  for (let step = 0; step < 30; step++) {
    await steps[below(steps.length)]!();
    if (below(8) === 0) await everybody();
    // A client that knows the first root, and one that knows the newest that it saw.
    const read = readAsClient(dir, NOW + HOUR);
    expect(read.targets).toEqual(published);
    expect(readAsClient(dir, NOW + HOUR, versions.root).targets).toEqual(published);
    for (const [role, version] of Object.entries(versions)) {
      expect(read.versions[role as 'root'], role).toBeGreaterThanOrEqual(version);
    }
    versions = read.versions;
  }
  await everybody();
  await publish(dir, { online: signers, now: NOW });
  expect(readAsClient(dir, NOW + HOUR).targets).toEqual(staged);
  expect(versions.root).toBeGreaterThan(0);
});
