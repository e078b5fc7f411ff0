import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fetchTrusting } from '../../../../merkle/runtime/service/authority-fetch.ts';
import { fetchBounded } from '../../../../merkle/runtime/service/fetch.ts';
import { newAuthority, pemOf, type TlsWish, tlsServer } from '../../../support/tls-server.ts';

const ours = newAuthority('our authority');
const other = newAuthority('another authority');
const bounds = { limit: 10, timeoutMs: 10_000, fetch: fetchTrusting([pemOf(other), pemOf(ours)]) };

async function serve(answer: RequestListener, wish: Partial<TlsWish> = {}): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const tls = await tlsServer(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { by: ours, ...wish });
  onTestFinished(async () => {
    await tls.close();
    server.closeAllConnections();
    server.close();
  });
  return tls.url;
}

const echo: RequestListener = async (request, reply) =>
  reply
    .writeHead(201, { 'x-kind': request.headers['content-type'] ?? 'none' })
    .end(`${request.method}:${await text(request)}`);

describe('a fetch with authorities of its own', () => {
  it('sends and reads as fetchBounded wants it', async () => {
    const url = await serve(echo);
    const whole = { ...bounds, read: 'all' } as const;
    const got = await fetchBounded(url, whole);
    expect([got.status, Buffer.from(got.bytes).toString(), got.headers.get('x-kind')]).toEqual([201, 'GET:', 'none']);
    const posted = await fetchBounded(url, { ...whole, body: 'bödy', headers: { 'content-type': 'text/plain' } });
    expect(Buffer.from(posted.bytes).toString()).toBe('POST:bödy');
    expect(posted.headers.get('x-kind')).toBe('text/plain');
    const bytes = await fetchBounded(url, { ...whole, body: Uint8Array.of(65, 66).subarray(1) });
    expect(Buffer.from(bytes.bytes).toString()).toBe('POST:B');
    await expect(fetchBounded(url, { ...whole, limit: 3 })).rejects.toMatchObject({ code: 'too-long' });
    expect((await fetchBounded(await serve((_, reply) => reply.writeHead(204).end()), whole)).status).toBe(204);
    expect(
      (await fetchBounded(await serve((_, reply) => reply.writeHead(307, { location: '/' }).end()), whole)).status,
    ).toBe(307);
  });

  it('ends in time, with the signal, and where the answer is cut off', async () => {
    const silent = await serve(() => {});
    await expect(fetchBounded(silent, { ...bounds, timeoutMs: 50 })).rejects.toMatchObject({
      message: `${silent} gave no whole answer within 0.05 s`,
    });
    const stop = new AbortController();
    const begun = await serve((_, reply) =>
      reply.writeHead(200, { 'content-length': '5' }).write('x', () => stop.abort()),
    );
    await expect(fetchBounded(begun, { ...bounds, signal: stop.signal })).rejects.toMatchObject({ code: 'aborted' });
    const cut = await serve((_, reply) =>
      reply.writeHead(200, { 'content-length': '5' }).write('x', () => reply.destroy()),
    );
    await expect(fetchBounded(cut, bounds)).rejects.toMatchObject({ code: 'network' });
  });

  it.each<[string, Partial<TlsWish>, string]>([
    ['of another authority', { by: newAuthority('a third authority') }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    [
      'of an authority with the same name and another key',
      { by: newAuthority('our authority') },
      'CERT_SIGNATURE_FAILURE',
    ],
    ['that is over', { certificate: { to: '2025-01-01T00:00:00Z' } }, 'CERT_HAS_EXPIRED'],
    ['for another host', { host: 'other.example' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('refuses a server with a certificate %s, whatever the environment says', async (_, wish, code) => {
    const url = await serve(echo, wish);
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      await expect(fetchBounded(url, bounds)).rejects.toMatchObject({ message: `${url} does not answer: ${code}` });
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
  });
});
