/**
 * A log behind a line that fails: a small log in memory, the real HTTP app before it, and a proxy that does to each request
 * what the test says.
 *
 *     const log = await faultyLog();
 *     log.faults.push(away, lostReply);        // the first two requests; all others pass
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { appOver, listen, type TestOptions } from '../../server/http/support.ts';
import { MemoryLog } from '../../support/memory-log.ts';

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

type Pass = () => Promise<{ status: number; headers: Record<string, string>; body: Buffer }>;
/** Does something else than passing the request on, or before or after it. `seen` is the request with its body. */
export type Fault = (request: IncomingMessage, reply: ServerResponse, pass: Pass, seen: Seen) => void | Promise<void>;

export const away: Fault = (request) => void request.socket.destroy();
export const silent: Fault = () => {};
/** The log takes it, and nobody hears of it. */
export const lostReply: Fault = async (request, _reply, pass) => {
  await pass();
  request.socket.destroy();
};
export const cutReply: Fault = async (request, reply, pass) => {
  const { status, headers, body } = await pass();
  reply.writeHead(status, { ...headers, 'content-length': String(body.length) });
  reply.write(body.subarray(0, body.length / 2), () => request.socket.destroy());
};
export const answers =
  (status: number, body: unknown = {}, headers: Record<string, string> = {}): Fault =>
  (_request, reply) =>
    void reply.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));

export interface FaultyLog {
  readonly url: string;
  readonly vkey: string;
  readonly log: MemoryLog;
  /** One for each request that comes; then `otherwise`. */
  readonly faults: Fault[];
  otherwise: Fault | undefined;
  /** Requests that came, in order. */
  readonly seen: Seen[];
  /** Bodies of POST. */
  posts(): string[];
  /** Puts another log behind the same address. */
  replace(log: MemoryLog): Promise<void>;
  close(): Promise<void>;
}

export async function faultyLog(options: TestOptions = {}): Promise<FaultyLog> {
  const closing: (() => Promise<unknown> | void)[] = [];
  const serve = async (log: MemoryLog) => {
    const { app } = appOver(log, options);
    closing.push(() => app.close());
    return (await listen(app)).base;
  };
  const log = new MemoryLog();
  let base = await serve(log);
  const server = createServer((request, reply) => {
    const parts: Buffer[] = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', async () => {
      const body = Buffer.concat(parts);
      const path = request.url!;
      const seen = { method: request.method!, path, body: body.toString() };
      faulty.seen.push(seen);
      const pass: Pass = async () => {
        const post = request.method === 'POST' ? { method: 'POST', body } : {};
        const answer = await fetch(`${base}${path}`, post);
        const headers = Object.fromEntries(
          [...answer.headers].filter(([name]) => ['content-type', 'retry-after', 'x-log-index'].includes(name)),
        );
        return { status: answer.status, headers, body: Buffer.from(await answer.arrayBuffer()) };
      };
      const fault = faulty.faults.shift() ?? faulty.otherwise;
      if (fault !== undefined) return await fault(request, reply, pass, seen);
      const answer = await pass();
      reply.writeHead(answer.status, answer.headers).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const faulty: FaultyLog = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    vkey: log.info.verifierKeys[0]!,
    log,
    faults: [],
    otherwise: undefined,
    seen: [],
    posts: () => faulty.seen.filter(({ method }) => method === 'POST').map(({ body }) => body),
    async replace(other) {
      base = await serve(other);
    },
    async close() {
      server.closeAllConnections();
      server.close();
      for (const close of closing) await close();
    },
  };
  return faulty;
}
