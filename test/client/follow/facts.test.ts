/** What a feed says of a log that lies: facts as values, with evidence that anybody can check, and no entry of the lie. */
import { describe, expect, it } from 'vitest';
import { openHead } from '../../../client/follow/signed-head.ts';
import type { Fact, FollowedLog } from '../../../client/follow/types.ts';
import { sourceOf } from '../../../client/tiles/tile-source.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatCheckpoint } from '../../../merkle/checkpoint.ts';
import { verifyEntryEvidence } from '../../../merkle/entry-evidence.ts';
import { type Evidence, verifyEvidence } from '../../../merkle/evidence.ts';
import { parsePolicy } from '../../../merkle/policy.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { entriesOf, FakeLog, mirror, View } from '../../support/fake-log.ts';
import { COSIGNED, cosignerOf } from '../monitor/cosigner.ts';
import { type Followed, feedOf } from './feed.ts';

const finding = (evidence: Evidence | undefined) => evidence && verifyEvidence(evidence, nodeNotePrimitives);

/** The fact for which the feed does not accept the checkpoint; the cursor stays, and nothing was committed. */
async function refused({ round, store, feed }: Followed): Promise<Fact> {
  const [order, cursor] = [store.order.length, store.cursor];
  const { accepted, facts } = await round();
  expect(accepted).toBe(false);
  expect([store.order.length, store.cursor, feed.cursor?.range.size]).toEqual([order, cursor, cursor?.range.size]);
  return facts[0]!;
}

async function followed(log: FakeLog, of: Partial<FollowedLog> = {}): Promise<Followed> {
  const one = feedOf(log, { log: of });
  expect(await one.round()).toMatchObject({ accepted: true, facts: [] });
  return one;
}

