/** What a mirror may serve instead of a good repository: each is refused by name, and commands go on with what they had. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { renamed, TufMaker, type TufRole } from '../../../support/tuf-maker.ts';
import { contentOf, DAY, Followed } from './followed.ts';

const open: Followed[] = [];
const start = async (maker?: TufMaker) => {
  const followed = await Followed.start(maker);
  open.push(followed);
  return followed;
};
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

/** A form of bad repository, made of a good one that is followed already. */
type Spoil = (followed: Followed) => void;

/** After an update that must fail: the error, and the policy that is still the one of before. */
async function refused(spoil: Spoil, code: string, { untouched = true } = {}): Promise<string> {
  const followed = await start();
  await followed.use();
  const before = contentOf(followed.store.dir);
  followed.maker.target('policy', 'bad\n');
  spoil(followed);
  const error = await followed.update({ timeoutMs: 5000 }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name: 'ClientError', code });
  if (untouched) expect(contentOf(followed.store.dir)).toEqual(before);
  expect(await followed.policy()).toBe('first\n');
  return (error as Error).message;
}

const next = ({ maker }: Followed) => maker.publish();
const ROLES: readonly TufRole[] = ['root', 'targets', 'snapshot', 'timestamp'];
/** What an update may accept before it comes to the file of the role. */
const isFirst = (role: TufRole) => role === 'root' || role === 'timestamp';

describe('signatures', () => {
  it.each(ROLES)('of %s: too few', async (role) => {
    const spoil: Spoil = (followed) => {
      const { maker } = followed;
      const keys = maker.keys[role];
      maker.keys[role] = keys.slice(0, Math.ceil(keys.length / 2) - 1);
      if (role === 'root') maker.newRoot();
      maker.publish();
    };
    await refused(spoil, 'tuf-signatures', { untouched: isFirst(role) });
  });

  it('2 of 5 where 3 are needed say who signed', async () => {
    const why = await refused(
      ({ maker }) => maker.newRoot([], { signers: maker.keys.root.slice(0, 2) }),
      'tuf-signatures',
    );
    expect(why).toMatch(/3 different keys.*has 2/);
  });

  it('a root that its own keys sign, and the keys of before do not', async () => {
    await refused(({ maker }) => {
      maker.replace('root', maker.newKeys(5));
      maker.newRoot();
    }, 'tuf-signatures');
  });

  it('a root that the keys of before sign, and its own do not', async () => {
    await refused(({ maker }) => {
      const before = maker.keys.root;
      maker.replace('root', maker.newKeys(5));
      maker.newRoot([], { signers: before });
    }, 'tuf-signatures');
  });

  it('one signature twice', async () => {
    const spoil: Spoil = ({ maker }) => maker.newRoot([], { signatures: (made) => [made[0], made[0], made[1]] });
    await refused(spoil, 'tuf-malformed');
  });

  it('one key under two key IDs', async () => {
    await refused(({ maker }) => {
      const [key] = maker.keys.root;
      maker.replace('root', [key!, renamed(key!, 'a'), renamed(key!, 'b'), ...maker.keys.root.slice(1)]);
      maker.newRoot();
    }, 'tuf-malformed');
  });

  it.each([0, -1, 6, 1.5, null, '3'])('a threshold of %s', async (threshold) => {
    await refused(({ maker }) => {
      maker.bodies.root.roles.root!.threshold = threshold as number;
      maker.newRoot();
    }, 'tuf-malformed');
  });
});

describe('times', () => {
  it('a root that has expired, which no update and no command takes from then on', async () => {
    const followed = await start();
    await followed.use();
    followed.maker.bodies.root.expires = followed.maker.expiry(-1);
    followed.maker.newRoot();
    await expect(followed.update()).rejects.toMatchObject({ code: 'tuf-expired' });
    await expect(followed.policy()).rejects.toMatchObject({ code: 'tuf-expired' });
  });

  it.each(['targets', 'snapshot', 'timestamp'] as const)('%s that has expired', async (role) => {
    const spoil: Spoil = (followed) => {
      followed.maker.bodies[role].expires = followed.maker.expiry(-1);
      followed.maker.publish();
    };
    const why = await refused(spoil, 'tuf-expired', { untouched: role === 'timestamp' });
    expect(why).toContain('by this machine');
  });

  it('a freeze: the same old timestamp is refused once it has expired', async () => {
    const followed = await start();
    await followed.use();
    const later = Date.now() + 8 * DAY;
    const before = contentOf(followed.store.dir);
    await expect(followed.update({ now: later })).rejects.toMatchObject({ code: 'tuf-expired' });
    expect(contentOf(followed.store.dir)).toEqual(before);
  });

  it.each([
    '2027-01-31',
    '2027-01-31T00:00:00',
    '2027-01-31T00:00:00.000Z',
    '2027-01-31T00:00:00+00:00',
    '2027-02-30T00:00:00Z',
    1_900_000_000,
  ])('an expiry written as %s', async (expires) => {
    await refused((followed) => {
      followed.maker.bodies.timestamp.expires = expires as string;
      next(followed);
    }, 'tuf-malformed');
  });
});

