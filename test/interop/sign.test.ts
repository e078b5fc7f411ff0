/** Bundles of `stele sign` and `stele attest` at cosign and sigstore-go, for every kind of key and for a certificate. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { type Authority, IDENTITY, ISSUER, startAuthority } from './authority.ts';
import { type Cosign, ok, refused, tellCosign } from './tools.ts';

const noTools = skips('bundles of stele', lacking('cosign', 'sigstore-go-verification', 'openssl'));

const KEYS: readonly [string, () => KeyObject][] = [
  ['P-256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
  ['P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
  ['P-521', () => generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey],
  ['Ed25519', () => generateKeyPairSync('ed25519').privateKey],
  ['RSA-2048', () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
  ['RSA-3072', () => generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey],
  ['RSA-4096', () => generateKeyPairSync('rsa', { modulusLength: 4096 }).privateKey],
];
/**
 * What the programs check with a bare key: cosign 3.1 SHA-256 alone and pure Ed25519, the program of sigstore-go ECDSA alone
 * with SHA-256. Their libraries know more, as the certificates for the same keys show.
 */
const COSIGN_KEYS = ['P-256', 'RSA-2048', 'RSA-3072', 'RSA-4096'];
const SIGSTORE_GO_KEYS = ['P-256'];

/** In an envelope both take pure Ed25519 alone, which a log cannot check: there Ed25519ph verifies with Stele only. */
const DIGEST_ONLY = ['Ed25519'];

