/** The app of a test: over a small log in memory, on a port of its own where the test needs a socket. */

import { once } from 'node:events';
import { type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { App } from '../../../merkle/runtime/service/app.ts';
import type { Logger } from '../../../merkle/runtime/service/logger.ts';
import { type Config, loadConfig } from '../../../server/config/load.ts';
import type { HttpOptions } from '../../../server/http/context.ts';
import { createApp } from '../../../server/http/http.ts';
import { Metrics } from '../../../server/metrics.ts';
import type { LogService } from '../../../server/types.ts';
import { type Injectable, injectable } from '../../support/inject.ts';
import { openTestLog, tempDir } from '../../support/log.ts';
import { MemoryLog } from '../../support/memory-log.ts';
import { hashedRekordRequest, sharedSigner, toJsonBatch } from '../../support/requests.ts';

export const ENTRIES = '/api/v2/log/entries';
export const BATCH = `${ENTRIES}:batch`;

/** What the server logged, for looking at in a test. */
export class MemoryLogger {
  readonly lines: { fields: { err?: Error }; message: string }[] = [];
  readonly requests: object[] = [];
  readonly info = (fields: object) => void this.requests.push(fields);
  readonly warn = () => {};
  readonly error = (fields: { err?: Error }, message: string) => void this.lines.push({ fields, message });
}

/** The logs that the same tests run on: the small one, and the one that runs. The latter needs a built worker. */
export const LOGS: Readonly<Record<string, () => Promise<{ log: LogService; remove(): Promise<void> }>>> = {
  'a log in memory': async () => ({ log: new MemoryLog(), remove: async () => {} }),
  'the real log': async () => {
    const dir = await tempDir();
    const log = await openTestLog(dir.path);
    const remove = async () => {
      await log.close();
      await dir.remove();
    };
    return { log, remove };
  },
};

/** Settings that differ from the defaults. */
export type TestOptions = Omit<Partial<HttpOptions>, 'limits'> & { readonly limits?: Partial<Config['limits']> };

export interface TestApp<L = MemoryLog> {
  readonly app: Injectable;
  readonly log: L;
  readonly metrics: Metrics;
  readonly logger: MemoryLogger;
}

export function makeApp(options: TestOptions = {}): TestApp {
  const made = appOver(new MemoryLog(), options);
  onTestFinished(() => made.app.close());
  return made;
}

export async function makeAppOn(kind: string, options: TestOptions = {}): Promise<TestApp<LogService>> {
  const { log, remove } = await LOGS[kind]!();
  const made = appOver(log, options);
  onTestFinished(async () => {
    await made.app.close();
    await remove();
  });
  return made;
}

/** How many requests the server has begun to take from now on. */
export function requestsOf(app: App): () => number {
  let requests = 0;
  app.server.on('request', () => requests++);
  return () => requests;
}

/** For the caller to close. */
export function appOver<L extends LogService>(log: L, options: TestOptions = {}, requestLogger?: Logger): TestApp<L> {
  const metrics = new Metrics({ process: false });
  const logger = new MemoryLogger();
  const { limits, tls: _, ...rest } = loadConfig({ env: {} });
  const app = createApp(
    log,
    { ...rest, ...options, limits: { ...limits, ...options.limits } },
    metrics,
    requestLogger ?? logger,
  );
  return { app: injectable(app), log, metrics, logger };
}

export async function listen(app: App): Promise<{ port: number; base: string }> {
  await once(app.server.listen({ port: 0, host: '127.0.0.1' }), 'listening');
  const { port } = app.server.address() as AddressInfo;
  return { port, base: `http://127.0.0.1:${port}` };
}

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One request over a real connection to this machine, and its whole reply; without `Date`, which differs each time. */
export async function exchange(options: RequestOptions, payload?: string | Uint8Array): Promise<HttpReply> {
  const sent = request({ host: '127.0.0.1', ...options });
  sent.end(payload);
  const [reply] = await once(sent, 'response');
  const parts: Buffer[] = [];
  for await (const part of reply) parts.push(part);
  const { date: _, ...headers } = reply.headers;
  return { status: reply.statusCode, headers, body: Buffer.concat(parts) };
}

/** Grows the log to `size` entries. */
export async function fill(log: LogService, size: number): Promise<void> {
  while (log.publishedSize < size) {
    const count = Math.min(64, size - log.publishedSize);
    const requests = Array.from({ length: count }, () => hashedRekordRequest(sharedSigner()));
    await log.submit(Buffer.from(toJsonBatch(requests)), 'json-batch');
  }
}

/** A raw connection: what it was sent, and when it was closed. */
export async function dial(port: number): Promise<{ socket: Socket; text: () => string; closed: Promise<string> }> {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => void socket.once('close', () => resolve(received)));
  await once(socket, 'connect');
  onTestFinished(() => void socket.destroy());
  return { socket, text: () => received, closed };
}

/** Status and JSON body of a raw reply. */
export function parseReply(text: string): { status: number; head: string; body: unknown } {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2);
  return { status: Number(head.split(' ', 2)[1]), head: head.toLowerCase(), body: body === '' ? '' : JSON.parse(body) };
}
