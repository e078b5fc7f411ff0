/** A repository from its plan to what clients read, with everything that must not become public. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DAY, HOUR } from '../../../../client/trust/tuf/plan.ts';
import { publish, refresh } from '../../../../client/trust/tuf/publish.ts';
import { statusOf } from '../../../../client/trust/tuf/repository-status.ts';
import { collectSignatures, signStaged } from '../../../../client/trust/tuf/staged-signing.ts';
import { changePlan, initRepository, restage, stageTargets } from '../../../../client/trust/tuf/staging.ts';
import { tufKey } from '../../../../client/trust/tuf/tuf-key.ts';
import { tempDir } from '../../../support/log.ts';
import { holder, holders, initSigned, NOW, planOf, readAsClient, signAll } from './repository.ts';

let dir: string;
let remove: () => Promise<void>;
const { five, online } = holders();
const [h1, h2, h3, h4, h5] = five as [typeof online, typeof online, typeof online, typeof online, typeof online];
const three = [h1, h2, h3];

beforeEach(async () => {
  const temp = await tempDir();
  remove = temp.remove;
  dir = join(temp.path, 'repo');
});
afterEach(() => remove());

const bytes = (text: string) => Buffer.from(text);
const files = (record: Record<string, string>) =>
  Object.entries(record).map(([name, text]) => ({ name, bytes: bytes(text) }));
const publishNow = (now = NOW, signers = [online]) =>
  publish(dir, { online: signers.map(({ signer }) => signer), now });
const failsWith = async (work: Promise<unknown>, code: string, why: RegExp) =>
  await expect(work).rejects.toMatchObject({ code, message: expect.stringMatching(why) });
/** All files below `public` with their bytes. */
const publicFiles = (): Record<string, string> => {
  const names = readdirSync(join(dir, 'public'), { recursive: true, withFileTypes: true }).filter((one) =>
    one.isFile(),
  );
  return Object.fromEntries(
    names.map(({ parentPath, name }) => [join(parentPath, name), readFileSync(join(parentPath, name), 'base64')]),
  );
};

async function published(record: Record<string, string> = { 'a.txt': 'one' }): Promise<void> {
  await initSigned(dir, planOf(five, online), three);
  await stageTargets(dir, { files: files(record) }, NOW);
  await signAll(dir, 'targets', [h1, h2]);
  await publishNow();
}

describe('a repository', () => {
  it('is published from its plan, and read by a client', async () => {
    await published({ 'a.txt': 'one', 'dir/b.txt': 'two' });
    expect(readAsClient(dir)).toMatchObject({
      targets: { 'a.txt': 'one', 'dir/b.txt': 'two' },
      versions: { root: 1, timestamp: 1, snapshot: 1, 'targets.json': 1 },
    });
    expect(readdirSync(join(dir, 'staged'))).toEqual([]);
    expect((await statusOf(dir, NOW)).todo).toEqual([]);
  });

  it('gets new versions that replace, add and remove targets, and keeps old files', async () => {
    await published();
    const before = publicFiles();
    await stageTargets(dir, { files: files({ 'a.txt': 'two', 'b.txt': 'b' }) }, NOW);
    await stageTargets(dir, { remove: ['b.txt'], files: files({ 'c.txt': 'c' }) }, NOW);
    await signAll(dir, 'targets', [h4, h5]);
    const result = await publishNow(NOW + HOUR);
    expect(result.published.map(({ role, version }) => `${role} ${version}`)).toEqual([
      'targets 2',
      'snapshot 2',
      'timestamp 2',
    ]);
    expect(readAsClient(dir).targets).toEqual({ 'a.txt': 'two', 'c.txt': 'c' });
    const after = publicFiles();
    for (const [name, content] of Object.entries(before)) {
      if (!name.endsWith('timestamp.json')) expect(after[name], name).toBe(content);
    }
  });

  it('takes targets that are called like members of every object', async () => {
    const record = Object.fromEntries([
      ['__proto__', 'one'],
      ['constructor', 'two'],
    ]);
    await published(record);
    expect(Object.entries(readAsClient(dir).targets).sort()).toEqual(Object.entries(record).sort());
    await stageTargets(dir, { remove: ['__proto__'] }, NOW);
    await failsWith(stageTargets(dir, { remove: ['toString'] }, NOW), 'trust', /has no target toString/);
    await signAll(dir, 'targets', [h1, h2]);
    await publishNow();
    expect(readAsClient(dir).targets).toEqual({ constructor: 'two' });
  });

  it('publishes nothing where nothing changed', async () => {
    await published();
    const before = publicFiles();
    expect(await publishNow()).toEqual({ published: [], targets: [], gap: false });
    expect(publicFiles()).toEqual(before);
    expect(await stageTargets(dir, { files: files({ 'a.txt': 'one' }) }, NOW)).toEqual([]);
    expect(await restage(dir, NOW)).toEqual([]);
  });

  it('is refreshed when half of the time is over, the snapshot later than the timestamp', async () => {
    await published();
    const again = async (now: number) =>
      (await refresh(dir, { online: [online.signer], now })).published.map(({ role, version }) => `${role} ${version}`);
    expect(await again(NOW + 11 * HOUR)).toEqual([]);
    expect(await again(NOW + 13 * HOUR)).toEqual(['timestamp 2']);
    expect(await again(NOW + 4 * DAY)).toEqual(['snapshot 2', 'timestamp 3']);
    readAsClient(dir, NOW + 4 * DAY + HOUR);
  });

  it('is refreshed while other versions wait for signatures', async () => {
    await published();
    await stageTargets(dir, { files: files({ 'a.txt': 'two' }) }, NOW);
    await failsWith(publishNow(NOW + 13 * HOUR), 'tuf-signatures', /"targets" needs valid signatures of 2/);
    await refresh(dir, { online: [online.signer], now: NOW + 13 * HOUR });
    expect(readAsClient(dir, NOW + 14 * HOUR)).toMatchObject({
      targets: { 'a.txt': 'one' },
      versions: { timestamp: 2 },
    });
    await signAll(dir, 'targets', [h1, h2]);
    await publishNow(NOW + 13 * HOUR);
    expect(readAsClient(dir, NOW + 14 * HOUR).targets).toEqual({ 'a.txt': 'two' });
  });
});

