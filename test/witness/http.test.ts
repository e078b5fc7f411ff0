/** What stands between the socket and the witness: routes, limits, errors. */
import { describe, expect, it } from 'vitest';
import { makeWitness, TestLog } from './helpers.ts';

const log = new TestLog();
const HASH = '0'.repeat(64);

describe('requests that reach no log', () => {
  it.each([
    ['GET', '/', 404, 'not found\n'],
    ['POST', '/add-checkpoint/', 404, 'not found\n'],
    ['GET', '/add-checkpoint', 405, 'the method GET is not allowed here\n'],
    ['POST', `/${HASH}/checkpoint`, 405, 'the method POST is not allowed here\n'],
    ['GET', '/%zz/checkpoint', 400, 'the URL is malformed\n'],
    ['GET', `/${'0'.repeat(101)}/checkpoint`, 404, 'not found\n'],
  ] as const)('%s %s: %i', async (method, url, status, body) => {
    const { app } = await makeWitness();
    const reply = await app.inject({ method, url });
    expect([reply.statusCode, reply.body]).toEqual([status, body]);
    expect(reply.headers).toMatchObject({ 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
    expect(reply.headers.allow).toBe(status === 405 ? (method === 'GET' ? 'POST' : 'GET, HEAD') : undefined);
  });

  it('a body over the limit: 413', async () => {
    const witness = await makeWitness([log], { flags: { 'limits-body-bytes': '16KiB' } });
    const reply = await witness.post('x'.repeat(16 * 1024 + 1));
    expect([reply.status, reply.body]).toEqual([413, 'the request body is larger than the limit of 16384 bytes\n']);
    expect((await witness.post(log.request(0, 3))).status).toBe(200);
  });
});

describe('rate limit', () => {
  it.each([
    ['GET', '/unknown', 404],
    ['GET', '/add-checkpoint', 405],
    ['POST', '/add-checkpoint', 400],
    ['GET', '/%zz/checkpoint', 400],
  ] as const)('counts every request of an address: %s %s', async (method, url, status) => {
    const { app, metrics } = await makeWitness([], {
      flags: { 'rate-limit-per-address': '2', 'rate-limit-window': '1h' },
    });
    const ask = async () => (await app.inject({ method, url })).statusCode;
    expect([await ask(), await ask(), await ask()]).toEqual([status, status, 429]);
    const reply = await app.inject(`/${HASH}/checkpoint`);
    expect([reply.statusCode, reply.body]).toEqual([429, 'too many requests from this address; retry later\n']);
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(3000);
    expect(await metrics.registry.metrics()).toContain('stele_witness_refusals_total{reason="address-limited"} 2');
  });

  it('is one for all addresses of an IPv6 /64, and takes the address from a trusted proxy alone', async () => {
    const flags = { 'rate-limit-per-address': '1', 'trust-proxy': '127.0.0.1' };
    const { app } = await makeWitness([], { flags });
    const get = async (from: string) =>
      (await app.inject({ url: '/', headers: { 'x-forwarded-for': from } })).statusCode;
    expect([await get('2001:db8:0:1::1'), await get('2001:db8:0:1:ffff::2'), await get('2001:db8:0:2::1')]).toEqual([
      404, 429, 404,
    ]);
    const alone = await makeWitness([], { flags: { 'rate-limit-per-address': '1' } });
    const spoof = async (from: string) =>
      (await alone.app.inject({ url: '/', headers: { 'x-forwarded-for': from } })).statusCode;
    expect([await spoof('192.0.2.1'), await spoof('192.0.2.2')]).toEqual([404, 429]);
  });
});
