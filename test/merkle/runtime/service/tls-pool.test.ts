import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls, { type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { peerChain } from '../../../../merkle/runtime/identity/spiffe/peer-chain.ts';
import { fetchBounded } from '../../../../merkle/runtime/service/fetch.ts';
import { fileIdentity } from '../../../../merkle/runtime/service/tls-identity.ts';
import { type ServerRule, TlsPool, type TlsPoolOptions } from '../../../../merkle/runtime/service/tls-pool.ts';
import { der } from '../../../support/der.ts';
import { keyPem, newAuthority, pemOf } from '../../../support/tls-server.ts';
import { DEADLINE_MS } from '../../../support/until.ts';
import { type Authority, issue, issueCa, type Wish } from '../../x509/make.ts';

const passes = (what: () => unknown) => vi.waitFor(what, { timeout: DEADLINE_MS, interval: 10 });

const root = newAuthority('root');
const between = issueCa('between', root);
const uri = (text: string) => der(0x86, Buffer.from(text));
const leaf = (name: string, more: Wish = {}, by: Authority = root) =>
  issue({
    name,
    by,
    keyUsage: 0x80,
    names: [uri(`spiffe://example.org/${name}`), der(0x82, Buffer.from('localhost'))],
    ...more,
  });

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-pool-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

interface Seen {
  readonly url: string;
  readonly server: https.Server;
  /** The names of the clients of each request. */
  readonly clients: string[];
  readonly connections: TLSSocket[];
  /** Bytes of HTTP that came, of all connections. */
  bytes(): number;
}

/** Answers each request with the name in the client's certificate. Path /slow waits for `release`. */
async function serving(
  shown: Authority,
  chain: readonly Authority[] = [],
  release: Promise<unknown> = Promise.resolve(),
): Promise<Seen> {
  const clients: string[] = [];
  const connections: TLSSocket[] = [];
  let bytes = 0;
  const cert = [shown, ...chain].map(pemOf).join('');
  const server = https.createServer({ cert, key: keyPem(shown), requestCert: true, rejectUnauthorized: false });
  server.on('secureConnection', (socket: TLSSocket) => {
    connections.push(socket);
    socket.on('data', (part: Buffer) => {
      bytes += part.length;
    });
  });
  server.on('request', async (request, reply) => {
    const [certificate] = peerChain(request.socket as TLSSocket);
    const name = certificate?.subject ?? 'nobody';
    clients.push(name);
    if (request.url === '/slow') await release;
    reply.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    server,
    clients,
    connections,
    bytes: () => bytes,
  };
}

function pooled(options: TlsPoolOptions): TlsPool {
  const pool = new TlsPool(options);
  onTestFinished(() => pool.close());
  return pool;
}

async function ask(pool: TlsPool, url: string): Promise<string> {
  const { bytes } = await fetchBounded(url, { limit: 1000, timeoutMs: 10_000, fetch: pool.fetch });
  return Buffer.from(bytes).toString();
}

async function filesOf(shown: Authority) {
  const files = { cert: join(dir, 'cert.pem'), key: join(dir, 'key.pem') };
  await writeFile(files.key, keyPem(shown));
  await writeFile(files.cert, pemOf(shown));
  return files;
}

const quick = { watchMs: 20, named: '--client-' };

/** Takes servers of one name, which `rule.expected` holds. */
function nameRule(expected: string) {
  const listeners = new Set<() => void>();
  const rule: ServerRule & { expected: string; changed(): void; chains: number[] } = {
    expected,
    chains: [],
    check: (chain, now) => {
      rule.chains.push(chain.length);
      const { subject, notAfter } = chain[0]!;
      if (subject !== rule.expected) throw new Error(`the server is ${subject}, and ${rule.expected} is expected`);
      if (notAfter < now) throw new Error(`the certificate of ${subject} ended`);
      return notAfter;
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    changed: () => {
      for (const listener of listeners) listener();
    },
  };
  return rule;
}

describe('connections that show an identity', () => {
  it('show the certificate in the files, and the newest one after a rotation', async () => {
    const { url, clients, connections } = await serving(leaf('server'));
    const files = await filesOf(leaf('first'));
    const identity = await fileIdentity(files, quick);
    onTestFinished(() => identity.close());
    const pool = pooled({ authorities: [pemOf(root)], identity });
    expect(await ask(pool, url)).toBe('CN=first');
    expect(await ask(pool, url)).toBe('CN=first');
    expect(connections).toHaveLength(1);
    await filesOf(leaf('second'));
    await passes(async () => expect(await ask(pool, url)).toBe('CN=second'));
    await passes(() => expect(connections[0]!.destroyed).toBe(true));
    expect(clients.filter((name) => name === 'nobody')).toEqual([]);
  });

  it('let a request under way end when they rotate, and then close its connection', async () => {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { url, clients, connections } = await serving(leaf('server'), [], released);
    const identity = await fileIdentity(await filesOf(leaf('first')), quick);
    onTestFinished(() => identity.close());
    const rotated = new Promise<void>((resolve) => identity.onChange(resolve));
    const pool = pooled({ authorities: [pemOf(root)], identity });
    const slow = ask(pool, `${url}/slow`);
    await passes(() => expect(clients).toEqual(['CN=first']));
    await filesOf(leaf('second'));
    await rotated;
    expect(await ask(pool, url)).toBe('CN=second');
    release();
    expect(await slow).toBe('CN=first');
    await passes(() => expect(connections[0]!.destroyed).toBe(true));
    expect(connections[1]!.destroyed).toBe(false);
  });

  it('never resume a session', async () => {
    const { url, server, connections } = await serving(leaf('server'));
    const reused: boolean[] = [];
    server.on('secureConnection', (socket: TLSSocket) => reused.push(socket.isSessionReused()));
    const rule = nameRule('CN=server');
    const pool = pooled({ rule });
    await ask(pool, url);
    rule.changed();
    await ask(pool, url);
    await passes(() => expect(connections).toHaveLength(2));
    expect(reused).toEqual([false, false]);
  });

  it('send nothing once their own certificate has ended', async () => {
    const seen = await serving(leaf('server'));
    const to = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000).toISOString();
    const identity = await fileIdentity(await filesOf(leaf('short', { to })), quick);
    onTestFinished(() => identity.close());
    const pool = pooled({ authorities: [pemOf(root)], identity });
    expect(await ask(pool, seen.url)).toBe('CN=short');
    await passes(async () => await expect(ask(pool, seen.url)).rejects.toThrow('there is no identity to show'));
    await expect(ask(pool, seen.url)).rejects.toMatchObject({
      code: 'network',
      message: expect.stringMatching(/was not asked: there is no identity to show: the certificate in .* ended at/),
    });
    const before = seen.clients.length;
    await expect(ask(pool, seen.url)).rejects.toThrow('was not asked');
    expect(seen.clients).toHaveLength(before);
    await filesOf(leaf('renewed'));
    await passes(async () => expect(await ask(pool, seen.url)).toBe('CN=renewed'));
  });

  it('refuse an http URL', async () => {
    const pool = pooled({ rule: nameRule('CN=server') });
    await expect(ask(pool, 'http://localhost:1/')).rejects.toThrow('is not https');
  });
});

describe('connections that check servers by a rule', () => {
  it('give the whole chain to the rule, and pass over host names and authorities', async () => {
    const { url } = await serving(leaf('server', {}, between), [between, root]);
    const rule = nameRule('CN=server');
    expect(await ask(pooled({ rule }), url.replace('localhost', '127.0.0.1'))).toBe('nobody');
    expect(rule.chains).toEqual([3]);
  });

  it('send not one byte to a server that is refused', async () => {
    const seen = await serving(leaf('another'));
    const pool = pooled({ rule: nameRule('CN=server') });
    await expect(ask(pool, seen.url)).rejects.toMatchObject({
      code: 'network',
      message: `${seen.url} was not asked: the server is CN=another, and CN=server is expected. Nothing of the request was sent`,
    });
    await passes(() => expect(seen.connections.every(({ destroyed }) => destroyed)).toBe(true));
    expect([seen.bytes(), seen.clients]).toEqual([0, []]);
  });

  it('check a server again once its certificate has ended, and once the rule has changed', async () => {
    const to = new Date(Math.ceil(Date.now() / 1000) * 1000 + 60_000).toISOString();
    const seen = await serving(leaf('server', { to }));
    let time = Date.now();
    const rule = nameRule('CN=server');
    const pool = pooled({ rule, now: () => time });
    await ask(pool, seen.url);
    await ask(pool, seen.url);
    expect(seen.connections).toHaveLength(1);
    time += 120_000;
    await expect(ask(pool, seen.url)).rejects.toThrow('the certificate of CN=server ended');
    time -= 120_000;
    expect(await ask(pool, seen.url)).toBe('nobody');
    rule.expected = 'CN=other';
    rule.changed();
    await expect(ask(pool, seen.url)).rejects.toThrow('the server is CN=server, and CN=other is expected');
    expect(seen.clients).toHaveLength(3);
  });

  it('say that a server is silent or ends the handshake, and take an abort', async () => {
    const silent = tls.createServer({ key: keyPem(root), cert: pemOf(root) });
    silent.removeAllListeners('connection');
    const open: Socket[] = [];
    silent.on('connection', (socket) => open.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, resolve));
    onTestFinished(() => {
      for (const socket of open) socket.destroy();
      silent.close();
    });
    const url = `https://localhost:${(silent.address() as AddressInfo).port}`;
    const pool = pooled({ rule: nameRule('CN=server') });
    await expect(fetchBounded(url, { limit: 1, timeoutMs: 200, fetch: pool.fetch })).rejects.toThrow('no whole answer');
    const asked = ask(pool, url);
    await passes(() => expect(open).toHaveLength(2));
    open[1]!.destroy();
    await expect(asked).rejects.toMatchObject({ code: 'network' });
  });
});
