/** A server in front of a real one, that passes on what it says, or lies. For tests of clients that must see each lie. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface ProxiedAnswer {
  readonly status: number;
  readonly body: Buffer;
}

export interface LyingProxy {
  readonly url: string;
  /** What it answers in place of the real answer; set it to `honest` again after a lie. */
  lie: (path: string, answer: ProxiedAnswer) => ProxiedAnswer | Promise<ProxiedAnswer>;
  /** Method and path with its query of each request, and the bytes of its body. */
  readonly asked: { readonly method: string; readonly path: string; readonly bytes: number }[];
  stop(): Promise<void>;
}

export const honest: LyingProxy['lie'] = (_path, answer) => answer;

/** @param target without a slash at its end */
export async function startProxy(target: string): Promise<LyingProxy> {
  const proxy = {
    url: '',
    lie: honest,
    asked: [] as { method: string; path: string; bytes: number }[],
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const answer = async (request: IncomingMessage): Promise<{ answer: ProxiedAnswer; type: string }> => {
    const path = request.url!;
    const body = await buffer(request);
    proxy.asked.push({ method: request.method!, path, bytes: body.length });
    const real = await fetch(`${target}${path}`, { redirect: 'manual' });
    const given = { status: real.status, body: Buffer.from(await real.arrayBuffer()) };
    return { answer: await proxy.lie(path, given), type: real.headers.get('content-type') ?? 'text/plain' };
  };
  const server = createServer((request, reply) => {
    answer(request).then(
      ({ answer: { status, body }, type }) => {
        reply.writeHead(status, { 'content-type': type, 'access-control-allow-origin': '*' }).end(body);
      },
      (error: unknown) => reply.writeHead(502).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}
