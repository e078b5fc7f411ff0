/** A plain index of a log that lies, or is away: what was indexed stays, and the status says why the answers stand still. */
import { describe, expect, it } from 'vitest';
import type { PlainIndexOptions } from '../../../../client/search/index/open-plain-index.ts';
import { encodeBundle } from '../../../../merkle/bundle.ts';
import { encodeUtf8 } from '../../../../merkle/bytes.ts';
import { parsePolicy } from '../../../../merkle/policy.ts';
import { entryBundlePath } from '../../../../merkle/tile.ts';
import type { FakeLog } from '../../../support/fake-log.ts';
import { COSIGNED, cosignerOf } from '../../monitor/cosigner.ts';
import { allHits, digestOf, emptyLog, entryOf, followed, grow, indexOf, keyOf, NEVER, term } from './index-bed.ts';

const entries = (from: number, to: number, name = 'artifact') =>
  Array.from({ length: to - from }, (_, i) => entryOf(`${name} ${from + i}`, 'signer'));

async function bed(size = 600, options: Partial<PlainIndexOptions> = {}) {
  const log = emptyLog();
  grow(log, entries(0, size));
  let clock = Date.parse('2026-06-01T00:00:00Z');
  const { index, dir } = await indexOf([log], { now: () => clock, ...options });
  await index.once(NEVER);
  const query = { log: log.origin, terms: [term('key', keyOf('signer'))], limit: 1000 };
  return {
    log,
    index,
    dir,
    query,
    tick: (ms: number) => {
      clock += ms;
    },
    now: () => clock,
    count: async () => (await allHits(index, log, query)).length,
  };
}

describe('a log that lies', () => {
  it.each<[string, string, boolean, (log: FakeLog) => void]>([
    ['forks', 'fork', true, (log) => log.show([...entries(0, 599), ...entries(599, 900, 'evil')])],
    ['has two roots for a size', 'fork', true, (log) => log.show([...entries(0, 599), ...entries(599, 600, 'evil')])],
    [
      'goes back',
      'rollback',
      false,
      (log) => {
        log.size = 500;
      },
    ],
    [
      'serves other bytes than it signed',
      'bad-entry',
      false,
      (log) => {
        grow(log, entries(600, 700));
        log.serve = (path, bytes) =>
          path.startsWith('tile/entries/002')
            ? encodeBundle([...entries(512, 650), ...entries(650, 700, 'evil')])
            : bytes;
      },
    ],
    [
      'serves a bundle that is none',
      'bad-entry',
      false,
      (log) => {
        grow(log, entries(600, 700));
        log.serve = (path, bytes) => (path.startsWith('tile/entries/002') ? bytes!.slice(0, -1) : bytes);
      },
    ],
    [
      'shows a checkpoint that it did not sign',
      'fault',
      false,
      (log) => {
        const other = emptyLog();
        grow(other, entries(0, 700));
        log.note = other.sign(other.text());
      },
    ],
  ])('that %s', async (_, type, proven, lie) => {
    const { log, index, query, tick, now } = await bed();
    const before = await index.search(query, NEVER);
    lie(log);
    tick(1000);
    const since = now();
    for (let i = 0; i < 3; i++) {
      const [status] = await index.once(NEVER);
      expect(status).toMatchObject({ answers: { size: 600 }, completeThrough: 600 });
      expect(status!.fault).toMatchObject({ type, proven, since });
      expect(status!.followed).toBe(since - 1000);
      tick(1000);
    }
    // The bundle from memory or from the log: the hits before the lie are there still, with the same proofs.
    log.serve = (_path, bytes) => bytes;
    expect(await index.search({ ...query, to: 512 }, NEVER)).toMatchObject({ hits: before.hits.slice(0, 512) });
  });

  it('goes on when the log shows its history again', async () => {
    const { log, index, count } = await bed();
    const { view } = log;
    log.show([...entries(0, 599), ...entries(599, 900, 'evil')]);
    expect((await index.once(NEVER))[0]).toMatchObject({ fault: { type: 'fork' } });
    log.view = view;
    log.size = 600;
    grow(log, entries(600, 700));
    const [status] = await index.once(NEVER);
    expect(status).toMatchObject({ answers: { size: 700 }, completeThrough: 700 });
    expect(status!.fault).toBeUndefined();
    expect(await count()).toBe(700);
  });

  it('gives no entry whose bytes are not those that the log signed', async () => {
    const { log, dir, query, index } = await bed();
    await index.close();
    const { index: again } = await indexOf([log], { dir });
    log.serve = (path, bytes) =>
      path === entryBundlePath(1, 256) ? encodeBundle([...entries(256, 511), ...entries(511, 512, 'evil')]) : bytes;
    await expect(again.search({ ...query, from: 500 }, NEVER)).rejects.toMatchObject({ code: 'log-wrong' });
    // The other hits of the same bundle, and those of other bundles, are what was signed.
    expect(await allHits(again, log, { ...query, to: 511 })).toHaveLength(511);
    log.serve = (_path, bytes) => bytes;
    expect(await allHits(again, log, query)).toHaveLength(600);
  });

  it('says that the log is away, where it does not give the entries that were found', async () => {
    const { log, dir, query, index } = await bed();
    await index.close();
    const { index: again } = await indexOf([log], { dir });
    log.serve = () => undefined;
    await expect(again.search(query, NEVER)).rejects.toMatchObject({ code: 'log-away' });
    // Nothing was found, and the index alone knows that.
    const nothing = { ...query, terms: [term('digest', digestOf('artifact 600'))] };
    expect(await again.search(nothing, NEVER)).toMatchObject({ hits: [], size: 600 });
    expect((await again.once(NEVER))[0]).toMatchObject({ answers: { size: 600 }, fault: { type: 'fault' } });
  });
});

