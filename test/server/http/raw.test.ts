/** A log of opaque entries: `POST /add`. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseBundle } from '../../../merkle/bundle.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import type { Log } from '../../../server/log/log.ts';
import { LIMITS, openTestLog, tempDir } from '../../support/log.ts';
import { appOver, ENTRIES, makeApp } from './support.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: Log;

beforeEach(async () => {
  dir = await tempDir();
  log = await openTestLog(dir.path, { entries: 'raw' });
});

afterEach(async () => {
  await log.close();
  await dir.remove();
});

const add = (app: ReturnType<typeof appOver>['app'], payload: Uint8Array) =>
  app.inject({ method: 'POST', url: '/add', payload: Buffer.from(payload) });

describe('POST /add', () => {
  it.each([
    { origin: 'https://example.com', 'content-type': 'text/plain' },
    { origin: 'null' },
    { origin: 'http://localhost' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-origin' },
  ])('takes nothing of a web page: %o', async (headers) => {
    const { app } = appOver(log);
    const reply = await app.inject({ method: 'POST', url: '/add', payload: Buffer.from('of a page'), headers });
    expect([reply.statusCode, reply.json().code, log.publishedSize]).toEqual([403, 7, 0]);
    // The next entry is the first one.
    expect((await add(app, Buffer.from('of a program'))).body).toBe('0');
  });

  it('answers with the index in decimal, and the very bytes are in the tree', async () => {
    const { app } = appOver(log);
    const bodies = [Buffer.from('one'), randomBytes(600), randomBytes(65_535)];
    for (const [i, body] of bodies.entries()) {
      const reply = await add(app, body);
      expect([reply.statusCode, reply.headers['content-type'], reply.body]).toEqual([
        200,
        'text/plain; charset=utf-8',
        String(i),
      ]);
    }
    await expect.poll(() => log.publishedSize).toBe(3);
    const bundle = (await app.inject('/tile/entries/000.p/3')).rawPayload;
    expect(parseBundle(bundle, 3).map((entry) => Buffer.from(entry))).toEqual(bodies);
    const leaves = (await app.inject('/tile/0/000.p/3')).rawPayload;
    expect(leaves).toEqual(Buffer.concat(bodies.map((body) => leafHash(body))));
    const shown = (await app.inject('/stele/v1/entries/0')).json();
    expect(shown.kindVersion).toEqual({ kind: 'raw', version: '0.0.1' });
    expect(Buffer.from(shown.canonicalizedBody, 'base64').toString()).toBe('one');
    await app.close();
  });

  it('is durable when it answers', async () => {
    expect(await log.add(Buffer.from('kept'))).toBe(0);
    await log.close();
    log = await openTestLog(dir.path, { entries: 'raw' });
    expect(log.publishedSize).toBe(1);
    expect(await log.add(Buffer.from('kept'))).toBe(0);
    expect(await log.add(Buffer.from('next'))).toBe(1);
  });

  it('gives the same bytes one index, also at the same time', async () => {
    const { app } = appOver(log);
    const replies = await Promise.all(Array.from({ length: 8 }, () => add(app, Buffer.from('again'))));
    expect(new Set(replies.map(({ body }) => body))).toEqual(new Set(['0']));
    expect((await add(app, Buffer.from('other'))).body).toBe('1');
    await app.close();
  });

  it.each([
    ['nothing', Buffer.alloc(0), 400],
    ['more than an entry can hold', Buffer.alloc(65_536), 413],
  ])('refuses %s', async (_name, body, status) => {
    const { app } = appOver(log);
    expect((await add(app, body)).statusCode).toBe(status);
    expect(log.publishedSize).toBe(0);
    await app.close();
  });

  it('takes no signed entries beside them, and says what it takes', async () => {
    const { app } = appOver(log);
    expect((await app.inject({ method: 'POST', url: ENTRIES, payload: '{}' })).statusCode).toBe(404);
    expect((await app.inject('/stele/v1/log')).json()).toMatchObject({
      kinds: [{ kind: 'raw', version: '0.0.1', requests: ['/add'] }],
      keyTypes: [],
    });
    await app.close();
  });

  it('takes nothing more once it is frozen', async () => {
    const { app } = appOver(log);
    await log.freeze();
    expect((await add(app, Buffer.from('late'))).statusCode).toBe(405);
    await app.close();
  });

  it('answers 503 past the limit of entries under way', async () => {
    await log.close();
    log = await openTestLog(dir.path, { entries: 'raw', limits: { ...LIMITS, outstanding: 4 } });
    const { app } = appOver(log);
    const replies = await Promise.all(Array.from({ length: 64 }, (_, i) => add(app, Buffer.from(`entry ${i}`))));
    const taken = replies.filter(({ statusCode }) => statusCode === 200);
    const refused = replies.filter(({ statusCode }) => statusCode === 503);
    expect(taken.length + refused.length).toBe(64);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.every(({ headers }) => headers['retry-after'] !== undefined)).toBe(true);
    await expect.poll(() => log.publishedSize).toBe(taken.length);
    await app.close();
  });

  it('is not there on a log of signed entries', async () => {
    const { app } = makeApp();
    expect((await add(app, Buffer.from('x'))).statusCode).toBe(404);
  });
});
