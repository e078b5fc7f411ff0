/** Slow, silent, greedy and vanishing clients, over real sockets. */
import { once } from 'node:events';
import { request } from 'node:http';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { MemoryLog } from '../../support/memory-log.ts';
import { hashedRekordRequest, toJson } from '../../support/requests.ts';
import { until } from '../../support/until.ts';
import { dial, ENTRIES, listen, makeApp, parseReply, requestsOf } from './support.ts';

const POST = `POST ${ENTRIES} HTTP/1.1\r\nHost: localhost\r\n`;
const MIB = 1024 * 1024;

/** Milliseconds until `promise` settles. */
async function timeOf(promise: Promise<unknown>): Promise<number> {
  const started = performance.now();
  await promise;
  return performance.now() - started;
}

/** Makes the log wait for `held`; how many calls have come to it. */
function holdUp(log: MemoryLog, held: Promise<void>): () => number {
  let reached = 0;
  log.fault = () => {
    reached++;
    return held;
  };
  return () => reached;
}

describe('slow clients', () => {
  const times = { limits: { headersTimeout: 300, requestTimeout: 600, keepAliveTimeout: 300 } };

  it('a head that comes byte by byte is cut, with 408', async () => {
    const { app } = makeApp(times);
    const { port } = await listen(app);
    const { socket, closed } = await dial(port);
    const drip = setInterval(() => socket.write('X'), 20);
    socket.write(`${POST}X-Slow: `);
    const ms = await timeOf(closed);
    clearInterval(drip);
    expect(ms).toBeGreaterThan(200);
    expect(ms).toBeLessThan(2000);
    const reply = parseReply(await closed);
    expect(reply.status).toBe(408);
    expect(reply.body).toEqual({ code: 4, message: 'the request did not come in time', details: [] });
  });

  it('a body that comes byte by byte is cut', async () => {
    const { app, log } = makeApp(times);
    const { port } = await listen(app);
    const { socket, closed } = await dial(port);
    socket.write(`${POST}Content-Length: 100000\r\n\r\n`);
    const drip = setInterval(() => socket.write(' '), 20);
    const ms = await timeOf(closed);
    clearInterval(drip);
    expect(ms).toBeGreaterThan(400);
    expect(ms).toBeLessThan(3000);
    expect(parseReply(await closed).status).toBe(408);
    expect(log.publishedSize).toBe(0);
  });

  it('a connection without a request is closed', async () => {
    const { app } = makeApp(times);
    const { port } = await listen(app);
    const silent = await dial(port);
    const idle = await dial(port);
    idle.socket.write('GET /checkpoint HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(await timeOf(Promise.all([silent.closed, idle.closed]))).toBeLessThan(3000);
    expect(idle.text()).toMatch(/^HTTP\/1.1 200 /);
  });

  it('a reply that its client does not take is cut; one that is taken is not', async () => {
    const { app, log } = makeApp({ limits: { replyTimeout: 1500 }, replyRate: 1024 * MIB });
    // More than the kernel's buffers take.
    log.entryBundle = async () => Buffer.alloc(32 * MIB);
    const { port } = await listen(app);
    const stalled = await dial(port);
    stalled.socket.pause();
    stalled.socket.write('GET /tile/entries/000.p/1 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const quick = await dial(port);
    quick.socket.write('GET /tile/entries/000.p/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    expect((await quick.closed).length).toBeGreaterThan(32 * MIB);
    const open = () => new Promise<number>((resolve) => app.server.getConnections((_, count) => resolve(count)));
    await expect.poll(open, { timeout: 20_000, interval: 100 }).toBe(0);
  });
});

describe('large and broken requests', () => {
  it.each(['content-length', 'chunked'])(
    '4 MiB + 1 with %s gets its 413 in full, and the connection ends',
    async (how) => {
      const { app } = makeApp();
      const { port } = await listen(app);
      const { socket, closed } = await dial(port);
      const body = Buffer.alloc(4 * MIB + 1, ' ');
      if (how === 'chunked') {
        socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
        socket.write(`${body.length.toString(16)}\r\n`);
        socket.write(body);
        socket.write('\r\n0\r\n\r\n');
      } else {
        socket.write(`${POST}Content-Length: ${body.length}\r\n\r\n`);
        socket.write(body);
      }
      const reply = parseReply(await closed);
      expect(reply.status).toBe(413);
      expect(reply.head).toContain('connection: close');
      expect(reply.body).toMatchObject({
        code: 3,
        message: 'the request body is larger than the limit of 4194304 bytes',
      });
    },
  );

  it('an endless body is not read for ever', async () => {
    const { app } = makeApp({ limits: { bodyBytes: 1000 } });
    const { port } = await listen(app);
    const { socket, closed } = await dial(port);
    socket.write(`${POST}Transfer-Encoding: chunked\r\n\r\n`);
    const drip = setInterval(() => socket.write(`64\r\n${'x'.repeat(100)}\r\n`), 1);
    await closed;
    clearInterval(drip);
  });

  it('a client that asks first is told before it sends', async () => {
    const { app } = makeApp({ limits: { bodyBytes: 1000 } });
    const { port } = await listen(app);
    const large = await dial(port);
    large.socket.write(`${POST}Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n`);
    expect(parseReply(await large.closed).status).toBe(413);
    const small = await dial(port);
    small.socket.write(`${POST}Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n`);
    await once(small.socket, 'data');
    expect(small.text()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    small.socket.write('{}');
    expect(await small.closed).toContain('HTTP/1.1 400 Bad Request');
  });

  it('all bodies together are bounded', async () => {
    const { app } = makeApp({ limits: { bodyBytes: 1000, bodiesBytes: 1500 } });
    const { port, base } = await listen(app);
    const { socket } = await dial(port);
    socket.write(`${POST}Content-Length: 1000\r\n\r\n${' '.repeat(999)}`);
    // The log has the first body, or most of it, as soon as it refuses the second.
    const post = () => fetch(`${base}${ENTRIES}`, { method: 'POST', body: ' '.repeat(900) });
    const refused = await until(async () => {
      const reply = await post();
      return reply.status === 503 && reply;
    });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toEqual({ code: 14, message: 'reached max pushback; retry', details: [] });
    // What was held is given back, whatever became of the request.
    socket.destroy();
    await until(async () => (await post()).status === 400);
    for (let time = 0; time < 3; time++) expect((await post()).status).toBe(400);
  });

  it('a head that is too large: 431', async () => {
    const { app } = makeApp({ limits: { headerBytes: 4096 } });
    const { port } = await listen(app);
    const { socket, closed } = await dial(port);
    socket.write(`GET /checkpoint HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(5000)}\r\n\r\n`);
    const reply = parseReply(await closed);
    expect(reply.status).toBe(431);
    expect(reply.body).toMatchObject({ code: 3, details: [] });
  });

  it.each(['NONSENSE\r\n\r\n', 'GET /checkpoint HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n'])(
    'what is not HTTP: 400 (%j)',
    async (text) => {
      const { app } = makeApp();
      const { port } = await listen(app);
      const { socket, closed } = await dial(port);
      socket.write(text);
      const reply = parseReply(await closed);
      expect(reply.status).toBe(400);
      expect(reply.body).toEqual({ code: 3, message: 'the request is not valid HTTP/1.1', details: [] });
    },
  );

  it('a body that stops half-way: 400 where the client still listens', async () => {
    const { app, log } = makeApp();
    const { port, base } = await listen(app);
    const { socket, closed } = await dial(port);
    socket.end(`${POST}Content-Length: 100\r\n\r\n{"hashedRekord`);
    const reply = parseReply(await closed);
    expect(reply.status).toBe(400);
    expect(reply.body).toEqual({ code: 3, message: 'the request stopped before its end', details: [] });
    expect(log.publishedSize).toBe(0);
    expect((await fetch(`${base}/checkpoint`)).status).toBe(200);
  });

  it('a client that goes away in the middle of its body, or before its reply, harms nobody', async () => {
    const { app, log, logger } = makeApp();
    const { port, base } = await listen(app);
    const half = await dial(port);
    const requests = requestsOf(app);
    half.socket.write(`${POST}Content-Length: 100\r\n\r\n{`);
    await until(() => requests() > 0);
    half.socket.resetAndDestroy();

    const payload = toJson(hashedRekordRequest());
    let go = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const reached = holdUp(log, held);
    const gone = await dial(port);
    gone.socket.write(`${POST}Content-Length: ${payload.length}\r\n\r\n`);
    gone.socket.write(payload);
    await until(() => reached() > 0);
    gone.socket.resetAndDestroy();
    await until(async () => (await promisify(app.server.getConnections).call(app.server)) === 0);
    go();
    log.fault = () => {};
    const retry = await fetch(`${base}${ENTRIES}`, { method: 'POST', body: payload });
    expect(retry.status).toBe(201);
    expect(retry.headers.get('x-log-index')).toBe('0');
    expect(logger.lines).toEqual([]);
  });

  it('connections are bounded', async () => {
    const { app } = makeApp({ limits: { connections: 2 } });
    const { port } = await listen(app);
    const kept = [await dial(port), await dial(port)];
    const refused = await dial(port);
    expect(await refused.closed).toBe('');
    expect(kept.every(({ socket }) => !socket.destroyed)).toBe(true);
  });
});

describe('a client that goes on long past its rate limit', () => {
  it('is cut off, with all of its connections', async () => {
    const { app, metrics } = makeApp({ rateLimit: { max: 2, window: 60_000 } });
    const { port } = await listen(app);
    const [idle, flood] = [await dial(port), await dial(port)];
    const get = 'GET /none HTTP/1.1\r\nHost: a\r\n\r\n';
    flood.socket.write(get.repeat(500));
    await until(async () => (await metrics.registry.metrics()).includes('{reason="rate-limited"} 498'));
    expect(flood.socket.destroyed).toBe(false);
    flood.socket.write(get.repeat(1000));
    await flood.closed;
    await idle.closed;
    expect(await (await dial(port)).closed).toBe('');
  });
});

describe('close', () => {
  it('answers what is under way, closes idle and silent connections, and takes no new ones', async () => {
    const { app, log } = makeApp();
    const { port, base } = await listen(app);
    const silent = await dial(port);
    const idle = await dial(port);
    idle.socket.write('GET /checkpoint HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(idle.socket, 'data');

    let go = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const reached = holdUp(log, held);
    const busy = request(`${base}${ENTRIES}`, { method: 'POST', agent: false, headers: { connection: 'keep-alive' } });
    busy.end(toJson(hashedRekordRequest()));
    const answered = once(busy, 'response');
    await until(() => reached() > 0);
    const closed = app.close();
    await Promise.all([silent.closed, idle.closed]);
    await expect(dial(port)).rejects.toThrow('ECONNREFUSED');
    go();
    const [reply] = await answered;
    expect(reply.statusCode).toBe(201);
    reply.resume();
    expect(await timeOf(closed)).toBeLessThan(1000);
  });

  it('refuses new entries that come on a busy connection, and still answers reads', async () => {
    const { app, log } = makeApp();
    const { port } = await listen(app);
    let go = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const reached = holdUp(log, held);
    const requests = requestsOf(app);
    const payload = toJson(hashedRekordRequest());
    const { socket, closed } = await dial(port);
    socket.write(`${POST}Content-Length: ${payload.length}\r\n\r\n${payload}`);
    await until(() => reached() > 0);
    const stopped = app.close();
    await until(() => !app.server.listening);
    socket.write(`${POST}Content-Length: ${payload.length}\r\n\r\n${payload}`);
    await until(() => requests() > 1);
    go();
    const text = await closed;
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 503']);
    await stopped;
  });
});
