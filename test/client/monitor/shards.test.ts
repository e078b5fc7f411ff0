import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import type { ReadLocation } from '../../../client/follow/shards.ts';
import type { ShardSource } from '../../../client/follow/types.ts';
import { Monitor, type MonitorEvent } from '../../../client/monitor/run.ts';
import { EvidenceFiles } from '../../../client/monitor/store/evidence-files.ts';
import { StateStore } from '../../../client/monitor/store/state-store.ts';
import type { Alert } from '../../../client/monitor/types.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { later, tempDir } from '../../support/log-files.ts';
import { filesOf, NOW, SOURCE } from '../follow/signing-config.ts';
import { QUICK, WordMatcher } from './harness.ts';

describe('a shard change', () => {
  async function monitorOf(
    dir: string,
    all: readonly FakeLog[],
    read: ReadLocation,
    start?: 'now' | 'start',
    source: ShardSource = SOURCE,
  ) {
    const { store } = await StateStore.open(join(dir, 'follow'), start !== undefined);
    const matcher = new WordMatcher();
    const events: MonitorEvent[] = [];
    const queue = {
      enqueue: async (_alerts: readonly Alert[]) => {},
      pending: () => 0,
      run: async () => {},
      drain: async () => true,
    };
    const monitor = new Monitor({
      logs: [],
      trusts: [],
      shards: [source],
      settings: QUICK,
      store,
      evidence: new EvidenceFiles(join(dir, 'evidence')),
      matcher,
      queue,
      open: (location) => all.find(({ origin }) => location === `https://${origin}/api/v2`)!.source(),
      read,
      ...(start !== undefined && { start }),
      onEvent: (event) => void events.push(event),
      now: () => NOW,
    });
    const close = async () => {
      await monitor.close();
      await store.close();
    };
    later(close);
    await monitor.load();
    const report = await monitor.once(new AbortController().signal);
    return { matcher, report, events, close };
  }

  it('is followed from the first entry of the new log, and the old one to its end', async () => {
    const dir = await tempDir();
    const [old, next] = [
      new FakeLog(new View(entriesOf(10)), 'one.test'),
      new FakeLog(new View(entriesOf(5)), 'two.test'),
    ];
    const first = await monitorOf(dir, [old, next], filesOf([old]), 'now');
    expect(first.report.logs).toMatchObject([{ log: 'one.test', completeThrough: 10, ok: true }]);
    expect(first.matcher.seen).toEqual([]);
    await first.close();
    // While no monitor runs, the old log takes its last entry and leaves the configuration.
    old.show(entriesOf(11));
    const second = await monitorOf(dir, [old, next], filesOf([next]));
    expect(second.events).toContainEqual({ log: 'two.test', type: 'shard', location: 'https://two.test/api/v2' });
    expect(second.matcher.seen.map(({ log, index }) => `${log} ${index}`).sort()).toEqual(
      ['one.test 10', ...[0, 1, 2, 3, 4].map((i) => `two.test ${i}`)].sort(),
    );
    expect(second.report.logs).toHaveLength(2);
  });

  it('is known with its end: what the old key signs after the pinned last checkpoint alerts, also in a first run', async () => {
    const [old, next] = [
      new FakeLog(new View(entriesOf(10)), 'one.test'),
      new FakeLog(new View(entriesOf(5)), 'two.test'),
    ];
    const last = old.sign(old.text());
    const pinned: ReadLocation = async (location, limit, signal) => {
      if (location === 'pins/one.test.last-checkpoint') return Buffer.from(last);
      if (location.startsWith('pins/')) throw new ClientError('missing', 'there is no such file');
      return await filesOf([old, next])(location, limit, signal);
    };
    const source = { ...SOURCE, lastCheckpoints: 'pins' };
    const dir = await tempDir();
    const first = await monitorOf(dir, [old, next], pinned, 'start', source);
    expect(first.report.logs).toMatchObject([
      { log: 'one.test', completeThrough: 10, ok: true },
      { log: 'two.test', completeThrough: 5, ok: true },
    ]);
    await first.close();
    old.show(entriesOf(11));
    for (const at of [dir, await tempDir()]) {
      const { report, events, close } = await monitorOf(at, [old, next], pinned, 'start', source);
      expect(report.logs).toMatchObject([
        { log: 'one.test', ok: false, lying: true },
        { log: 'two.test', completeThrough: 5, ok: true },
      ]);
      const alerts = events.flatMap((event) => (event.type === 'alerts' ? event.alerts : []));
      expect(alerts).toMatchObject([{ kind: 'frozen-grew', log: 'one.test' }]);
      await close();
    }
  });

  it('to a log without a key is a problem that is told', async () => {
    const log = new FakeLog();
    const { report } = await monitorOf(await tempDir(), [log], filesOf([log], ['https://new.test']), 'start');
    expect(report.problems).toEqual([expect.stringMatching(/new.test is not followed/)]);
  });

  it('of a configuration that cannot be read is a problem, and the known logs are followed on', async () => {
    const dir = await tempDir();
    const log = new FakeLog();
    await (await monitorOf(dir, [log], filesOf([log]), 'start')).close();
    log.show(entriesOf(601));
    const { report, matcher } = await monitorOf(dir, [log], async () => {
      throw new ClientError('network', 'away');
    });
    expect(report.problems).toEqual(['sigstore: away']);
    expect(report.logs).toMatchObject([{ completeThrough: 601 }]);
    expect(matcher.seen).toHaveLength(1);
  });
});
