/**
 * conformance.mjs, which speaks the protocol of sigstore-conformance: all bundles of a folder of its form by path and by digest,
 * and keyless signing, with the certificate authority of @sigstore/mock and a log of ours.
 *
 * SIGSTORE_CONFORMANCE names the folder, `bundle-verify` among that project's assets; TEST_VECTORS has a part of it.
 */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fulcioHandler, initializeCA, initializeCTLog } from '@sigstore/mock';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { run, type ServeProcess, startServer, stele } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { vectorFolder } from '../support/vectors.ts';
import { type Authority, startAuthority } from './authority.ts';
import { ok, refused } from './tools.ts';
import { trustedRoot } from './trust.ts';

const ENTRY_POINT = join(import.meta.dirname, 'conformance.mjs');
const IDENTITY =
  'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main';
const ISSUER = 'https://token.actions.githubusercontent.com';

const client = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  run(process.execPath, [ENTRY_POINT, ...args], { env: { ...process.env, ...env } });
const digestOf = (file: string) => `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`;

const vectors = vectorFolder('sigstore-bundles');
const folder = process.env.SIGSTORE_CONFORMANCE ?? vectors;
const publicRoot = join(vectors ?? '', 'trusted_root.json');
const noFolder = skips(
  'the bundles of sigstore-conformance',
  folder === undefined || !existsSync(publicRoot) ? 'TEST_VECTORS names no published test data' : undefined,
);

