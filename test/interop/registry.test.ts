/**
 * Images on a real registry, signed and attested by cosign, with a log of ours: `docker-registry`, which has no referrers API, so that cosign
 * writes the fallback tag; and a small registry of our own with that API, since no packaged one is at hand.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatImageName, parseImageName } from '../../client/evidence/image-name.ts';
import { registrySource } from '../../client/evidence/registry.ts';
import type { RegistryOptions } from '../../client/evidence/registry-requests.ts';
import { fetchTrusting } from '../../merkle/runtime/service/authority-fetch.ts';
import { issue } from '../merkle/x509/make.ts';
import { der } from '../support/der.ts';
import { tempDir } from '../support/log.ts';
import { BUNDLE, INDEX, OciServer } from '../support/oci-server.ts';
import { type Pushed, pushImage, pushIndex } from '../support/push-image.ts';
import { type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { keyPem, newAuthority, pemOf } from '../support/tls-server.ts';
import { type Authority, startAuthority } from './authority.ts';
import { type DockerRegistry, startDockerRegistry } from './docker-registry.ts';
import { type Keyless, startKeyless, WHO } from './keyless.ts';
import { startTokenService } from './token-service.ts';
import { type Cosign, ok, tellCosign } from './tools.ts';
import { trustedRoot } from './trust.ts';

const noTools = skips('images of cosign on registries', lacking('cosign', 'docker-registry', 'openssl'));
const never = new AbortController().signal;

describe.skipIf(noTools)('an image signed by cosign', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  let authority: Authority;
  let keyless: Keyless;
  let cosign: Cosign;
  let registry: DockerRegistry;
  const withApi = new OciServer();
  const at = (name: string) => join(dir.path, name);

  beforeAll(async () => {
    dir = await tempDir();
    server = await startServer(at('data'));
    await mkdir(at('authority'));
    authority = await startAuthority(at('authority'));
    keyless = await startKeyless();
    cosign = await tellCosign(server, dir.path, authority);
    const root = { ...(await trustedRoot(server, authority)), ...keyless.trust };
    await writeFile(cosign.trustedRoot, JSON.stringify(root));
    const config = JSON.parse(await readFile(cosign.signingConfig, 'utf8'));
    config.caUrls = [
      { url: keyless.url, majorApiVersion: 1, validFor: { start: '2026-01-01T00:00:00Z' }, operator: 'stele' },
    ];
    await writeFile(at('keyless.json'), JSON.stringify(config));
    await writeFile(at('predicate.json'), '{"builder":{"id":"https://builder.test"}}');
    registry = await startDockerRegistry(at('registry'));
    await withApi.start();
  });
  afterAll(async () => {
    await registry?.stop();
    await withApi.close();
    keyless?.close();
    await authority?.close();
    await server?.kill();
    await dir.remove();
  });

  const common = ['-y', '--allow-http-registry'];
  async function sign(image: string, how: 'key' | 'certificate', command = ['sign']): Promise<void> {
    const who =
      how === 'key'
        ? ['--key', cosign.key, '--signing-config', cosign.signingConfig]
        : ['--identity-token', keyless.token(), '--signing-config', at('keyless.json')];
    await ok('cosign', [...command, ...common, ...who, '--trusted-root', cosign.trustedRoot, image], cosign.env);
  }
  const attest = (image: string, how: 'key' | 'certificate', type: string) =>
    sign(image, how, ['attest', '--predicate', at('predicate.json'), '--type', type]);

  async function find(
    host: string,
    { digest }: Pushed,
    name = 'team/app',
    options: RegistryOptions = {},
  ): Promise<string[]> {
    const source = registrySource({ insecure: [host], ...options });
    const pieces = await source.find({ digest, image: parseImageName(`${host}/${name}`) }, never);
    const files = pieces.map((_, n) => at(`piece-${n}.json`));
    await Promise.all(pieces.map(({ bytes }, n) => writeFile(files[n]!, bytes)));
    return files;
  }

  /** Verifies each piece for the image; the predicate types, in their order. */
  async function predicatesOf(
    files: readonly string[],
    { digest }: Pushed,
    how: 'key' | 'certificate',
  ): Promise<string[]> {
    const who = how === 'key' ? ['--key', cosign.pub] : ['--identity', WHO.email, '--issuer', WHO.iss];
    const types: string[] = [];
    for (const file of files) {
      const { dsseEnvelope } = JSON.parse(await readFile(file, 'utf8'));
      const statement = JSON.parse(Buffer.from(dsseEnvelope.payload, 'base64').toString());
      const args = [
        'verify',
        digest,
        '--bundle',
        file,
        ...who,
        '--trusted-root',
        cosign.trustedRoot,
        '--type',
        statement.predicateType,
      ];
      expect(await steleJson(args)).toMatchObject({ ok: true });
      types.push(statement.predicateType);
    }
    return types.sort();
  }
  const TYPES = ['https://cosign.sigstore.dev/attestation/v1', 'https://sigstore.dev/cosign/sign/v1'];

  describe.each(['key', 'certificate'] as const)('with a %s', (how) => {
    it.each([
      ['docker-registry', () => registry.host],
      ['a registry with the referrers API', () => withApi.host],
    ])('and its attestation are found on %s', async (name, hostOf) => {
      const host = hostOf();
      const repository = `team/${how}-app`;
      const image = await pushImage(`http://${host}`, repository, 'v1', { content: how });
      expect(await find(host, image, repository)).toEqual([]);
      const reference = `${host}/${repository}@${image.digest}`;
      await sign(reference, how);
      await attest(reference, how, 'custom');
      const files = await find(host, image, repository);
      expect(await predicatesOf(files, image, how)).toEqual(TYPES);
      // Another image of the repository has no part in it.
      const other = await pushImage(`http://${host}`, repository, 'v2', { content: `${how} 2` });
      expect(await find(host, other, repository)).toEqual([]);
      const asked = await registrySource({ insecure: [host] }).resolveTag(
        parseImageName(`${host}/${repository}:v1`),
        never,
      );
      expect(asked).toBe(image.digest);
      if (name !== 'docker-registry') return;
      // The list has not the type of a bundle: a reader that selects by it finds nothing.
      const tag = `http://${host}/v2/${repository}/manifests/${image.digest.replace(':', '-')}`;
      const index = await (await fetch(tag, { headers: { accept: INDEX } })).text();
      expect(JSON.parse(index).manifests).toHaveLength(2);
      expect(index).not.toContain(BUNDLE);
    });
  });

  it('for several platforms has evidence at the index, or at a manifest in it, each for itself', async () => {
    const { host, url } = registry;
    const amd64 = await pushImage(url, 'team/multi', 'amd64', { content: 'amd64' });
    const arm64 = await pushImage(url, 'team/multi', 'arm64', { content: 'arm64' });
    const index = await pushIndex(url, 'team/multi', 'v1', [amd64, arm64]);
    await sign(`${host}/team/multi@${index.digest}`, 'key');
    await attest(`${host}/team/multi@${arm64.digest}`, 'key', 'custom');
    expect(await predicatesOf(await find(host, index, 'team/multi'), index, 'key')).toEqual(TYPES.slice(1));
    expect(await find(host, amd64, 'team/multi')).toEqual([]);
    expect(await predicatesOf(await find(host, arm64, 'team/multi'), arm64, 'key')).toEqual(TYPES.slice(0, 1));
  });

  it('with a tag and a digest is looked for by both parts of its name', async () => {
    const image = await pushImage(registry.url, 'team/tagged', 'v1', { content: 'tagged' });
    const reference = formatImageName(parseImageName(`${registry.host}/team/tagged:v1@${image.digest}`));
    await sign(reference, 'key');
    expect(await find(registry.host, image, 'team/tagged')).toHaveLength(1);
  });

  it('is an error to look for where the registry is away', async () => {
    const away = await startDockerRegistry(at('away'));
    const image = await pushImage(away.url, 'team/app', 'v1');
    await away.stop();
    await expect(find(away.host, image, 'team/app', { retries: 0 })).rejects.toMatchObject({ code: 'network' });
  });

  describe('on a registry that wants', () => {
    const TEAM = { authorization: `Basic ${Buffer.from('team:s3cret').toString('base64')}` };
    const config = async (host: string, user = 'team:s3cret') => {
      const path = at('config.json');
      const auths = { [host]: { auth: Buffer.from(user).toString('base64') } };
      await writeFile(path, JSON.stringify({ auths }), { mode: 0o600 });
      return path;
    };

    it('a name and a password, is found with them', async () => {
      // The password s3cret, by bcrypt.
      await writeFile(at('users'), 'team:$2b$04$gXTb4gt.TijcLAy.pxTxu.dF73tOLxlAcmLj5h97Zw6ebqBOnQ5Se\n');
      const settings = `auth:\n  htpasswd:\n    realm: tests\n    path: ${at('users')}\n`;
      const closed = await startDockerRegistry(at('closed'), settings);
      try {
        const image = await pushImage(closed.url, 'team/app', 'v1', { headers: TEAM });
        const look = (options: RegistryOptions) => find(closed.host, image, 'team/app', options);
        const configFile = await config(closed.host);
        await ok(
          'cosign',
          [
            'sign',
            ...common,
            '--key',
            cosign.key,
            '--signing-config',
            cosign.signingConfig,
            '--trusted-root',
            cosign.trustedRoot,
            ...['--registry-username', 'team', '--registry-password', 's3cret'],
            `${closed.host}/team/app@${image.digest}`,
          ],
          cosign.env,
        );
        expect(await predicatesOf(await look({ configFile }), image, 'key')).toEqual(TYPES.slice(1));
        await expect(look({})).rejects.toMatchObject({ code: 'refused' });
        await expect(look({ configFile: await config(closed.host, 'team:wrong') })).rejects.toMatchObject({
          code: 'refused',
        });
      } finally {
        await closed.stop();
      }
    });

    it('a token for each repository, is found with one', async () => {
      const service = await startTokenService(at('token'));
      const settings = `auth:\n  token:\n    realm: ${service.url}\n    service: tests\n    issuer: tests\n    rootcertbundle: ${service.certificate}\n`;
      const closed = await startDockerRegistry(at('with-tokens'), settings);
      try {
        const authorization = `Bearer ${service.token('team/app', ['push', 'pull'])}`;
        const image = await pushImage(closed.url, 'team/app', 'v1', { headers: { authorization } });
        const options = { insecure: [closed.host, new URL(service.url).host], configFile: await config(closed.host) };
        expect(await find(closed.host, image, 'team/app', options)).toEqual([]);
        expect(service.asked).toEqual([{ scope: 'repository:team/app:pull', service: 'tests', user: 'team:s3cret' }]);
        // The service gives no right to another repository, and the registry then refuses.
        await expect(find(closed.host, image, 'other/app', options)).rejects.toMatchObject({ code: 'refused' });
      } finally {
        await closed.stop();
        service.close();
      }
    });

    it('https, is found where its authority is trusted', async () => {
      const by = newAuthority('an authority of registries');
      const leaf = issue({
        name: 'registry',
        by,
        keyUsage: 0x80,
        usages: ['1.3.6.1.5.5.7.3.1'],
        names: [der(0x87, Buffer.from([127, 0, 0, 1]))],
      });
      await writeFile(at('tls.pem'), pemOf(leaf));
      await writeFile(at('tls.key'), keyPem(leaf));
      const secured = await startDockerRegistry(
        at('secured'),
        '',
        `  tls:\n    certificate: ${at('tls.pem')}\n    key: ${at('tls.key')}\n`,
      );
      try {
        const image = await pushImage(secured.url, 'team/app', 'v1', { fetch: fetchTrusting([pemOf(by)]) });
        const look = (options: RegistryOptions) =>
          find(secured.host, image, 'team/app', { insecure: [], allow: ['loopback'], ...options });
        expect(await look({ authorities: [pemOf(by)] })).toEqual([]);
        await expect(look({})).rejects.toMatchObject({ code: 'refused' });
        await expect(look({ authorities: [pemOf(by)], insecure: [secured.host], retries: 0 })).rejects.toThrow();
      } finally {
        await secured.stop();
      }
    });
  });
});
