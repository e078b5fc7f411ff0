import { once } from 'node:events';
import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { hashedRekordRequest, toJson } from '../../support/requests.ts';
import { gate, until } from '../../support/until.ts';
import { ENTRIES, listen, makeApp } from './support.ts';

describe('the public port', () => {
  it('answers health checks as Rekor v2 does', async () => {
    const { app } = makeApp();
    const reply = await app.inject('/healthz');
    expect([reply.statusCode, reply.headers['content-type'], reply.body]).toEqual([
      200,
      'application/json',
      '{"status":"SERVING"}\n',
    ]);
    expect(reply.headers['cache-control']).toBe('no-store');
    expect((await app.inject({ method: 'HEAD', url: '/healthz' })).statusCode).toBe(200);
    expect((await app.inject({ method: 'POST', url: '/healthz' })).statusCode).toBe(405);
  });

  it('is not healthy while it shuts down', async () => {
    const { app, log } = makeApp();
    const { base } = await listen(app);
    const held = gate();
    let reached = false;
    log.fault = () => {
      reached = true;
      return held.opened;
    };
    const write = request(`${base}${ENTRIES}`, { method: 'POST', agent: false });
    write.end(toJson(hashedRekordRequest()));
    const answered = once(write, 'response');
    await until(() => reached);
    const closed = app.close();
    expect((await app.inject('/healthz')).statusCode).toBe(503);
    held.open();
    const [reply] = await answered;
    reply.resume();
    await closed;
  });

  it('says what it is', async () => {
    const { app, log } = makeApp();
    const reply = await app.inject('/');
    expect([reply.statusCode, reply.headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
    expect(reply.body).toContain(`This is ${log.info.origin}, an append-only transparency log`);
    // Each call that it names is there.
    const calls = [...reply.body.matchAll(/^(GET|POST) +(\S+)/gm)].map(([, method, url]) => ({ method, url }));
    expect(calls).toContainEqual({ method: 'POST', url: ENTRIES });
    for (const { method, url } of calls) {
      expect((await app.inject({ method: method as 'GET', url: url! })).statusCode).not.toBe(404);
    }
  });
});
