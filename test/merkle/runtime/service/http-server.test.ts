/** The server below every port, over real connections from several addresses of loopback. */
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ClientAddresses } from '../../../../merkle/runtime/service/client-address.ts';
import type { ConnectionLimits } from '../../../../merkle/runtime/service/connections.ts';
import { createHttpServer } from '../../../../merkle/runtime/service/http-server.ts';
import { MetricSet } from '../../../../merkle/runtime/service/metric-set.ts';
import { PortMetrics } from '../../../../merkle/runtime/service/port-metrics.ts';
import { RequestBodies } from '../../../../merkle/runtime/service/request-bodies.ts';
import { keyPem, newAuthority, pemOf } from '../../../support/tls-server.ts';
import { until } from '../../../support/until.ts';

const [EVIL, HONEST, THIRD, PROXY] = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'] as const;
const LIMITS = {
  headerBytes: 16 * 1024,
  requestTimeout: 60_000,
  headersTimeout: 60_000,
  keepAliveTimeout: 60_000,
  replyTimeout: 60_000,
};
const BODY_LIMITS = { bodiesBytes: 100_000, bodyRate: 1, bodyGrace: 60_000 };
const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

interface Dialed {
  readonly socket: Socket;
  readonly text: () => string;
  readonly ended: () => boolean;
  /** Sends a request; its whole reply, or undefined where the connection was closed instead. */
  readonly get: (request?: string) => Promise<string | undefined>;
}

