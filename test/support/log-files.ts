/** Files and servers for the logs of tests. */
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach } from 'vitest';
import { encodeUtf8 } from '../../merkle/bytes.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
/** Runs `close` after the test. The last registered function runs first. */
export const later = (close: () => unknown): void => void closers.push(close);

export function tempDir(): string {
  const path = mkdtempSync(join(tmpdir(), 'stele-log-'));
  later(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export function put(dir: string, path: string, bytes: Uint8Array | string): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), bytes);
}

export function linkFile(dir: string, from: string, to: string): void {
  mkdirSync(dirname(join(dir, to)), { recursive: true });
  linkSync(join(dir, from), join(dir, to));
}

/** Every file below `dir` except the checkpoint, with its length. */
export function filesIn(dir: string): { path: string; length: number }[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((path) => path !== 'checkpoint' && statSync(join(dir, path)).isFile())
    .map((path) => ({ path, length: statSync(join(dir, path)).size }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

export const numbered = (count: number, name = 'entry'): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => encodeUtf8(`${name} ${i}`));

export type Handler = (path: string, response: ServerResponse, request: IncomingMessage) => void;

/** A server on a free port. `handler` gets the path without its first slash. */
export async function serve(handler: Handler): Promise<string> {
  const server = createServer((request, response) => handler(request.url!.slice(1), response, request));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  later(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
