/** HTTP/2 beside HTTP/1.1 on a TLS port, with Node's own client. */
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type App, serveRoutes, textAnswer } from '../../../../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../../../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../../../merkle/runtime/service/http-server.ts';
import { RequestBodies } from '../../../../merkle/runtime/service/request-bodies.ts';
import { der } from '../../../support/der.ts';
import { keyPem, newAuthority, pemOf } from '../../../support/tls-server.ts';
import { until } from '../../../support/until.ts';
import { issue } from '../../x509/make.ts';

const LIMIT = 100_000;
const authority = newAuthority('tests');
const LOCALHOST = { keyUsage: 0x80, names: [der(0x82, Buffer.from('localhost'))], by: authority };
const leaf = issue({ name: 'localhost', usages: ['1.3.6.1.5.5.7.3.1'], ...LOCALHOST });
const client = issue({ name: 'client', usages: ['1.3.6.1.5.5.7.3.2'], ...LOCALHOST });

class Refused extends Error {}

/** Echoes the length of each body; `/slow` answers when `release` is called. */
async function serve(options: { keepAliveTimeout?: number; clientCa?: string } = {}) {
  const limits = {
    headerBytes: 8192,
    connections: 16,
    requestTimeout: 60_000,
    headersTimeout: 60_000,
    keepAliveTimeout: options.keepAliveTimeout ?? 60_000,
    replyTimeout: 60_000,
    bodiesBytes: 1_000_000,
    bodyRate: 1,
    bodyGrace: 60_000,
  };
  const clients = new ClientAddresses([]);
  const bodies = new RequestBodies({
    limits: () => limits,
    clients,
    headBytes: 16,
    refuse: (why, _limit, head) => new Refused(`${why}: ${Buffer.from(head).toString('latin1')}`),
  });
  const waiting: (() => void)[] = [];
  const app: App = serveRoutes(
    {
      routes: [
        {
          method: 'POST',
          path: '/echo',
          answer: async (call) => {
            const body = await call.body(LIMIT);
            body.release();
            return textAnswer(200, String(body.bytes.length));
          },
        },
        {
          method: 'GET',
          path: '/slow',
          answer: async () => {
            await new Promise<void>((resolve) => waiting.push(resolve));
            return textAnswer(200, 'late');
          },
        },
        { method: 'GET', path: '/', answer: ({ request }) => textAnswer(200, request.httpVersion) },
      ],
      readBody: (request, limit) => bodies.read(request, limit),
      refuse: (error) => textAnswer(418, (error as Error).message),
    },
    (handler) =>
      createHttpServer({
        limits: () => limits,
        clients,
        bodies,
        handler,
        refuse: (why, text) => textAnswer(400, `${why}: ${text}`),
        tls: { cert: pemOf(leaf), key: keyPem(leaf), clientCa: options.clientCa },
        http2: true,
      }),
  );
  app.server.listen(0, '127.0.0.1');
  await once(app.server, 'listening');
  const url = `https://localhost:${(app.server.address() as AddressInfo).port}`;
  onTestFinished(() => {
    app.server.closeAllConnections();
    app.server.close();
  });
  const dial = async (credentials: { cert?: string; key?: string } = {}) => {
    const session = http2.connect(url, { ca: pemOf(authority), ...credentials });
    session.on('error', () => {});
    onTestFinished(() => session.destroy());
    await once(session, 'connect');
    return session;
  };
  return { app, url, waiting, bodies, dial };
}

async function ask(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: Buffer) {
  const stream = session.request(headers, { endStream: body === undefined });
  let status: number | undefined;
  let text = '';
  stream.setEncoding('utf8');
  stream.on('response', (got) => {
    status = got[':status'];
    expect(got.connection).toBeUndefined();
  });
  stream.on('data', (chunk) => {
    text += chunk;
  });
  stream.on('error', () => {});
  if (body !== undefined) stream.end(body);
  await new Promise((resolve) => stream.once('close', resolve));
  return { status, text };
}

const post = (length: number) => ({ ':method': 'POST', ':path': '/echo', 'content-length': String(length) });

describe('a TLS port with HTTP/2', () => {
  it('serves both protocols, as the handshake chooses', async () => {
    const { url, dial } = await serve();
    expect(await ask(await dial(), { ':path': '/' })).toEqual({ status: 200, text: '2.0' });
    const [response] = await once(https.get(url, { ca: pemOf(authority), agent: false }), 'response');
    response.setEncoding('utf8');
    expect((await response.toArray()).join('')).toBe('1.1');
  });

  it('takes whole bodies, many at a time on one connection', async () => {
    const { dial, bodies } = await serve();
    const session = await dial();
    const lengths = [0, 1, 70_000, LIMIT, ...Array.from({ length: 40 }, (_, at) => 1000 + at)];
    const answers = await Promise.all(lengths.map((length) => ask(session, post(length), Buffer.alloc(length, 'x'))));
    expect(answers.map(({ text }) => Number(text))).toEqual(lengths);
    expect(bodies.held).toBe(0);
  });

  it('refuses a body that is too large with its first bytes, and the connection goes on', async () => {
    const { dial, bodies } = await serve();
    const session = await dial();
    for (const declared of [true, false]) {
      const body = Buffer.concat([Buffer.from('0123456789abcdefghij'), Buffer.alloc(LIMIT)]);
      const headers = declared ? post(body.length) : { ':method': 'POST', ':path': '/echo' };
      expect(await ask(session, headers, body)).toEqual({ status: 418, text: 'too-large: 0123456789abcdef' });
    }
    expect(await ask(session, post(3), Buffer.from('abc'))).toEqual({ status: 200, text: '3' });
    expect(bodies.held).toBe(0);
  });

  it('refuses a request for what is no host, and one of an unknown path', async () => {
    const { dial } = await serve();
    const session = await dial();
    expect(await ask(session, { ':path': '/', ':authority': 'user@host' })).toMatchObject({ status: 400 });
    expect(await ask(session, { ':path': '/none' })).toMatchObject({ status: 418, text: 'not-found' });
  });

  it('answers what is under way when it closes, and takes nothing more', async () => {
    const { app, dial, waiting } = await serve();
    const session = await dial();
    const slow = ask(session, { ':path': '/slow' });
    await until(() => waiting.length === 1);
    const closed = app.close();
    await once(session, 'goaway');
    waiting[0]!();
    expect(await slow).toEqual({ status: 200, text: 'late' });
    await closed;
    expect(session.closed).toBe(true);
  });

  it('ends at once where it must not wait', async () => {
    const { app, dial, waiting } = await serve();
    const session = await dial();
    const slow = ask(session, { ':path': '/slow' });
    await until(() => waiting.length === 1);
    const closed = app.close();
    app.server.closeAllConnections();
    await closed;
    expect((await slow).status).toBeUndefined();
  });

  it('ends a session that is silent', async () => {
    const { dial } = await serve({ keepAliveTimeout: 50 });
    await once(await dial(), 'close');
  });

  it('wants a certificate of its authority from each client, where it has one', async () => {
    const { dial } = await serve({ clientCa: pemOf(authority) });
    const stranger = issue({ name: 'client', ...LOCALHOST, by: newAuthority('others') });
    for (const credentials of [{}, { cert: pemOf(stranger), key: keyPem(stranger) }]) {
      const failed = dial(credentials).then(
        (session) => ask(session, { ':path': '/' }),
        () => ({ status: undefined }),
      );
      expect((await failed).status).toBeUndefined();
    }
    const session = await dial({ cert: pemOf(client), key: keyPem(client) });
    expect(await ask(session, { ':path': '/' })).toMatchObject({ status: 200 });
  });
});
