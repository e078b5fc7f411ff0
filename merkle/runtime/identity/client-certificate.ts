/**
 * The certificate that a client showed in its TLS handshake, with the certificates that came with it. The handshake has proven
 * that the client holds the key, and nothing else: a port that asks for identities takes any certificate, and refuses in HTTP.
 */
import type { IncomingMessage } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { MerkleError } from '../../errors.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { peerChain } from './spiffe/peer-chain.ts';
import { IdentityError } from './types.ts';

/** What is known of a connection for as long as it lives. */
export interface Connection {
  readonly socket: TLSSocket;
  /** As the client sent it, leaf first; empty where it showed none. */
  readonly chain: readonly Certificate[];
  /** Why the certificate cannot be read. */
  readonly malformed?: IdentityError;
}

/** By socket, or by session of HTTP/2, whose requests have a stand-in for their socket. A chain can be read once alone. */
const connections = new WeakMap<object, Connection>();

/** Undefined without TLS. */
export function connectionOf(request: IncomingMessage): Connection | undefined {
  const { stream } = request as unknown as { readonly stream?: ServerHttp2Stream };
  const holder = stream?.session ?? request.socket;
  const known = connections.get(holder);
  if (known !== undefined) return known;
  const socket = (stream?.session?.socket ?? request.socket) as TLSSocket;
  if (socket.encrypted !== true) return undefined;
  const connection = readConnection(socket);
  connections.set(holder, connection);
  return connection;
}

function readConnection(socket: TLSSocket): Connection {
  try {
    return { socket, chain: peerChain(socket) };
  } catch (error) {
    const why = error instanceof MerkleError ? error.message : 'it is not an X.509 certificate';
    return {
      socket,
      chain: [],
      malformed: new IdentityError('certificate-malformed', `the client certificate cannot be read: ${why}`),
    };
  }
}
