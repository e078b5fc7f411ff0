/** The TUF repository of `stele up` over its starts. The processes: test/client/cli/up.test.ts. */
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkUpTrust, publishUpTrust, upTrustDir, upTrustKey } from '../../../../client/cli/up/up-trust.ts';
import { DAY } from '../../../../client/trust/tuf/plan.ts';
import { restage, stageTargets } from '../../../../client/trust/tuf/staging.ts';
import { tempDir } from '../../../support/log.ts';
import { NOW, readAsClient } from '../../trust/tuf/repository.ts';

const FILES = [
  { name: 'policy', text: 'quorum none\n' },
  { name: 'trusted_root.json', text: '{}' },
];

let dir: Awaited<ReturnType<typeof tempDir>>;
let repository: string;
beforeEach(async () => {
  dir = await tempDir();
  repository = upTrustDir(dir.path);
});
afterEach(() => dir.remove());

const start = (now: number, files = FILES) => publishUpTrust(repository, files, now);
const publicFiles = async () => (await readdir(join(repository, 'public'), { recursive: true })).sort();
/** The versions of root, targets, snapshot and timestamp, as a client finds them. */
const versions = (now: number) => {
  const { root, snapshot, timestamp, ...others } = readAsClient(repository, now).versions;
  return [root, (others as Record<string, number>)['targets.json'], snapshot, timestamp];
};

it('is made with keys that only their owner can read, and a root that expires in 90 days', async () => {
  const made = await start(NOW);
  expect(made).toMatchObject({ directory: repository, rootExpires: NOW + 90 * DAY });
  expect(made.root).toBe(join(repository, 'public', '1.root.json'));
  const sha256 = createHash('sha256').update(await readFile(made.root));
  expect(made.rootSha256).toBe(sha256.digest('hex'));
  for (const holder of ['root', 'targets', 'online'] as const) {
    expect((await stat(upTrustKey(repository, holder))).mode & 0o777).toBe(0o600);
  }
  expect((await stat(join(repository, 'keys'))).mode & 0o777).toBe(0o700);
  expect(versions(NOW + 1)).toEqual([1, 1, 1, 1]);
});

it('publishes nothing where nothing is new, and what has changed', async () => {
  await start(NOW);
  const before = await publicFiles();
  await start(NOW + 1000);
  expect(await publicFiles()).toEqual(before);
  await start(NOW + 2000, [{ name: 'policy', text: 'another\n' }]);
  expect(versions(NOW + 3000)).toEqual([1, 2, 2, 2]);
  const { targets } = readAsClient(repository, NOW + 3000);
  expect(targets).toEqual({ policy: 'another\n', 'trusted_root.json': '{}' });
});

it('renews root and targets in the last quarter of their time, and after it', async () => {
  await start(NOW);
  await start(NOW + 66 * DAY);
  expect(versions(NOW + 66 * DAY)).toEqual([1, 1, 2, 2]);
  const renewed = await start(NOW + 70 * DAY);
  expect(versions(NOW + 70 * DAY)).toEqual([2, 2, 3, 3]);
  expect(renewed).toMatchObject({ root: join(repository, 'public', '2.root.json'), rootExpires: NOW + 160 * DAY });
  await start(NOW + 400 * DAY, []);
  expect(versions(NOW + 400 * DAY)).toEqual([3, 3, 4, 4]);
});

it('goes on where a start was cut off', async () => {
  // Keys, and no plan yet; then metadata without signatures.
  await start(NOW);
  for (const name of ['plan.yaml', 'public', 'staged']) await rm(join(repository, name), { recursive: true });
  await start(NOW + 1000);
  expect(versions(NOW + 2000)).toEqual([1, 1, 1, 1]);
  await stageTargets(repository, { files: [{ name: 'policy', bytes: Buffer.from('another\n') }] }, NOW + 2000);
  await restage(repository, NOW + 2000, ['root']);
  await start(NOW + 3000);
  expect(versions(NOW + 4000)).toEqual([2, 2, 2, 2]);
});

it('does not start without a key that has signed', async () => {
  await checkUpTrust(repository);
  await start(NOW);
  await checkUpTrust(repository);
  await rm(upTrustKey(repository, 'root'));
  await expect(checkUpTrust(repository)).rejects.toMatchObject({
    code: 'file',
    message: expect.stringMatching(/root\.pem is missing: put it back/),
  });
});
