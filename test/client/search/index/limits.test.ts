/** What a plain index refuses, and how much work a stranger gets from it. */
import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { Comparing } from '../../../../client/search/index/comparing.ts';
import { openPlainIndex } from '../../../../client/search/index/open-plain-index.ts';
import { Work } from '../../../../client/search/index/work.ts';
import { formatPageToken } from '../../../../client/search/page-token.ts';
import { termTester } from '../../../../client/search/terms.ts';
import type { SearchPage, SearchQuery } from '../../../../client/search/types.ts';
import { GuardedLevel } from '../../../../merkle/runtime/disk/level.ts';
import { fulcioCertificate, hashedRekord } from '../../../support/fulcio.ts';
import { later } from '../../../support/log-files.ts';
import { filesOf, NOW, SOURCE } from '../../follow/signing-config.ts';
import { allHits, digestOf, emptyLog, entryOf, grow, indexOf, keyOf, NEVER, SETTINGS, term } from './index-bed.ts';

const entries = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => entryOf(`artifact ${from + i}`, 'signer'));
const BY_KEY = [term('key', keyOf('signer'))];

async function bed(size = 600, options: Parameters<typeof indexOf>[1] = {}) {
  const log = emptyLog();
  grow(log, entries(0, size));
  let clock = Date.parse('2026-06-01T00:00:00Z');
  const { index, dir } = await indexOf([log], { now: () => clock, ...options });
  await index.once(NEVER);
  const search = (query: Partial<SearchQuery>) =>
    index.search({ log: log.origin, terms: BY_KEY, limit: 10, ...query }, NEVER);
  return {
    log,
    index,
    dir,
    search,
    tick: (ms: number) => {
      clock += ms;
    },
  };
}

