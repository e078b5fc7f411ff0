import { describe, expect, it } from 'vitest';
import { RequestError, requestError, ServerError } from '../../../server/errors.ts';
import { hashedRekordRequest, toJson, toJsonBatch } from '../../support/requests.ts';
import { BATCH, ENTRIES, listen, makeApp } from './support.ts';

const good = () => toJson(hashedRekordRequest());
const signatureOf = (content: string) => {
  const request = hashedRekordRequest();
  request.hashedRekordRequestV002.signature.content = Buffer.from(content);
  return toJson(request);
};

describe('each row of the error table', () => {
  it.each([
    ['malformed JSON', '{"hashedRekordRequestV002":', 400, 3, /./],
    ['an unknown field', '{"surprise":1}', 400, 3, /surprise/],
    [
      'a repeated field',
      '{"hashedRekordRequestV002":{},"hashedRekordRequestV002":{}}',
      400,
      3,
      /hashedRekordRequestV002/,
    ],
    ['both arms', '{"hashedRekordRequestV002":{},"dsseRequestV002":{}}', 400, 3, /./],
    ['an empty body', '', 400, 3, /invalid type|JSON/],
    ['an empty object', '{}', 400, 3, /^invalid type, must be hashedrekord/],
    ['a null spec', '{"hashedRekordRequestV002":null}', 400, 3, /^invalid type, must be hashedrekord/],
    ['a failed check', signatureOf('not a signature'), 400, 3, /^invalid hashedrekord request: /],
  ])('%s', async (_name, payload, status, code, message) => {
    const { app } = makeApp();
    const reply = await app.inject({ method: 'POST', url: ENTRIES, payload });
    expect(reply.statusCode).toBe(status);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(reply.json()).toEqual({ code, message: expect.stringMatching(message), details: [] });
  });

  it('a body over 4 MiB, which names the limit', async () => {
    const { app, metrics } = makeApp();
    const { base } = await listen(app);
    const body = Buffer.alloc(4 * 1024 * 1024 + 1, ' ');
    const reply = await fetch(`${base}${ENTRIES}`, { method: 'POST', body });
    expect(reply.status).toBe(413);
    expect(await reply.json()).toEqual({
      code: 3,
      message: 'the request body is larger than the limit of 4194304 bytes',
      details: [],
    });
    expect(await metrics.registry.metrics()).toContain('stele_refusals_total{reason="too-large"} 1');
  });

  it('takes a body of exactly the limit', async () => {
    const payload = good();
    const { app } = makeApp({ limits: { bodyBytes: payload.length } });
    expect((await app.inject({ method: 'POST', url: ENTRIES, payload })).statusCode).toBe(201);
    expect((await app.inject({ method: 'POST', url: ENTRIES, payload: `${payload} ` })).statusCode).toBe(413);
  });

  it.each([
    ['GET', ENTRIES, 'POST'],
    ['PUT', BATCH, 'POST'],
    ['POST', '/checkpoint', 'GET, HEAD'],
    ['DELETE', '/api/v2/tile/0/000', 'GET, HEAD'],
    ['POST', '/stele/v1/entries/1', 'GET, HEAD'],
    ['OPTIONS', '/stele/v1/log', 'GET, HEAD'],
  ] as const)('a method that is not allowed: %s %s', async (method, url, allow) => {
    const { app } = makeApp();
    const reply = await app.inject({ method, url, payload: '{' });
    expect(reply.statusCode).toBe(405);
    expect(reply.headers.allow).toBe(allow);
    expect(reply.json()).toEqual({ code: 12, message: `the method ${method} is not allowed here`, details: [] });
  });

  it.each([
    '/index.html',
    '/api/v2',
    '/api/v2/log/entries/',
    '/api/v2/log/entries/0',
    '//checkpoint',
    '/checkpoint/',
    '/tile',
  ])('an unknown path: %s', async (url) => {
    const { app } = makeApp();
    for (const method of ['GET', 'POST'] as const) {
      const reply = await app.inject({ method, url });
      expect(reply.statusCode).toBe(404);
      expect(reply.headers['cache-control']).toBe('no-store');
      expect(reply.json()).toEqual({ code: 5, message: 'not found', details: [] });
    }
  });

  it('too many outstanding: 503, Retry-After', async () => {
    const { app, log } = makeApp({ retryAfter: 7000 });
    log.fault = () => {
      throw requestError('pushback');
    };
    for (const url of [ENTRIES, BATCH]) {
      const reply = await app.inject({ method: 'POST', url, payload: good() });
      expect(reply.statusCode).toBe(503);
      expect(reply.headers['retry-after']).toBe('7');
      expect(reply.json()).toEqual({ code: 14, message: 'reached max pushback; retry', details: [] });
    }
  });

  it('a frozen log: 405, text, before the body', async () => {
    const { app, log } = makeApp();
    for (const status of ['freezing', 'frozen'] as const) {
      log.status = status;
      const reply = await app.inject({ method: 'POST', url: ENTRIES, payload: '{' });
      expect(reply.statusCode).toBe(405);
      expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
      expect(reply.body).toBe('This log has been frozen, please switch to the latest log.\n');
    }
  });

  it('a log that is frozen while the body comes', async () => {
    const { app, log } = makeApp();
    log.fault = () => {
      throw new RequestError('frozen', 'in other words');
    };
    const reply = await app.inject({ method: 'POST', url: ENTRIES, payload: good() });
    expect(reply.statusCode).toBe(405);
    expect(reply.body).toBe('This log has been frozen, please switch to the latest log.\n');
  });

  it('committed, but not published in time: 503 with the index', async () => {
    const { app, log } = makeApp();
    log.fault = () => {
      throw requestError('not-published', 41);
    };
    const reply = await app.inject({ method: 'POST', url: ENTRIES, payload: good() });
    expect(reply.statusCode).toBe(503);
    expect(reply.headers['retry-after']).toBe('1');
    expect(reply.headers['x-log-index']).toBe('41');
    expect(reply.json()).toEqual({ code: 14, message: 'sequenced at index 41, not yet published; retry', details: [] });
  });

  it('a duplicate, where duplicates conflict: 409 with the index', async () => {
    const { app } = makeApp({ duplicates: 'conflict' });
    const payload = good();
    await app.inject({ method: 'POST', url: ENTRIES, payload });
    const reply = await app.inject({ method: 'POST', url: ENTRIES, payload });
    expect(reply.statusCode).toBe(409);
    expect(reply.headers['x-log-index']).toBe('0');
    expect(reply.json()).toEqual({
      code: 6,
      message: 'an equivalent entry already exists in the transparency log with index 0',
      details: [],
    });
  });

  it('a failed store: 503, and nothing of why', async () => {
    const { app, log, logger } = makeApp();
    log.fault = () => {
      throw new ServerError('store', 'EIO at /var/lib/stele/level/000012.log');
    };
    for (const [method, url] of [
      ['POST', ENTRIES],
      ['GET', '/stele/v1/entries/0'],
    ] as const) {
      const reply = await app.inject({ method, url, ...(method === 'POST' ? { payload: good() } : {}) });
      expect(reply.statusCode).toBe(503);
      expect(reply.headers['retry-after']).toBe('1');
      expect(reply.json()).toEqual({ code: 14, message: 'the store of the log is not available; retry', details: [] });
    }
    expect(logger.lines.map(({ fields }) => fields.err?.message)).toEqual(
      Array(2).fill('EIO at /var/lib/stele/level/000012.log'),
    );
  });

  it('an error that nobody thought of: 500, and nothing of it', async () => {
    const { app, log, logger } = makeApp();
    log.fault = () => {
      throw Object.assign(new Error('ENOENT: /home/operator/secret'), {
        statusCode: 418,
        code: 'ENOENT',
        headers: { 'x-leak': '1' },
      });
    };
    for (const [method, url] of [
      ['POST', ENTRIES],
      ['POST', BATCH],
      ['GET', '/stele/v1/entries/0'],
      ['GET', '/tile/0/000.p/1'],
    ] as const) {
      const reply = await app.inject({ method, url, ...(method === 'POST' ? { payload: good() } : {}) });
      expect(reply.statusCode).toBe(500);
      expect(reply.headers['x-leak']).toBeUndefined();
      expect(reply.json()).toEqual({ code: 13, message: 'internal error', details: [] });
    }
    expect(logger.lines).toHaveLength(4);
  });

  it('a rejection that is no Error at all', async () => {
    const { app, log } = makeApp();
    log.fault = () => Promise.reject(undefined);
    const reply = await app.inject({ method: 'POST', url: ENTRIES, payload: good() });
    expect(reply.json()).toEqual({ code: 13, message: 'internal error', details: [] });
  });
});