describe('versions', () => {
  it.each(['targets', 'snapshot', 'timestamp'] as const)('%s that goes back', async (role) => {
    const followed = await start();
    const { maker } = followed;
    for (let i = 0; i < 3; i++) maker.publish();
    await followed.use();
    const before = contentOf(followed.store.dir);
    maker.target('policy', 'bad\n');
    maker.bodies[role].version -= 2;
    maker.publish();
    await expect(followed.update()).rejects.toMatchObject({ code: 'tuf-rollback' });
    if (role !== 'targets') expect(contentOf(followed.store.dir)).toEqual(before);
    expect(await followed.policy()).toBe('first\n');
  });

  it('a root that goes back', async () => {
    const followed = await start();
    const { maker } = followed;
    maker.newRoot();
    await followed.use(maker.root(2));
    const before = contentOf(followed.store.dir);
    maker.files.set('3.root.json', maker.root(1));
    await expect(followed.update()).rejects.toMatchObject({ code: 'tuf-rollback' });
    expect(contentOf(followed.store.dir)).toEqual(before);
  });

  it('a root that leaves a version out', async () => {
    await refused(({ maker }) => {
      maker.bodies.root.version = 6;
      maker.newRoot([], { file: '2.root.json' });
    }, 'tuf-mismatch');
  });

  it('a fork of the roots', async () => {
    const followed = await start();
    const { maker } = followed;
    await followed.use();
    const before = maker.keys.root;
    maker.replace('root', maker.newKeys(5));
    maker.newRoot(before);
    await followed.update();
    const local = contentOf(followed.store.dir);
    // The keys of version 1 sign another version 2, which signs a version 3.
    maker.replace('root', maker.newKeys(5));
    maker.bodies.root.version = 1;
    maker.newRoot(before);
    maker.newRoot();
    await expect(followed.update()).rejects.toMatchObject({ code: 'tuf-signatures' });
    expect(contentOf(followed.store.dir)).toEqual(local);
  });

  it('a targets file that the snapshot does not list any more', async () => {
    const maker = new TufMaker();
    maker.delegate('team', ['monitor*']);
    const followed = await start(maker);
    await followed.use();
    maker.delegated.delete('team');
    maker.publish();
    await expect(followed.update()).rejects.toMatchObject({ code: 'tuf-rollback' });
  });

  it.each([2 ** 53, 2 ** 60, 0, -1, 1.5, null, '2'])('the version %s', async (version) => {
    await refused((followed) => {
      followed.maker.bodies.timestamp.version = version as number;
      followed.maker.write('timestamp');
    }, 'tuf-malformed');
  });

  it('the version 9007199254740993, which JavaScript would read as another number', async () => {
    await refused(({ maker }) => {
      maker.write('timestamp', { text: (text) => text.replace(/"version": *1\b/, '"version": 9007199254740993') });
    }, 'tuf-malformed');
  });
});