describe('a query', () => {
  it.each<[string, string, object]>([
    ['of a log that nobody follows', 'unknown-log', { log: 'other.test' }],
    ['of no log', 'bad-query', { log: 7 }],
    ['without a term', 'bad-query', { terms: [] }],
    ['with nine terms', 'bad-query', { terms: Array.from({ length: 9 }, () => BY_KEY[0]) }],
    ['of an unknown kind', 'bad-query', { terms: [{ kind: '__proto__', match: 'exact', value: 'x' }] }],
    ['with an unknown match', 'bad-query', { terms: [{ kind: 'key', match: 'glob', value: 'x' }] }],
    ['without a value', 'bad-query', { terms: [{ kind: 'key', match: 'exact' }] }],
    ['with half of a character', 'bad-query', { terms: [term('identity', 'a\ud800')] }],
    ['with an empty prefix', 'bad-query', { terms: [term('identity', '', 'prefix')] }],
    ['with an empty pattern', 'bad-query', { terms: [term('identity', '', 're2')] }],
    ['with a value of more than 131,072 bytes', 'bad-query', { terms: [term('identity', 'é'.repeat(65_537))] }],
    ['with a range that ends before it begins', 'bad-query', { from: 5, to: 4 }],
    ['with a broken bound', 'bad-query', { from: 0.5 }],
    ['with a bound below 0', 'bad-query', { after: -1 }],
    ['with a bound of 2^48', 'bad-query', { before: 2 ** 48 }],
    ['without hits', 'bad-query', { limit: 0 }],
    ['with 1,001 hits', 'bad-query', { limit: 1001 }],
    ['in no order', 'bad-query', { order: 'random' }],
    ['with nine classes of Unicode', 'bad-pattern', { terms: [term('identity', `[${'\\pL'.repeat(9)}]`, 're2')] }],
    [
      'with ranges that are dear where case is ignored',
      'bad-pattern',
      { terms: [term('identity', `(?i)[${'a-\u{10ffff}'.repeat(120)}]`, 're2')] },
    ],
    ...[
      '(?s-m:(?i:[a-\\x{10ffff}]))',
      '(?si)[\\\\-\u{fffff}]',
      '(?i)\\Q\\\\E[\\--\u{fffff}]',
      '(?i)[\\0-\\x{FFFFF}]',
    ].map((pattern): [string, string, object] => [
      `with such a range in ${pattern}`,
      'bad-pattern',
      { terms: [term('identity', pattern, 're2')] },
    ]),
    ['with look-ahead', 'bad-pattern', { terms: [term('identity', 'a(?=b)', 're2')] }],
    ['with a back-reference', 'bad-pattern', { terms: [term('identity', '(a)\\1', 're2')] }],
    ['with an open bracket', 'bad-pattern', { terms: [term('identity', '[a', 're2')] }],
    ['with a pattern of 513 characters', 'bad-pattern', { terms: [term('identity', 'a'.repeat(513), 're2')] }],
    ['with a pattern that repeats too much', 'bad-pattern', { terms: [term('identity', '(?:a{20}){20}', 're2')] }],
  ])('%s is refused', async (_, code, change) => {
    const { search } = await bed(1);
    await expect(search(change as Partial<SearchQuery>)).rejects.toMatchObject({ code });
  });

  it('for a kind that is not indexed is refused, and never answered with nothing', async () => {
    const { search, index } = await bed(300, { kinds: ['key', 'digest'] });
    expect(index.kinds).toEqual(['digest', 'key']);
    await expect(search({ terms: [...BY_KEY, term('kind', 'hashedrekord')] })).rejects.toMatchObject({
      code: 'not-indexed',
    });
    expect((await search({})).hits).toHaveLength(10);
  });

  it('before a whole tree was read is refused, and an empty log has no hits', async () => {
    const log = emptyLog();
    const { index } = await indexOf([log]);
    const query = { log: log.origin, terms: BY_KEY, limit: 10 };
    await expect(index.search(query, NEVER)).rejects.toMatchObject({ code: 'not-ready' });
    await index.once(NEVER);
    const page = await index.search(query, NEVER);
    expect(page).toMatchObject({ size: 0, hits: [] });
    expect(page.next).toBeUndefined();
  });

  it('that is aborted ends', async () => {
    const { index, log } = await bed(300);
    const query = { log: log.origin, terms: [term('digest', 'a', 're2')], limit: 1000 };
    await expect(index.search(query, AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('a page token', () => {
  it.each<[string, (token: string) => string]>([
    ['is empty', () => ''],
    ['is cut', (token) => token.slice(1)],
    ['is longer', (token) => `${token}AAAA`],
    ['is of another alphabet', (token) => `+${token.slice(1)}`],
    ['is no canonical base64', (token) => `${token.slice(0, -1)}_`],
    ['is of a later version', (token) => `Ag${token.slice(2)}`],
    ['is very long', (token) => token.repeat(1000)],
  ])('that %s is refused', async (_, change) => {
    const { search } = await bed();
    const { next } = await search({});
    const error = await search({ page: change(next!) }).catch((caught: unknown) => caught);
    expect(['bad-page', 'bad-query']).toContain((error as { code?: string }).code);
  });

  it.each<[string, Partial<SearchQuery>]>([
    ['terms', { terms: [term('digest', 'sha256:', 'prefix')] }],
    ['a match', { terms: [{ ...BY_KEY[0]!, match: 'prefix' }] }],
    ['an order', { order: 'descending' }],
    ['a range', { from: 1 }],
    ['a time', { after: 1 }],
  ])('of a query with other %s is refused', async (_, change) => {
    const { search } = await bed();
    const { next } = await search({});
    await expect(search({ ...change, page: next! })).rejects.toMatchObject({ code: 'bad-page' });
    expect((await search({ limit: 3, page: next! })).hits.map(({ index }) => index)).toEqual([10, 11, 12]);
  });

  it('that was made up shows what anybody may ask for, or is refused', async () => {
    const { log, search } = await bed();
    const query = { log: log.origin, terms: BY_KEY, limit: 10, from: 50, to: 60 };
    const at = (size: number, position: number) =>
      search({ ...query, page: formatPageToken(query, { size, position }) });
    expect((await at(600, 0)).hits.map(({ index }) => index)).toEqual([50, 51, 52, 53, 54, 55, 56, 57, 58, 59]);
    expect((await at(600, 599)).hits).toEqual([]);
    await expect(at(600, 600)).rejects.toMatchObject({ code: 'bad-page' });
    await expect(at(599, 50)).rejects.toMatchObject({ code: 'expired' });
    await expect(at(2 ** 47, 50)).rejects.toMatchObject({ code: 'expired' });
  });

  it('is good for an hour after the log has grown, also across a restart', async () => {
    const { log, index, dir, search, tick } = await bed();
    const first = await search({});
    grow(log, entries(600, 700));
    tick(1000);
    await index.once(NEVER);
    tick(60 * 60_000 - 2000);
    grow(log, entries(700, 800));
    await index.once(NEVER);
    expect(await search({ page: first.next! })).toMatchObject({ size: 600, checkpoint: first.checkpoint });
    await index.close();
    const now = Date.parse('2026-06-01T02:00:00Z');
    const { index: again } = await indexOf([log], { dir, now: () => now });
    const query = { log: log.origin, terms: BY_KEY, limit: 10, page: first.next! };
    expect(await again.search(query, NEVER)).toMatchObject({ size: 600, checkpoint: first.checkpoint });
    grow(log, entries(800, 900));
    await again.once(NEVER);
    await expect(again.search(query, NEVER)).rejects.toMatchObject({ code: 'expired' });
  });
});

describe('the store', () => {
  it('of another layout, of other kinds, or of something else is refused with what to do', async () => {
    const { log, index, dir } = await bed(10);
    await index.close();
    await expect(indexOf([log], { dir, kinds: ['digest'] })).rejects.toMatchObject({
      code: 'state',
      message: expect.stringMatching(/kinds .*--rebuild/),
    });
    for (const stored of [
      '{"layout":0,"extractor":"v1","kinds":[]}',
      '{"layout":1,"extractor":"v0","kinds":[]}',
      'nothing',
    ]) {
      const level = await GuardedLevel.open(dir);
      await level.write((batch) => batch.put(Buffer.from('v'), Buffer.from(stored)));
      await level.close();
      await expect(indexOf([log], { dir })).rejects.toMatchObject({
        code: 'state',
        message: expect.stringContaining('--rebuild'),
      });
    }
    const { index: again } = await indexOf([log], { dir, rebuild: true });
    await again.once(NEVER);
    expect(again.status()[0]).toMatchObject({ answers: { size: 10 } });
  });

  it('is not removed while another process has it open', async () => {
    const { log, dir } = await bed(10);
    await expect(indexOf([log], { dir, rebuild: true })).rejects.toMatchObject({ code: 'locked' });
    expect(await readdir(dir)).toContain('CURRENT');
  });

  it('that was built in many steps answers as one that was built at once', async () => {
    const { log, index, dir, tick } = await bed(1);
    for (const size of [2, 3, 255, 256, 257, 511, 700, 701, 1024, 1030]) {
      grow(log, entries(log.size, size));
      tick(1000);
      await index.once(NEVER);
      if (size % 2 === 0) continue;
      await index.close();
      break;
    }
    const { index: again } = await indexOf([log], { dir });
    for (const size of [700, 701, 1024, 1030]) {
      grow(log, entries(log.size, size));
      await again.once(NEVER);
    }
    const { index: fresh } = await indexOf([log]);
    await fresh.once(NEVER);
    for (const terms of [BY_KEY, [term('digest', 'sha256:', 'prefix')], [term('digest', '0', 're2')]]) {
      const query = { log: log.origin, terms, limit: 1000 };
      expect(await again.search(query, NEVER)).toEqual(await fresh.search(query, NEVER));
    }
  });
});

describe('what a stranger gets', () => {
  const ODD = ['\u202egnp.exe', 'a\u0000b', 'a\u0000\u0001', 'a', '<b>', 'x'.repeat(10_000), 'x'.repeat(10_001)];

  it('odd names are found by themselves alone, as exact text, beginning and pattern', async () => {
    const log = emptyLog();
    // The kind of an entry may be any text.
    grow(
      log,
      ODD.map((kind) => Buffer.from(JSON.stringify({ apiVersion: '1', kind, spec: {} }))),
    );
    const { index } = await indexOf([log]);
    await index.once(NEVER);
    for (const [at, kind] of ODD.entries()) {
      const find = async (value: string, match: 'exact' | 'prefix' | 're2') =>
        (await allHits(index, log, { log: log.origin, terms: [term('kind', value, match)], limit: 100 })).map(
          (hit) => hit.index,
        );
      expect(await find(kind, 'exact')).toEqual([at]);
      expect(await find(kind, 'prefix')).toEqual(ODD.flatMap((other, i) => (other.startsWith(kind) ? [i] : [])));
    }
    const longest = { log: log.origin, terms: [term('kind', '^x{10}.*x$', 're2')], limit: 100 };
    expect((await allHits(index, log, longest)).map((hit) => hit.index)).toEqual([5, 6]);
  });

  it('a broad query with few hits ends its pages early, and goes on', async () => {
    const log = emptyLog();
    const other = (i: number) => entryOf(`artifact ${i}`, `signer ${i}`);
    grow(
      log,
      Array.from({ length: 20_000 }, (_, i) => other(i)),
    );
    const { index } = await indexOf([log]);
    await index.once(NEVER);
    // Too many digests to follow each, and hardly one entry of both.
    const wanted = Array.from({ length: 20_000 }, (_, i) => i).filter(
      (i) => /a.*a.*a.*a.*a.*a.*a.*a.*a/.test(digestOf(`artifact ${i}`)) && keyOf(`signer ${i}`).startsWith('a'),
    );
    const query: SearchQuery = {
      log: log.origin,
      terms: [term('digest', 'a.*a.*a.*a.*a.*a.*a.*a.*a', 're2'), term('key', 'a', 'prefix')],
      limit: 1000,
    };
    const hits: number[] = [];
    let pages = 0;
    for (let page: string | undefined; ; pages++) {
      const found: SearchPage = await index.search({ ...query, ...(page !== undefined && { page }) }, NEVER);
      hits.push(...found.hits.map((hit) => hit.index));
      if (found.next === undefined) break;
      page = found.next;
    }
    expect(hits).toEqual(wanted);
    expect(wanted.length).toBeLessThan(1000);
    expect(pages).toBeLessThan(20);
  });

  it('a pattern is compared with a long text in a worker, and holds nobody up here', async () => {
    const comparing = new Comparing();
    later(() => comparing.close());
    const real = await termTester(term('kind', '[a-h].{200}[a-h]3$', 're2'));
    const here: number[] = [];
    const watched = {
      ...real,
      test: (text: string) => {
        here.push(text.length);
        return real.test(text);
      },
    };
    const text = 'abcdefgh'.repeat(5000);
    const work = new Work(NEVER);
    expect(await comparing.test(watched, `${text}3`, work)).toBe(true);
    expect(await comparing.test(watched, `${text}4`, work)).toBe(false);
    expect(here).toEqual([]);
    // A few of them are all the work of a page.
    expect(work.isOver).toBe(true);
    expect(await comparing.test(watched, `${text.slice(0, 300)}3`, work)).toBe(true);
    expect(here).toEqual([301]);
  });

  it('bodies that are too many for one page come in several', async () => {
    const log = emptyLog();
    const big = (i: number) =>
      Buffer.from(JSON.stringify({ apiVersion: '1', kind: 'big', pad: 'x'.repeat(60_000), i }));
    grow(
      log,
      Array.from({ length: 300 }, (_, i) => big(i)),
    );
    const { index } = await indexOf([log]);
    await index.once(NEVER);
    const query: SearchQuery = { log: log.origin, terms: [term('kind', 'big')], limit: 1000 };
    const page = await index.search(query, NEVER);
    const bytes = page.hits.reduce((sum, { body }) => sum + body.length, 0);
    expect(bytes).toBeLessThan(10 * 1024 * 1024);
    expect(page.next).toBeDefined();
    expect(await allHits(index, log, query)).toHaveLength(300);
  });
});

describe('several logs', () => {
  it('are searched each by itself', async () => {
    const [one, two] = [emptyLog('one.test'), emptyLog('two.test')];
    grow(one, entries(0, 300));
    grow(two, [
      hashedRekord({
        certificate: fulcioCertificate({ names: ['release@example.com'], issuer: 'https://issuer.example' }),
      }),
    ]);
    const { index, dir } = await indexOf([one, two]);
    await index.once(NEVER);
    const identity = [term('identity', 'release@example.com')];
    expect(await allHits(index, two, { log: two.origin, terms: identity, limit: 10 })).toHaveLength(1);
    expect(await allHits(index, one, { log: one.origin, terms: identity, limit: 10 })).toHaveLength(0);
    expect(await allHits(index, one, { log: one.origin, terms: BY_KEY, limit: 1000 })).toHaveLength(300);
    await index.close();
    // The numbers of logs stay, whatever their order in the settings.
    const { index: again } = await indexOf([two, one], { dir });
    expect(await allHits(again, one, { log: one.origin, terms: BY_KEY, limit: 1000 })).toHaveLength(300);
    expect(await allHits(again, two, { log: two.origin, terms: identity, limit: 10 })).toHaveLength(1);
  });

  it('a log under another key is refused', async () => {
    const { index, dir } = await bed(10);
    await index.close();
    const other = emptyLog();
    const opened = openPlainIndex({
      dir,
      logs: [{ origin: other.origin, keys: [other.key], location: 'x' }],
      settings: SETTINGS,
      open: () => other.source(),
      read: () => Promise.reject(new Error('none')),
      threads: 0,
    });
    await expect(opened).rejects.toMatchObject({ code: 'state', message: expect.stringContaining('does not name') });
  });
});

describe('a configuration of shards', () => {
  it('names logs over time, which the index follows to their end', async () => {
    const [one, two] = [emptyLog('one.test'), emptyLog('two.test')];
    grow(one, entries(0, 300));
    grow(two, entries(300, 400));
    let named = [one];
    const options = {
      logs: [],
      shards: [SOURCE],
      now: () => NOW,
      open: (location: string) => [one, two].find(({ origin }) => location.includes(origin))!.source(),
      read: (location: string, limit: number) => filesOf(named)(location, limit),
    };
    const { index, dir } = await indexOf([one, two], options);
    await index.once(NEVER);
    const ask = async (log: typeof one, at = index) =>
      (await allHits(at, log, { log: log.origin, terms: BY_KEY, limit: 1000 })).length;
    expect(await ask(one)).toBe(300);
    await expect(ask(two)).rejects.toMatchObject({ code: 'unknown-log' });
    named = [one, two];
    await index.once(NEVER);
    expect(await ask(two)).toBe(100);
    // The first one has left the configuration, and its last entries count still.
    named = [two];
    grow(one, entries(400, 410));
    await index.close();
    const { index: again } = await indexOf([one, two], { ...options, dir });
    await again.once(NEVER);
    expect(await ask(one, again)).toBe(310);
    expect(await ask(two, again)).toBe(100);
  });
});