describe('URLs', () => {
  it('malformed: 400', async () => {
    const { app } = makeApp();
    const reply = await app.inject('/stele/v1/entries/%zz');
    expect(reply.statusCode).toBe(400);
    expect(reply.json()).toEqual({ code: 3, message: 'the URL is malformed', details: [] });
  });

  it('too long: 414, for known and unknown paths', async () => {
    const { app } = makeApp({ limits: { urlBytes: 100 } });
    for (const path of ['/checkpoint?', '/unknown?']) {
      expect((await app.inject(path.padEnd(100, 'x'))).statusCode).not.toBe(414);
      const reply = await app.inject(path.padEnd(101, 'x'));
      expect(reply.statusCode).toBe(414);
      expect(reply.json()).toEqual({ code: 3, message: 'the URL is longer than the limit of 100 bytes', details: [] });
    }
  });
});

describe('rate limit', () => {
  it('429 with Retry-After, for each address by itself', async () => {
    const { app, metrics } = makeApp({ rateLimit: { max: 2, window: 60_000 }, trustProxy: ['127.0.0.1'] });
    const get = (from: string) => app.inject({ url: '/checkpoint', headers: { 'x-forwarded-for': from } });
    expect((await get('192.0.2.1')).statusCode).toBe(200);
    expect((await get('192.0.2.1')).statusCode).toBe(200);
    const reply = await get('192.0.2.1');
    expect(reply.statusCode).toBe(429);
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    expect(reply.json()).toEqual({ code: 8, message: 'too many requests from this address; retry later', details: [] });
    expect((await get('192.0.2.2')).statusCode).toBe(200);
    expect(await metrics.registry.metrics()).toContain('stele_refusals_total{reason="rate-limited"} 1');
  });

  it.each([
    ['GET', '/unknown', 404],
    ['DELETE', '/checkpoint', 405],
    ['GET', '/%zz', 400],
    ['GET', `/stele/v1/entries/${'1'.repeat(101)}`, 414],
    ['POST', ENTRIES, 400],
  ] as const)('counts what no route takes, too: %s %s', async (method, url, status) => {
    const { app } = makeApp({ rateLimit: { max: 2, window: 60_000 } });
    const ask = async () => (await app.inject({ method, url })).statusCode;
    expect([await ask(), await ask(), await ask()]).toEqual([status, status, 429]);
    expect((await app.inject('/checkpoint')).statusCode).toBe(429);
  });

  it('is one for all addresses of an IPv6 /64', async () => {
    const { app } = makeApp({ rateLimit: { max: 1, window: 60_000 }, trustProxy: ['127.0.0.1'] });
    const get = async (from: string) =>
      (await app.inject({ url: '/checkpoint', headers: { 'x-forwarded-for': from } })).statusCode;
    expect([await get('2001:db8:0:1::1'), await get('2001:db8:0:1:ffff::2'), await get('2001:db8:0:2::1')]).toEqual([
      200, 429, 200,
    ]);
  });

  it('does not believe X-Forwarded-For unless told to', async () => {
    const { app } = makeApp({ rateLimit: { max: 1, window: 60_000 } });
    await app.inject({ url: '/checkpoint', headers: { 'x-forwarded-for': '192.0.2.1' } });
    const reply = await app.inject({ url: '/checkpoint', headers: { 'x-forwarded-for': '192.0.2.2' } });
    expect(reply.statusCode).toBe(429);
  });
});

describe('bulk calls', () => {
  it('say Retry-After where a request may be tried again', async () => {
    const { app, log } = makeApp();
    const submit = log.submit.bind(log);
    log.submit = async (body, encoding) => [
      ...(await submit(body, encoding)),
      { error: requestError('not-published', 9) },
    ];
    const reply = await app.inject({ method: 'POST', url: BATCH, payload: toJsonBatch([hashedRekordRequest()]) });
    expect(reply.statusCode).toBe(200);
    expect(reply.headers['retry-after']).toBe('1');
    expect(reply.json().results[1].error.code).toBe(14);
  });

  it('are refused as a whole where the body is wrong', async () => {
    const { app } = makeApp();
    const many = JSON.stringify({ requests: Array.from({ length: 257 }, () => ({})) });
    for (const [payload, status] of [
      ['[]', 400],
      [many, 413],
    ] as const) {
      const reply = await app.inject({ method: 'POST', url: BATCH, payload });
      expect(reply.statusCode).toBe(status);
      expect(reply.json().code).toBe(3);
    }
  });
});
