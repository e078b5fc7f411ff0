/**
 * Connections to https servers that show an identity of this end, or that check the identity of the server by another rule than its
 * host name. The one place where Stele makes such connections.
 *
 * A connection reaches its request only once the server's certificate is checked: no byte of a request goes to a server that is refused.
 * A rotation (of this end's certificate, or of what servers are checked by) ends the idle connections, and those under way after their
 * answer; so does the end of a certificate on either side. Sessions are never resumed, because a resumed one keeps the identities of an
 * earlier handshake.
 */

import { X509Certificate } from 'node:crypto';
import type { Agent as HttpAgent } from 'node:http';
import https from 'node:https';
import type { LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Certificate } from '../../x509/certificate.ts';
import { peerChain } from '../identity/spiffe/peer-chain.ts';
import { sendBy } from './authority-fetch.ts';
import { ConnectionRefused } from './connection-refused.ts';
import type { TlsIdentity } from './tls-files.ts';

/** A rule for servers in the place of authorities and host names. */
export interface ServerRule {
  /**
   * Checks what a server showed, the leaf first.
   * @returns until when the check holds, in milliseconds since 1970
   * @throws Error where the server is refused; the message says who the server is and who is expected
   */
  check(chain: readonly Certificate[], now: number): number;
  onChange(listener: () => void): () => void;
}

export interface TlsPoolOptions {
  /** Certificates (PEM) of the authorities that certify servers, in the place of the system's. Not with `rule`. */
  readonly authorities?: readonly string[] | undefined;
  readonly rule?: ServerRule | undefined;
  /** What this end shows; nothing where it is undefined. */
  readonly identity?: TlsIdentity | undefined;
  readonly lookup?: LookupFunction | undefined;
  /** Requests wait for each other, and use one connection at a time. */
  readonly oneConnection?: boolean | undefined;
  readonly now?: () => number;
}

/** For a handshake, in milliseconds. */
const HANDSHAKE_MS = 20_000;

interface Pool {
  readonly agent: CheckedAgent;
  /** When the first of its certificates ends, in milliseconds since 1970. */
  until: number;
}

export class TlsPool {
  readonly #options: TlsPoolOptions;
  readonly #now: () => number;
  readonly #stop: (() => void)[] = [];
  #pool: Pool | undefined;

  constructor(options: TlsPoolOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const retire = () => this.#retire();
    for (const source of [options.identity, options.rule])
      if (source !== undefined) this.#stop.push(source.onChange(retire));
  }

  /** The connections of the newest identity, for one request. @throws ConnectionRefused where there is none to show */
  agent(): https.Agent {
    if (this.#pool !== undefined && this.#pool.until > this.#now()) return this.#pool.agent;
    this.#retire();
    const { rule, authorities, lookup, oneConnection } = this.#options;
    const shown = this.#shown();
    const pool: Pool = {
      until: shown?.until ?? Number.POSITIVE_INFINITY,
      agent: new CheckedAgent(
        {
          ...shown?.pair,
          ...(authorities !== undefined && { ca: [...authorities] }),
          ...(lookup !== undefined && { lookup }),
          rejectUnauthorized: rule === undefined,
        },
        (socket) => {
          if (rule === undefined) return;
          pool.until = Math.min(pool.until, checked(rule, socket, this.#now()));
        },
        oneConnection === true ? 1 : Number.POSITIVE_INFINITY,
      ),
    };
    this.#pool = pool;
    return pool.agent;
  }

  /** A `fetch` over these connections. It follows no redirect, and refuses http URLs, whose servers have no identity. */
  readonly fetch: typeof fetch = async (input, init = {}) => {
    const url = new URL(String(input));
    if (url.protocol !== 'https:') {
      throw new ConnectionRefused(`${url.origin} is not https: no identity can be shown or checked there`);
    }
    return await sendBy(https, url, { agent: this.agent() }, init);
  };

  /** Ends the idle connections, and those under way after their answer. */
  close(): void {
    for (const stop of this.#stop.splice(0)) stop();
    this.#retire();
  }

  #retire(): void {
    this.#pool?.agent.retire();
    this.#pool = undefined;
  }

  #shown(): { readonly pair: { readonly cert: string; readonly key: string }; readonly until: number } | undefined {
    const { identity } = this.#options;
    if (identity === undefined) return undefined;
    try {
      const { cert, key } = identity.current();
      return { pair: { cert, key }, until: Date.parse(new X509Certificate(cert).validTo) };
    } catch (cause) {
      throw new ConnectionRefused(`there is no identity to show: ${(cause as Error).message}`, { cause });
    }
  }
}

function checked(rule: ServerRule, socket: TLSSocket, now: number): number {
  try {
    return rule.check(peerChain(socket), now);
  } catch (cause) {
    throw new ConnectionRefused(`${(cause as Error).message}. Nothing of the request was sent`, { cause });
  }
}

type Opened = (error: Error | null, stream: Duplex) => void;

class CheckedAgent extends https.Agent {
  readonly #tls: ConnectionOptions;
  readonly #check: (socket: TLSSocket) => void;

  /** @param check throws where the server is refused */
  constructor(options: ConnectionOptions, check: (socket: TLSSocket) => void, maxSockets: number) {
    super({ keepAlive: true, maxCachedSessions: 0, maxSockets });
    this.#tls = options;
    this.#check = check;
  }

  /** Node's own would hand over the socket before the handshake. */
  override createConnection(target: https.RequestOptions, opened: Opened = () => {}): undefined {
    const socket = tls.connect({ ...(target as ConnectionOptions), ...this.#tls });
    let isOpen = false;
    const end = (error: Error | null) => {
      if (isOpen) return;
      isOpen = true;
      clearTimeout(timer);
      socket.off('error', end);
      if (error === null) opened(null, socket);
      else {
        socket.on('error', () => {});
        socket.destroy();
        opened(error, socket);
      }
    };
    const timer = setTimeout(() => end(new Error('the TLS handshake did not end in time')), HANDSHAKE_MS).unref();
    socket.on('error', end);
    socket.once('close', () => end(new Error('the connection was closed in the TLS handshake')));
    socket.once('secureConnect', () => {
      try {
        this.#check(socket);
        end(null);
      } catch (error) {
        end(error as Error);
      }
    });
    return undefined;
  }

  /** Ends its connections: idle ones now, the others after their answer. */
  retire(): void {
    // Read by Node whenever a connection becomes idle.
    (this as unknown as { keepAlive: boolean }).keepAlive = false;
    for (const sockets of Object.values((this as HttpAgent).freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }
}