describe.skipIf(noTools)('bundles of stele', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  let authority: Authority;
  let cosign: Cosign;
  const at = (name: string) => join(dir.path, name);
  const log = () => ['--log', server.url, '--log-key', server.verifierKeys[0]!];
  const pem = (key: KeyObject) => key.export({ format: 'pem', type: 'pkcs8' });

  beforeAll(async () => {
    dir = await tempDir();
    server = await startServer(at('data'));
    await mkdir(at('authority'));
    authority = await startAuthority(at('authority'));
    cosign = await tellCosign(server, dir.path, authority);
    await writeFile(at('artifact'), 'hello');
    await writeFile(at('changed'), 'hallo');
    await writeFile(at('predicate.json'), '{"builder":{"id":"https://builder.test"}}');
  });
  afterAll(async () => {
    await authority?.close();
    await server?.kill();
    await dir.remove();
  });

  /** A signature and an attestation over the artifact: the paths of their bundles. */
  async function bundles(name: string, key: readonly string[]): Promise<[string, string]> {
    const [blob, attestation] = [at(`${name}.blob.json`), at(`${name}.att.json`)];
    const with_ = [...key, ...log(), '--tsa', authority.tsaUrl];
    await steleJson(['sign', at('artifact'), ...with_, '--out', blob]);
    const what = ['--predicate', at('predicate.json'), '--type', 'slsaprovenance1', '--out', attestation];
    await steleJson(['attest', at('artifact'), ...what, ...with_]);
    return [blob, attestation];
  }

  /** @param paths a signature's bundle, and an attestation's where there is one */
  async function cosignTakes([blob, attestation]: readonly string[], who: readonly string[]): Promise<void> {
    const both = async (command: string, ...how: readonly string[]): Promise<void> => {
      const args = [command, '--trusted-root', cosign.trustedRoot, ...who, ...how];
      await ok('cosign', [...args, at('artifact')], cosign.env);
      await refused('cosign', [...args, at('changed')]);
    };
    await both('verify-blob', '--bundle', blob!);
    if (attestation === undefined) return;
    await both('verify-blob-attestation', '--bundle', attestation, '--type', 'slsaprovenance1');
    const root = ['--trusted-root', cosign.trustedRoot, ...who];
    const other = ['--bundle', attestation, '--type', 'spdx'];
    await refused('cosign', ['verify-blob-attestation', ...root, ...other, at('artifact')]);
  }

  async function sigstoreGoTakes(paths: readonly string[], who: readonly string[]): Promise<void> {
    for (const path of paths) {
      const args = (artifact: string) => [
        ...['-trustedrootJSONpath', cosign.trustedRoot, '-requireCTlog=false', '-artifact', at(artifact)],
        ...[...who, path],
      ];
      await ok('sigstore-go-verification', args('artifact'));
      await refused('sigstore-go-verification', args('changed'));
    }
  }

  it('attested with the short names of cosign, which mean the same there', async () => {
    await writeFile(at('types.pem'), pem(KEYS[0]![1]()), { mode: 0o600 });
    const names = ['slsaprovenance', 'slsaprovenance02', 'slsaprovenance1', 'link', 'spdx', 'spdxjson', 'cyclonedx'];
    for (const type of [...names, 'vuln', 'openvex', 'custom']) {
      const bundle = at(`type.${type}.json`);
      const what = ['--predicate', at('predicate.json'), '--type', type, '--out', bundle];
      const how = ['--key', at('types.pem'), '--public-out', at('types.pub'), ...log(), '--tsa', authority.tsaUrl];
      await steleJson(['attest', at('artifact'), ...what, ...how]);
      const takes = (asked: string) => [
        ...['verify-blob-attestation', '--bundle', bundle, '--key', at('types.pub'), '--type', asked],
        ...['--trusted-root', cosign.trustedRoot, at('artifact')],
      ];
      await ok('cosign', takes(type), cosign.env);
      await refused('cosign', takes(type === 'link' ? 'vuln' : 'link'));
    }
  });

  it.each(KEYS)('signed by a key of the kind %s', async (name, make) => {
    await writeFile(at(`${name}.pem`), pem(make()), { mode: 0o600 });
    const pub = at(`${name}.pub`);
    const paths = await bundles(name, ['--key', at(`${name}.pem`), '--public-out', pub]);
    if (COSIGN_KEYS.includes(name)) await cosignTakes(paths, ['--key', pub]);
    if (SIGSTORE_GO_KEYS.includes(name)) await sigstoreGoTakes(paths, ['-publicKey', pub]);
  });

  it.each(KEYS)('signed with a certificate for a key of the kind %s', async (name, make) => {
    const key = make();
    await writeFile(at(`${name}-c.pem`), pem(key), { mode: 0o600 });
    await writeFile(at('chain.pem'), (await authority.certify(key)) + (await readFile(authority.caChain, 'utf8')));
    const paths = await bundles(`${name}-c`, ['--key', at(`${name}-c.pem`), '--certificate', at('chain.pem')]);
    const { verificationMaterial } = JSON.parse(await readFile(paths[0], 'utf8'));
    expect(Object.keys(verificationMaterial.certificate)).toEqual(['rawBytes']);
    const identity = ['--certificate-identity', IDENTITY, '--certificate-oidc-issuer', ISSUER];
    const which = DIGEST_ONLY.includes(name) ? paths.slice(0, 1) : paths;
    await cosignTakes(which, [...identity, '--insecure-ignore-sct']);
    await sigstoreGoTakes(which, ['-expectedSAN', IDENTITY, '-expectedIssuer', ISSUER]);
    for (const path of paths) {
      const verify = ['verify', at('artifact'), '--bundle', path, '--trusted-root', cosign.trustedRoot];
      const { notProven } = await steleJson([...verify, '--identity', IDENTITY, '--issuer', ISSUER]);
      expect(notProven).toContain('certificate transparency: not asked, the trusted root names no log');
      for (const wrong of [
        ['--identity', 'somebody@example.com', '--issuer', ISSUER],
        ['--identity', IDENTITY, '--issuer', ISSUER, '--require-sct'],
      ]) {
        expect(await stele([...verify, ...wrong])).toMatchObject({ code: 1 });
      }
    }
    const stranger = ['--certificate-identity', 'somebody@example.com', '--certificate-oidc-issuer', ISSUER];
    const how = ['--trusted-root', cosign.trustedRoot, '--insecure-ignore-sct', '--bundle', paths[0]];
    await refused('cosign', ['verify-blob', ...how, ...stranger, at('artifact')]);
  });

  it('take no certificate of another key, or out of order', async () => {
    await writeFile(at('other.pem'), pem(KEYS[0]![1]()), { mode: 0o600 });
    await writeFile(at('signer.pem'), pem(authority.key), { mode: 0o600 });
    const ca = await readFile(authority.caChain, 'utf8');
    await writeFile(at('leaf.pem'), authority.certificate);
    await writeFile(at('upside-down.pem'), ca + authority.certificate);
    await writeFile(at('twice.pem'), authority.certificate + authority.certificate);
    for (const [key, chain] of [
      ['other.pem', 'leaf.pem'],
      ['signer.pem', 'upside-down.pem'],
      ['signer.pem', 'twice.pem'],
    ] as const) {
      const ran = await stele(['sign', at('artifact'), '--key', at(key), '--certificate', at(chain), ...log()]);
      expect(ran, chain).toMatchObject({ code: 2, stderr: expect.stringContaining('error [key]') });
    }
  });

  it('without a log entry are taken by cosign where it ignores the log, and by nobody else', async () => {
    await writeFile(at('unlogged.pem'), pem(KEYS[0]![1]()), { mode: 0o600 });
    const [bundle, pub] = [at('unlogged.json'), at('unlogged.pub')];
    await steleJson([
      ...['sign', at('artifact'), '--no-log', '--key', at('unlogged.pem')],
      ...['--out', bundle, '--public-out', pub],
    ]);
    const args = ['verify-blob', '--bundle', bundle, '--key', pub];
    await ok('cosign', [...args, '--insecure-ignore-tlog=true', at('artifact')], cosign.env);
    await refused('cosign', [...args, '--insecure-ignore-tlog=true', at('changed')]);
    await refused('cosign', [...args, '--trusted-root', cosign.trustedRoot, at('artifact')]);
    const ran = await stele(['verify', at('artifact'), '--bundle', bundle, '--key', pub, ...log().slice(2)]);
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('holds no log entry') });
  });

  it('log nothing where the time-stamp authority gives no stamp', async () => {
    const before = await (await fetch(`${server.url}/checkpoint`)).text();
    await writeFile(at('k.pem'), pem(KEYS[0]![1]()), { mode: 0o600 });
    const ran = await stele(['sign', at('artifact'), '--key', at('k.pem'), '--tsa', server.url, ...log()]);
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('bad-timestamp') });
    expect(await (await fetch(`${server.url}/checkpoint`)).text()).toBe(before);
  });
});