describe('a checkpoint', () => {
  it('that the log did not sign is an error, and no fact about the log', async () => {
    const log = new FakeLog();
    const { look } = feedOf(log);
    log.note = new FakeLog().sign(log.text());
    await expect(look()).rejects.toMatchObject({ code: 'bad-checkpoint' });
    log.note = 'nothing like a note';
    await expect(look()).rejects.toMatchObject({ code: 'bad-checkpoint' });
  });

  it.each([
    [900, 'two-histories'],
    [600, 'two-roots'],
    [400, 'two-histories'],
  ])('of another history, of size %d after 600, is a fork with evidence', async (size, kind) => {
    const log = new FakeLog();
    const one = await followed(log);
    log.show(entriesOf(size, 'evil', 3));
    // A log that went back has the tiles of the smaller tree alone.
    if (size < 600) log.serve = (path, bytes) => (path === 'checkpoint' ? bytes : new View(entriesOf(600)).file(path));
    const fact = await refused(one);
    expect(fact).toMatchObject({ type: 'fork', proven: true, before: { size: 600 }, head: { size } });
    expect(finding((fact as { evidence: Evidence }).evidence)).toMatchObject({ kind });
  });

  it('that is smaller is asked for past caches from then on, until the log is back', async () => {
    const log = new FakeLog();
    const fresh: boolean[] = [];
    const open = () => {
      const source = log.source();
      return {
        ...source,
        checkpoint: (signal?: AbortSignal, past?: boolean) => {
          fresh.push(past === true);
          return source.checkpoint(signal, past);
        },
      };
    };
    const { round } = feedOf(log, { open });
    for (const size of [600, 500, 500, 600, 600]) {
      log.size = size;
      await round();
    }
    expect(fresh).toEqual([false, false, true, true, false]);
  });

  it('that is smaller is a rollback, which is not proven, and is over when the log is back', async () => {
    const log = new FakeLog();
    const one = await followed(log);
    log.size = 500;
    expect(await refused(one)).toMatchObject({ type: 'rollback', proven: false, head: { size: 500 } });
    log.size = 600;
    expect(await one.round()).toMatchObject({ accepted: true, facts: [] });
  });

  it('with a wrong root is an error until tiles show it, and no entry gets through', async () => {
    const log = new FakeLog();
    const { round, store } = feedOf(log);
    const root = new Uint8Array(32).fill(7);
    log.note = log.sign(formatCheckpoint({ origin: log.origin, size: 600, root, extensions: [] }));
    await expect(round()).rejects.toMatchObject({ code: 'corrupt' });
    expect(store.order).toEqual([]);
  });

  it('with a root for the empty tree that it does not have is a fact', async () => {
    const log = new FakeLog();
    const root = new Uint8Array(32).fill(7);
    log.note = log.sign(formatCheckpoint({ origin: log.origin, size: 0, root, extensions: [] }));
    expect(await refused(feedOf(log))).toMatchObject({ type: 'empty-root', proven: true });
  });

  it('after a freeze is growth, with evidence where the log said that it is frozen', async () => {
    const log = new FakeLog();
    log.extensions = ['Log frozen — 2026-01-01T00:00:00Z'];
    const one = await followed(log);
    log.extensions = [];
    log.show(entriesOf(601));
    const fact = await refused(one);
    expect(fact).toMatchObject({ type: 'grew-after-freeze', size: 600, head: { size: 601 } });
    expect(finding((fact as { evidence?: Evidence }).evidence)).toMatchObject({ kind: 'grew-after-freeze' });
    const declared = await followed(new FakeLog(new View(entriesOf(600))), { frozen: 600 });
    expect(declared.feed.cursor!.head.size).toBe(600);
  });

  it('beyond the pinned last checkpoint is growth, with evidence where that says that the log is frozen', async () => {
    for (const extensions of [['Log frozen — 2026-01-01T00:00:00Z'], []]) {
      const log = new FakeLog();
      log.extensions = extensions;
      const last = openHead({ origin: log.origin, keys: [log.key] }, log.sign(log.text()));
      log.extensions = [];
      log.show(entriesOf(601));
      const fact = await refused(feedOf(log, { log: { last } }));
      expect(fact).toMatchObject({ type: 'grew-after-freeze', proven: true, size: 600, head: { size: 601 } });
      const { evidence } = fact as { evidence?: Evidence };
      if (extensions.length === 0) expect(evidence).toBeUndefined();
      else expect(finding(evidence)).toMatchObject({ kind: 'grew-after-freeze' });
    }
  });

  it('other than the pinned last checkpoint is a fork, and a smaller one a rollback', async () => {
    const log = new FakeLog();
    const last = openHead({ origin: log.origin, keys: [log.key] }, log.sign(log.text()));
    const one = await followed(log, { last });
    expect(one.feed.cursor!.frozen).toMatchObject({ size: 600 });
    log.size = 500;
    expect(await refused(feedOf(log, { log: { last } }))).toMatchObject({ type: 'rollback', before: { size: 600 } });
    log.show(entriesOf(600, 'other', 599));
    const fact = await refused(feedOf(log, { log: { last } }));
    expect(fact).toMatchObject({ type: 'fork', before: { size: 600 }, head: { size: 600 } });
    expect(finding((fact as { evidence?: Evidence }).evidence)).toMatchObject({ kind: 'two-roots' });
  });

  it('is judged by a last checkpoint that is pinned while the log is followed, and the cursor keeps it', async () => {
    const log = new FakeLog();
    const one = await followed(log);
    expect(one.feed.cursor!.frozen).toBeUndefined();
    one.feed.pin(openHead({ origin: log.origin, keys: [log.key] }, log.sign(log.text())));
    expect(await one.round()).toMatchObject({ accepted: true, facts: [] });
    expect(one.store.cursor!.frozen).toMatchObject({ size: 600, head: { size: 600 } });
    log.show(entriesOf(601));
    expect(await refused(one)).toMatchObject({ type: 'grew-after-freeze', size: 600 });
    // Where the trust is not at hand any more, the cursor still knows.
    expect(await refused(feedOf(log, { store: one.store }))).toMatchObject({ type: 'grew-after-freeze', size: 600 });
  });

  it('without the quorum of the policy is a fact; a witness that comes late ends it', async () => {
    const log = new FakeLog();
    const witness = cosignerOf('witness.test');
    const policy = parsePolicy(`log ${log.vkey}\nwitness w ${witness.vkey}\nquorum w\n`);
    const one = feedOf(log, { log: { policy, maxCheckpointAge: 1000 } });
    expect(await refused(one)).toMatchObject({ type: 'quorum-missing', proven: false, why: expect.any(String) });
    log.cosignatures = [await witness.cosign(log.text())];
    one.clock = COSIGNED * 1000 + 1000;
    expect(await one.round()).toMatchObject({ accepted: true, facts: [] });
    // An old checkpoint is a fact too, and yet accepted.
    one.clock++;
    expect(await one.round()).toMatchObject({
      accepted: true,
      facts: [{ type: 'old-checkpoint', seen: COSIGNED * 1000 }],
    });
  });
});

describe('the checkpoint of a log that was frozen empty', () => {
  it('needs no quorum where it is pinned, since witnesses cosign no empty tree', async () => {
    const log = new FakeLog();
    log.show([]);
    const policy = parsePolicy(`log ${log.vkey}\nwitness w ${cosignerOf('witness.test').vkey}\nquorum w\n`);
    expect(await refused(feedOf(log, { log: { policy } }))).toMatchObject({ type: 'quorum-missing' });
    const last = openHead({ origin: log.origin, keys: [log.key] }, log.sign(log.text()));
    await followed(log, { policy, last });
    log.show(entriesOf(600));
    expect(await refused(feedOf(log, { log: { policy, last } }))).toMatchObject({ type: 'grew-after-freeze' });
  });
});

