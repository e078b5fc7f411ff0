/** SVIDs and bundles that rotate while a TLS handshake is under way: what counts is what holds at the request. */
import https from 'node:https';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { formatPem } from '../../../../../merkle/pem.ts';
import { Identifier } from '../../../../../merkle/runtime/identity/identify.ts';
import { openBundleSource, openSvidSource } from '../../../../../merkle/runtime/identity/spiffe/open-sources.ts';
import type { Svid } from '../../../../../merkle/runtime/identity/spiffe/types.ts';
import type { Caller, IdentityError } from '../../../../../merkle/runtime/identity/types.ts';
import { tempDir } from '../../../../support/log.ts';
import { gate, until } from '../../../../support/until.ts';
import { WorkloadApiServer } from '../../../../support/workload-api.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const pairOf = ({ chain, key }: Svid) => ({
  cert: chain.map((der) => formatPem('CERTIFICATE', der)).join(''),
  key: key.export({ format: 'pem', type: 'pkcs8' }),
});

/** Passes bytes on; those of the client after its first ones, when `open` says so. Counts what the server answered. */
async function pausing(port: number, opened: Promise<void>) {
  let answered = 0;
  const proxy = createServer((client: Socket) => {
    const server = connect(port, '127.0.0.1');
    let first = true;
    client.on('error', () => {}).on('close', () => server.destroy());
    server.on('error', () => {}).on('close', () => client.destroy());
    server.on('data', (bytes: Buffer) => {
      answered += bytes.length;
      client.write(bytes);
    });
    client.on('data', (bytes: Buffer) => {
      if (first) server.write(bytes);
      else void opened.then(() => server.write(bytes));
      first = false;
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, resolve));
  ends.push(() => proxy.close());
  return { port: (proxy.address() as AddressInfo).port, answered: () => answered };
}

/** Sends one request over a connection of its own, and returns the answer. */
function ask(port: number, svid: Svid): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false, ...pairOf(svid) };
    const socket = tlsConnect(options, () => socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'));
    let text = '';
    socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    socket.on('error', reject).on('end', () => resolve(text.slice(text.indexOf('\r\n\r\n') + 4)));
  });
}

describe('a rotation in the middle of a handshake', () => {
  it.each<[string, boolean, string]>([
    ['keeps a client whose authority stays', false, 'spiffe://example.org/client'],
    ['ends a client whose authority is revoked', true, 'certificate-chain'],
  ])('%s', async (_, only, expected) => {
    const dir = await tempDir();
    ends.push(() => dir.remove());
    const identities = [{ id: 'spiffe://example.org/server' }, { id: 'spiffe://example.org/client' }];
    const api = await WorkloadApiServer.start({ socket: join(dir.path, 'api.sock'), identities });
    ends.push(() => api.close());
    const workloadApi = api.address;
    const [own, client, bundles] = await Promise.all([
      openSvidSource({ workloadApi }),
      openSvidSource({ workloadApi, id: 'spiffe://example.org/client' }),
      openBundleSource({ workloadApi }),
    ]);
    const identifier = new Identifier({ bundles });
    for (const { close } of [own, client, bundles]) ends.push(close);
    const server = https.createServer(
      { ...pairOf(own.current()), requestCert: true, rejectUnauthorized: false },
      (request, reply) => {
        try {
          reply.end((identifier.identify(request) as Caller).id);
        } catch (error) {
          reply.end((error as IdentityError).code);
        }
      },
    );
    own.onChange(() => server.setSecureContext(pairOf(own.current())));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ends.push(() => server.close());
    const { port } = server.address() as AddressInfo;

    const before = client.current();
    expect(await ask(port, before)).toBe('spiffe://example.org/client');
    const pause = gate();
    const proxy = await pausing(port, pause.opened);
    const answer = ask(proxy.port, before);
    await until(() => proxy.answered() > 0);
    const serverBefore = own.current();
    api.rotateAuthority(undefined, { only });
    await until(() => own.current() !== serverBefore && client.current() !== before);
    const { serialNumber } = api.authority().certificate;
    const roots = () => bundles.current().get('example.org')!.x509Authorities;
    await until(() => roots().at(-1)!.serialNumber === serialNumber && roots().length === (only ? 1 : 2));
    pause.open();
    expect(await answer).toBe(expected);
    expect(await ask(port, client.current())).toBe('spiffe://example.org/client');
    expect(await ask(port, before)).toBe(expected);
  });
});