describe('files that do not belong together', () => {
  it('a snapshot of another time than the timestamp', async () => {
    await refused(
      (followed) => {
        const { maker } = followed;
        next(followed);
        const mixed = maker.files.get('2.snapshot.json')!;
        maker.publish();
        maker.files.set('3.snapshot.json', mixed);
      },
      'tuf-mismatch',
      { untouched: false },
    );
  });

  it('targets of another time than the snapshot', async () => {
    await refused(
      (followed) => {
        const { maker } = followed;
        next(followed);
        const mixed = maker.files.get('2.targets.json')!;
        maker.publish();
        maker.files.set('3.targets.json', mixed);
      },
      'tuf-mismatch',
      { untouched: false },
    );
  });

  it.each(['other\n', 'bad', 'bad\n\n', ''])('a target with the bytes %j', async (content) => {
    await refused(
      (followed) => {
        next(followed);
        const path = [...followed.maker.files.keys()].findLast((name) => name.endsWith('.policy'))!;
        followed.maker.files.set(path, Buffer.from(content));
      },
      'tuf-mismatch',
      { untouched: false },
    );
  });

  it.each(['2.snapshot.json', '2.targets.json', 'policy'])('a %s that is not there', async (name) => {
    await refused(
      (followed) => {
        next(followed);
        const path = [...followed.maker.files.keys()].findLast((one) => one.endsWith(name))!;
        followed.mirror.misbehave(path, 404);
      },
      'tuf-missing',
      { untouched: false },
    );
  });

  it('a delegated role that the snapshot does not list', async () => {
    const maker = new TufMaker();
    maker.delegate('team', ['monitor*']);
    maker.delegated.delete('team');
    const followed = await start(maker);
    await expect(followed.use()).rejects.toMatchObject({ code: 'tuf-missing' });
    expect(contentOf(followed.store.dir)).toEqual({});
  });

  it('a delegated role that another key signed', async () => {
    const maker = new TufMaker();
    maker.delegate('team', ['monitor*']);
    const followed = await start(maker);
    maker.writeDelegated('team', { signers: maker.newKeys(1) });
    await expect(followed.use()).rejects.toMatchObject({ code: 'tuf-signatures' });
  });

  it('delegations of more than 32 levels', async () => {
    const maker = new TufMaker();
    let body = maker.bodies.targets;
    for (let level = 1; level <= 40; level++) {
      const { targets } = maker.bodies;
      maker.bodies.targets = body;
      maker.delegate(`level-${level}`, ['monitor*']);
      maker.bodies.targets = targets;
      body = maker.delegated.get(`level-${level}`)!.body;
    }
    const followed = await start(maker);
    await expect(followed.use()).rejects.toMatchObject({ code: 'tuf-malformed' });
  });

  it('goes round a circle of delegations once', async () => {
    const maker = new TufMaker();
    maker.delegate('a', ['monitor*']);
    const { targets } = maker.bodies;
    maker.bodies.targets = maker.delegated.get('a')!.body;
    maker.delegate('b', ['monitor*']);
    const b = maker.delegated.get('b')!;
    b.body.delegations = structuredClone(targets.delegations!);
    maker.bodies.targets = targets;
    const followed = await start(maker);
    await followed.use();
    expect(followed.mirror.requests.filter((name) => name === '1.a.json')).toHaveLength(1);
  });
});

describe('bytes', () => {
  const text =
    (change: (text: string) => string): Spoil =>
    ({ maker }) => {
      maker.bodies.timestamp.version += 1;
      maker.write('timestamp', { text: change });
    };
  it.each<[string, Spoil]>([
    ['a page of HTML', text(() => '<html><body>Sign in</body></html>')],
    ['nothing', text(() => '')],
    ['no object', text(() => '[]')],
    ['half of the file', text((whole) => whole.slice(0, whole.length / 2))],
    ['a member twice', text((whole) => whole.replace('"signed"', '"signed": {}, "signed"'))],
    ['null', text((whole) => whole.replace('"signed": {', '"signed": { "x": null,'))],
    ['nothing but nulls', text(() => '{"signed": null, "signatures": null}')],
    ['a fraction', text((whole) => whole.replace('"signed": {', '"signed": { "x": 1.0,'))],
    ['a name outside of ASCII', text((whole) => whole.replace('"signed": {', '"signed": { "ü": 1,'))],
    ['deep nesting', text(() => `{"signed": ${'['.repeat(8000)}${']'.repeat(8000)}}`)],
    ['a timestamp of 17 KiB', text((whole) => whole + ' '.repeat(17_000))],
  ])('%s', async (what, spoil) => {
    await refused(spoil, what.includes('KiB') ? 'tuf-mismatch' : 'tuf-malformed');
  });

  it('a body that was changed after it was signed', async () => {
    await refused(
      text((whole) => whole.replace('"expires": "2', '"expires": "3')),
      'tuf-signatures',
    );
  });

  it.each(['2.root.json', 'timestamp.json'])('%s without an end', async (path) => {
    await refused((followed) => {
      next(followed);
      followed.mirror.misbehave(path, 'endless');
    }, 'tuf-mismatch');
  });

  it('a target without an end is cut at its length', async () => {
    const spoil: Spoil = (followed) => {
      next(followed);
      const path = [...followed.maker.files.keys()].findLast((name) => name.endsWith('.policy'))!;
      followed.mirror.misbehave(path, 'endless');
    };
    await refused(spoil, 'tuf-mismatch', { untouched: false });
  });

  it('a gzip bomb', async () => {
    const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024, 0x20));
    await refused((followed) => {
      followed.mirror.misbehave('timestamp.json', (response) => {
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': bomb.length }).end(bomb);
      });
    }, 'tuf-mismatch');
  });

  it.each(['slow', 'silent'] as const)('a mirror that is %s', async (how) => {
    const followed = await start();
    await followed.use();
    const before = contentOf(followed.store.dir);
    followed.mirror.misbehave('timestamp.json', how);
    await expect(followed.update({ timeoutMs: 300 })).rejects.toMatchObject({ code: 'network' });
    expect(contentOf(followed.store.dir)).toEqual(before);
    expect(await followed.policy()).toBe('first\n');
  });

  it.each([500, 503, 429, 400, 204])('the status %s', async (status) => {
    await refused((followed) => followed.mirror.misbehave('timestamp.json', status), 'network');
  });

  it('the status 500 for the next root, behind which another one may be', async () => {
    await refused((followed) => {
      next(followed);
      followed.mirror.misbehave('2.root.json', 500);
    }, 'network');
  });

  it('a redirect', async () => {
    await refused((followed) => {
      followed.mirror.misbehave('timestamp.json', (response) => {
        response.writeHead(302, { location: '/elsewhere' }).end();
      });
    }, 'bad-reply');
  });

  it('a connection that breaks', async () => {
    await refused((followed) => followed.mirror.misbehave('timestamp.json', 'cut'), 'network');
  });
});

