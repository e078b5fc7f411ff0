/** The library's search against an index that leads on and on, and one that is busy. */
import { afterEach, describe, expect, it } from 'vitest';
import type { CheckedPage } from '../../../client/search/check-page.ts';
import { type SearchLogRequest, searchLog } from '../../../client/search/search-log.ts';
import { type HostileIndex, hostileIndex } from './hostile-index.ts';
import { BY_NAME, pageOf, queryOf, signedLog } from './pages.ts';

const log = signedLog();
let index: HostileIndex;
afterEach(() => index.close());

async function pages(more: Partial<SearchLogRequest> = {}): Promise<CheckedPage[]> {
  const query = queryOf(log, [BY_NAME]);
  const all: CheckedPage[] = [];
  for await (const page of searchLog({ index: index.url, query, trust: { logKey: log.key }, ...more })) all.push(page);
  return all;
}

describe('searchLog', () => {
  it('gives checked pages, all about the tree of the first', async () => {
    index = await hostileIndex([log], (_, n) => pageOf(log, [3 * n], n < 2 ? { next: `p${n}` } : {}));
    const all = await pages();
    expect(all.flatMap(({ hits }) => hits.map(({ index: at, ok }) => [at, ok]))).toEqual([
      [0, true],
      [3, true],
      [6, true],
    ]);
    expect(new Set(all.map(({ size }) => size))).toEqual(new Set([30]));
  });

  it('asks no further when its caller has enough', async () => {
    index = await hostileIndex([log], (_, n) => pageOf(log, [3 * n], { next: `p${n}` }));
    for await (const page of searchLog({
      index: index.url,
      query: queryOf(log, [BY_NAME]),
      trust: { logKey: log.key },
    })) {
      if (page.last === 3) break;
    }
    expect(index.asked).toHaveLength(2);
  });

  it('ends with an index that gives empty pages without an end', async () => {
    index = await hostileIndex([log], (_, n) => pageOf(log, [], { next: `p${n}` }));
    await expect(pages()).rejects.toMatchObject({ code: 'bad-page' });
    expect(index.asked).toHaveLength(1000);
  });

  it('asks an index that is busy again, and not one to which the query is too much', async () => {
    const error = (status: number, code: string) => (_: unknown, response: import('node:http').ServerResponse) =>
      void response.writeHead(status, { 'retry-after': '0' }).end(JSON.stringify({ code, message: 'no' }));
    index = await hostileIndex([log], (_, n) => (n < 2 ? error(503, 'busy') : pageOf(log, [3])));
    expect(await pages()).toHaveLength(1);
    await index.close();
    index = await hostileIndex([log], () => error(503, 'too-slow'));
    await expect(pages()).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('too-slow') });
    expect(index.asked).toHaveLength(1);
    await index.close();
    index = await hostileIndex([log], () => error(429, 'rate-limited'));
    await expect(pages({ retries: 1 })).rejects.toMatchObject({ code: 'unavailable' });
    expect(index.asked).toHaveLength(2);
  });

  it('can be cancelled, and names no query in an error', async () => {
    index = await hostileIndex([log], () => (_, response) => void response.write('{'));
    const stop = new AbortController();
    const search = pages({ signal: stop.signal });
    setImmediate(() => stop.abort());
    await expect(search).rejects.toMatchObject({ code: 'cancelled' });
    const late = await pages({ timeoutMs: 50, retries: 0 }).catch((error: Error) => error.message);
    expect(late).toContain('/stele/v1/search');
    expect(late).not.toContain('release');
  });
});