describe('an entry', () => {
  it.each<[string, (bytes: Uint8Array) => Uint8Array, number]>([
    ['with other bytes', (bytes) => bytes.with(bytes.length - 1, 0) as Uint8Array, 1023],
    ['that is left out', (bytes) => bytes.slice(0, bytes.length - 10), 1023],
    [
      'in the place of another',
      (bytes) => Buffer.from(Buffer.from(bytes).toString('latin1').replace('800', '801'), 'latin1'),
      800,
    ],
  ])('%s is a fact with evidence, and ends the reading before its batch', async (_name, change, index) => {
    const log = new FakeLog(new View(entriesOf(1200)));
    log.serve = (path, bytes) => (path === 'tile/entries/003' ? change(bytes!) : bytes);
    const { round, store } = feedOf(log);
    const { accepted, fact } = await round();
    expect([accepted, fact]).toMatchObject([true, { type: 'bad-entry', proven: false, index }]);
    expect(verifyEntryEvidence(fact!.evidence, nodeNotePrimitives)).toMatchObject({ index, size: 1200 });
    // In order, without a gap, and nothing at or behind the wrong one.
    expect(store.order).toEqual([...Array(store.cursor!.range.size).keys()]);
    expect(store.cursor!.range.size).toBeLessThanOrEqual(768);
    log.serve = (_path, bytes) => bytes;
    await round();
    expect(store.order).toEqual([...Array(1200).keys()]);
  });

  it('cannot be swapped together with its tile: the tile does not lead to the root', async () => {
    const log = new FakeLog(new View(entriesOf(700)));
    const other = new View(entriesOf(700, 'other'));
    log.serve = (path, bytes) => (/^tile\/(entries|0)\/001$/.test(path) ? other.file(path) : bytes);
    const { round, store } = feedOf(log);
    await expect(round()).rejects.toMatchObject({ code: 'corrupt' });
    expect(store.order.filter((index) => index >= 256)).toEqual([]);
  });
});

describe('a peer', () => {
  const withPeer = (log: FakeLog, view: () => View) =>
    feedOf(log, {
      log: { peers: ['peer'] },
      open: (location) => (location === 'peer' ? mirror(log, view()) : log.source()),
    });

  it('with another history is a split view, with evidence, though each view is consistent', async () => {
    const log = new FakeLog();
    const one = withPeer(log, () => new View(entriesOf(400, 'evil', 3)));
    const fact = await refused(one);
    expect(fact).toMatchObject({ type: 'split-view', peer: 'peer', seen: { size: 400 }, head: { size: 600 } });
    expect(finding((fact as { evidence: Evidence }).evidence)).toMatchObject({ kind: 'two-histories' });
  });

  it('that is ahead without tiles is remembered in the cursor, and compared when the log shows as much', async () => {
    const log = new FakeLog();
    const evil = new View(entriesOf(900, 'evil', 3));
    const witness = sourceOf({
      name: 'witness',
      get: async (path) => (path === 'checkpoint' ? encodeUtf8(log.sign(log.text(900, evil))) : undefined),
      close: async () => {},
    });
    const open = (location: string) => (location === 'peer' ? witness : log.source());
    const one = feedOf(log, { log: { peers: ['peer'] }, open });
    const { accepted, peers } = await one.round();
    expect([accepted, peers]).toMatchObject([true, [{ peer: 'peer', trouble: expect.any(String) }]]);
    expect(one.store.cursor!.peers.get('peer')?.ahead?.size).toBe(900);
    await one.feed.close();
    log.show(entriesOf(1000));
    const again = feedOf(log, { store: one.store, log: { peers: ['peer'] }, open });
    expect(await refused(again)).toMatchObject({ type: 'split-view', seen: { size: 900 } });
  });
});

describe('a look', () => {
  it('is read once, and only the last one', async () => {
    const log = new FakeLog();
    const { feed, look, round } = feedOf(log);
    const { signal } = new AbortController();
    const [first, second] = [await look(), await look()];
    await expect(feed.read(first, signal)).rejects.toThrow(/the last look/);
    await feed.read(second, signal);
    await expect(feed.read(second, signal)).rejects.toThrow(/the last look/);
    log.size = 500;
    const lie = await look();
    await expect(feed.read(lie, signal)).rejects.toThrow(/accepted/);
    log.size = 600;
    await round();
    expect(feed.cursor!.range.size).toBe(600);
  });

  it('commits nothing', async () => {
    const { look, store, feed } = feedOf(new FakeLog());
    await look();
    expect([store.cursor, feed.cursor]).toEqual([undefined, undefined]);
  });
});
