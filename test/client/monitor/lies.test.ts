import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AlertKind } from '../../../client/monitor/types.ts';
import { sourceOf } from '../../../client/tiles/tile-source.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { parseEntryEvidence, verifyEntryEvidence } from '../../../merkle/entry-evidence.ts';
import { parseEvidence, verifyEvidence } from '../../../merkle/evidence.ts';
import { parsePolicy } from '../../../merkle/policy.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { originHash } from '../../../merkle/witness.ts';
import { entriesOf, FakeLog, mirror, View } from '../../support/fake-log.ts';
import { COSIGNED, cosignerOf } from './cosigner.ts';
import { follow, type Harness } from './harness.ts';

const FROZEN = 'Log frozen — 2026-01-01T00:00:00Z';

/** Rounds until the log is caught. */
async function caught(harness: Harness, kind: AlertKind, rounds = 1): Promise<string | undefined> {
  for (let i = 1; i < rounds; i++) expect(await harness.round()).toMatchObject({ ok: false, lying: false, alerts: 0 });
  expect(await harness.round()).toMatchObject({ ok: false, lying: true, alerts: 1 });
  const alert = harness.alerts.at(-1)!;
  expect(alert).toMatchObject({ kind, completeThrough: harness.follower.completeThrough ?? 0 });
  return alert.evidence;
}

const finding = (file: string | undefined) => verifyEvidence(parseEvidence(readFileSync(file!)), nodeNotePrimitives);

/** The cursor stays, the alert is not repeated, and nothing of the other history was looked at. */
async function staysAt(harness: Harness, size: number): Promise<void> {
  const alerts = harness.alerts.length;
  for (let i = 0; i < 5; i++) expect(await harness.round()).toMatchObject({ ok: false, lying: true, alerts: 0 });
  expect(harness.alerts).toHaveLength(alerts);
  expect(harness.follower.completeThrough).toBe(size);
  expect(harness.matcher.seen.map(({ index }) => index)).toEqual([...Array(size).keys()]);
}

async function followed(log: FakeLog, options: Parameters<typeof follow>[1] = {}): Promise<Harness> {
  const harness = await follow(log, { start: 'start', ...options });
  expect(await harness.round()).toMatchObject({ ok: true });
  return harness;
}