describe('a log with witnesses', () => {
  const witness = cosignerOf('w.example');

  async function cosigned(size: number) {
    const log = emptyLog();
    grow(log, entries(0, size));
    const policy = parsePolicy(encodeUtf8(`log ${log.vkey}\nwitness w ${witness.vkey}\nquorum w\n`));
    log.cosignatures = [await witness.cosign(log.text())];
    const { index, dir } = await indexOf([log], { logs: [followed(log, { policy })] });
    await index.once(NEVER);
    return { log, index, dir, policy };
  }

  it('waits for the quorum, and goes on with it', async () => {
    const { log, index } = await cosigned(300);
    expect(index.status()[0]).toMatchObject({ answers: { size: 300, time: COSIGNED * 1000 } });
    grow(log, entries(300, 400));
    log.cosignatures = [];
    expect((await index.once(NEVER))[0]).toMatchObject({ answers: { size: 300 }, fault: { type: 'quorum-missing' } });
    log.cosignatures = [await witness.cosign(log.text(), COSIGNED + 60)];
    const [status] = await index.once(NEVER);
    expect(status).toMatchObject({ answers: { size: 400, time: (COSIGNED + 60) * 1000 } });
    expect(status!.answers!.checkpoint).toContain('w.example');
  });

  it('knows the time of an entry from the witnesses', async () => {
    const { log, index } = await cosigned(300);
    grow(log, entries(300, 400));
    log.cosignatures = [await witness.cosign(log.text(), COSIGNED + 60)];
    await index.once(NEVER);
    const find = async (range: { after?: number; before?: number }) =>
      (await allHits(index, log, { log: log.origin, terms: [term('key', keyOf('signer'))], limit: 1000, ...range }))
        .length;
    const [first, second] = [COSIGNED * 1000, (COSIGNED + 60) * 1000];
    expect(await find({ before: first })).toBe(0);
    expect(await find({ before: first + 1 })).toBe(300);
    expect(await find({ after: first, before: second })).toBe(300);
    expect(await find({ after: first + 1 })).toBe(100);
    expect(await find({ after: second + 1 })).toBe(0);
    expect(await find({ after: first, before: second + 1 })).toBe(400);
  });

  it('never lets a time decrease, whatever a witness says', async () => {
    const { log, index } = await cosigned(300);
    grow(log, entries(300, 400));
    log.cosignatures = [await witness.cosign(log.text(), COSIGNED - 3600)];
    const [status] = await index.once(NEVER);
    expect(status).toMatchObject({ answers: { size: 400, time: COSIGNED * 1000 } });
    const query = { log: log.origin, terms: [term('key', keyOf('signer'))], limit: 1000, before: COSIGNED * 1000 };
    expect(await allHits(index, log, query)).toHaveLength(0);
  });

  it('shows newer cosignatures of the same tree', async () => {
    const { log, index } = await cosigned(300);
    const before = index.status()[0]!.answers!.checkpoint;
    log.cosignatures = [await witness.cosign(log.text(), COSIGNED + 600)];
    await index.once(NEVER);
    const after = index.status()[0]!.answers!.checkpoint;
    expect(after).not.toBe(before);
    expect(after.split('\n\n')[0]).toBe(before.split('\n\n')[0]);
  });
});
