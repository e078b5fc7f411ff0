import { createHmac, timingSafeEqual } from 'node:crypto';
import type { lookup } from 'node:dns';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Queue } from '../../../client/monitor/alerts/alert-queue.ts';
import { deliveryId } from '../../../client/monitor/alerts/render.ts';
import type { WebhookOptions } from '../../../client/monitor/alerts/sink-options.ts';
import { openSinks } from '../../../client/monitor/alerts/sinks/open-sinks.ts';
import { WebhookSink } from '../../../client/monitor/alerts/sinks/webhook.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { AddressGuard, isAllowedRange } from '../../../merkle/runtime/service/address-guard.ts';
import { tempDir } from '../../support/log.ts';
import { decodeSink } from '../../support/sinks.ts';
import { skips } from '../../support/skip.ts';
import { until } from '../../support/until.ts';
import { alertOf, alertsOf } from './alerts.ts';
import { selfSigned } from './certificate.ts';

const SECRET = 'a secret of some length';
let dir: Awaited<ReturnType<typeof tempDir>>;
let servers: Server[];
const stop = new AbortController();

beforeEach(async () => {
  dir = await tempDir();
  servers = [];
  await writeFile(join(dir.path, 'secret'), `${SECRET}\n`, { mode: 0o600 });
  await writeFile(join(dir.path, 'next'), 'the secret after it, long', { mode: 0o600 });
});

