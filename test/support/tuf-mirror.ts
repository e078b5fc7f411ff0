/** Serves files by HTTP as a mirror of a TUF repository does; for a path it can also misbehave, as an attacker would. */
import http, { type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What the mirror does instead of serving a file.
 *
 * - a number: it answers with this status.
 * - `endless`: a body without an end, as fast as the reader takes it.
 * - `endless-json`: the same, as one JSON string that does not end.
 * - `slow`: the head of an answer and one byte, and then nothing until the reader leaves.
 * - `silent`: no answer at all until the reader leaves.
 * - `cut`: the first half of the file, and then the connection breaks.
 * - a function: writes the answer itself.
 */
export type Misconduct =
  | number
  | 'endless'
  | 'endless-json'
  | 'slow'
  | 'silent'
  | 'cut'
  | ((response: ServerResponse, file: Uint8Array | undefined) => void);

export interface TufMirror {
  /** http://127.0.0.1:PORT, without a slash at its end. */
  readonly url: string;
  /** The paths that were asked for, in order, without the slash at their begin. */
  readonly requests: readonly string[];
  /** The bytes that were sent of endless bodies. */
  readonly sent: () => number;
  /** How many requests wait for an answer that never comes. */
  readonly waiting: () => number;
  /** Files by path, as `TufMaker.files` has them. Every request reads them anew, and they can be exchanged. */
  files: ReadonlyMap<string, Uint8Array>;
  misbehave(path: string, how: Misconduct): void;
  /** Back to good behavior, and `requests` is empty. */
  reset(): void;
  close(): Promise<void>;
}

const CHUNK = Buffer.alloc(65_536, 0x20);

/** @param below the path below which the files are, such as `/trust` */
export async function startMirror(files: ReadonlyMap<string, Uint8Array>, below = ''): Promise<TufMirror> {
  const misconduct = new Map<string, Misconduct>();
  const requests: string[] = [];
  let sent = 0;
  let waiting = 0;
  const server = http.createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://mirror').pathname);
    const name = path.startsWith(`${below}/`) ? path.slice(below.length + 1) : path;
    requests.push(name);
    const file = mirror.files.get(name);
    const how = misconduct.get(name);
    if (how === undefined) {
      if (file === undefined) response.writeHead(404).end('not found\n');
      else response.writeHead(200, { 'content-length': file.length }).end(file);
    } else if (typeof how === 'number') response.writeHead(how).end('no\n');
    else if (typeof how === 'function') how(response, file);
    else if (how === 'cut') cut(response, file ?? CHUNK);
    else if (how === 'endless' || how === 'endless-json')
      endless(response, how === 'endless' ? CHUNK : 'x'.repeat(65_536));
    else {
      waiting += 1;
      response.once('close', () => {
        waiting -= 1;
      });
      if (how === 'slow') response.writeHead(200).write('{');
    }
  });
  /** Writes as long as somebody reads. */
  function endless(response: ServerResponse, chunk: Uint8Array | string): void {
    response.writeHead(200);
    if (typeof chunk === 'string') response.write('"');
    const more = () => {
      while (!response.destroyed) {
        sent += chunk.length;
        if (!response.write(chunk)) return;
      }
    };
    response.on('drain', more);
    response.on('error', () => {});
    more();
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const mirror: TufMirror = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${below}`,
    requests,
    sent: () => sent,
    waiting: () => waiting,
    files,
    misbehave: (path, how) => misconduct.set(path, how),
    reset: () => {
      misconduct.clear();
      requests.length = 0;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return mirror;
}

function cut(response: ServerResponse, file: Uint8Array): void {
  response.writeHead(200, { 'content-length': file.length });
  response.write(file.subarray(0, Math.floor(file.length / 2)), () => response.destroy());
}
