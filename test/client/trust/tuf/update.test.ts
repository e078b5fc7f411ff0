/** Following a repository that is well: its roots, its news, its delegations, and what an update asks the mirror for. */
import { afterEach, expect, it } from 'vitest';
import { loadTrust } from '../../../../client/trust/tuf/load-trust.ts';
import { newTufKey, TufMaker } from '../../../support/tuf-maker.ts';
import { contentOf, Followed } from './followed.ts';

const open: Followed[] = [];
const start = async (maker?: TufMaker) => {
  const followed = await Followed.start(maker);
  open.push(followed);
  return followed;
};
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

it('follows a repository from its first root on', async () => {
  const followed = await start();
  await followed.use();
  expect(await followed.policy()).toBe('first\n');
  followed.change('second\n');
  expect(await followed.update()).toBe(true);
  expect(await followed.policy()).toBe('second\n');
});

it('asks for the next root and the timestamp alone where nothing is new, and writes nothing', async () => {
  const followed = await start();
  await followed.use();
  const before = contentOf(followed.store.dir);
  followed.mirror.reset();
  expect(await followed.update()).toBe(false);
  expect(followed.mirror.requests).toEqual(['2.root.json', 'timestamp.json']);
  expect(contentOf(followed.store.dir)).toEqual(before);
});

it('fetches what changed alone, and removes what no state names', async () => {
  const followed = await start();
  await followed.use();
  followed.change('second\n');
  followed.mirror.reset();
  await followed.update();
  expect(followed.mirror.requests.map((path) => path.replace(/[0-9a-f]{64}/, 'HASH'))).toEqual([
    '2.root.json',
    'timestamp.json',
    '2.snapshot.json',
    '2.targets.json',
    'targets/HASH.policy',
  ]);
  followed.change('third\n');
  await followed.update();
  expect(Object.values(contentOf(followed.store.dir))).not.toContain('first\n');
});

it('follows a root that replaces three of five keys at once', async () => {
  const followed = await start();
  await followed.use();
  const { maker } = followed;
  const before = maker.keys.root;
  maker.replace('root', [...before.slice(0, 2), ...maker.newKeys(3)]);
  maker.newRoot(before);
  followed.change('second\n');
  await followed.update();
  expect(await followed.policy()).toBe('second\n');
});

it('follows from a root that is two versions behind, each signed by the keys of before', async () => {
  const followed = await start();
  const { maker } = followed;
  for (let i = 0; i < 2; i++) {
    const before = maker.keys.root;
    maker.replace('root', maker.newKeys(5));
    maker.newRoot(before);
  }
  maker.publish();
  await followed.use(maker.root(1));
  expect(await followed.policy()).toBe('first\n');
});

it('begins with an old root that has expired, if the newest one has not', async () => {
  const maker = new TufMaker();
  maker.bodies.root.expires = maker.expiry(-10);
  const followed = await start(maker);
  maker.bodies.root.expires = maker.expiry(10);
  maker.newRoot();
  await followed.use(maker.root(1));
  expect(await followed.policy()).toBe('first\n');
});

it('goes through 1,024 roots in one update, and through the others in the next', async () => {
  const maker = new TufMaker({ root: [1, 1], algorithm: () => 'ed25519' });
  const followed = await start(maker);
  await followed.use();
  maker.bodies.root.expires = maker.expiry(-1);
  for (let version = 2; version < 1100; version++) maker.newRoot();
  maker.bodies.root.expires = maker.expiry(10);
  maker.newRoot();
  followed.change('second\n');
  await expect(followed.update({ timeoutMs: 100_000 })).rejects.toMatchObject({ code: 'tuf-expired' });
  expect(followed.mirror.requests.filter((name) => name.endsWith('root.json'))).toContain('1025.root.json');
  expect(followed.mirror.requests).not.toContain('1026.root.json');
  expect(await followed.update({ timeoutMs: 100_000 })).toBe(true);
  expect(await followed.policy()).toBe('second\n');
}, 240_000);

it('takes lower versions again once the keys of timestamp and snapshot are replaced', async () => {
  const followed = await start();
  const { maker } = followed;
  await followed.use();
  // A thief of the online keys has signed versions that nobody reaches again.
  maker.bodies.timestamp.version = 1_000_000;
  maker.bodies.snapshot.version = 1_000_000;
  followed.change('second\n');
  await followed.update();
  maker.bodies.timestamp.version = 5;
  maker.bodies.snapshot.version = 5;
  followed.change('third\n');
  await expect(followed.update()).rejects.toMatchObject({ code: 'tuf-rollback' });
  maker.replace('timestamp', maker.newKeys(1));
  maker.replace('snapshot', maker.newKeys(1));
  maker.newRoot();
  followed.change('fourth\n');
  await followed.update();
  expect(await followed.policy()).toBe('fourth\n');
});

it('does not take lower versions where another key of the root is replaced', async () => {
  const followed = await start();
  const { maker } = followed;
  maker.bodies.timestamp.version = 9;
  maker.publish();
  await followed.use();
  maker.bodies.timestamp.version = 3;
  const before = maker.keys.root;
  maker.replace('root', [...before.slice(0, 4), newTufKey()]);
  maker.replace('targets', maker.newKeys(3));
  maker.newRoot(before);
  followed.change('second\n');
  await expect(followed.update()).rejects.toMatchObject({ code: 'tuf-rollback' });
});

