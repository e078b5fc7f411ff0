/** A log that the monitor watches by a verifiable index: the same alerts as by a scan, and loud about every lie. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseMonitorConfig } from '../../../client/monitor/config/load-monitor.ts';
import { LookupFollower } from '../../../client/monitor/lookup-follower.ts';
import { createMatcher } from '../../../client/monitor/matcher.ts';
import { keysOfRules } from '../../../client/monitor/rules/rule-keys.ts';
import type { Rule } from '../../../client/monitor/rules/types.ts';
import { EvidenceFiles } from '../../../client/monitor/store/evidence-files.ts';
import { IndexStateStore } from '../../../client/monitor/store/index-state-store.ts';
import type { Alert } from '../../../client/monitor/types.ts';
import { openSource } from '../../../client/tiles/tiles.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { fulcioCertificate, githubRun, hashedRekord, keyFingerprint, madeUpKey } from '../../support/fulcio.ts';
import { later, tempDir } from '../../support/log-files.ts';
import { INPUT_ORIGIN, OUTPUT_ORIGIN } from '../../support/memory-index.ts';
import { ServedIndex } from '../../support/served-index.ts';

const KEY = keyFingerprint(madeUpKey('key 1'));
const names = { names: ['release@example.com'], issuer: 'https://accounts.example.com', seed: 'release' };
const RULES: Rule[] = [
  { name: 'key', watch: [{ key: KEY }], severity: 'alert' },
  {
    name: 'release',
    watch: [{ identity: 'release@example.com', issuer: 'https://accounts.example.com' }],
    severity: 'alert',
  },
  {
    name: 'repository',
    watch: [{ extensions: { sourceRepositoryURI: 'https://github.com/example/app' } }],
    expect: [{ identity: { pattern: '.*/release\\.yml@.*' } }],
    severity: 'alert',
  },
];

const entry = (i: number) => {
  if (i % 11 === 3) return hashedRekord({ certificate: fulcioCertificate(names) }, `artifact ${i}`);
  if (i % 11 === 7)
    return hashedRekord(
      {
        certificate: fulcioCertificate(githubRun('example/app', i % 2 ? 'release.yml' : 'odd.yml', 'refs/heads/main')),
      },
      `a ${i}`,
    );
  // An entry that cannot be read, and names a watched text.
  if (i % 50 === 20) return new TextEncoder().encode(`{"kind":"odd","spec":"release@example.com ${i}"}`);
  return hashedRekord({ key: madeUpKey(`key ${i % 5}`) }, `artifact ${i}`);
};
const entries = (count: number, from = 0) => Array.from({ length: count }, (_, i) => entry(from + i));

async function watching(
  served: ServedIndex,
  options: { start?: 'now' | 'start'; dir?: string; staleMs?: number; clock?: { now: number } } = {},
) {
  const { dir = tempDir(), staleMs = 3_600_000, clock = { now: 1_700_000_000_000 } } = options;
  const [input, output, url] = [await served.input.listen(), await served.output.listen(), await served.listen()];
  const log = { origin: INPUT_ORIGIN, keys: [served.input.key], location: input };
  const alerts: Alert[] = [];
  const matcher = createMatcher(RULES);
  const follower = new LookupFollower(log, {
    settings: {
      partialMs: 0,
      parallel: 2,
      chunkBytes: 1024 * 1024,
      pollMs: 1000,
      retryMs: 10,
      staleMs,
      confirmations: 2,
    },
    evidence: new EvidenceFiles(join(dir, 'evidence')),
    matcher,
    queue: { enqueue: async (more) => void alerts.push(...more) },
    open: (location) => openSource(location, { retries: 0 }),
    index: {
      log: INPUT_ORIGIN,
      url,
      output: { origin: OUTPUT_ORIGIN, keys: [served.output.key], location: output },
      rebuilders: served.trust.rebuilders!,
    },
    keys: keysOfRules(RULES, INPUT_ORIGIN),
    store: new IndexStateStore(join(dir, 'indexes'), log),
    start: options.start ?? 'start',
    now: () => clock.now,
  });
  later(async () => {
    await follower.close();
    await matcher.close();
  });
  await follower.load();
  const round = () => follower.round(new AbortController().signal);
  return { follower, alerts, round, dir, clock };
}

/** What a scan of the same entries alerts about. */
async function scanned(served: ServedIndex, from = 0) {
  const found = served.input.view.entries
    .map((body, index) => ({ log: INPUT_ORIGIN, index, leafHash: leafHash(body, fastSha256), body }))
    .filter(({ index }) => index >= from);
  const matcher = createMatcher(RULES);
  const alerts = await matcher.match(found);
  await matcher.close();
  return alerts.map(({ id }) => id).sort();
}

const ids = (alerts: readonly Alert[]) => alerts.map(({ id }) => id).sort();

function made(count: number): ServedIndex {
  const served = new ServedIndex();
  served.add(entries(count));
  served.publish();
  return served;
}

