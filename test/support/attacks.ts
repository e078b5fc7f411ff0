/** Clients that mean harm, over raw sockets from addresses of loopback. A connection that is closed is opened again. */
import { connect, type Socket } from 'node:net';

const MIB = 1024 * 1024;
const CHUNK = 16 * 1024;
const REDIAL_MS = 20;
const TRICKLE_MS = 50;

export interface Target {
  readonly port: number;
  /** The call that takes a body. */
  readonly path: string;
  /** The largest body that it takes, in bytes. */
  readonly bodyBytes: number;
  /** Milliseconds between two pieces of a flood on one connection. Default: none, as fast as the server reads. */
  readonly pauseMs?: number;
}

/** Sends on an open connection. The function that it returns ends that. */
type Harm = (socket: Socket, target: Target) => () => void;

const nothing = () => {};
const head = (path: string, headers: string) => `POST ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n\r\n`;

/** Writes one piece after another. */
function pour(socket: Socket, piece: Buffer, pauseMs = 0, pieces = Number.POSITIVE_INFINITY): () => void {
  if (pauseMs > 0 && pieces === Number.POSITIVE_INFINITY) {
    const timer = setInterval(() => socket.writableNeedDrain || socket.write(piece), pauseMs);
    return () => clearInterval(timer);
  }
  let left = pieces;
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      left--;
      if (!socket.write(piece)) return;
    }
  };
  socket.on('drain', more);
  more();
  return nothing;
}

function chunked(piece: Buffer): Harm {
  return (socket, { path, pauseMs }) => {
    socket.write(head(path, 'Transfer-Encoding: chunked'));
    return pour(socket, piece, pauseMs);
  };
}

const chunk = (length: number) => Buffer.from(`${length.toString(16)}\r\n${' '.repeat(length)}\r\n`);

export const ATTACKS = {
  /** All of a body but its last byte. */
  'unfinished bodies': (socket, { path, bodyBytes }) => {
    socket.write(head(path, `Content-Length: ${bodyBytes}`));
    socket.write(Buffer.alloc((bodyBytes - 1) % CHUNK, ' '));
    return pour(socket, Buffer.alloc(CHUNK, ' '), 0, Math.floor((bodyBytes - 1) / CHUNK));
  },
  /** Large lengths, and nothing after them. */
  'declared bodies': (socket, { path, bodyBytes }) => {
    socket.write(head(path, `Content-Length: ${bodyBytes}`));
    return nothing;
  },
  'trickled bodies': (socket, { path, bodyBytes }) => {
    socket.write(head(path, `Content-Length: ${bodyBytes}`));
    const drip = setInterval(() => socket.write(' '), TRICKLE_MS);
    return () => clearInterval(drip);
  },
  'silent connections': () => nothing,
  'half heads': (socket) => {
    socket.write('GET /checkpoint HTTP/1.1\r\nHost: local');
    return nothing;
  },
  'idle connections': (socket) => {
    socket.write('GET /checkpoint HTTP/1.1\r\nHost: localhost\r\n\r\n');
    return nothing;
  },
  'endless chunks': chunked(chunk(CHUNK)),
  'tiny chunks': chunked(Buffer.concat(Array.from({ length: 200 }, () => chunk(1)))),
  'bodies for no path': (socket, target) => chunked(chunk(CHUNK))(socket, { ...target, path: '/none' }),
  /** Whole bodies that are no request, as fast as they are refused. */
  'useless bodies': (socket, { path, pauseMs }) => {
    const request = Buffer.concat([Buffer.from(head(path, `Content-Length: ${MIB}`)), Buffer.alloc(MIB, ' ')]);
    socket.write(request);
    socket.on('data', () => setTimeout(() => socket.write(request), pauseMs ?? 0));
    return nothing;
  },
} satisfies Record<string, Harm>;

export type AttackName = keyof typeof ATTACKS;

export interface Running {
  /** Connections that were opened so far. */
  opened(): number;
  stop(): void;
}

/** Holds `connections` connections from each address of `from`, each of which does this harm. */
export function attack(name: AttackName, target: Target, from: readonly string[], connections: number): Running {
  const harm: Harm = ATTACKS[name];
  const sockets = new Set<Socket>();
  let stopped = false;
  let opened = 0;
  const dial = (localAddress: string) => {
    if (stopped) return;
    const socket = connect({ port: target.port, host: '127.0.0.1', localAddress });
    sockets.add(socket);
    let end = nothing;
    socket.on('connect', () => {
      opened++;
      end = harm(socket, target);
    });
    socket.on('error', nothing);
    socket.on('data', nothing);
    socket.on('close', () => {
      end();
      sockets.delete(socket);
      setTimeout(dial, REDIAL_MS, localAddress);
    });
  };
  for (const address of from) for (let i = 0; i < connections; i++) dial(address);
  return {
    opened: () => opened,
    stop: () => {
      stopped = true;
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** `127.0.<net>.1` and the addresses after it. */
export function addresses(net: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `127.0.${net}.${i + 1}`);
}
