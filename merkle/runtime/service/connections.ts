/**
 * The open connections of one server, and how clients share them.
 *
 * A connection past the share of its client, or of a client that is shut out, is closed at once. When all connections are taken,
 * the client with the most loses one to a client with fewer. A connection whose request is being answered is never taken away.
 * Connections of trusted proxies count for no client.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ClientAddresses } from './client-address.ts';

/** The part of all connections that one client may take. */
const SHARE = 3 / 4;

export interface ConnectionLimits {
  /** Open connections, all together. */
  readonly connections: number;
  /** Those of one client. Default: three quarters of `connections`. */
  readonly connectionsPerAddress?: number | undefined;
}

/**
 * `address`: the client has its share. `full`: all are taken, and no client has more. `displaced`: it was open, and made room for
 * another client. `shut-out`: the client sent what costs too much.
 */
export type ConnectionRefusal = 'address' | 'full' | 'displaced' | 'shut-out';

/** A reply that its client has not read yet: how many bytes must be out, and by when. */
interface Unread {
  readonly drained: number;
  readonly until: number;
}

interface Connection {
  /** The one of TCP. */
  readonly socket: Socket;
  /** The one that HTTP/1.1 uses, which TLS makes at the end of its handshake. */
  http: Socket | undefined;
  /** A session of HTTP/2 uses the connection, and ends it by itself. */
  session: boolean;
  unread: Unread | undefined;
}

interface ConnectionsOptions {
  /** Read at each use. */
  readonly limits: () => ConnectionLimits;
  readonly clients: ClientAddresses;
  readonly refused: (refusal: ConnectionRefusal) => void;
}

export class Connections {
  readonly #options: ConnectionsOptions;
  readonly #all = new Map<string, Connection>();
  /** Without those of trusted proxies; the oldest of each client first. */
  readonly #byClient = new Map<string, Set<Connection>>();

  constructor(options: ConnectionsOptions) {
    this.#options = options;
    options.clients.onShutOut((client, but) => this.#cut(client, but));
  }

  get count(): number {
    return this.#all.size;
  }

  /** Takes a new connection, or closes it and returns false. */
  admit(socket: Socket): boolean {
    const { clients, refused } = this.#options;
    const { client, proxy } = clients.peerOf(socket);
    const refusal = this.#refusal(proxy ? undefined : client);
    if (refusal !== undefined) {
      refused(refusal);
      socket.destroy();
      return false;
    }
    const connection: Connection = { socket, http: undefined, session: false, unread: undefined };
    const name = nameOf(socket);
    this.#all.set(name, connection);
    const own = proxy ? undefined : (this.#byClient.get(client) ?? new Set());
    if (own !== undefined) this.#byClient.set(client, own.add(connection));
    socket.once('close', () => {
      if (this.#all.get(name) === connection) this.#all.delete(name);
      own?.delete(connection);
      if (own?.size === 0 && this.#byClient.get(client) === own) this.#byClient.delete(client);
    });
    return true;
  }

  /** HTTP begins on the connection; with TLS it has another socket. */
  begin(http: Socket): void {
    const connection = this.#all.get(nameOf(http));
    if (connection !== undefined) connection.http = http;
  }

  /** HTTP/2 begins on the connection. */
  beginSession(secure: Socket): void {
    const connection = this.#all.get(nameOf(secure));
    if (connection !== undefined) connection.session = true;
  }

  /** Closes the connections that never sent a byte of HTTP. */
  closeSilent(): void {
    for (const { socket, http, session } of this.#all.values()) {
      if (session) continue;
      if (http === undefined || http.bytesRead === 0) socket.destroy();
    }
  }

  /**
   * Closes the connections whose client does not take its reply.
   *
   * Uses public counters alone. Node reports the bytes that it handed to the kernel one whole write at a time, so the time
   * allowed grows with the bytes that wait, and progress is the bytes that have gone.
   * @param replyTimeout milliseconds
   * @param replyRate bytes a second
   */
  cutSlowReaders(replyTimeout: number, replyRate: number): void {
    const now = performance.now();
    for (const connection of this.#all.values()) {
      const { http, unread } = connection;
      if (http === undefined) continue;
      const waiting = http.writableLength;
      const drained = http.bytesWritten - waiting;
      if (waiting === 0) {
        connection.unread = undefined;
      } else if (unread === undefined || drained >= unread.drained) {
        const until = now + replyTimeout + (waiting / replyRate) * 1000;
        connection.unread = { drained: drained + waiting, until };
      } else if (now > unread.until) {
        http.destroy();
      }
    }
  }

  /**
   * Closes the connections that the client already has, before what waits in them is read: by then all of them may have sent the same.
   */
  #cut(client: string, but: Socket): void {
    for (const connection of this.#byClient.get(client) ?? []) {
      if (connection.http === but || connection.socket.destroyed || isServed(connection)) continue;
      this.#options.refused('shut-out');
      connection.socket.destroy();
    }
  }

  /** Why there is no connection for the client (undefined for a proxy); where there is none free, it takes one from another. */
  #refusal(client: string | undefined): ConnectionRefusal | undefined {
    const { limits, clients, refused } = this.#options;
    if (client !== undefined && clients.isShutOut(client)) return 'shut-out';
    const { connections, connectionsPerAddress: share = Math.ceil(connections * SHARE) } = limits();
    const own = client === undefined ? 0 : (this.#byClient.get(client)?.size ?? 0);
    const full = this.#all.size >= connections;
    if (client !== undefined && own >= share) return full ? 'full' : 'address';
    if (!full) return undefined;
    const loser = this.#loser(own + 1);
    if (loser === undefined) return 'full';
    refused('displaced');
    loser.socket.destroy();
    return undefined;
  }

  /** The oldest connection without work of the client that has the most, and more than `count`. */
  #loser(count: number): Connection | undefined {
    let heaviest: Set<Connection> | undefined;
    for (const own of this.#byClient.values()) if (own.size > (heaviest?.size ?? count)) heaviest = own;
    for (const connection of heaviest ?? []) {
      if (!connection.socket.destroyed && !isServed(connection)) return connection;
    }
    return undefined;
  }
}

/** Whether the service works on a reply: the request is whole, and its reply is not. */
function isServed({ http }: Connection): boolean {
  // Node sets `_httpMessage` while a reply is under way; its own handler of errors reads it too.
  const message = (http as { _httpMessage?: ServerResponse | null } | undefined)?._httpMessage;
  return message?.req.complete === true && !message.writableEnded;
}

/** Names a connection before and after its TLS handshake, for which Node has two sockets. */
function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
