/** An https server in front of an http one, with a certificate made for it. */
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { formatPem } from '../../merkle/pem.ts';
import { type Authority, issue, issueCa, type Wish } from '../merkle/x509/make.ts';
import { der } from './der.ts';

const SERVER_AUTHENTICATION = '1.3.6.1.5.5.7.3.1';

export const newAuthority = (name: string): Authority => issueCa(name);

export const pemOf = ({ certificate }: Authority): string => formatPem('CERTIFICATE', certificate.der);

export const keyPem = ({ keys }: Authority): string =>
  keys.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;

export interface TlsServer {
  /** https://localhost:PORT */
  readonly url: string;
  /** Connections whose handshake came to its end. */
  readonly handshakes: () => number;
  close(): Promise<void>;
}

export interface TlsWish {
  readonly by: Authority;
  readonly certificate?: Partial<Wish>;
  readonly host?: string;
}

/** Passes all requests on to `target`, an http URL. The certificate is for `host`, by default localhost. */
export async function tlsServer(target: string, { by, certificate, host = 'localhost' }: TlsWish): Promise<TlsServer> {
  const names = [der(0x82, Buffer.from(host))];
  const leaf = issue({ name: host, by, keyUsage: 0x80, usages: [SERVER_AUTHENTICATION], names, ...certificate });
  let handshakes = 0;
  const server = https.createServer({ key: keyPem(leaf), cert: pemOf(leaf) }, (request, reply) => {
    const { method, headers, url } = request;
    const passed = http.request(new URL(url ?? '/', target), { method, headers }, (answer) => {
      reply.writeHead(answer.statusCode ?? 502, answer.headers);
      pipeline(answer, reply, () => {});
    });
    passed.on('error', () => reply.destroy());
    request.pipe(passed);
  });
  server.on('secureConnection', () => {
    handshakes += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}`,
    handshakes: () => handshakes,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