describe('watching by an index', () => {
  it('alerts about the same entries as a scan, and asks for the difference alone', async () => {
    const served = made(300);
    const { follower, alerts, round, dir } = await watching(served);
    expect(await round()).toMatchObject({ ok: true });
    expect(follower.completeThrough).toBe(300);
    expect(ids(alerts)).toEqual(await scanned(served));
    expect(alerts.length).toBeGreaterThan(50);
    expect(new Set(alerts.map(({ kind }) => kind))).toEqual(new Set(['match', 'unexpected', 'unreadable']));
    const before = alerts.length;
    served.add(entries(100, 300));
    served.publish();
    expect(await round()).toMatchObject({ ok: true });
    expect(ids(alerts.slice(before))).toEqual(await scanned(served, 300));
    expect(follower.completeThrough).toBe(400);
    // Another process goes on there.
    const again = await watching(served, { dir });
    expect(again.follower.completeThrough).toBe(400);
    expect(await again.round()).toMatchObject({ ok: true, alerts: 0 });
  });

  it('begins behind what is there, where it is told so', async () => {
    const served = made(100);
    const { alerts, round } = await watching(served, { start: 'now' });
    expect(await round()).toMatchObject({ ok: true, alerts: 0 });
    served.add(entries(50, 100));
    served.publish();
    await round();
    expect(ids(alerts)).toEqual(await scanned(served, 100));
  });
});

describe('an index that does not hold', () => {
  it('becomes an alert once it was seen again, and the promise stands still', async () => {
    const served = made(100);
    const { follower, alerts, round } = await watching(served);
    await round();
    const before = alerts.length;
    served.add(entries(100, 100));
    served.publish();
    served.lie = (bytes) => {
      const lie = bytes.slice();
      lie[lie.length - 400]! ^= 1;
      return lie;
    };
    expect(await round()).toMatchObject({ ok: false, alerts: 0 });
    expect(await round()).toMatchObject({ ok: false, lying: true, alerts: 1 });
    expect(await round()).toMatchObject({ ok: false, alerts: 0 });
    expect(alerts.slice(before)).toMatchObject([{ kind: 'bad-index', completeThrough: 100, severity: 'critical' }]);
    expect(follower.completeThrough).toBe(100);
    served.lie = (bytes) => bytes;
    expect(await round()).toMatchObject({ ok: true });
    expect(follower.completeThrough).toBe(200);
  });

  it('without its rebuilders is an alert', async () => {
    const served = made(100);
    served.cosigners = served.rebuilders.slice(1);
    const { alerts, round } = await watching(served);
    await round();
    await round();
    expect(alerts).toMatchObject([{ kind: 'quorum-missing' }]);
  });

  it('that goes back to an old root is an alert', async () => {
    const served = made(100);
    const old = new Map<string, Uint8Array>();
    served.lie = (bytes, { value }) => {
      old.set(value, bytes);
      return bytes;
    };
    const { alerts, round } = await watching(served);
    await round();
    served.add(entries(10, 100));
    served.publish();
    served.lie = (bytes) => bytes;
    await round();
    const before = alerts.length;
    served.lie = (_, { value }) => old.get(value);
    await round();
    expect(await round()).toMatchObject({ ok: false, lying: true });
    expect(alerts.slice(before).map(({ kind }) => kind)).toEqual(['bad-index']);
  });

  it('that answers slowly, posting by posting, is reported as stale while it does', async () => {
    const served = made(100);
    const { alerts, round, clock, follower } = await watching(served, { staleMs: 60_000 });
    const stale = () => alerts.filter(({ kind }) => kind === 'stale');
    let parts = 0;
    served.most = 1;
    served.lie = (bytes) => {
      clock.now += 10_000;
      // The round is still under way.
      if (++parts === 8) expect(stale()).toHaveLength(1);
      return bytes;
    };
    const { ok } = await round();
    expect(parts).toBeGreaterThan(20);
    expect(ok).toBe(true);
    expect(stale()).toHaveLength(1);
    expect(stale()[0]!.summary).toContain('are not whole yet');
    expect(follower.completeThrough).toBe(100);
  });

  it('that stays behind the log, or is away, is reported as stale', async () => {
    const served = made(100);
    const { alerts, round, clock } = await watching(served, { staleMs: 60_000 });
    await round();
    const before = alerts.length;
    served.input.view.grow(entries(10, 100));
    served.input.size = 110;
    await round();
    clock.now += 30_000;
    await round();
    expect(alerts).toHaveLength(before);
    clock.now += 40_000;
    await round();
    expect(alerts.slice(before)).toMatchObject([{ kind: 'stale' }]);
    expect(alerts.at(-1)!.summary).toContain('is behind: it is complete through 100 entries, and the log had 110');
    served.lie = () => undefined;
    clock.now += 70_000;
    await round();
    expect(alerts.slice(before + 1)).toMatchObject([{ kind: 'stale' }]);
  });
});

describe('the configuration', () => {
  const config = (watch: string, served: ServedIndex) => `
logs: [{ url: "https://log.example.com", keys: ["${served.input.vkey}"] }]
indexes:
  - { log: "${INPUT_ORIGIN}", url: "https://index.example.com", outputLog: { url: "https://output.example.com", keys: ["${served.output.vkey}"] } }
rules: [{ name: r, watch: ${watch} }]
sinks: [{ type: stdout }]`;

  it('takes rules with exact terms, and refuses what takes a scan, with the reason', () => {
    const served = new ServedIndex();
    const read = (watch: string) => parseMonitorConfig(config(watch, served), '/etc/monitor.yaml');
    expect(read('{ identity: "a@example.com" }').indexes).toMatchObject([
      { log: INPUT_ORIGIN, url: 'https://index.example.com' },
    ]);
    expect(() => read('{ identity: { pattern: ".*@example.com" } }')).toThrow(/takes a scan of .*exact digest/);
    expect(() => read('[{ identity: "a@example.com" }, { issuer: { pattern: ".*" } }]')).toThrow(/takes a scan/);
    const text = config('{ identity: "a@example.com" }', served);
    expect(() =>
      parseMonitorConfig(text.replace(`log: "${INPUT_ORIGIN}"`, 'log: "else"'), '/etc/monitor.yaml'),
    ).toThrow(/no log of/);
  });
});