async function serve(
  limits: ConnectionLimits,
  options: {
    handler?: RequestListener;
    trustProxy?: string[];
    clients?: ClientAddresses;
    tls?: { cert: string; key: string };
  } = {},
) {
  const set = new MetricSet({ process: false });
  const metrics = new PortMetrics(set, 'test');
  const clients = options.clients ?? new ClientAddresses(options.trustProxy ?? []);
  const server = createHttpServer({
    limits: () => ({ ...LIMITS, ...limits }),
    clients,
    bodies: new RequestBodies({ limits: () => BODY_LIMITS, clients, refuse: (refusal) => new Error(refusal) }),
    handler: options.handler ?? ((_request, response) => void response.end('served')),
    refuse: (refusal, why) => ({ status: 400, headers: {}, body: `${refusal}: ${why}` }),
    tls: options.tls,
    metrics,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const dial = async (localAddress: string, secure = false): Promise<Dialed> => {
    const tcp = connect({ port, host: '127.0.0.1', localAddress });
    const socket = secure ? connectTls({ socket: tcp, rejectUnauthorized: false }) : tcp;
    let text = '';
    let ended = false;
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    for (const each of [socket, tcp]) each.on('error', () => {}).on('close', () => (ended = true));
    onTestFinished(() => void tcp.destroy());
    await once(tcp, 'connect');
    const get = async (request = GET) => {
      socket.write(request);
      await until(() => text.includes('\r\n\r\n') || ended);
      return text === '' ? undefined : text;
    };
    return { socket, text: () => text, ended: () => ended, get };
  };
  const dialMany = (localAddress: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => dial(localAddress)));
  /** The reasons of the connections that were refused. */
  const refused = async () => {
    const text = await set.registry.metrics();
    return [...text.matchAll(/^test_refused_connections_total\{reason="([\w-]+)"\} (\d+)$/gm)].map(([, ...row]) => row);
  };
  return { connections: () => metrics.connections(), refused, dial, dialMany };
}

describe('connections', () => {
  it('leave room for others: one client gets its share', async () => {
    const { connections, refused, dial, dialMany } = await serve({ connections: 8 });
    await dialMany(EVIL, 6);
    await until(() => connections() === 6);
    expect(await (await dial(EVIL)).get()).toBeUndefined();
    expect(await refused()).toEqual([['address', '1']]);
    expect(await (await dial(HONEST)).get()).toContain('served');
  });

  it('the share is a setting, and may change while the server runs', async () => {
    const limits = { connections: 8, connectionsPerAddress: 1 };
    const { dial } = await serve(limits);
    expect(await (await dial(EVIL)).get()).toContain('served');
    expect(await (await dial(EVIL)).get()).toBeUndefined();
    limits.connectionsPerAddress = 2;
    expect(await (await dial(EVIL)).get()).toContain('served');
  });

  it('go from the client with the most to one with fewer, when all are taken', async () => {
    const { connections, refused, dial, dialMany } = await serve({ connections: 8 });
    const held = await dialMany(EVIL, 5);
    await dialMany(THIRD, 3);
    await until(() => connections() === 8);
    const honest = await dial(HONEST);
    expect(await honest.get()).toContain('served');
    expect(await refused()).toEqual([['displaced', '1']]);
    // The oldest of them.
    await until(() => held.some(({ ended }) => ended()));
    expect(held.filter(({ ended }) => ended()).length).toBe(1);
    // The client that has the most gets none of the others'.
    expect(await (await dial(EVIL)).get()).toBeUndefined();
    expect(honest.ended()).toBe(false);
  });

  it('are not taken away while the service works on the reply', async () => {
    let release: (() => void) | undefined;
    const working: RequestListener = (_request, response) => {
      release = () => void response.end('late');
    };
    const { connections, refused, dial } = await serve(
      { connections: 2, connectionsPerAddress: 2 },
      { handler: working },
    );
    const busy = await dial(EVIL);
    const answer = busy.get();
    await until(() => release);
    const idle = await dial(EVIL);
    await until(() => connections() === 2);
    await dial(HONEST);
    await until(() => idle.ended());
    release?.();
    expect(await answer).toContain('late');
    expect(await refused()).toEqual([['displaced', '1']]);
  });

  it('of a trusted proxy count for no client', async () => {
    const { dial } = await serve({ connections: 8, connectionsPerAddress: 1 }, { trustProxy: [PROXY] });
    for (let i = 0; i < 6; i++) expect(await (await dial(PROXY)).get()).toContain('served');
    expect(await (await dial(HONEST)).get()).toContain('served');
    expect(await (await dial(HONEST)).get()).toBeUndefined();
  });

  it('count from the first packet with TLS too, and a handshake that never ends can be taken away', async () => {
    const authority = newAuthority('localhost');
    const tls = { cert: pemOf(authority), key: keyPem(authority) };
    const { connections, dial, dialMany } = await serve({ connections: 4, connectionsPerAddress: 4 }, { tls });
    const held = await dialMany(EVIL, 4);
    await until(() => connections() === 4);
    expect(await (await dial(HONEST, true)).get()).toContain('served');
    await until(() => held.filter(({ ended }) => ended()).length === 1);
  });
});

describe('a client that sends a body in tiny pieces', () => {
  const TINY = `POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(5000)}`;

  async function serveBodies(trustProxy: string[]) {
    const clients = new ClientAddresses(trustProxy);
    const bodies = new RequestBodies({ limits: () => BODY_LIMITS, clients, refuse: (refusal) => new Error(refusal) });
    const handler: RequestListener = (request, response) => {
      if (request.method === 'GET') return void response.end('served');
      bodies.read(request, 10_000).then(
        () => response.end('whole'),
        ({ message }: Error) => response.end(message),
      );
    };
    return serve({ connections: 8 }, { clients, handler });
  }

  it('is shut out for a while, and nobody else is', async () => {
    const { dial, refused } = await serveBodies([]);
    const [open, honest] = [await dial(EVIL), await dial(HONEST)];
    expect(await (await dial(EVIL)).get(TINY)).toContain('fragmented');
    // A connection that it had already is cut as well: by then it may have sent the same.
    await until(open.ended);
    expect(await (await dial(EVIL)).get()).toBeUndefined();
    expect(await refused()).toEqual([['shut-out', '2']]);
    expect(await honest.get()).toContain('served');
    expect(await (await dial(HONEST)).get()).toContain('served');
  });

  it.each([
    ['to a handler that reads none', TINY],
    ['with two Host headers', TINY.replace('\r\n', '\r\nHost: localhost\r\n')],
  ])('%s is shut out as well', async (_name, tiny) => {
    const { dial } = await serve({ connections: 8 });
    const { socket, ended } = await dial(EVIL);
    socket.write(tiny);
    await until(ended);
    expect(await (await dial(EVIL)).get()).toBeUndefined();
    expect(await (await dial(HONEST)).get()).toContain('served');
  });

  it('does not shut out the proxy that it came through', async () => {
    const { dial } = await serveBodies([PROXY]);
    const tiny = TINY.replace('\r\n', `\r\nX-Forwarded-For: ${EVIL}\r\n`);
    expect(await (await dial(PROXY)).get(tiny)).toContain('fragmented');
    expect(await (await dial(PROXY)).get()).toContain('served');
    expect(await (await dial(EVIL)).get()).toBeUndefined();
  });
});

describe('the Host header', () => {
  const ask = async (lines: string, version = '1.1') => {
    const { dial } = await serve({ connections: 8 });
    return await (await dial(HONEST)).get(`GET / HTTP/${version}\r\n${lines}\r\n`);
  };

  it.each([
    ['Host: a\r\nHost: a\r\n', 'two Host headers'],
    ['Host: a\r\nX-Other: b\r\nhOST: b\r\n', 'two Host headers'],
    ['', 'no Host header'],
    ['Host:\r\n', 'no host name'],
    ['Host: a b\r\n', 'no host name'],
    ['Host: a, b\r\n', 'no host name'],
    ['Host: http://a\r\n', 'no host name'],
    ['Host: a:b\r\n', 'no host name'],
    ['Host: user@a\r\n', 'no host name'],
    ['Host: ::1\r\n', 'no host name'],
  ])('%j is 400', async (lines, why) => {
    const reply = await ask(lines);
    expect(reply).toMatch(/^HTTP\/1.1 400 /);
    expect(reply).toContain(
      `malformed: the ${why.startsWith('no host') ? `Host header is ${why}` : `request has ${why}`}`,
    );
    expect(reply!.toLowerCase()).toContain('connection: close');
  });

  it.each([
    'Host: a\r\n',
    'Host: log.example.com:3000\r\n',
    'Host: [::1]:3000\r\n',
    'Host: 127.0.0.1\r\n',
    'Host: my_log\r\n',
  ])('%j is served', async (lines) => {
    expect(await ask(lines)).toMatch(/^HTTP\/1.1 200 /);
  });

  it('is not needed in HTTP/1.0, and not there twice', async () => {
    expect(await ask('', '1.0')).toMatch(/^HTTP\/1.1 200 /);
    expect(await ask('Host: a\r\nHost: b\r\n', '1.0')).toMatch(/^HTTP\/1.1 400 /);
  });
});

describe('an absolute target', () => {
  const ask = async (target: string, host = 'Log.example:3000') => {
    const handler: RequestListener = (request, response) => void response.end(`path ${request.url}`);
    const { dial } = await serve({ connections: 8 }, { handler });
    return await (await dial(HONEST)).get(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  };

  it.each([
    ['http://log.example:3000/tile/0/000?x', '/tile/0/000?x'],
    ['https://LOG.example:3000', '/'],
    ['http://log.example:3000?x', '/?x'],
    ['//log.example/x', '//log.example/x'],
  ])('%s is the path %s', async (target, path) => {
    expect(await ask(target)).toMatch(new RegExp(`path ${path.replaceAll(/[/?]/g, '\\$&')}$`));
  });

  it.each(['http://other.example/x', 'http://log.example/x', 'http:///x', 'http://log.example:3000@other.example/x'])(
    '%s is not of the host that the Host header names: 400',
    async (target) => {
      const reply = await ask(target);
      expect(reply).toMatch(/^HTTP\/1.1 400 /);
      expect(reply!.toLowerCase()).toContain('connection: close');
    },
  );
});

describe('the Expect header', () => {
  it('asks for nothing but 100-continue, and the body of another is not read on', async () => {
    const { dial } = await serve({ connections: 8 });
    const { socket, get, ended } = await dial(EVIL);
    const reply = await get('POST / HTTP/1.1\r\nHost: a\r\nExpect: more\r\nContent-Length: 1000000\r\n\r\nx');
    expect(reply).toMatch(/^HTTP\/1.1 400 /);
    expect(reply).toContain('malformed: the Expect header is not 100-continue');
    const drip = setInterval(() => socket.write('x'), 20);
    onTestFinished(() => clearInterval(drip));
    await until(ended);
  });
});

describe('a body that nobody reads', () => {
  it('is no harm to the next request on its connection', async () => {
    const { dial } = await serve({ connections: 8 });
    const { socket, text } = await dial(HONEST);
    const bodies = [
      'Content-Length: 200000\r\n\r\n'.padEnd(200_026, 'x'),
      'Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    ];
    for (const body of bodies) socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\n${body}`);
    socket.write(GET);
    await until(() => text().split('served').length === 4);
  });
});

describe('a body that goes on after the answer', () => {
  it('is cut', async () => {
    const { dial } = await serve({ connections: 8 });
    const { socket, text, ended } = await dial(EVIL);
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n');
    const drip = setInterval(() => socket.write('x'), 20);
    onTestFinished(() => clearInterval(drip));
    await until(() => text().includes('served'));
    await until(ended);
  });
});

describe('a head that is too long', () => {
  const authority = newAuthority('localhost');
  it.each([['HTTP', false] as const, ['HTTPS', true] as const])(
    'of a megabyte gets its answer over %s',
    async (_, secure) => {
      const tls = { cert: pemOf(authority), key: keyPem(authority) };
      const { dial } = await serve({ connections: 8 }, secure ? { tls } : {});
      const { socket, text, ended } = await dial(EVIL, secure);
      socket.write(`GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(1_000_000)}\r\n\r\n`);
      await until(ended);
      expect(text()).toMatch(/^HTTP\/1\.1 400 [\s\S]*headers-too-large/);
      // One answer, and no second one for what the parser reads after its failure.
      expect(text().split('HTTP/1.1')).toHaveLength(2);
    },
  );

  it.each([
    ['comes without an end', 1024 * 1024],
    ['drips', 1],
  ])('and %s is cut', async (_, bytes) => {
    const { connections, dial } = await serve({ connections: 8 });
    const { socket, text, ended } = await dial(EVIL);
    socket.write(`GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(20_000)}`);
    const more = setInterval(() => socket.write('x'.repeat(bytes)), 20);
    onTestFinished(() => clearInterval(more));
    await until(ended);
    await until(() => connections() === 0);
    expect(text().split('HTTP/1.1').length).toBeLessThanOrEqual(2);
  });
});
