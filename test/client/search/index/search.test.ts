/** What a plain index answers, over a small log. */
import { describe, expect, it } from 'vitest';
import type { SearchQuery } from '../../../../client/search/types.ts';
import { allHits, digestOf, emptyLog, entryOf, grow, indexOf, keyOf, NEVER, term } from './index-bed.ts';

const SIGNERS = ['alpha', 'beta', 'gamma'];
const entries = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => entryOf(`artifact ${from + i}`, SIGNERS[(from + i) % 3]!));

async function bed(count = 1000) {
  const log = emptyLog();
  grow(log, entries(0, count));
  const { index, dir } = await indexOf([log]);
  await index.once(NEVER);
  const query = (terms: SearchQuery['terms'], more: Partial<SearchQuery> = {}): SearchQuery => ({
    log: log.origin,
    terms,
    limit: 1000,
    ...more,
  });
  const find = async (terms: SearchQuery['terms'], more: Partial<SearchQuery> = {}) =>
    (await allHits(index, log, query(terms, more))).map((hit) => hit.index);
  return { log, index, dir, query, find };
}

describe('a plain index', () => {
  it('finds an entry by its digest, with body and proof', async () => {
    const { find } = await bed();
    expect(await find([term('digest', digestOf('artifact 700'))])).toEqual([700]);
    expect(await find([term('digest', digestOf('artifact 1000'))])).toEqual([]);
  });

  it('finds all entries of a key, in both orders and by pages of any size', async () => {
    const { find } = await bed();
    const all = Array.from({ length: 333 }, (_, i) => 3 * i + 1);
    for (const limit of [1, 7, 100, 1000]) {
      expect(await find([term('key', keyOf('beta'))], { limit })).toEqual(all);
      expect(await find([term('key', keyOf('beta'))], { limit, order: 'descending' })).toEqual(all.toReversed());
    }
    expect(await find([term('key', keyOf('beta'))], { from: 100, to: 200 })).toEqual(
      all.filter((index) => index >= 100 && index < 200),
    );
  });

  it('joins terms', async () => {
    const { find } = await bed();
    const digest = term('digest', digestOf('artifact 4'));
    expect(await find([digest, term('key', keyOf('beta'))])).toEqual([4]);
    expect(await find([digest, term('key', keyOf('gamma'))])).toEqual([]);
    expect(await find([term('key', keyOf('beta')), term('kind', 'hashedrekord')])).toHaveLength(333);
  });

  it('finds by a beginning and by a pattern', async () => {
    const { find } = await bed();
    const all = Array.from({ length: 1000 }, (_, i) => i);
    for (const length of [8, 9, 10, 71]) {
      const prefix = digestOf('artifact 9').slice(0, length);
      const wanted = all.filter((i) => digestOf(`artifact ${i}`).startsWith(prefix));
      expect(await find([term('digest', prefix, 'prefix')])).toEqual(wanted);
      expect(await find([term('digest', `^${prefix}`, 're2')], { order: 'descending' })).toEqual(wanted.toReversed());
    }
    expect(await find([term('digest', 'sha', 'prefix')], { limit: 300 })).toEqual(all);
    expect(await find([term('digest', 'sha384:', 'prefix')])).toEqual([]);
    expect(await find([term('digest', 'a', 're2'), term('key', keyOf('beta'))])).toHaveLength(
      all.filter((i) => i % 3 === 1 && /a/.test(digestOf(`artifact ${i}`))).length,
    );
  });

  it('pages through one tree while the log grows', async () => {
    const { log, index, query } = await bed();
    let size = 1000;
    const hits = await allHits(index, log, query([term('kind', 'hashedrekord')], { limit: 100 }), async () => {
      grow(log, entries(size, size + 77));
      size += 77;
      await index.once(NEVER);
    });
    expect(hits.map((hit) => hit.index)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(index.status()[0]).toMatchObject({ answers: { size }, completeThrough: size });
  });
});