it('goes on where an update failed behind the timestamp, and takes no older one in between', async () => {
  const followed = await start();
  await followed.use();
  followed.change('second\n');
  followed.mirror.misbehave('2.snapshot.json', 500);
  await expect(followed.update()).rejects.toMatchObject({ code: 'network' });
  expect(await followed.policy()).toBe('first\n');
  followed.mirror.reset();
  const old = followed.maker.bodies.timestamp;
  const newest = followed.maker.files.get('timestamp.json')!;
  old.version -= 1;
  followed.maker.write('timestamp');
  await expect(followed.update()).rejects.toMatchObject({ code: 'tuf-rollback' });
  followed.maker.files.set('timestamp.json', newest);
  expect(await followed.update()).toBe(true);
  expect(await followed.policy()).toBe('second\n');
});

it('finds targets in delegated roles, the first that lists one', async () => {
  const maker = new TufMaker();
  maker.delegate('away', ['other/*']);
  maker.delegate('first', ['mon*.json']);
  maker.delegate('second', ['*.json', 'policy']);
  maker.target('monitor_config.json', 'of the first role\n', 'first');
  maker.target('monitor_config.json', 'of the second role\n', 'second');
  maker.target('policy', 'of a delegated role\n', 'second');
  const followed = await start(maker);
  await followed.use();
  // The role on top comes before those that it delegates to.
  expect(await followed.policy()).toBe('first\n');
  expect(Object.values(contentOf(followed.store.dir))).toContain('of the first role\n');
  expect(Object.values(contentOf(followed.store.dir))).not.toContain('of the second role\n');
  expect(followed.mirror.requests.some((name) => name.includes('away'))).toBe(false);
});

it('fetches a further target by name, and keeps it until the repository changes it', async () => {
  const maker = new TufMaker();
  maker.delegate('team', ['team/*']);
  maker.target('team/tool.json', 'first tool\n', 'team');
  maker.target('team/other.json', 'nobody wants it\n', 'team');
  const followed = await start(maker);
  await followed.use();
  const tool = () => Buffer.from(loadTrust(followed.store)?.target('team/tool.json') ?? '').toString();
  expect(tool).toThrow(/metadata of the delegated role team are not here/);
  expect(await followed.update({ target: 'team/tool.json' })).toBe(true);
  expect(tool()).toBe('first tool\n');
  expect(Object.values(contentOf(followed.store.dir))).not.toContain('nobody wants it\n');
  expect(await followed.update()).toBe(false);
  maker.target('policy', 'second\n');
  // The team has no news.
  const { targets, snapshot, timestamp } = maker.bodies;
  for (const body of [targets, snapshot, timestamp]) body.version += 1;
  snapshot.meta['targets.json'] = { version: targets.version };
  timestamp.meta = { 'snapshot.json': { version: snapshot.version } };
  for (const role of ['targets', 'snapshot', 'timestamp'] as const) maker.write(role);
  expect(await followed.update()).toBe(true);
  expect(await followed.policy()).toBe('second\n');
  expect(tool()).toBe('first tool\n');
  maker.target('team/tool.json', 'second tool\n', 'team');
  maker.publish();
  await followed.update();
  expect(tool).toThrow(/are not here/);
  await followed.update({ target: 'team/tool.json' });
  expect(tool()).toBe('second tool\n');
  expect(Object.values(contentOf(followed.store.dir))).not.toContain('first tool\n');
});

it('takes a new delegated role that is called like a member of every object', async () => {
  const followed = await start();
  await followed.use();
  followed.maker.delegate('constructor', ['constructor/*']);
  followed.maker.target('constructor/tool.json', 'a tool\n', 'constructor');
  followed.maker.publish();
  await followed.update();
  const tool = () => loadTrust(followed.store)?.target('constructor/tool.json');
  expect(tool).toThrow(/metadata of the delegated role constructor are not here/);
  await followed.update({ target: 'constructor/tool.json' });
  expect(Buffer.from(tool()!).toString()).toBe('a tool\n');
});

it('ends its search at a terminating delegation', async () => {
  const maker = new TufMaker();
  maker.delegate('last', ['monitor*'], { terminating: true });
  maker.delegate('behind', ['monitor*']);
  maker.target('monitor_config.json', 'behind the end\n', 'behind');
  const followed = await start(maker);
  await followed.use();
  expect(Object.values(contentOf(followed.store.dir))).not.toContain('behind the end\n');
});

it('reads a repository without consistent snapshots', async () => {
  const maker = new TufMaker();
  maker.bodies.root.consistent_snapshot = false;
  const followed = await start(maker);
  const plain = [...maker.files].map(([path, bytes]): [string, Uint8Array] => [
    path.endsWith('.root.json') ? path : path.replace(/(?<=^|\/)(?:[0-9]+|[0-9a-f]{64})\./, ''),
    bytes,
  ]);
  followed.mirror.files = new Map(plain);
  await followed.use();
  expect(await followed.policy()).toBe('first\n');
});

it('has two updates at once wait for each other', async () => {
  const followed = await start();
  await followed.use();
  followed.change('second\n');
  const both = await Promise.all([followed.update(), followed.update()]);
  expect(both.sort()).toEqual([false, true]);
  expect(await followed.policy()).toBe('second\n');
});