describe.skipIf(noFolder)('the bundles of sigstore-conformance', () => {
  const names = noFolder ? [] : readdirSync(folder!, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const wrong: string[] = [];
  let passed = 0;

  it.each(names.map(({ name }) => name))('%s', async (name) => {
    const of = (file: string) => join(folder!, name, file);
    const text = (file: string, otherwise: string) =>
      existsSync(of(file)) ? readFileSync(of(file), 'utf8').trim() : otherwise;
    const artifact = existsSync(of('artifact')) ? of('artifact') : join(folder!, 'a.txt');
    const signer = existsSync(of('key.pub'))
      ? ['--key', of('key.pub')]
      : [
          ...['--certificate-identity', text('identity', IDENTITY)],
          ...['--certificate-oidc-issuer', text('issuer', ISSUER)],
        ];
    const root = existsSync(of('trusted_root.json')) ? ['--trusted-root', of('trusted_root.json')] : [];
    for (const input of [artifact, digestOf(artifact)]) {
      const args = ['verify-bundle', '--bundle', of('bundle.sigstore.json'), ...signer, ...root, input];
      const { code, stderr } = await client(args, { STELE_TRUSTED_ROOT: publicRoot });
      // A fault in Stele is no refusal.
      const right = name.endsWith('fail') ? [1, 2].includes(code) && !stderr.includes('[internal]') : code === 0;
      if (right) passed++;
      else wrong.push(`${name} by ${input === artifact ? 'path' : 'digest'}: ${code} ${stderr}`);
    }
    expect(wrong).toEqual([]);
  });

  it('end right, each by path and by digest', () => {
    console.info(`sigstore-conformance: ${passed} of ${2 * names.length}`);
    expect(passed).toBe(2 * names.length);
    expect(passed).toBeGreaterThan(0);
  });
});

describe.skipIf(skips('keyless signing', lacking('openssl')))('keyless signing', () => {
  const noCosign = skips('cosign on keyless bundles', lacking('cosign'));
  const noSigstoreGo = skips('sigstore-go on keyless bundles', lacking('sigstore-go-verification'));
  const WHO = { email: 'signer@example.com', iss: 'https://issuer.example.com' };
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  let authority: Authority;
  let fulcio: Server;
  const at = (name: string) => join(dir.path, name);

  beforeAll(async () => {
    dir = await tempDir();
    await mkdir(at('authority'));
    server = await startServer(at('data'));
    authority = await startAuthority(at('authority'));
    const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const ctLog = await initializeCTLog(newKey());
    const ca = await initializeCA(newKey(), ctLog);
    const { path, fn } = fulcioHandler(ca);
    fulcio = createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray()).toString();
      const answer = request.url === path ? await fn(body) : { statusCode: 404, response: '' };
      response.writeHead(answer.statusCode).end(answer.response);
    });
    await new Promise<void>((resolve) => fulcio.listen(0, '127.0.0.1', resolve));

    const validFor = { start: '2026-01-01T00:00:00Z' };
    const base64 = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
      Buffer.from(buffer, byteOffset, byteLength).toString('base64');
    const root = (await trustedRoot(server, authority)) as Record<string, object>;
    root.certificateAuthorities = [
      {
        subject: {},
        uri: 'http://localhost',
        certChain: { certificates: [{ rawBytes: base64(ca.rootCertificate) }] },
        validFor,
      },
    ];
    root.ctlogs = [
      {
        baseUrl: 'http://localhost',
        hashAlgorithm: 'SHA2_256',
        publicKey: { rawBytes: base64(ctLog.publicKey), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor },
        logId: { keyId: base64(ctLog.logID) },
      },
    ];
    const service = (url: string, majorApiVersion: number) => [{ url, majorApiVersion, validFor, operator: 'tests' }];
    const config = {
      mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
      caUrls: service(`http://localhost:${(fulcio.address() as AddressInfo).port}`, 1),
      oidcUrls: [],
      rekorTlogUrls: service(server.url, 2),
      rekorTlogConfig: { selector: 'ANY' },
      tsaUrls: service(authority.tsaUrl, 1),
      tsaConfig: { selector: 'ANY' },
    };
    await writeFile(at('root.json'), JSON.stringify(root));
    await writeFile(at('config.json'), JSON.stringify(config));
    await writeFile(at('a.txt'), 'an artifact');
    await writeFile(at('other.txt'), 'another');
    const subject = [{ name: 'a.txt', digest: { sha256: digestOf(at('a.txt')).slice(7) } }];
    const statement = {
      _type: 'https://in-toto.io/Statement/v1',
      subject,
      predicateType: 'https://example.com/t',
      predicate: {},
    };
    await writeFile(at('statement.json'), JSON.stringify(statement));
  });
  afterAll(async () => {
    fulcio?.close();
    await authority?.close();
    await server?.kill();
    await dir.remove();
  });

  const token = () => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const exp = Math.floor(Date.now() / 1000) + 600;
    return `${part({ alg: 'none' })}.${part({ ...WHO, sub: WHO.email, aud: 'sigstore', exp })}.`;
  };

  it.each([
    ['a file', [], 'a.txt'],
    ['a statement', ['--in-toto'], 'statement.json'],
  ])('%s: signed, logged, and verified by path and by digest', async (_, flags, input) => {
    const bundle = at(`${input}.bundle`);
    const how = ['--bundle', bundle, '--trusted-root', at('root.json')];
    const signed = await client([
      ...['sign-bundle', ...flags, '--identity-token', token(), ...how],
      ...['--signing-config', at('config.json'), at(input)],
    ]);
    expect(signed).toMatchObject({ code: 0 });
    const written = JSON.parse(await readFile(bundle, 'utf8'));
    expect(written.verificationMaterial.tlogEntries[0].kindVersion).toEqual({ kind: 'hashedrekord', version: '0.0.2' });
    if (flags.length > 0) {
      expect(Buffer.from(written.dsseEnvelope.payload, 'base64')).toEqual(readFileSync(at('statement.json')));
    }

    const who = ['--certificate-identity', WHO.email, '--certificate-oidc-issuer', WHO.iss];
    const verify = (artifact: string, names = who) => client(['verify-bundle', ...how, ...names, artifact]);
    expect(await verify(at('a.txt'))).toMatchObject({ code: 0 });
    expect(await verify(digestOf(at('a.txt')))).toMatchObject({ code: 0 });
    expect(await verify(at('other.txt'))).toMatchObject({ code: 1 });
    expect(await verify(digestOf(at('other.txt')))).toMatchObject({ code: 1 });
    expect(await verify(at('a.txt'), [...who.slice(0, 1), 'other@example.com', ...who.slice(2)])).toMatchObject({
      code: 1,
    });
    // The certificate-transparency log that the trusted root names has promised the certificate.
    const shown = ['--bundle', bundle, '--trusted-root', at('root.json'), '--identity', WHO.email, '--issuer', WHO.iss];
    expect((await stele(['verify', at('a.txt'), ...shown, '--require-sct'])).stdout).toContain(
      'promised to the public',
    );

    if (!noCosign) {
      const blob = flags.length > 0 ? 'verify-blob-attestation' : 'verify-blob';
      const type = flags.length > 0 ? ['--type', 'https://example.com/t'] : [];
      const args = [
        blob,
        ...type,
        '--trusted-root',
        at('root.json'),
        '--use-signed-timestamps',
        '--bundle',
        bundle,
        ...who,
      ];
      await ok('cosign', [...args, at('a.txt')]);
      await refused('cosign', [...args, at('other.txt')]);
    }
    if (!noSigstoreGo) {
      const args = ['-trustedrootJSONpath', at('root.json'), '-expectedSAN', WHO.email, '-expectedIssuer', WHO.iss];
      await ok('sigstore-go-verification', [...args, '-artifact', at('a.txt'), bundle]);
      await refused('sigstore-go-verification', [...args, '-artifact', at('other.txt'), bundle]);
    }
  });
});
