/** `@sigstore/sign` against a real log, and its bundles before every verifier that there is. */
import { createHash, sign as nodeSign } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleToJSON } from '@sigstore/bundle';
import {
  DSSEBundleBuilder,
  MessageSignatureBundleBuilder,
  RekorWitness,
  type Signer,
  TSAWitness,
} from '@sigstore/sign';
import { toSignedEntity, Verifier } from '@sigstore/verify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { makeSigner, PAYLOAD_TYPE } from '../support/requests.ts';
import { run, type ServeProcess, startServer, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { type Authority, IDENTITY, ISSUER, startAuthority } from './authority.ts';
import { CACHE, newerNode, ok, refused, tellCosign } from './tools.ts';
import { trustedRoot, trustMaterial } from './trust.ts';

const noOpenssl = skips('certificates and time stamps', lacking('openssl'));
const noCosign = skips('cosign on bundles of sigstore-js', lacking('openssl', 'cosign'));
const noSigstoreGo = skips(
  'sigstore-go on bundles of sigstore-js',
  lacking('openssl', 'cosign', 'sigstore-go-verification'),
);
const newer = newerNode();
const noNewer = skips(
  '@sigstore/verify 4.1',
  newer === undefined ? `not with a Node 24 in ${CACHE} (.ci/run puts both there)` : undefined,
);
const VERIFY_CHILD = fileURLToPath(new URL('../support/verify-child.mjs', import.meta.url));

const ARTIFACT = Buffer.from('an artifact');
const CHANGED = Buffer.from('an artefact');
const STATEMENT = JSON.stringify({
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: 'artifact', digest: { sha256: createHash('sha256').update(ARTIFACT).digest('hex') } }],
  predicateType: 'https://cosign.sigstore.dev/attestation/v1',
  predicate: {},
});