describe('a log that lies', () => {
  it.each([600, 512, 1])('an inconsistent checkpoint after size %d, with evidence', async (size) => {
    const log = new FakeLog(new View(entriesOf(size)));
    const harness = await followed(log);
    log.show(entriesOf(900, 'evil', size - 1));
    const evidence = finding(await caught(harness, 'inconsistent'));
    expect(evidence).toMatchObject({ kind: 'two-histories', firstSize: size, secondSize: 900 });
    await staysAt(harness, size);
    // The other history goes on growing: that is no news.
    log.show(entriesOf(950, 'evil', size - 1));
    await staysAt(harness, size);
  });

  it('two checkpoints of one size with different roots, with evidence', async () => {
    const log = new FakeLog();
    const harness = await followed(log);
    log.show(entriesOf(600, 'evil', 599));
    expect(finding(await caught(harness, 'split-view'))).toMatchObject({ kind: 'two-roots', firstSize: 600 });
    await staysAt(harness, 600);
  });

  it('a rollback, when it stays; a cached checkpoint for a moment is none', async () => {
    const log = new FakeLog();
    const harness = await followed(log);
    log.size = 500;
    expect(await harness.round()).toMatchObject({ ok: false, lying: false });
    expect(await harness.round()).toMatchObject({ ok: false, lying: false });
    log.size = 600;
    expect(await harness.round()).toMatchObject({ ok: true });
    log.show(entriesOf(500));
    expect(await caught(harness, 'rollback', 3)).toBeUndefined();
    await staysAt(harness, 600);
    expect(harness.alerts[0]!.summary).toMatch(/went back: it had signed size 600.*now shows size 500/);
  });

  it('a smaller tree of another history is a lie at once, with evidence', async () => {
    const log = new FakeLog();
    const harness = await followed(log);
    log.note = log.sign(log.text(500, new View(entriesOf(500, 'evil', 3))));
    expect(finding(await caught(harness, 'inconsistent'))).toMatchObject({ firstSize: 500, secondSize: 600 });
  });

  it('an entry that does not hash into its tile, when it stays, with what can be checked alone', async () => {
    const log = new FakeLog();
    const harness = await followed(log);
    log.show(entriesOf(1200));
    let wrong = true;
    log.serve = (path, bytes) => {
      if (!wrong || path !== 'tile/entries/003') return bytes;
      const changed = bytes!.slice();
      changed[changed.length - 1]! ^= 1;
      return changed;
    };
    for (let i = 0; i < 2; i++) expect(await harness.round()).toMatchObject({ ok: false, lying: false });
    const evidence = parseEntryEvidence(readFileSync((await caught(harness, 'bad-entry'))!));
    expect(verifyEntryEvidence(evidence, nodeNotePrimitives)).toMatchObject({
      origin: 'log.test',
      index: 1023,
      size: 1200,
    });
    expect(Buffer.from(evidence.served).toString()).toBe('entry 1022');
    expect(harness.alerts[0]).toMatchObject({ entry: { index: 1023 } });
    await staysAt(harness, 600);
    // The log is repaired, or it was on the way: the entries are looked at after all.
    wrong = false;
    expect(await harness.round()).toMatchObject({ ok: true });
    expect(harness.matcher.seen).toHaveLength(1200);
  });

  it('but not other wrong bytes each time, which are a fault on the way', async () => {
    const log = new FakeLog();
    const harness = await follow(log, { start: 'start' });
    let byte = 0;
    log.serve = (path, bytes) => {
      if (path !== 'tile/entries/001') return bytes;
      const changed = bytes!.slice();
      changed[changed.length - 1]! ^= ++byte;
      return changed;
    };
    for (let i = 0; i < 10; i++) expect(await harness.round()).toMatchObject({ lying: false, alerts: 0 });
  });

  it('all the same where the evidence cannot be kept', async () => {
    const log = new FakeLog();
    const harness = await followed(log);
    await writeFile(join(harness.dir, 'evidence'), 'a file where the directory should be');
    log.show(entriesOf(900, 'evil', 3));
    expect(await caught(harness, 'inconsistent')).toBeUndefined();
    expect(harness.events).toContainEqual(expect.objectContaining({ type: 'fault' }));
  });

  it('a bundle that does not parse, when it stays', async () => {
    const log = new FakeLog();
    const harness = await follow(log, { start: 'start' });
    log.serve = (path, bytes) => (path === 'tile/entries/001' ? encodeUtf8('x'.repeat(5000)) : bytes);
    await caught(harness, 'bad-entry', 3);
    expect(harness.alerts[0]).toMatchObject({ entry: { index: 256 } });
    await staysAt(harness, 0);
  });

  it('a checkpoint after a freeze that was seen, with evidence; the same tree is none', async () => {
    const log = new FakeLog();
    log.extensions = [FROZEN];
    const harness = await followed(log);
    log.extensions = [];
    expect(await harness.round()).toMatchObject({ ok: true });
    log.show(entriesOf(601));
    expect(finding(await caught(harness, 'frozen-grew'))).toMatchObject({ kind: 'grew-after-freeze', firstSize: 600 });
    await staysAt(harness, 600);
  });

  it.each<[string, true | number]>([
    ['at the size that is first seen', true],
    ['at a size', 600],
  ])('growth of a log that is declared frozen %s', async (_name, frozen) => {
    const log = new FakeLog();
    const harness = await followed(log, { log: { frozen } });
    log.show(entriesOf(601));
    expect(await caught(harness, 'frozen-grew')).toBeUndefined();
    await staysAt(harness, 600);
  });

  it('a quorum missing, when it stays; once however the log grows, and again after it was there', async () => {
    const log = new FakeLog();
    const witness = cosignerOf('witness.test');
    const policy = parsePolicy(`log ${log.vkey}\nwitness w ${witness.vkey}\nquorum w\n`);
    const cosigned = async () => {
      log.cosignatures = [await witness.cosign(log.text())];
    };
    await cosigned();
    const harness = await followed(log, { log: { policy } });
    log.show(entriesOf(700));
    await caught(harness, 'quorum-missing', 3);
    log.show(entriesOf(800));
    await staysAt(harness, 600);
    await cosigned();
    expect(await harness.round()).toMatchObject({ ok: true });
    expect(harness.follower.completeThrough).toBe(800);
    log.show(entriesOf(900));
    await caught(harness, 'quorum-missing', 3);
    expect(new Set(harness.alerts.map(({ id }) => id)).size).toBe(2);
  });

  it('an old checkpoint shown for ever is stale by its witnesses, once, and its entries are looked at', async () => {
    const log = new FakeLog();
    const witnesses = ['a', 'b', 'c'].map((name) => cosignerOf(`${name}.test`));
    const lines = witnesses.map(({ vkey }, i) => `witness w${i} ${vkey}`).join('\n');
    const policy = parsePolicy(`log ${log.vkey}\n${lines}\ngroup g 2 w0 w1 w2\nquorum g\n`);
    const cosigned = async (...at: number[]) => {
      log.cosignatures = await Promise.all(witnesses.map((one, i) => one.cosign(log.text(), COSIGNED + at[i]!)));
    };
    const hour = 3600;
    await cosigned(0, 0, 0);
    const harness = await follow(log, { start: 'start', log: { policy, maxCheckpointAge: hour * 1000 } });
    const at = async (seconds: number) => {
      harness.clock = (COSIGNED + seconds) * 1000;
      return await harness.round();
    };
    expect(await at(hour)).toMatchObject({ ok: true, alerts: 0 });
    expect(await at(hour + 1)).toMatchObject({ ok: true, lying: false, alerts: 1 });
    expect(harness.alerts).toMatchObject([{ kind: 'stale', severity: 'alert', completeThrough: 600 }]);
    expect(harness.alerts[0]!.summary).toMatch(/saw last at 2026-01-01T00:00:00.000Z/);
    // One witness of three keeps nothing young; two do.
    await cosigned(hour, 0, 0);
    expect(await at(hour + 2)).toMatchObject({ ok: true, alerts: 0 });
    await cosigned(hour, 0, hour);
    expect(await at(hour + 3)).toMatchObject({ ok: true, alerts: 0 });
    expect(await at(2 * hour + 1)).toMatchObject({ ok: true, alerts: 1 });
    expect(new Set(harness.alerts.map(({ id }) => id)).size).toBe(2);
    expect(harness.follower.completeThrough).toBe(600);
  });

  it('at the first sight, before there is a state', async () => {
    const log = new FakeLog();
    const policy = parsePolicy(`log ${log.vkey}\nwitness w ${cosignerOf('witness.test').vkey}\nquorum w\n`);
    const harness = await follow(log, { start: 'start', log: { policy } });
    for (let i = 0; i < 2; i++) await harness.round();
    expect(await harness.round()).toMatchObject({ lying: true, alerts: 1 });
    expect(await harness.round()).toMatchObject({ lying: true, alerts: 0 });
    expect(harness.alerts).toMatchObject([{ kind: 'quorum-missing', completeThrough: 0 }]);
  });

  it('with the same ID where the monitor is killed behind the alert', async () => {
    const log = new FakeLog();
    const harness = await followed(log);
    await harness.close();
    log.show(entriesOf(900, 'evil', 3));
    const again = async () => {
      const one = await follow(log, {
        dir: harness.dir,
        queue: {
          enqueue: async (a) => {
            ids.push(a[0]!.id);
            throw new Error('killed');
          },
        },
      });
      await expect(one.round()).rejects.toThrow('killed');
      await one.close();
    };
    const ids: string[] = [];
    await again();
    await again();
    expect(ids[0]).toBe(ids[1]);
  });
});