describe('a root at the first use', () => {
  /** Nothing is kept. */
  async function notUsed(root: (followed: Followed) => Uint8Array, code: string, maker?: TufMaker): Promise<void> {
    const followed = await start(maker);
    await expect(followed.use(root(followed))).rejects.toMatchObject({ code });
    expect(contentOf(followed.store.dir)).toEqual({});
    expect(await followed.policy()).toBeUndefined();
  }
  const other = () => {
    const maker = new TufMaker();
    maker.newRoot();
    return maker.root();
  };

  it('of another repository', async () => await notUsed(other, 'tuf-mismatch'));
  it('that the mirror does not serve', async () =>
    await notUsed(({ maker }) => {
      const root = maker.root();
      maker.files.delete('1.root.json');
      return root;
    }, 'tuf-missing'));
  it('that its keys did not sign', async () =>
    await notUsed(({ maker }) => maker.write('root', { signers: maker.keys.root.slice(0, 2) }), 'tuf-signatures'));
  it('that is no root', async () => await notUsed(({ maker }) => maker.files.get('1.targets.json')!, 'tuf-malformed'));
  it('that has expired, without a newer one', async () => {
    const maker = new TufMaker();
    maker.bodies.root.expires = maker.expiry(-1);
    await notUsed(() => maker.root(), 'tuf-expired', maker);
  });
  it('leaves what is followed as it is', async () => {
    const followed = await start();
    await followed.use();
    const before = contentOf(followed.store.dir);
    await expect(followed.use(other())).rejects.toMatchObject({ code: 'tuf-mismatch' });
    expect(contentOf(followed.store.dir)).toEqual(before);
  });
});

describe('a clock that is wrong', () => {
  it('in the future: everything has expired, and the error has the time', async () => {
    const followed = await start();
    await followed.use();
    await expect(followed.policy({ now: Date.now() + 365 * DAY })).rejects.toThrow(
      /expired at .*by this machine's clock/,
    );
    await expect(followed.update({ now: Date.now() + 365 * DAY })).rejects.toMatchObject({ code: 'tuf-expired' });
  });

  it('in the past: nothing has expired, and a warning says so', async () => {
    const followed = await start();
    await followed.use();
    const said: string[] = [];
    await followed.policy({ now: Date.now() - DAY, warn: (sentence) => said.push(sentence) });
    expect(said).toEqual([expect.stringContaining('before the last update')]);
  });
});

describe('offline', () => {
  it('refuses each file that was changed or is missing, and an update repairs it', async () => {
    const followed = await start();
    await followed.use();
    followed.maker.newRoot();
    await followed.update();
    const files = join(followed.store.dir, 'files');
    const first = createHash('sha256').update(followed.maker.root(1)).digest('hex');
    const used = readdirSync(files).filter(
      (name) => name !== first && readFileSync(join(files, name), 'utf8') !== '{}\n',
    );
    expect(used).toHaveLength(5);
    for (const name of used) {
      const good = readFileSync(join(files, name));
      for (const spoil of [() => writeFileSync(join(files, name), `${good} `), () => rmSync(join(files, name))]) {
        spoil();
        await expect(followed.policy(), name).rejects.toMatchObject({ code: 'trust' });
        await followed.update();
        expect(await followed.policy()).toBe('first\n');
      }
    }
  });

  it('checks signatures again, whatever the state says', async () => {
    const followed = await start();
    await followed.use();
    const { dir } = followed.store;
    const state = JSON.parse(readFileSync(join(dir, 'state.json'), 'utf8'));
    const forged = followed.maker.write('targets', { signers: followed.maker.newKeys(2) });
    const name = createHash('sha256').update(forged).digest('hex');
    writeFileSync(join(dir, 'files', name), forged);
    writeFileSync(join(dir, 'state.json'), JSON.stringify({ ...state, set: { ...state.set, targets: name } }));
    await expect(followed.policy()).rejects.toMatchObject({ code: 'tuf-signatures' });
  });
});
