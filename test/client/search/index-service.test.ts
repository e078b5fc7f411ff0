/** The service around the plain index, in this process: its HTTP, its limits, and what it says when a log is away or lies. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { checkPage } from '../../../client/search/check-page.ts';
import { IndexSchema } from '../../../client/search/index-config.ts';
import { INDEX_ERRORS, IndexError } from '../../../client/search/index-errors.ts';
import { QueryTurns } from '../../../client/search/query-turns.ts';
import { parseIndexDescription, parseSearchPage, searchUrl, TERM_NAMES } from '../../../client/search/search-json.ts';
import { generatedPart, settingsTable } from '../../../merkle/runtime/config/settings-docs.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { View } from '../../support/fake-log.ts';
import { DEADLINE_MS, until } from '../../support/until.ts';
import { BY_NAME, digestOf, ISSUER, NAME, queryOf, signedLog } from './pages.ts';
import { service } from './service.ts';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

describe('docs', () => {
  it('list every error with its status', () => {
    const table = read('docs/search.md');
    const rows = [...table.matchAll(/^\| `([a-z-]+)` \| (\d{3}) \| \S/gm)].map(([, code, status]) => [
      code!,
      Number(status),
    ]);
    expect(rows).toEqual(expect.arrayContaining(Object.entries(INDEX_ERRORS)));
  });

  it('describe every setting as the schema has it: after a change run `npm run docs`', () => {
    const part = generatedPart('client/search/index-config.ts', [settingsTable(IndexSchema)]);
    expect(read('docs/configuration.md')).toContain(part);
  });
});

describe('the index over HTTP', () => {
  it('answers what a client checks, and any web page may read it', async () => {
    const log = signedLog();
    const index = await service([log]);
    await index.complete(log);
    const query = queryOf(log, [BY_NAME], { limit: 4 });
    const first = await fetch(searchUrl(index.url, query));
    expect([
      first.status,
      first.headers.get('access-control-allow-origin'),
      first.headers.get('cache-control'),
    ]).toEqual([200, '*', 'no-cache']);
    const page = parseSearchPage(new Uint8Array(await first.arrayBuffer()));
    const checks = { primitives: nodePrimitives() };
    const checked = checkPage(page, query, { logKey: log.key }, checks);
    expect(checked.hits.map(({ index: at, ok }) => [at, ok])).toEqual([
      [0, true],
      [3, true],
      [6, true],
      [9, true],
    ]);
    // The next page is about the same tree, although the log has grown.
    log.view.grow(signedLog(40).view.entries.slice(30));
    log.size = 40;
    await index.complete(log, 40);
    const next = await fetch(searchUrl(index.url, { ...query, page: page.next! }));
    const second = checkPage(
      parseSearchPage(new Uint8Array(await next.arrayBuffer())),
      query,
      { logKey: log.key },
      { ...checks, before: checked },
    );
    expect([second.size, second.hits[0]!.index]).toEqual([30, 12]);
    const described = await (await fetch(`${index.url}/stele/v1/index`)).arrayBuffer();
    const { extractor, logs } = parseIndexDescription(new Uint8Array(described));
    expect([extractor, logs[0]!.origin, logs[0]!.tree!.size]).toEqual(['v1', 'log.test', 40]);
  });

  it('takes each kind of term, exact, by its beginning and by a pattern', async () => {
    const log = signedLog();
    const index = await service([log]);
    await index.complete(log);
    const found = async (terms: Record<string, string>) => {
      const { status, body } = await index.get(
        `/stele/v1/search?${new URLSearchParams({ log: 'log.test', ...terms })}`,
      );
      return [status, body.hits?.map(({ index: at }: { index: number }) => at) ?? body.code];
    };
    const named = [0, 3, 6, 9, 12, 15, 18, 21, 24, 27];
    expect(await found({ digest: digestOf(4) })).toEqual([200, [4]]);
    expect(await found({ identity: NAME })).toEqual([200, named]);
    expect(await found({ identity: 'release@', match: 'prefix' })).toEqual([200, named]);
    expect(await found({ 'identity-prefix': 'release@', issuer: ISSUER })).toEqual([200, named]);
    expect(await found({ 'identity-re2': '^release@', to: '6' })).toEqual([200, [0, 3]]);
    expect(await found({ 'issuer-identity': `${ISSUER.length}:${ISSUER}${NAME}`, from: '24' })).toEqual([
      200,
      [24, 27],
    ]);
    expect(await found({ kind: 'hashedrekord', limit: '2', order: 'descending' })).toEqual([200, [29, 28]]);
    expect(await found({ identity: 'nobody@example.com' })).toEqual([200, []]);
  });

  it('describes exactly its routes, and every parameter that it takes', async () => {
    const index = await service([signedLog(3)], { store: { enabled: true } });
    const { body } = await index.get('/openapi.json');
    expect(body.openapi).toBe('3.1.0');
    const calls = Object.keys(body.paths).sort();
    expect(calls).toEqual([
      '/openapi.json',
      '/stele/v1/attestations',
      '/stele/v1/attestations/{digest}',
      '/stele/v1/index',
      '/stele/v1/search',
    ]);
    const parameters = body.paths['/stele/v1/search'].get.parameters as { name: string; required: boolean }[];
    const others = ['log', 'match', 'from', 'to', 'after', 'before', 'order', 'limit', 'page'];
    expect(parameters.map(({ name }) => name).sort()).toEqual([...TERM_NAMES.keys(), ...others].sort());
    expect(parameters.filter(({ required }) => required).map(({ name }) => name)).toEqual(['log']);
    const documented = read('docs/search.md');
    for (const path of calls.filter((path) => !path.includes('attestations'))) expect(documented).toContain(path);
    expect((await index.get('/')).body).toContain('stele search');
  });

  it('refuses what is no query, with a code and nothing of the host', async () => {
    const log = signedLog(3);
    const index = await service([log], { limits: { urlBytes: '1KiB' } });
    await index.complete(log);
    const refused = async (path: string, init?: RequestInit) => {
      const { status, body, headers } = await index.get(path, init);
      expect(headers.get('access-control-allow-origin')).toBe('*');
      expect(Object.keys(body).sort()).toEqual(['code', 'message']);
      expect(body.message).not.toMatch(/\/(?:tmp|work|home)|\.ts|node_modules|\n\s+at /);
      return [status, body.code];
    };
    const at = '/stele/v1/search?log=log.test&';
    expect(await refused('/stele/v1/search')).toEqual([400, 'bad-query']);
    expect(await refused(at)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}digest=x&other=1`)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}digest=x&log=log.test`)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}${'digest=x&'.repeat(9)}`)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}digest=x&limit=0`)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}digest=x&limit=1001`)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}digest=x&limit=1e2`)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}digest=x&from=9007199254740993`)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}digest=x&match=regex`)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}digest=x&order=up`)).toEqual([400, 'bad-query']);
    expect(await refused(`${at}identity-re2=(`)).toEqual([400, 'bad-pattern']);
    expect(await refused(`${at}identity-re2=(x{1000}){1000}`)).toEqual([400, 'bad-pattern']);
    expect(await refused(`${at}digest=x&page=nothing`)).toEqual([400, 'bad-page']);
    expect(await refused('/stele/v1/search?log=other.test&digest=x')).toEqual([404, 'unknown-log']);
    expect(await refused('/stele/v1/nothing')).toEqual([404, 'not-found']);
    expect(await refused('/stele/v1/lookup?log=log.test&kind=digest&value=x')).toEqual([404, 'not-found']);
    expect(await refused('/stele/v1/search', { method: 'POST' })).toEqual([405, 'method-not-allowed']);
    expect(await refused(`${at}digest=${'x'.repeat(1100)}`)).toEqual([414, 'uri-too-long']);
    expect(await refused('/%zz')).toEqual([400, 'malformed']);
    // Read leniently, these would be searches for other texts, and answered with no hits.
    for (const text of ['%', '%zz', '%ff', '%C0%80', '%ED%A0%80', 'a%u0041']) {
      expect(await refused(`${at}identity=${text}`)).toEqual([400, 'malformed']);
    }
  });

  it('refuses heads that are too long, and bytes that are no request', async () => {
    const index = await service([signedLog(3)]);
    const { port } = new URL(index.url);
    const answer = (request: string) =>
      new Promise<string>((resolve) => {
        let text = '';
        const socket = connect(Number(port), '127.0.0.1', () => socket.end(request));
        socket.on('data', (part) => {
          text += String(part);
        });
        socket.on('close', () => resolve(text));
      });
    expect(await answer(`GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 [\s\S]*"headers-too-large"/,
    );
    expect(await answer('nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*"malformed"/);
  });

  it('answers a client that asks too often with 429 and a time, and takes up another limit without a restart', async () => {
    const log = signedLog(3);
    const index = await service([log], { rateLimit: { max: 5, window: '1h' } });
    const statuses = [];
    for (let i = 0; i < 7; i++) statuses.push((await index.get('/stele/v1/index')).status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429]);
    const { headers, body } = await index.get('/stele/v1/index');
    expect([body.code, Number(headers.get('retry-after')) > 0]).toEqual(['rate-limited', true]);
    await index.reload({ rateLimit: { max: 0 } });
    expect((await index.get('/stele/v1/index')).status).toBe(200);
    await index.reload({ rateLimit: { max: -1 } });
    expect((await index.ready()).alarms).toEqual([expect.stringContaining('rateLimit.max')]);
    expect((await index.get('/stele/v1/index')).status).toBe(200);
  });
});

describe('when a log', () => {
  it('was not read yet, is away, or comes back, the index says so', { timeout: 2 * DEADLINE_MS }, async () => {
    const log = signedLog();
    let away = true;
    log.serve = (_path, bytes) => (away ? undefined : bytes);
    const server = await service([log], { readiness: { maxLag: '1s' } });
    const { status, body, headers } = await server.get('/stele/v1/search?log=log.test&digest=x');
    expect([status, body.code, headers.has('retry-after')]).toEqual([503, 'not-ready', true]);
    expect((await server.ready()).ready).toBe(false);
    away = false;
    await server.complete(log);
    expect((await server.ready()).ready).toBe(true);
    away = true;
    await until(async () => !(await server.ready()).ready);
    // It answers on, through the size that it has; what has to come from the log does not.
    expect((await server.get('/stele/v1/index')).body.logs[0]).toMatchObject({ size: 30, fault: { proven: false } });
    expect((await server.get('/stele/v1/search?log=log.test&digest=x')).status).toBe(200);
    away = false;
    await until(async () => (await server.ready()).ready);
  });

  it('shows another history, the answers stand still at the last good tree', async () => {
    const log = signedLog();
    const index = await service([log]);
    await index.complete(log);
    log.view = new View(signedLog(36).view.entries.toReversed());
    log.size = 36;
    const { reasons } = await until(async () => {
      const state = await index.ready();
      return !state.ready && state;
    });
    expect(reasons.join()).toContain('the log log.test lies');
    const { body } = await index.get('/stele/v1/index');
    expect(body.logs[0]).toMatchObject({ size: 30, fault: { type: 'fork', proven: true } });
    expect(JSON.stringify(body)).not.toContain('127.0.0.1');
  });
});

describe('queries at one time', () => {
  const limits = { queries: 8, scans: 2, queryTime: 10_000 };
  const request = { socket: { once() {}, off() {} } } as never;

  it('are bounded, in all, for one client, and where they compare many keys', async () => {
    const turns = new QueryTurns(() => limits);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const run = (client: string, scan = false) => turns.run(client, scan, request, () => held);
    const taken = [run('a'), run('a'), run('b', true), run('c', true)];
    await expect(run('a')).rejects.toMatchObject({ code: 'busy' });
    await expect(run('d', true)).rejects.toMatchObject({ code: 'busy', data: { retryAfter: 1 } });
    taken.push(run('b'), run('c'), run('d'), run('d'));
    await expect(run('e')).rejects.toBeInstanceOf(IndexError);
    expect(turns.underWay).toEqual({ queries: 8, scans: 2 });
    release();
    await Promise.all(taken);
    expect(turns.underWay).toEqual({ queries: 0, scans: 0 });
  });

  it('end when their time is over', async () => {
    const turns = new QueryTurns(() => ({ ...limits, queryTime: 20 }));
    const work = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')));
      });
    await expect(turns.run('a', false, request, work)).rejects.toMatchObject({ code: 'too-slow' });
    expect(turns.underWay.queries).toBe(0);
  });
});
