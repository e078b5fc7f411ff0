/** The call that logs one entry, over a connection that the client keeps. */
import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requestError } from '../../../server/errors.ts';
import type { Log } from '../../../server/log/log.ts';
import { openTestLog, tempDir } from '../../support/log.ts';
import { hashedRekordRequest, toJson, toProtobuf } from '../../support/requests.ts';
import type { TestOptions } from './support.ts';
import { appOver, ENTRIES, exchange, type HttpReply, listen, type TestApp } from './support.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: Log;
let made: TestApp<Log>;
let port: number;
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
  made = appOver(log, options);
  ({ port } = await listen(made.app));
}

function post(path: string, payload: Uint8Array, headers: Record<string, string> = {}): Promise<HttpReply> {
  return exchange({ port, method: 'POST', path, agent, headers }, payload);
}

const entry = () => toJson(hashedRekordRequest());
const BINARY = { 'content-type': 'application/x-protobuf' };
/** Connections that the client keeps for its next request. */
const kept = () => Object.values(agent.freeSockets).length;

describe('the call that logs one entry', () => {
  it('is counted under its route', async () => {
    await start();
    const reply = await post(ENTRIES, entry());
    expect([reply.status, reply.headers['content-type']]).toEqual([201, 'application/json']);
    expect(JSON.parse(reply.body.toString())).toMatchObject({ logIndex: '0' });
    await post(ENTRIES, Buffer.from('{}'));
    const text = await made.metrics.registry.metrics();
    for (const status of [201, 400]) {
      const labels = `route="${ENTRIES}",method="POST",status="${status}"`;
      expect(text).toContain(`stele_http_request_duration_seconds_count{${labels}} 1`);
    }
  });

  it.each<[string, Buffer, Record<string, string>, number]>([
    ['an entry that is there already', Buffer.from(entry()), {}, 201],
    ['the same in binary', Buffer.from(toProtobuf(hashedRekordRequest())), BINARY, 201],
    ['no JSON', Buffer.from('{'), {}, 400],
    ['no protobuf', Buffer.from('{'), BINARY, 400],
    ['nothing', Buffer.alloc(0), {}, 400],
    ['another media type', Buffer.from('{}'), { 'content-type': 'text/nonsense' }, 400],
  ])('gives the same reply again, and keeps the connection: %s', async (_, payload, headers, status) => {
    await start();
    await post(ENTRIES, payload, headers);
    const replies = [await post(ENTRIES, payload, headers), await post(ENTRIES, payload, headers)];
    expect(replies.map((reply) => reply.status)).toEqual([status, status]);
    expect(replies[0]).toEqual(replies[1]);
    expect(replies[0]!.headers['content-length']).toBe(String(replies[0]!.body.length));
    expect(kept()).toBe(1);
  });

  it('ends the connection where the body was not read to its end, and keeps it otherwise', async () => {
    await start({ limits: { bodyBytes: 5000 } });
    const large = await post(ENTRIES, Buffer.alloc(5001, ' '));
    expect([large.status, large.headers.connection]).toEqual([413, 'close']);
    expect(kept()).toBe(0);
    expect((await post(ENTRIES, Buffer.from('{'))).status).toBe(400);
    expect(kept()).toBe(1);
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
    expect([failed.status, failed.body.toString()]).toEqual([
      500,
      '{"code":13,"message":"internal error","details":[]}',
    ]);
    expect(made.logger.lines.map(({ fields }) => fields.err?.message)).toEqual(['/etc/secret']);
    log.submit = submit;
    expect((await post(ENTRIES, entry())).status).toBe(201);
  });

  it('is limited and logged as every other request', async () => {
    await start({ rateLimit: { max: 2, window: 60_000 }, log: { requests: true } });
    const payload = entry();
    const statuses = [await post(ENTRIES, payload), await post(ENTRIES, payload), await post(ENTRIES, payload)];
    expect(statuses.map(({ status }) => status)).toEqual([201, 201, 429]);
    expect(made.logger.requests).toMatchObject(
      [201, 201, 429].map((status) => ({ method: 'POST', url: ENTRIES, status, address: '127.0.0.1' })),
    );
  });

  it('takes a query in its path, and nothing on a frozen log', async () => {
    await start();
    expect((await post(`${ENTRIES}?a`, entry())).status).toBe(201);
    await log.freeze();
    const frozen = await post(ENTRIES, entry());
    expect([frozen.status, frozen.headers.allow]).toEqual([405, '']);
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
    expect((await post('/add', Buffer.alloc(0))).status).toBe(400);
    expect(kept()).toBe(1);
    expect((await post('/add', randomBytes(65_536))).status).toBe(413);
    expect(kept()).toBe(0);
  });
});
