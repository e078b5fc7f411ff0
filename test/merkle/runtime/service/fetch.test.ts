import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fetchBounded } from '../../../../merkle/runtime/service/fetch.ts';

const bounds = { limit: 10, timeoutMs: 10_000 };

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('fetchBounded', () => {
  it('sends a GET without a body and a POST with one, and another method where it is asked to', async () => {
    const url = await serve(async (request, reply) => reply.end(`${request.method}:${await text(request)}`));
    expect(Buffer.from((await fetchBounded(url, bounds)).bytes).toString()).toBe('GET:');
    expect(Buffer.from((await fetchBounded(url, { ...bounds, body: 'body' })).bytes).toString()).toBe('POST:body');
    const put = await fetchBounded(url, { ...bounds, method: 'PUT', body: 'body' });
    expect(Buffer.from(put.bytes).toString()).toBe('PUT:body');
    expect(Buffer.from((await fetchBounded(url, { ...bounds, method: 'DELETE' })).bytes).toString()).toBe('DELETE:');
  });

  it('takes as many bytes as the limit says, and not one more', async () => {
    const url = await serve((request, reply) => reply.end('x'.repeat(Number(request.url!.slice(1)))));
    expect((await fetchBounded(`${url}/10`, bounds)).bytes).toHaveLength(10);
    await expect(fetchBounded(`${url}/11`, bounds)).rejects.toMatchObject({ code: 'too-long' });
  });

  it('reads the body of an error only for a caller that asks for it', async () => {
    const url = await serve((_, reply) => reply.writeHead(409, { 'x-log-index': '7' }).end('conflict'));
    expect(await fetchBounded(url, bounds)).toMatchObject({ status: 409, bytes: new Uint8Array(0) });
    const whole = await fetchBounded(url, { ...bounds, read: 'all' });
    expect(whole.headers.get('x-log-index')).toBe('7');
    expect(Buffer.from(whole.bytes).toString()).toBe('conflict');
  });

  it('does not follow a redirect', async () => {
    const url = await serve((_, reply) => reply.writeHead(307, { location: '/elsewhere' }).end());
    expect((await fetchBounded(url, bounds)).status).toBe(307);
  });

  it('says what is wrong where nothing listens, where the answer is cut off, and where it does not come', async () => {
    await expect(fetchBounded('http://127.0.0.1:1', bounds)).rejects.toMatchObject({ code: 'network' });
    const cut = await serve((_, reply) =>
      reply.writeHead(200, { 'content-length': '5' }).write('x', () => reply.destroy()),
    );
    await expect(fetchBounded(cut, bounds)).rejects.toMatchObject({ code: 'network' });
    const silent = await serve(() => {});
    await expect(fetchBounded(silent, { ...bounds, timeoutMs: 50 })).rejects.toMatchObject({
      code: 'network',
      message: `${silent} gave no whole answer within 0.05 s`,
    });
  });

  it('ends with the signal, before and while it waits', async () => {
    const url = await serve(() => {});
    const stop = new AbortController();
    const waiting = fetchBounded(url, { ...bounds, signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
    await expect(fetchBounded(url, { ...bounds, signal: stop.signal })).rejects.toMatchObject({ code: 'aborted' });
  });
});