describe('other views', () => {
  const at = (log: FakeLog, peer: () => ReturnType<typeof mirror>) => ({
    log: { peers: ['peer'] },
    open: (location: string) => (location === 'peer' ? peer() : log.source()),
  });

  it.each([
    [600, 'two-roots'],
    [400, 'two-histories'],
    [900, 'two-histories'],
  ])(
    'another history of size %d at a peer is seen, though each is consistent in itself, with evidence',
    async (size, kind) => {
      const log = new FakeLog();
      const other = new View(entriesOf(size, 'evil', 3));
      const harness = await follow(log, { start: 'start', ...at(log, () => mirror(log, other)) });
      expect(finding(await caught(harness, 'split-view'))).toMatchObject({ kind });
      expect(harness.matcher.seen).toEqual([]);
    },
  );

  it.each([600, 400, 900])('the same history at size %d is none', async (size) => {
    const log = new FakeLog();
    const harness = await follow(log, { start: 'start', ...at(log, () => mirror(log, new View(entriesOf(size)))) });
    expect(await harness.round()).toMatchObject({ ok: true });
    expect(await harness.round()).toMatchObject({ ok: true });
    expect(harness.alerts).toEqual([]);
    expect(harness.follower.completeThrough).toBe(600);
  });

  it('a witness is asked under the hash of the origin', async () => {
    const log = new FakeLog();
    const other = new View(entriesOf(600, 'evil', 3));
    const asked: string[] = [];
    const harness = await follow(log, {
      start: 'start',
      log: { peers: ['https://witness.test/w/'] },
      open: (location) => {
        asked.push(location);
        if (location === 'fake') return log.source();
        if (location.endsWith(originHash('log.test'))) return mirror(log, other);
        return sourceOf({ name: location, get: async () => undefined, close: async () => {} });
      },
    });
    await caught(harness, 'split-view');
    expect(asked).toContain(`https://witness.test/w/${originHash('log.test')}`);
  });

  /** A view that has a checkpoint, and no tiles. */
  const witness = (log: FakeLog, view: View) =>
    sourceOf({
      name: 'witness',
      get: async (path) =>
        path === 'checkpoint' ? encodeUtf8(log.sign(log.text(view.entries.length, view))) : undefined,
      close: async () => {},
    });

  it('a larger checkpoint of a witness, which has no tiles, is compared when the log shows as much', async () => {
    const log = new FakeLog();
    const before = new View(entriesOf(900, 'evil', 3));
    const harness = await follow(log, { start: 'start', ...at(log, () => witness(log, before)) });
    expect(await harness.round()).toMatchObject({ ok: true });
    expect(harness.events).toContainEqual(expect.objectContaining({ type: 'peer', peer: 'peer' }));
    // The witness goes on; what it had shown is remembered, over a restart too.
    await harness.close();
    log.show(entriesOf(1000));
    const after = new View(entriesOf(600));
    const again = await follow(log, { dir: harness.dir, ...at(log, () => witness(log, after)) });
    expect(finding(await caught(again, 'split-view'))).toMatchObject({ firstSize: 900, secondSize: 1000 });
  });

  it('what agreed with a head that was not believed is compared again with the next', async () => {
    const log = new FakeLog(new View(entriesOf(300)));
    const shown = new View(entriesOf(500, 'other', 300));
    let split = false;
    const harness = await follow(log, {
      start: 'start',
      log: { peers: ['one', 'two'] },
      open: (location) => {
        if (location === 'fake') return log.source();
        const other = new View(entriesOf(100, 'evil'));
        const two = sourceOf({
          name: 'two',
          get: async (path) =>
            path === 'checkpoint' && split ? encodeUtf8(log.sign(log.text(100, other))) : undefined,
          close: async () => {},
        });
        return location === 'one' ? mirror(log, shown) : two;
      },
    });
    // A head of the history that the first peer has is refused for what the second has.
    log.show(entriesOf(500, 'other', 300));
    split = true;
    await caught(harness, 'split-view');
    // The next one is of another history than the first peer's.
    split = false;
    log.show(entriesOf(500, 'third', 300));
    expect(await harness.round()).toMatchObject({ ok: false, lying: true, alerts: 1 });
    expect(harness.alerts.map(({ summary }) => summary)).toEqual([
      expect.stringMatching(/ at two$/),
      expect.stringMatching(/ at one$/),
    ]);
  });

  it('a log that never shows what a witness has is stale', async () => {
    const log = new FakeLog();
    const more = new View(entriesOf(900));
    const harness = await follow(log, { start: 'start', ...at(log, () => witness(log, more)) });
    expect(await harness.round()).toMatchObject({ ok: true, alerts: 0 });
    harness.clock += 3_600_000;
    expect(await harness.round()).toMatchObject({ ok: true, alerts: 1 });
    expect(harness.alerts[0]).toMatchObject({ kind: 'stale' });
    log.show(entriesOf(900));
    expect(await harness.round()).toMatchObject({ ok: true, alerts: 0 });
    harness.clock += 3_600_000;
    expect(await harness.round()).toMatchObject({ ok: true, alerts: 0 });
  });

  it('a peer that is away stops nothing, and is stale after a while, once', async () => {
    const log = new FakeLog();
    const away = sourceOf({ name: 'away', get: async () => undefined, close: async () => {} });
    const harness = await follow(log, { start: 'start', ...at(log, () => away) });
    expect(await harness.round()).toMatchObject({ ok: true, alerts: 0 });
    expect(harness.follower.completeThrough).toBe(600);
    harness.clock += 3_600_000;
    expect(await harness.round()).toMatchObject({ ok: true, alerts: 1 });
    expect(await harness.round()).toMatchObject({ ok: true, alerts: 0 });
    expect(harness.alerts).toMatchObject([{ kind: 'stale' }]);
  });
});
