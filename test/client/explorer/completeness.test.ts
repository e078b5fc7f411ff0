/** What a verifiable index proves about the pages of a search, and the lies of a search that it shows. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { completenessOf } from '../../../client/explorer/model/completeness.ts';
import { searchOf } from '../../../client/explorer/model/page-search.ts';
import type { SearchQuery } from '../../../client/search/types.ts';

const query = (more: Partial<SearchQuery> = {}): SearchQuery => ({
  log: 'log.test',
  terms: [{ kind: 'digest', match: 'exact', value: 'x' }],
  limit: 20,
  ...more,
});
const proof = (indexes: readonly number[], through = 100, complete = true) => ({
  present: indexes.length > 0,
  indexes,
  complete,
  completeThrough: through,
  rebuilders: 2,
});
/** The one claim that there is. */
const only = (...args: Parameters<typeof completenessOf>) => {
  const claims = completenessOf(...args);
  expect(claims).toHaveLength(1);
  return claims[0]!;
};
const state = (...args: Parameters<typeof completenessOf>) => only(...args).state;

describe('a search beside a lookup', () => {
  it('is complete, or its absence is proven', () => {
    expect(only({ size: 100, hits: [3, 7], more: false }, query(), proof([3, 7]))).toMatchObject({
      state: 'checked',
      how: expect.stringContaining('rebuilt by 2 others'),
    });
    expect(only({ size: 100, hits: [], more: false }, query(), proof([]))).toMatchObject({
      state: 'checked',
      what: 'It is proven that there is no such entry',
    });
    const alone = { ...proof([]), rebuilders: 0 };
    expect(only({ size: 100, hits: [], more: false }, query(), alone)).toMatchObject({
      how: expect.stringContaining('nobody rebuilt'),
    });
  });

  it('that leaves a hit out, or invents one, is red', () => {
    expect(only({ size: 100, hits: [3], more: false }, query(), proof([3, 7, 9]))).toMatchObject({
      state: 'failed',
      why: expect.stringContaining('2 entries: 7, 9'),
    });
    expect(state({ size: 100, hits: [], more: false }, query(), proof([7]))).toBe('failed');
    expect(state({ size: 100, hits: [3, 8], more: false }, query(), proof([3]))).toBe('failed');
    expect(state({ size: 100, hits: [8], more: false }, query(), proof([]))).toBe('failed');
  });

  it('is judged by its own part of the entries alone', () => {
    // Behind this page comes another.
    expect(state({ size: 100, hits: [3], more: true }, query(), proof([3, 7]))).toBe('checked');
    expect(state({ size: 100, hits: [7], after: 3, more: false }, query(), proof([3, 7]))).toBe('checked');
    expect(state({ size: 100, hits: [9], after: 3, more: false }, query(), proof([3, 7, 9]))).toBe('failed');
    expect(state({ size: 100, hits: [7], more: false }, query({ from: 5 }), proof([3, 7]))).toBe('checked');
    expect(state({ size: 100, hits: [3], more: false }, query({ to: 7 }), proof([3, 7]))).toBe('checked');
    const down = query({ order: 'descending' });
    expect(state({ size: 100, hits: [7], more: true }, down, proof([3, 7]))).toBe('checked');
    expect(state({ size: 100, hits: [3], after: 7, more: false }, down, proof([3, 7]))).toBe('checked');
    expect(state({ size: 100, hits: [3], more: false }, down, proof([3, 7]))).toBe('failed');
    expect(state({ size: 100, hits: [3], after: 9, more: false }, down, proof([3, 7, 9]))).toBe('failed');
    // An empty page with another one behind it stands for no entry.
    expect(state({ size: 100, hits: [], more: true }, query(), proof([7]))).toBe('checked');
  });

  it('is called complete only as far as the verifiable index has read', () => {
    const claims = (...args: Parameters<typeof completenessOf>) =>
      completenessOf(...args).map(({ state, what }) => `${state}: ${what}`);
    const open = 'not-checked: Nothing is left out, and nothing is invented, from entry';
    const first = (count: number) =>
      `checked: Nothing is left out, and nothing is invented in the first ${count} entries`;
    expect(claims({ size: 120, hits: [3, 110], more: false }, query(), proof([3]))).toEqual([
      `${open} 100 on`,
      first(100),
    ]);
    expect(claims({ size: 120, hits: [], more: false }, query(), proof([]))).toEqual([
      `${open} 100 on`,
      'checked: It is proven that there is no such entry in the first 100 entries',
    ]);
    // A lookup of an old tree, or of the empty one, proves nothing of what came later.
    expect(claims({ size: 120, hits: [], more: false }, query(), proof([], 0))).toEqual([`${open} 0 on`]);
    expect(claims({ size: 120, hits: [110], more: false }, query({ from: 105 }), proof([3]))).toEqual([
      `${open} 105 on`,
    ]);
    expect(claims({ size: 120, hits: [110], after: 103, more: false }, query(), proof([3]))).toEqual([
      `${open} 104 on`,
    ]);
    const down = query({ order: 'descending' });
    expect(claims({ size: 120, hits: [110], more: true }, down, proof([3]))).toEqual([`${open} 110 on`]);
    expect(claims({ size: 120, hits: [3], after: 101, more: false }, down, proof([3]))).toEqual([
      `${open} 100 on`,
      first(100),
    ]);
    expect(claims({ size: 120, hits: [3], more: false }, query({ to: 100 }), proof([3]))).toEqual([
      'checked: Nothing is left out, and nothing is invented',
    ]);
  });

  it('with too many hits is proven only so far', () => {
    expect(state({ size: 100, hits: [3, 7, 9], more: false }, query(), proof([3, 7], 100, false))).toBe('not-checked');
    expect(state({ size: 100, hits: [3, 9], more: false }, query(), proof([3, 7], 100, false))).toBe('failed');
    expect(state({ size: 100, hits: [3, 7], more: true }, query(), proof([3, 7], 100, false))).toBe('checked');
  });

  it('page by page, a search is complete exactly where nothing was dropped or added', () => {
    const entries = fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { maxLength: 30 });
    const change = fc.record({
      drop: fc.nat(),
      add: fc.option(fc.integer({ min: 0, max: 99 })),
      width: fc.integer({ min: 1, max: 7 }),
    });
    fc.assert(
      fc.property(entries, change, fc.boolean(), fc.boolean(), (list, { drop, add, width }, lie, isDown) => {
        const real = [...list].sort((a, b) => a - b);
        let shown = real;
        if (lie && add !== null && !real.includes(add)) shown = [...real, add].sort((a, b) => a - b);
        else if (lie && real.length > 0) shown = real.filter((_, i) => i !== drop % real.length);
        const ordered = isDown ? shown.toReversed() : shown;
        const states: string[] = [];
        let after: number | undefined;
        for (let at = 0; at === 0 || at < ordered.length; at += width) {
          const hits = ordered.slice(at, at + width);
          const page = { size: 100, hits, more: at + width < ordered.length, ...(after !== undefined && { after }) };
          states.push(state(page, query({ order: isDown ? 'descending' : 'ascending' }), proof(real)));
          after = hits.at(-1);
        }
        expect(states.includes('failed')).toBe(shown.length !== real.length);
      }),
    );
  });
});