describe('what is not published', () => {
  it('2 of 5 signatures where 3 are needed', async () => {
    await initSigned(dir, planOf(five, online), [h1, h2]);
    await failsWith(publishNow(), 'tuf-signatures', /"root" needs valid signatures of 3 .* has 2/);
    await failsWith(
      publishNow(),
      'tuf-signatures',
      /: holder-\d, holder-\d signed, missing 1 of holder-\d, holder-\d, holder-\d$/,
    );
    expect(publicFiles()).toEqual({});
  });

  it('a root that the keys before it did not sign', async () => {
    await published();
    const fresh = [6, 7, 8].map((i) => holder(`holder-${i}`));
    await changePlan(dir, NOW, (plan) => ({
      ...plan,
      holders: new Map([...plan.holders, ...fresh.map((one) => [one.name, tufKey(one.key.spki)] as const)]),
      root: { ...plan.root, holders: fresh.map(({ name }) => name) },
    }));
    await signAll(dir, 'root', [...fresh, h1, h2]);
    const before = publicFiles();
    await failsWith(publishNow(), 'tuf-signatures', /by root version 1/);
    await signStaged(dir, h3.signer, 'root');
    expect(publicFiles()).toEqual(before);
    await publishNow();
    expect(readAsClient(dir).versions.root).toBe(2);
  });

  it('expired metadata', async () => {
    await initSigned(dir, planOf(five, online), three);
    await failsWith(publishNow(NOW + 90 * DAY), 'tuf-expired', /"targets" expired at 2026-04-01T00:00:00Z/);
    await failsWith(publishNow(NOW + 365 * DAY), 'tuf-expired', /"root" expired/);
    expect(publicFiles()).toEqual({});
  });

  it('what no given online key signs', async () => {
    await initSigned(dir, planOf(five, online), three);
    await failsWith(publishNow(NOW, []), 'key', /online key/);
    await failsWith(publishNow(NOW, [h1]), 'key', /no given key may sign "snapshot": .*, that of online$/);
    expect(publicFiles()).toEqual({});
  });

  it('metadata that were changed after they were signed', async () => {
    await initSigned(dir, planOf(five, online), three);
    const path = join(dir, 'staged', 'targets.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"version": 1', '"version": 7'));
    await failsWith(publishNow(), 'tuf-signatures', /"targets"/);
  });

  it('a target whose file is missing or another one', async () => {
    await initSigned(dir, planOf(five, online), three);
    await stageTargets(dir, { files: files({ 'a.txt': 'one' }) }, NOW);
    await signAll(dir, 'targets', three);
    writeFileSync(join(dir, 'staged', 'targets', 'a.txt'), 'two');
    await failsWith(publishNow(), 'tuf-mismatch', /a.txt is not the file/);
    writeFileSync(join(dir, 'staged', 'targets', 'a.txt'), 'one');
    await publishNow();
    expect(readAsClient(dir).targets).toEqual({ 'a.txt': 'one' });
  });

  it('a version that is public with other bytes', async () => {
    await initSigned(dir, planOf(five, online), three);
    writeFileSync(join(dir, 'public', '1.targets.json'), '{}');
    await failsWith(publishNow(), 'trust', /1.targets.json is public with other bytes/);
    expect(readFileSync(join(dir, 'public', '1.targets.json'), 'utf8')).toBe('{}');
    expect(readdirSync(join(dir, 'public'))).not.toContain('timestamp.json');
  });

  it('a chain of roots with a hole', async () => {
    await published();
    writeFileSync(join(dir, 'public', '3.root.json'), readFileSync(join(dir, 'public', '1.root.json')));
    await failsWith(publishNow(), 'trust', /version 2 of the root is missing/);
  });

  it.each(['gone', 'empty'])('versions that begin again, where public is %s', async (how) => {
    await published();
    const before = publicFiles();
    renameSync(join(dir, 'public'), join(dir, 'away'));
    if (how === 'empty') mkdirSync(join(dir, 'public'));
    const why = /public is gone or empty.* bring the directory back from a mirror or a backup/;
    const works = [() => restage(dir, NOW), () => statusOf(dir, NOW), () => publishNow()];
    for (const work of works) await failsWith(work(), 'trust', why);
    rmSync(join(dir, 'public'), { recursive: true, force: true });
    cpSync(join(dir, 'away'), join(dir, 'public'), { recursive: true });
    expect((await statusOf(dir, NOW)).todo).toEqual([]);
    expect(publicFiles()).toEqual(before);
  });

  it('versions of the timestamp that begin again, where its file is lost', async () => {
    await published();
    await refresh(dir, { online: [online.signer], now: NOW + 4 * DAY });
    rmSync(join(dir, 'public', 'timestamp.json'));
    const before = publicFiles();
    const why = /timestamp.json is missing.* Bring the file back/;
    const works = [() => restage(dir, NOW), () => statusOf(dir, NOW), () => publishNow()];
    for (const work of works) await failsWith(work(), 'trust', why);
    expect(publicFiles()).toEqual(before);
  });

  it('a second repository in the same directory', async () => {
    await published();
    await failsWith(initRepository(dir, planOf(five, online), NOW), 'trust', /holds a TUF repository already/);
    mkdirSync(join(dir, '..', 'empty'));
    await failsWith(statusOf(join(dir, '..', 'empty'), NOW), 'trust', /no TUF repository/);
  });
});

