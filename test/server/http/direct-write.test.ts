/** The call that logs one entry over real HTTP, beside the same call through Fastify's route, which `inject` takes. */
import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requestError } from '../../../server/errors.ts';
import type { Log } from '../../../server/log/log.ts';
import { openTestLog, tempDir } from '../../support/log.ts';
import { hashedRekordRequest, toJson, toProtobuf } from '../../support/requests.ts';
import { silent } from '../../support/silent.ts';
import type { TestOptions } from './support.ts';
import { appOver, ENTRIES, exchange, listen, type TestApp } from './support.ts';

interface Reply {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: Buffer;
}

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: Log;
let made: TestApp<Log>;
let port: number;
/** Requests that Fastify saw. */
let seen: number;
let agent: Agent;

beforeEach(async () => {
  dir = await tempDir();
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
});

afterEach(async () => {
  agent.destroy();
  await made.app.close();
  await log.close();
  await dir.remove();
});

async function start(options: TestOptions = {}, entries: 'signed' | 'raw' = 'signed'): Promise<void> {
  log = await openTestLog(dir.path, { entries });
  // Only where requests are logged does Fastify take it.
  made = appOver(log, options, options.log?.requests ? silent : undefined);
  seen = 0;
  made.app.addHook('onRequest', (_request, _reply, done) => {
    seen++;
    done();
  });
  ({ port } = await listen(made.app));
}

async function post(path: string, payload: Uint8Array, headers: Record<string, string> = {}): Promise<Reply> {
  const reply = await exchange({ port, method: 'POST', path, agent, headers }, payload);
  return { ...reply, headers: withoutTimes({ ...reply.headers }) };
}

async function throughFastify(path: string, payload: Uint8Array, headers: Record<string, string> = {}): Promise<Reply> {
  const reply = await made.app.inject({ method: 'POST', url: path, payload: Buffer.from(payload), headers });
  return { status: reply.statusCode, headers: withoutTimes(reply.headers), body: reply.rawPayload };
}

/** `inject` has a date of its own, and no connection that it could keep. */
function withoutTimes({ date: _, 'keep-alive': __, connection: ___, ...headers }: Record<string, unknown>) {
  return headers;
}

const entry = () => toJson(hashedRekordRequest());
const BINARY = { 'content-type': 'application/x-protobuf' };

describe('the call that logs one entry', () => {
  it('is answered before Fastify, and counted under its route', async () => {
    await start();
    const reply = await post(ENTRIES, entry());
    expect([reply.status, reply.headers['content-type'], seen]).toEqual([201, 'application/json', 0]);
    expect(JSON.parse(reply.body.toString())).toMatchObject({ logIndex: '0' });
    await post(ENTRIES, Buffer.from('{}'));
    const text = await made.metrics.registry.metrics();
    for (const status of [201, 400]) {
      const labels = `route="${ENTRIES}",method="POST",status="${status}"`;
      expect(text).toContain(`stele_http_request_duration_seconds_count{${labels}} 1`);
    }
  });

  it.each<[string, Buffer, Record<string, string>]>([
    ['an entry that is there already', Buffer.from(entry()), {}],
    ['the same in binary', Buffer.from(toProtobuf(hashedRekordRequest())), BINARY],
    [
      'a wrong signature',
      Buffer.from(
        toJson(hashedRekordRequest())
          .toString()
          .replace(/"digest":"..../, '"digest":"AAAA'),
      ),
      {},
    ],
    ['no JSON', Buffer.from('{'), {}],
    ['no protobuf', Buffer.from('{'), BINARY],
    ['nothing', Buffer.alloc(0), {}],
    ['another media type', Buffer.from('{}'), { 'content-type': 'text/nonsense' }],
  ])('says the same as its route: %s', async (_, payload, headers) => {
    await start();
    await post(ENTRIES, payload, headers);
    const direct = await post(ENTRIES, payload, headers);
    expect(seen).toBe(0);
    const routed = await throughFastify(ENTRIES, payload, headers);
    expect(seen).toBe(1);
    expect(direct).toEqual(routed);
  });

  it('says the same as its route where a duplicate is a conflict', async () => {
    await start({ duplicates: 'conflict' });
    const payload = entry();
    await post(ENTRIES, payload);
    const direct = await post(ENTRIES, payload);
    expect([direct.status, direct.headers['x-log-index']]).toEqual([409, '0']);
    expect(direct).toEqual(await throughFastify(ENTRIES, payload));
  });

  it('ends the connection where the body was not read to its end, and keeps it otherwise', async () => {
    await start({ limits: { bodyBytes: 5000 } });
    const large = await post(ENTRIES, Buffer.alloc(5001, ' '));
    expect(large.status).toBe(413);
    expect(Object.values(agent.freeSockets)).toEqual([]);
    expect((await post(ENTRIES, Buffer.from('{'))).status).toBe(400);
    expect(Object.values(agent.freeSockets)).toHaveLength(1);
    expect(await made.metrics.registry.metrics()).toContain('stele_refusals_total{reason="too-large"} 1');
  });

  it('tells when to come again, and shows nothing of a failure of ours', async () => {
    await start({ retryAfter: 7000 });
    const { submit } = log;
    log.submit = () => Promise.reject(requestError('pushback'));
    const later = await post(ENTRIES, entry());
    expect([later.status, later.headers['retry-after']]).toEqual([503, '7']);
    log.submit = () => Promise.reject(new Error('/etc/secret'));
    const failed = await post(ENTRIES, entry());
    expect(failed).toEqual(await throughFastify(ENTRIES, entry()));
    expect([failed.status, failed.body.toString()]).toEqual([
      500,
      '{"code":13,"message":"internal error","details":[]}',
    ]);
    expect(made.logger.lines.map(({ fields }) => fields.err?.message)).toEqual(['/etc/secret', '/etc/secret']);
    log.submit = submit;
    expect((await post(ENTRIES, entry())).status).toBe(201);
  });

  it.each<[string, TestOptions]>([
    ['a rate limit', { rateLimit: { max: 100, window: 60_000 } }],
    ['a log of requests', { log: { requests: true } }],
  ])('is left to Fastify with %s', async (_, options) => {
    await start(options);
    expect((await post(ENTRIES, entry())).status).toBe(201);
    expect(seen).toBe(1);
  });

  it('is left to Fastify on a frozen log, and with anything else in its path', async () => {
    await start();
    expect((await post(`${ENTRIES}?a`, entry())).status).toBe(201);
    await log.freeze();
    const frozen = await post(ENTRIES, entry());
    expect([frozen.status, frozen.headers.allow, seen]).toEqual([405, '', 2]);
  });

  it('takes opaque entries', async () => {
    await start({}, 'raw');
    const [one, two] = [randomBytes(600), randomBytes(65_535)];
    const replies = [await post('/add', one), await post('/add', two), await post('/add', one)];
    expect(replies.map(({ status, body }) => [status, body.toString()])).toEqual([
      [200, '0'],
      [200, '1'],
      [200, '0'],
    ]);
    expect(seen).toBe(0);
    expect(replies[2]).toEqual(await throughFastify('/add', one));
    for (const wrong of [Buffer.alloc(0), randomBytes(65_536)]) {
      const direct = await post('/add', wrong);
      expect(direct).toEqual(await throughFastify('/add', wrong));
      expect(direct.status).toBe(wrong.length === 0 ? 400 : 413);
    }
  });
});