describe('a search in an address', () => {
  const read = (text: string) => searchOf('log.test', new URLSearchParams(text));
  const refused = (text: string) => {
    try {
      read(text);
      return undefined;
    } catch (error) {
      return error instanceof ClientError ? error.code : error;
    }
  };
  const hex = 'AB'.repeat(32);

  it('is read as a person means it', () => {
    expect(read('')).toBeUndefined();
    expect(read('value=%20')).toBeUndefined();
    expect(read(`value=${hex}`)!.terms).toEqual([
      { kind: 'digest', match: 'exact', value: `sha256:${hex.toLowerCase()}` },
    ]);
    expect(read(`value=SHA512:${'0'.repeat(128)}`)!.terms[0]!.value).toBe(`sha512:${'0'.repeat(128)}`);
    expect(read(`kind=key&value=${hex}`)!.terms[0]!.value).toBe(hex.toLowerCase());
    expect(read('kind=identity&match=prefix&value=Me%40&from=3&to=9&order=descending')).toEqual({
      log: 'log.test',
      terms: [{ kind: 'identity', match: 'prefix', value: 'Me@' }],
      from: 3,
      to: 9,
      limit: 20,
      order: 'descending',
    });
  });

  it.each([
    'value=zz',
    `value=sha512:${hex}`,
    'kind=constructor&value=x',
    'kind=identity&match=toString&value=x',
    `kind=identity&match=re2&value=${'x'.repeat(513)}`,
    `kind=identity&value=${'x'.repeat(10_241)}`,
    'kind=kind&value=x&from=-1',
    'kind=kind&value=x&to=1e3',
    'kind=kind&value=x&to=99999999999999999',
  ])('is refused: %s', (text) => expect(refused(text)).toBe('usage'));
});