describe('a plan', () => {
  const names = five.map(({ name }) => name);
  const withRoot = (root: { threshold?: number; holders?: string[] }) => {
    const plan = planOf(five, online);
    return { ...plan, root: { ...plan.root, ...root } };
  };
  it.each([
    ['one key for two holders', planOf([...five, { ...h1, name: 'twin' }], online), /same key as holder-1/],
    ['a threshold of 0', withRoot({ threshold: 0 }), /threshold is 0/],
    ['a threshold above the holders', withRoot({ threshold: 6 }), /threshold is 6: it must be from 1 to 5/],
    ['a holder twice', withRoot({ holders: [...names, 'holder-1'] }), /names holder-1 twice/],
    ['an unknown holder', withRoot({ holders: [...names, 'nobody'] }), /"nobody"/],
  ])('is refused with %s', async (_, plan, why) => {
    await failsWith(initRepository(dir, plan, NOW), 'trust', why);
    expect(readdirSync(join(dir, '..'))).toEqual([]);
  });
});

describe('signatures', () => {
  it('are taken from keys of the role alone, once', async () => {
    await initRepository(dir, planOf(five, online), NOW);
    await failsWith(signStaged(dir, online.signer, 'root'), 'key', /may not sign "root"/);
    await failsWith(signStaged(dir, holder('x').signer, 'targets'), 'key', /may not sign "targets"/);
    await failsWith(signStaged(dir, h1.signer, 'team'), 'trust', /no version of "team" waits/);
    await signStaged(dir, h1.signer, 'root');
    await signStaged(dir, h1.signer, 'root');
    const root = (await statusOf(dir, NOW)).roles.find(({ role }) => role === 'root')!;
    expect(root.staged!.needed).toMatchObject([
      { signed: ['holder-1'], missing: ['holder-2', 'holder-3', 'holder-4', 'holder-5'], complete: false },
    ]);
  });

  it('come back from copies that were signed elsewhere, in any order', async () => {
    await initRepository(dir, planOf(five, online), NOW);
    const staged = join(dir, 'staged', 'root.json');
    const unsigned = readFileSync(staged);
    const copies: Buffer[] = [];
    for (const one of three) {
      writeFileSync(staged, unsigned);
      await signStaged(dir, one.signer, 'root');
      copies.push(readFileSync(staged));
    }
    writeFileSync(staged, unsigned);
    expect(await collectSignatures(dir, copies[2]!)).toEqual({ role: 'root', signatures: 1 });
    expect((await collectSignatures(dir, copies[0]!)).signatures).toBe(1);
    expect((await collectSignatures(dir, copies[0]!)).signatures).toBe(0);
    await failsWith(collectSignatures(dir, unsigned), 'tuf-signatures', /no valid signature/);
    await failsWith(
      collectSignatures(dir, bytes(copies[1]!.toString().replace('"version": 1', '"version": 2'))),
      'trust',
      /not what is staged/,
    );
    await collectSignatures(dir, copies[1]!);
    await signAll(dir, 'targets', three);
    await publishNow();
    readAsClient(dir);
  });
});