afterEach(async () => {
  for (const server of servers) {
    if ('closeAllConnections' in server) (server as http.Server).closeAllConnections();
    await once(server.close(), 'close');
  }
  vi.unstubAllEnvs();
  await dir.remove();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

const receiver = (answer: RequestListener) => listen(http.createServer(answer));

const raw = (answer: (socket: net.Socket) => void) =>
  listen(net.createServer((socket) => answer(socket.on('error', () => {}).resume())));

function optionsOf(settings: object): WebhookOptions {
  const given = { type: 'webhook', secrets: [{ file: 'secret' }], allow: ['127.0.0.1'], timeout: '1s', ...settings };
  const decoded = decodeSink(given, dir.path);
  if ('problems' in decoded) throw new Error(decoded.problems.join());
  return decoded.sink as WebhookOptions;
}

const sinkTo = (port: number, settings: object = {}) =>
  new WebhookSink(optionsOf({ url: `http://127.0.0.1:${port}/hook?token=hidden`, ...settings }));

const deliver = (sink: WebhookSink) => sink.deliver(alertsOf(2), stop.signal);

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** What the documentation of webhook.ts tells a receiver to do. */
function genuine(header: string, body: Buffer, secret: string, now = Date.now()): boolean {
  const [, t] = /^t=([0-9]+),/.exec(header) ?? [];
  if (t === undefined || Math.abs(now / 1000 - Number(t)) > 300) return false;
  const mac = createHmac('sha256', secret).update(`${t}.`).update(body).digest();
  return header
    .split(',')
    .some((part) => /^v1=[0-9a-f]{64}$/.test(part) && timingSafeEqual(Buffer.from(part.slice(3), 'hex'), mac));
}

describe('a webhook', () => {
  it('is signed with each secret, over its time and its bytes', async () => {
    let got: { request: IncomingMessage; body: Buffer } | undefined;
    const port = await receiver(async (request, response) => {
      got = { request, body: await bodyOf(request) };
      response.writeHead(204).end();
    });
    await deliver(sinkTo(port, { secrets: [{ file: 'secret' }, { file: 'next' }] }));
    const { request, body } = got!;
    expect([request.method, request.url, request.headers.host]).toEqual([
      'POST',
      '/hook?token=hidden',
      `127.0.0.1:${port}`,
    ]);
    expect(request.headers['content-type']).toBe('application/json');
    expect(JSON.parse(body.toString())).toEqual({ version: 1, alerts: alertsOf(2) });
    expect(request.headers['stele-delivery']).toBe(deliveryId(alertsOf(2)));
    const header = request.headers['stele-signature'] as string;
    expect(genuine(header, body, SECRET)).toBe(true);
    expect(genuine(header, body, 'the secret after it, long')).toBe(true);
    expect(genuine(header, body, 'some other secret here')).toBe(false);
    expect(genuine(header, Buffer.concat([body, Buffer.from(' ')]), SECRET)).toBe(false);
    expect(genuine(header.replace(/t=[0-9]+/, 't=1'), body, SECRET, 1000)).toBe(false);
    expect(genuine(header, body, SECRET, Date.now() + 400_000)).toBe(false);
  });

  it('uses a secret that was changed without a restart', async () => {
    const genuineWith: boolean[] = [];
    const port = await receiver(async (request, response) => {
      genuineWith.push(
        genuine(request.headers['stele-signature'] as string, await bodyOf(request), 'a changed secret, long'),
      );
      response.end();
    });
    const sink = sinkTo(port);
    await deliver(sink);
    await writeFile(join(dir.path, 'secret'), 'a changed secret, long');
    await deliver(sink);
    expect(genuineWith).toEqual([false, true]);
  });

  it.skipIf(skips('the mode of secret files', process.platform === 'win32' ? 'Windows' : undefined))(
    'needs a secret that nobody else can read, and of some length',
    async () => {
      await chmod(join(dir.path, 'secret'), 0o644);
      const options = optionsOf({ url: 'https://hooks.example.com/' });
      await expect(openSinks([options])).rejects.toMatchObject({
        code: 'delivery',
        reason: 'secret',
        message: /chmod 600/,
      });
      await writeFile(join(dir.path, 'secret'), 'short');
      await chmod(join(dir.path, 'secret'), 0o600);
      const error = await openSinks([options]).catch((error: unknown) => error as Error);
      expect(error).toMatchObject({ reason: 'secret' });
      expect((error as Error).message).not.toContain('short');
      await expect(
        openSinks([optionsOf({ url: 'https://a/', secrets: [{ env: 'STELE_NO_SUCH' }] })]),
      ).rejects.toMatchObject({
        reason: 'secret',
      });
    },
  );

  it.each([200, 202, 204])('is delivered with a %i', async (status) => {
    const port = await receiver((_request, response) => void response.writeHead(status).end());
    await deliver(sinkTo(port));
  });

  it.each([
    [500, 'refused'],
    [400, 'refused'],
    [429, 'refused'],
    [301, 'refused'],
    [410, 'gone'],
  ])('is not delivered with a %i', async (status, reason) => {
    const seen: (string | undefined)[] = [];
    const port = await receiver((request, response) => {
      seen.push(request.url);
      response.writeHead(status, { location: '/elsewhere', 'retry-after': '7' }).end('secret text');
    });
    const error = await deliver(sinkTo(port)).catch((error: unknown) => error as Error);
    expect(error).toMatchObject({ code: 'delivery', reason, message: expect.stringContaining(String(status)) });
    if (reason === 'refused') expect(error).toMatchObject({ retryAfterMs: 7000 });
    // Paths and queries of webhooks are secrets.
    expect((error as Error).message).not.toMatch(/hidden|secret/);
    expect(seen).toHaveLength(1);
  });

  it('gives up a receiver that hangs', async () => {
    const port = await receiver(() => {});
    await expect(deliver(sinkTo(port))).rejects.toMatchObject({ reason: 'timeout' });
  });

  it('gives up a receiver that sends its head for ever, or nonsense, or too large a head', async () => {
    const dripping = await raw((socket) => {
      const timer = setInterval(() => socket.write('x-a: b\r\n'), 50);
      socket.write('HTTP/1.1 200 OK\r\n');
      socket.on('close', () => clearInterval(timer));
    });
    await expect(deliver(sinkTo(dripping))).rejects.toMatchObject({ reason: 'timeout' });
    const nonsense = await raw((socket) => void socket.end('hello\r\n\r\n'));
    await expect(deliver(sinkTo(nonsense))).rejects.toMatchObject({ reason: 'network' });
    const large = await raw((socket) => void socket.write(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`));
    await expect(deliver(sinkTo(large))).rejects.toMatchObject({ reason: 'network' });
  });

  it('is content with the head of an answer that never ends, and closes it', async () => {
    let closed = 0;
    const port = await receiver((_request, response) => {
      response.on('close', () => closed++);
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        response.once('drain', more);
      };
      response.writeHead(200);
      more();
    });
    await deliver(sinkTo(port));
    const slow = await receiver((_request, response) => {
      response.on('close', () => closed++);
      response.writeHead(200).write('x');
    });
    await deliver(sinkTo(slow, { timeout: '5s' }));
    await until(() => closed === 2);
  });

  it('fails where the connection is cut before the answer, or nobody listens', async () => {
    const port = await receiver((request) => void request.socket.destroy());
    await expect(deliver(sinkTo(port))).rejects.toMatchObject({ reason: 'network' });
    const server = servers.pop()!;
    await once(server.close(), 'close');
    await expect(deliver(sinkTo(port))).rejects.toMatchObject({ reason: 'network', message: /ECONNREFUSED/ });
  });

  it('ends at once when the monitor stops', async () => {
    const control = new AbortController();
    const port = await receiver(() => control.abort());
    const delivery = sinkTo(port, { timeout: '1m' }).deliver(alertsOf(1), control.signal);
    await expect(delivery).rejects.toMatchObject({ code: 'delivery' });
  });

  it('goes over TLS to who has a certificate for the name only', async () => {
    const { key, cert } = selfSigned('localhost');
    const { key: otherKey, cert: otherCert } = selfSigned('elsewhere.example');
    const answer = (_request: IncomingMessage, response: ServerResponse) => void response.end();
    const good = await listen(https.createServer({ key, cert }, answer));
    const wrong = await listen(https.createServer({ key: otherKey, cert: otherCert }, answer));
    await writeFile(join(dir.path, 'ca.pem'), `${cert}${otherCert}`);
    const to = (port: number, more: object) =>
      deliver(new WebhookSink(optionsOf({ url: `https://localhost:${port}/`, allow: ['loopback'], ...more })));
    await to(good, { caFile: 'ca.pem' });
    // Not even where the environment of the process says otherwise.
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    await expect(to(good, {})).rejects.toMatchObject({ reason: 'network', message: /SELF_SIGNED|CERT/ });
    await expect(to(wrong, { caFile: 'ca.pem' })).rejects.toMatchObject({ reason: 'network', message: /ALTNAME/ });
  });

  it('comes again, with the same IDs, where its answer was lost', async () => {
    const bodies: string[] = [];
    const port = await receiver(async (request, response) => {
      bodies.push((await bodyOf(request)).toString());
      if (bodies.length === 1) request.socket.destroy();
      else response.end();
    });
    const queue = await Queue.open(await GuardedLevel.open(join(dir.path, 'queue')), {
      sinks: [sinkTo(port)],
      firstPauseMs: 10,
    });
    await queue.enqueue(alertsOf(1));
    expect(await queue.drain(stop.signal)).toBe(true);
    await queue.close();
    expect(bodies).toHaveLength(2);
    expect(bodies[0]).toBe(bodies[1]);
  });

  it('holds no character outside ASCII', async () => {
    let body = '';
    const port = await receiver(async (request, response) => {
      body = (await bodyOf(request)).toString('latin1');
      response.end();
    });
    const entry = { index: 1, leafHash: '', names: ['\u202egpj.exe\u0007\n', 'ü\u2028\ud83d'] };
    await sinkTo(port).deliver([alertOf(0, { entry })], stop.signal);
    expect(body).toMatch(/^[ -~]+$/);
    expect(JSON.parse(body).alerts[0].entry.names).toEqual(entry.names);
  });
});

describe('addresses', () => {
  const guard = new AddressGuard({ allow: [] });

  it.each([
    '127.0.0.1',
    '127.255.1.2',
    '0.0.0.0',
    '10.1.2.3',
    '100.100.100.200',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '192.0.0.192',
    '198.18.0.1',
    '224.0.0.1',
    '239.255.255.250',
    '255.255.255.255',
    '168.63.129.16',
    '::',
    '::1',
    '::7f00:1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '0:0:0:0:0:ffff:8.8.8.8',
    '::ffff:0:127.0.0.1',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fd00:ec2::254',
    'fec0::1',
    'ff02::1',
    '64:ff9b::7f00:1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::1',
    '2002:7f00:1::',
    '2001:0:1::1',
    '2001:db8::1',
    '100::1',
    '3fff::1',
    'localhost',
    '',
  ])('refuses %s', (address) => expect(guard.permits(address)).toBe(false));

  it.each([
    '8.8.8.8',
    '172.15.0.1',
    '172.32.0.1',
    '169.253.1.1',
    '2606:4700::1111',
    '2a00:1450::1',
    '64:ff9b::808:808',
  ])('permits %s', (address) => expect(guard.permits(address)).toBe(true));

  it('permits what is allowed, in both forms, and nothing beside it', () => {
    const some = new AddressGuard({ allow: ['10.1.0.0/16', 'fd12::/16', '127.0.0.1'] });
    const addresses = [
      '10.1.2.3',
      '::ffff:10.1.2.3',
      '10.2.0.1',
      'fd12::1',
      'fd13::1',
      '127.0.0.1',
      '127.0.0.2',
      '::1',
    ];
    expect(addresses.map((address) => some.permits(address))).toEqual([
      true,
      true,
      false,
      true,
      false,
      true,
      false,
      false,
    ]);
    const named = new AddressGuard({ allow: ['loopback', 'private'] });
    expect(['127.0.0.9', '::1', '192.168.0.1', 'fd00::1', '169.254.169.254'].map((a) => named.permits(a))).toEqual([
      true,
      true,
      true,
      true,
      false,
    ]);
    const plain = new AddressGuard({ allow: ['127.0.0.1'], onlyAllowed: true });
    expect(['127.0.0.1', '8.8.8.8', '64:ff9b::808:808', '2606:4700::1111'].map((a) => plain.permits(a))).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });

  it.each([
    'http://127.0.0.1/',
    'http://127.1/',
    'http://0x7f.1/',
    'http://2130706433/',
    'http://017700000001/',
    'http://0/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[0:0:0:0:0:ffff:7f00:1]/',
    'http://①②⑦.⓪.⓪.①/',
    'http://127.0.0.1./',
    'http://169.254.169.254/latest/meta-data/',
  ])('refuses the spelling %s', async (url) => {
    const https = url.replace('http:', 'https:');
    const sink = new WebhookSink(optionsOf({ url: https, allow: [] }));
    await expect(deliver(sink)).rejects.toMatchObject({ reason: 'address' });
  });

  it('are judged when the connection is made: a name cannot change its mind', async () => {
    let requests = 0;
    const port = await receiver((_request, response) => {
      requests++;
      response.end();
    });
    const asked: string[] = [];
    /** Names the local address from the second question on. */
    const rebinding = ((name: string, _options: object, callback: (...args: unknown[]) => void) => {
      asked.push(name);
      callback(null, [{ address: asked.length === 1 ? '203.0.113.7' : '127.0.0.1', family: 4 }]);
    }) as unknown as typeof lookup;
    const options = optionsOf({ url: `https://hooks.example.com:${port}/`, allow: [] });
    for (let i = 0; i < 3; i++) {
      await expect(deliver(new WebhookSink(options, rebinding))).rejects.toMatchObject({ reason: 'address' });
    }
    expect([asked.length, requests]).toEqual([3, 0]);
    const answering = (addresses: string[]) =>
      ((_name: string, _options: object, callback: (...args: unknown[]) => void) =>
        callback(
          null,
          addresses.map((address) => ({ address, family: net.isIP(address) })),
        )) as unknown as typeof lookup;
    const mixed = answering(['8.8.8.8', '127.0.0.1']);
    await expect(deliver(new WebhookSink(options, mixed))).rejects.toMatchObject({ reason: 'address' });
    const none = answering([]);
    await expect(deliver(new WebhookSink(options, none))).rejects.toMatchObject({ reason: 'address' });
    // One question for each delivery, and the connection goes to what was judged; the name stays in the Host header.
    let host: string | undefined;
    const open = await receiver((request, response) => {
      host = request.headers.host;
      response.end();
    });
    const allowed = optionsOf({ url: `http://hooks.example.com:${open}/` });
    await deliver(new WebhookSink(allowed, answering(['127.0.0.1'])));
    expect(host).toBe(`hooks.example.com:${open}`);
  });

  it('without TLS are only those that are allowed', async () => {
    expect(decodeSink({ type: 'webhook', url: 'http://example.com/', secrets: [{ env: 'A' }] }, '/')).toMatchObject({
      problems: [expect.stringContaining('"allow"')],
    });
    const sink = new WebhookSink(optionsOf({ url: 'http://8.8.8.8/' }));
    await expect(deliver(sink)).rejects.toMatchObject({ reason: 'address' });
  });

  it('to be allowed are written as addresses, ranges or two words', () => {
    expect(['10.0.0.0/8', '::1', 'loopback', 'private'].every(isAllowedRange)).toBe(true);
    expect(
      ['10.0.0.0/33', 'localhost', '10.0.0.0/', 'fe80::1%1', '1.2.3', 'constructor', ''].some(isAllowedRange),
    ).toBe(false);
  });
});