describe.each(['ed25519', 'ecdsa-p256'])('@sigstore/sign before a log with an %s key', (algorithm) => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  const at = (name: string) => join(dir.path, name);
  const witness = () => new RekorWitness({ rekorBaseURL: server.url, majorApiVersion: 2 });

  beforeAll(async () => {
    dir = await tempDir();
    await steleJson(['keygen', '--algorithm', algorithm, '--out', at('log.pem')]);
    server = await startServer(at('data'), { args: ['--key-file', at('log.pem')] });
    await writeFile(at('artifact'), ARTIFACT);
    await writeFile(at('changed'), CHANGED);
  });
  afterAll(async () => {
    await server?.kill();
    await dir.remove();
  });

  it('a message signature with a known key verifies with @sigstore/verify 3.1', async () => {
    const key = makeSigner('p256');
    // The witness is given the certificate that it always sends; the bundle names the key by its hint.
    const pem = `-----BEGIN CERTIFICATE-----\n${key.certificate().toString('base64')}\n-----END CERTIFICATE-----\n`;
    const signer: Signer = {
      sign: async (data) => ({ signature: key.sign(data), key: { $case: 'publicKey', publicKey: pem, hint: 'ours' } }),
    };
    const bundle = await new MessageSignatureBundleBuilder({ signer, witnesses: [witness()] }).create({
      data: ARTIFACT,
    });
    expect(bundle.verificationMaterial.tlogEntries).toMatchObject([
      { logIndex: '0', kindVersion: { version: '0.0.2' } },
    ]);
    const trust = trustMaterial(await trustedRoot(server), { ours: key.spki });
    const verifier = new Verifier(trust, { tlogThreshold: 1, timestampThreshold: 0 });
    verifier.verify(toSignedEntity(bundle, ARTIFACT));
    expect(() => verifier.verify(toSignedEntity(bundle, CHANGED))).toThrow();
    // Nor does it hold for a log with another key.
    const stranger = await startServer(at('stranger'));
    const other = trustMaterial(await trustedRoot(stranger).finally(() => stranger.kill()), { ours: key.spki });
    expect(() => new Verifier(other, { timestampThreshold: 0 }).verify(toSignedEntity(bundle, ARTIFACT))).toThrow(
      expect.objectContaining({ code: 'TLOG_INCLUSION_PROOF_ERROR' }),
    );
  });

  describe.skipIf(noOpenssl)('with a certificate and a time stamp', () => {
    let authority: Authority;
    let signer: Signer;
    beforeAll(async () => {
      await mkdir(at('authority'));
      authority = await startAuthority(at('authority'));
      const key = { $case: 'x509Certificate', certificate: authority.certificate } as const;
      signer = { sign: async (data) => ({ signature: nodeSign('sha256', data, authority.key), key }) };
    });
    afterAll(() => authority.close());

    const witnesses = () => [witness(), new TSAWitness({ tsaBaseURL: authority.tsaUrl })];
    const message = () =>
      new MessageSignatureBundleBuilder({ signer, witnesses: witnesses() }).create({ data: ARTIFACT });
    const attestation = () =>
      new DSSEBundleBuilder({ signer, witnesses: witnesses() }).create({
        data: Buffer.from(STATEMENT),
        type: PAYLOAD_TYPE,
      });
    const identity = { subjectAlternativeName: `^${IDENTITY}$`, extensions: { issuer: ISSUER } };

    it('a message signature verifies with @sigstore/verify 3.1', async () => {
      const bundle = await message();
      const trust = trustMaterial(await trustedRoot(server, authority));
      const verifier = new Verifier(trust, { ctlogThreshold: 0 });
      verifier.verify(toSignedEntity(bundle, ARTIFACT), identity);
      expect(() => verifier.verify(toSignedEntity(bundle, CHANGED), identity)).toThrow();
    });

    it.skipIf(noNewer)('both verify with @sigstore/verify 4.1', async () => {
      const check = async (name: string, input: object) => {
        await writeFile(
          at(name),
          JSON.stringify({ trustedRoot: await trustedRoot(server, authority), identity, ...input }),
        );
        return await run(newer!.node, [VERIFY_CHILD, at(name)], { cwd: newer!.cwd });
      };
      const [signed, attested] = [bundleToJSON(await message()), bundleToJSON(await attestation())];
      const held = { code: 0, stdout: expect.stringMatching(/^4\.1\./) };
      expect(await check('m', { bundle: signed, artifact: ARTIFACT.toString('base64') })).toMatchObject(held);
      expect(await check('a', { bundle: attested })).toMatchObject(held);
      expect(await check('mc', { bundle: signed, artifact: CHANGED.toString('base64') })).toMatchObject({ code: 1 });
      const [tampered] = [structuredClone(attested)];
      tampered.dsseEnvelope!.payload = Buffer.from(STATEMENT.replace('artifact', 'artefact')).toString('base64');
      expect(await check('ac', { bundle: tampered })).toMatchObject({ code: 1 });
    });

    it.skipIf(noCosign)('both verify with cosign', async () => {
      await save();
      await mkdir(at('cosign'));
      const { trustedRoot } = await tellCosign(server, at('cosign'), authority);
      const who = ['--certificate-identity', IDENTITY, '--certificate-oidc-issuer', ISSUER, '--insecure-ignore-sct'];
      const how = ['--trusted-root', trustedRoot, '--use-signed-timestamps', ...who];
      const blob = ['verify-blob', ...how, '--bundle', at('message.json')];
      await ok('cosign', [...blob, at('artifact')]);
      await refused('cosign', [...blob, at('changed')]);
      const attested = ['verify-blob-attestation', ...how, '--bundle', at('dsse.json')];
      await ok('cosign', [...attested, at('artifact')]);
      await refused('cosign', [...attested, at('changed')]);
    });

    it.skipIf(noSigstoreGo)('both verify with sigstore-go', async () => {
      await save();
      await writeFile(at('trusted_root.json'), JSON.stringify(await trustedRoot(server, authority)));
      const who = ['-expectedSAN', IDENTITY, '-expectedIssuer', ISSUER, '-requireCTlog=false'];
      const how = ['-trustedrootJSONpath', at('trusted_root.json'), ...who];
      for (const bundle of [at('message.json'), at('dsse.json')]) {
        await ok('sigstore-go-verification', [...how, '-artifact', at('artifact'), bundle]);
        await refused('sigstore-go-verification', [...how, '-artifact', at('changed'), bundle]);
      }
    });

    async function save(): Promise<void> {
      await writeFile(at('message.json'), JSON.stringify(bundleToJSON(await message())));
      await writeFile(at('dsse.json'), JSON.stringify(bundleToJSON(await attestation())));
    }
  });
});
