import { once } from 'node:events';
import { request } from 'node:https';
import { describe, expect, it } from 'vitest';
import { hashedRekordRequest, sharedSigner, toJson } from '../../support/requests.ts';
import { dial, ENTRIES, listen, makeApp } from './support.ts';

const signer = sharedSigner('p256');
const pem = signer.certificate().toString('base64').replace(/.{64}/g, '$&\n');
const tls = {
  cert: `-----BEGIN CERTIFICATE-----\n${pem}\n-----END CERTIFICATE-----\n`,
  key: signer.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
};

describe('TLS', () => {
  it('serves with the certificate and key that it is given', async () => {
    const { app } = makeApp({ tls });
    const { port } = await listen(app);
    const call = request({
      port,
      host: '127.0.0.1',
      path: ENTRIES,
      method: 'POST',
      rejectUnauthorized: false,
      agent: false,
    });
    call.end(toJson(hashedRekordRequest()));
    const [reply] = await once(call, 'response');
    expect(reply.statusCode).toBe(201);
    reply.resume();
  });

  it('cuts what never becomes TLS', async () => {
    const { app } = makeApp({ tls, limits: { headersTimeout: 300 } });
    const { port } = await listen(app);
    const plain = await dial(port);
    plain.socket.write('GET /checkpoint HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const silent = await dial(port);
    expect(await plain.closed).not.toContain('200');
    expect(await silent.closed).toBe('');
    const open = () => new Promise<number>((resolve) => app.server.getConnections((_, count) => resolve(count)));
    await expect.poll(open, { timeout: 3000 }).toBe(0);
  });

  it('closes while a client has not begun its handshake', async () => {
    const { app } = makeApp({ tls });
    const { port } = await listen(app);
    await dial(port);
    const started = performance.now();
    await app.close();
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
