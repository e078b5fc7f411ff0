/** What the monitor says of a TUF repository, over a mirror of the tests' own repositories. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TrustWatch } from '../../../client/monitor/trust-watch.ts';
import type { Alert } from '../../../client/monitor/types.ts';
import { tempDir } from '../../support/log.ts';
import { followed, TARGET, trustedRootTarget } from '../../support/tuf-bad/base.ts';
import { newTufKey, type TufMaker } from '../../support/tuf-maker.ts';
import { startMirror, type TufMirror } from '../../support/tuf-mirror.ts';

const signal = new AbortController().signal;
const settings = { confirmations: 2, staleMs: 60_000 };

describe('a watched TUF repository', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let maker: TufMaker;
  let mirror: TufMirror;
  let queued: Alert[];
  let watch: TrustWatch;
  const at = (...names: string[]) => join(dir.path, ...names);
  const look = () => watch.round(signal);

  function watching(more: { directory?: string; now?: () => number } = {}): TrustWatch {
    const { directory, now } = more;
    const watched = { url: `${mirror.url}/`, root: maker.root(), ...(directory !== undefined && { directory }) };
    const queue = { enqueue: async (alerts: readonly Alert[]) => void queued.push(...alerts) };
    return new TrustWatch(watched, { settings, dir: at('state'), queue, ...(now && { now }) });
  }

  /** What the maker has becomes the operator's own repository. */
  async function publishOwn(): Promise<void> {
    for (const [path, bytes] of maker.files) {
      const file = at('own', 'public', path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, bytes);
    }
  }

  function news(mark: string): void {
    maker.target(TARGET, trustedRootTarget(mark));
    maker.publish();
  }

  beforeEach(async () => {
    dir = await tempDir();
    ({ maker } = followed());
    mirror = await startMirror(maker.files);
    queued = [];
    watch = watching();
  });
  afterEach(async () => {
    await mirror.close();
    await dir.remove();
  });

  it('alerts of new targets and of a new root, each once, and over a restart', async () => {
    expect(await look()).toEqual({ ok: true, alerts: [] });
    news('next');
    const { alerts } = await look();
    expect(alerts.map(({ kind, severity, summary }) => [kind, severity, summary])).toEqual([
      ['trust-changed', 'alert', expect.stringContaining('has version 3 of targets (before: version 2)')],
      ['trust-changed', 'alert', expect.stringContaining('has version 3 of policies')],
    ]);
    expect(await look()).toEqual({ ok: true, alerts: [] });
    const before = [...maker.keys.root];
    maker.replace('root', [...before.slice(3), ...maker.newKeys(3)]);
    maker.newRoot(before);
    watch = watching();
    expect((await look()).alerts).toMatchObject([
      { kind: 'trust-changed', severity: 'critical', summary: expect.stringContaining('version 2 of root') },
    ]);
    expect(queued).toHaveLength(3);
    expect(await look()).toEqual({ ok: true, alerts: [] });
  });

  it('alerts of a role as new whatever it is called, and of a root that the snapshot lists too by its hash', async () => {
    maker.bodies.snapshot.meta['root.json'] = { version: 1 };
    const relist = () => {
      maker.publish();
      maker.bodies.snapshot.meta['root.json'] = { version: 1 };
      maker.bodies.snapshot.version += 1;
      maker.bodies.timestamp.version += 1;
      maker.bodies.timestamp.meta = { 'snapshot.json': { version: maker.bodies.snapshot.version } };
      maker.write('snapshot');
      maker.write('timestamp');
    };
    relist();
    await look();
    maker.delegate('constructor', ['constructor/*']);
    relist();
    const summaries = (await look()).alerts.map(({ summary }) => summary);
    expect(summaries.find((text) => text.includes('of constructor'))).toMatch(/has version 1 of constructor\. /);
    maker.newRoot([...maker.keys.root]);
    relist();
    expect((await look()).alerts).toContainEqual(
      expect.objectContaining({ severity: 'critical', summary: expect.stringContaining('version 2 of root') }),
    );
  });

  it('alerts again of a version whose alert a crash may have lost, with the same ID', async () => {
    await look();
    news('next');
    const lost = { ...settings };
    const broken = new TrustWatch(
      { url: `${mirror.url}/`, root: maker.root() },
      { settings: lost, dir: at('state'), queue: { enqueue: () => Promise.reject(new TypeError('killed')) } },
    );
    await expect(broken.round(signal)).rejects.toThrow('killed');
    expect((await look()).alerts).toHaveLength(2);
    expect(new Set(queued.map(({ id }) => id)).size).toBe(2);
  });

  it('alerts of what clients refuse when it has been seen several times, once while it lasts', async () => {
    await look();
    const good = new Map(maker.files);
    maker.bodies.timestamp.version += 1;
    maker.write('timestamp', { signers: [newTufKey()] });
    expect(await look()).toMatchObject({ ok: false, alerts: [] });
    expect((await look()).alerts).toMatchObject([{ kind: 'trust-refused', severity: 'critical' }]);
    expect(await look()).toMatchObject({ ok: false, alerts: [] });
    mirror.files = good;
    expect(await look()).toEqual({ ok: true, alerts: [] });
  });

  it('alerts of a repository that goes back, and of one that has expired', async () => {
    await look();
    const old = new Map(maker.files);
    maker.publish();
    await look();
    mirror.files = old;
    await look();
    expect((await look()).alerts).toMatchObject([
      { kind: 'trust-refused', severity: 'critical', summary: expect.stringContaining('before') },
    ]);
    mirror.files = maker.files;
    watch = watching({ now: () => Date.now() + 8 * 86_400_000 });
    await look();
    expect((await look()).alerts).toMatchObject([{ kind: 'trust-refused', severity: 'alert' }]);
  });

  it('alerts of a timestamp and a snapshot that the own repository did not publish', async () => {
    await publishOwn();
    watch = watching({ directory: at('own') });
    expect(await look()).toEqual({ ok: true, alerts: [] });
    // Who has both online keys signs the targets of before as if they were the newest.
    maker.bodies.snapshot.version += 1;
    maker.write('snapshot');
    maker.bodies.timestamp.version += 1;
    const { version } = maker.bodies.snapshot;
    maker.bodies.timestamp.meta['snapshot.json'] = { version };
    maker.write('timestamp');
    expect((await look()).alerts.map(({ kind, summary }) => [kind, summary])).toEqual([
      ['trust-foreign', expect.stringContaining('timestamp of version 3')],
      ['trust-foreign', expect.stringContaining('snapshot of version 3')],
    ]);
    expect(await look()).toEqual({ ok: true, alerts: [] });
  });

  it('alerts of a mirror that holds the news of the own repository back (freeze)', async () => {
    await publishOwn();
    watch = watching({ directory: at('own') });
    await look();
    mirror.files = new Map(maker.files);
    news('withheld');
    await publishOwn();
    expect(await look()).toEqual({ ok: true, alerts: [] });
    expect((await look()).alerts).toMatchObject([
      { kind: 'trust-foreign', summary: expect.stringContaining('holds news back') },
    ]);
  });

  it('alerts of a mirror that is away for too long', async () => {
    let now = Date.now();
    watch = watching({ now: () => now });
    await look();
    mirror.misbehave('2.root.json', 503);
    expect(await look()).toMatchObject({ ok: false, alerts: [], fault: expect.stringContaining('503') });
    now += settings.staleMs;
    expect((await look()).alerts).toMatchObject([{ kind: 'stale' }]);
  });
});
