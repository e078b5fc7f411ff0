/**
 * SPIFFE beside go-spiffe, the library of the SPIFFE project: it reads our stand-in for a Workload API, and calls a TLS server with
 * an SVID of ours.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MerkleError } from '../../merkle/errors.ts';
import { formatPem } from '../../merkle/pem.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { openBundleSource, openSvidSource } from '../../merkle/runtime/identity/spiffe/open-sources.ts';
import { peerChain } from '../../merkle/runtime/identity/spiffe/peer-chain.ts';
import { checkX509Svid } from '../../merkle/spiffe/x509-svid.ts';
import { tempDir } from '../support/log.ts';
import { skips } from '../support/skip.ts';
import { until } from '../support/until.ts';
import { WorkloadApiServer } from '../support/workload-api.ts';
import { buildJudge } from './go-judge.ts';

const built = buildJudge('spiffe-client');
const program = typeof built === 'string' ? '' : built.program;

const run = promisify(execFile);

describe.skipIf(skips('go-spiffe', typeof built === 'string' ? built : undefined))('beside go-spiffe', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  beforeAll(async () => {
    dir = await tempDir();
  });
  afterAll(async () => {
    await dir.remove();
    if (typeof built !== 'string') built.remove();
  });

  describe('the stand-in for a Workload API', () => {
    let api: WorkloadApiServer;
    beforeAll(async () => {
      api = await WorkloadApiServer.start({
        socket: join(dir.path, 'api.sock'),
        identities: [{ id: 'spiffe://example.org/a' }, { id: 'spiffe://example.org/b', hint: 'internal' }],
        federated: ['example.net'],
      });
    });
    afterAll(() => api.close());

    it('gives SVIDs, bundles and tokens that it takes', async () => {
      const { stdout } = await run(program, ['fetch', api.address, 'log']);
      expect(JSON.parse(stdout)).toEqual({
        svids: [
          { id: 'spiffe://example.org/a', hint: '', chain: 1, expired: false },
          { id: 'spiffe://example.org/b', hint: 'internal', chain: 1, expired: false },
        ],
        bundles: { 'example.org': 1, 'example.net': 1 },
        jwtBundles: { 'example.org': 1, 'example.net': 1 },
        jwtSvids: [
          { id: 'spiffe://example.org/a', hint: '', audience: ['log'] },
          { id: 'spiffe://example.org/b', hint: 'internal', audience: ['log'] },
        ],
        validatedAs: 'spiffe://example.org/a',
      });
    });

    it('gives an expired SVID, an empty bundle and a wrong name, which it hands over and we refuse', async () => {
      const expired = await WorkloadApiServer.start({
        identities: [
          { id: 'spiffe://example.org/a', wish: { from: '2020-01-01T00:00:00Z', to: '2021-01-01T00:00:00Z' } },
        ],
      });
      const { stdout } = await run(program, ['fetch', expired.address]);
      expect(JSON.parse(stdout).svids).toEqual([expect.objectContaining({ expired: true })]);
      await expect(openSvidSource({ workloadApi: expired.address })).rejects.toMatchObject({ code: 'svid' });
      expired.identities = [{ id: 'spiffe://example.org/a' }];
      expired.renew();
      expired.spoil = ([svid]) => [{ ...svid!, bundle: new Uint8Array() }];
      expect(JSON.parse((await run(program, ['fetch', expired.address])).stdout).bundles).toEqual({ 'example.org': 0 });
      await expect(openSvidSource({ workloadApi: expired.address })).rejects.toThrow(/no X\.509 authority/);
      expired.spoil = ([svid]) => [{ ...svid!, spiffeId: 'spiffe://example.org/admin' }];
      const named = JSON.parse((await run(program, ['fetch', expired.address])).stdout).svids;
      // The name of the message counts for nothing there.
      expect(named).toEqual([expect.objectContaining({ id: 'spiffe://example.org/a' })]);
      await expect(openSvidSource({ workloadApi: expired.address })).rejects.toThrow(/has a certificate of/);
      await expired.close();
    });

    it('refuses requests without the security header', async () => {
      const { Client, credentials, Metadata, status } = await import('@grpc/grpc-js');
      const client = new Client(`unix:${join(dir.path, 'api.sock')}`, credentials.createInsecure());
      for (const value of [undefined, 'True', 'false', '']) {
        const metadata = new Metadata();
        if (value !== undefined) metadata.set('workload.spiffe.io', value);
        const code = await new Promise((resolve) => {
          const plain = (bytes: Buffer) => bytes;
          client
            .makeServerStreamRequest('/SpiffeWorkloadAPI/FetchX509SVID', plain, plain, Buffer.alloc(0), metadata)
            .on('data', () => resolve('data'))
            .on('error', (error: { code?: number }) => resolve(error.code));
        });
        expect(code).toBe(status.INVALID_ARGUMENT);
      }
      client.close();
    });
  });

  it('a bundle endpoint of go-spiffe gives its bundle, by its SVID, also after it rotated', async () => {
    const endpointId = 'spiffe://example.org/bundles';
    const bootstrap = join(dir.path, 'bootstrap.json');
    const ends: (() => Promise<unknown>)[] = [];
    const serve = async () => {
      const api = await WorkloadApiServer.start({ identities: [{ id: endpointId }] });
      const server = spawn(program, ['serve-bundle', api.address], { stdio: ['pipe', 'pipe', 'ignore'] });
      const [address] = (await once(server.stdout, 'data')) as [Buffer];
      ends.push(async () => {
        server.stdin.end();
        await once(server, 'exit');
        await api.close();
      });
      const bundle = `https://${address.toString().trim()}/`;
      const refresh = { leastMs: 10, mostMs: 10, defaultMs: 10 };
      const open = () =>
        openBundleSource({ trustDomains: [{ name: 'example.org', bundle, endpointId, bootstrap }] }, { refresh });
      return { api, open };
    };
    const { api, open } = await serve();
    await writeFile(bootstrap, api.bundle());
    const bundles = await open();
    const counts = () => {
      const { x509Authorities, jwtAuthorities } = bundles.current().get('example.org')!;
      return [x509Authorities.length, jwtAuthorities.length].join();
    };
    expect(bundles.problem).toBeUndefined();
    expect(counts()).toBe('1,1');
    // A new authority is published first, and issues then.
    api.rotateAuthority(undefined, { renew: false });
    await until(() => counts() === '2,2' && bundles.problem === undefined);
    api.rotate();
    api.rotateAuthority(undefined, { renew: false });
    await until(() => counts() === '3,3' && bundles.problem === undefined);
    await bundles.close();

    // The server of another authority, with the same name.
    const other = await (await serve()).open();
    expect(other.problem).toMatch(/does not lead to its trust domain/);
    expect(other.current().size).toBe(0);
    await other.close();
    for (const end of ends) await end();
  });

  describe('a TLS server with an SVID', () => {
    it('is known by its ID, knows its client, and stays so through rotations', async () => {
      const socket = join(dir.path, 'tls.sock');
      const identities = [{ id: 'spiffe://example.org/log' }];
      const api = await WorkloadApiServer.start({ socket, identities });
      const svids = await openSvidSource({ workloadApi: api.address });
      const trust = await openBundleSource({ workloadApi: api.address });
      const context = () => {
        const { chain, key } = svids.current();
        const cert = chain.map((der) => formatPem('CERTIFICATE', der)).join('');
        return { cert, key: key.export({ format: 'pem', type: 'pkcs8' }) };
      };
      const server = https.createServer(
        { ...context(), requestCert: true, rejectUnauthorized: false },
        (request, reply) => {
          try {
            const chain = peerChain(request.socket as TLSSocket);
            const { text } = checkX509Svid(chain, trust.current(), Date.now(), nodePrimitives(), 'client');
            reply.end(text);
          } catch (error) {
            reply.writeHead(401).end((error as MerkleError).code);
          }
        },
      );
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      svids.onChange(() => server.setSecureContext(context()));
      const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const call = (id: string, ...more: string[]) =>
        run(program, ['-socket', api.address, '-server-id', id, ...more, 'GET', url]).then(({ stdout }) => stdout);
      expect(await call('spiffe://example.org/log')).toBe('200\nspiffe://example.org/log');
      expect(await call('spiffe://example.org/log', '-no-svid')).toBe('401\nsvid-chain');
      await expect(call('spiffe://example.org/other')).rejects.toThrow(/unexpected ID/);

      // Both sides take the new authority, of which nothing was known before.
      const before = svids.current();
      api.rotateAuthority(undefined, { only: true });
      await until(
        () =>
          svids.current() !== before &&
          trust.current().get('example.org')!.x509Authorities[0]!.serialNumber ===
            api.authority().certificate.serialNumber,
      );
      expect(await call('spiffe://example.org/log')).toBe('200\nspiffe://example.org/log');

      // A client of another trust domain with the same paths.
      const foreign = await WorkloadApiServer.start({ identities });
      const body = join(dir.path, 'ca.pem');
      await writeFile(body, formatPem('CERTIFICATE', api.authority().certificate.der));
      await expect(
        run(program, ['-socket', foreign.address, '-server-id', 'spiffe://example.org/log', 'GET', url]),
      ).rejects.toThrow(/signed by unknown authority/);
      await Promise.all([svids.close(), trust.close(), foreign.close(), api.close()]);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
  });
});
