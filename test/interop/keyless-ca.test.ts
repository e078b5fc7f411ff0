/**
 * Signatures without keys by cosign, @sigstore/sign and Stele, with certificates of a real `stele ca serve`, before every
 * verifier that there is. No flag makes one of them look away.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleFromJSON, bundleToJSON } from '@sigstore/bundle';
import { FulcioSigner, MessageSignatureBundleBuilder, RekorWitness, TSAWitness } from '@sigstore/sign';
import { toSignedEntity, Verifier } from '@sigstore/verify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchJwtSvid } from '../../merkle/runtime/identity/spiffe/workload-svids.ts';
import { type CaProcess, type CaWorld, makeCaWorld } from '../support/ca-service.ts';
import { newIssuerKey, signToken } from '../support/issuer.ts';
import { tempDir } from '../support/log.ts';
import { stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { WorkloadApiServer } from '../support/workload-api.ts';
import { type Authority, startAuthority } from './authority.ts';
import { type Keyless, startKeyless, WHO } from './keyless.ts';
import { type Cosign, ok, refused, tellCosign } from './tools.ts';
import { trustedRoot, trustMaterial } from './trust.ts';

const noTools = skips('signatures without keys', lacking('cosign', 'sigstore-go-verification', 'openssl'));

const GITHUB = 'https://token.actions.example.com';
const WORKLOAD = 'spiffe://example.org/build/app';
const WORKFLOW = 'example/app/.github/workflows/release.yml@refs/heads/main';
const START = '2026-01-01T00:00:00Z';

describe.skipIf(noTools)('signatures without keys', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let world: CaWorld;
  let ca: CaProcess;
  let authority: Authority;
  let workloads: WorkloadApiServer;
  let cosign: Cosign;
  /** The trusted root, as JSON. */
  let root: object;
  const github = newIssuerKey('RS256');
  const at = (name: string) => join(dir.path, name);

  beforeAll(async () => {
    dir = await tempDir();
    // A short path: that of a socket has 107 bytes at most.
    workloads = await WorkloadApiServer.start({ socket: at('agent.sock'), identities: [{ id: WORKLOAD }] });
    await writeFile(at('example.org.json'), workloads.bundle());
    await writeFile(at('github-keys.json'), JSON.stringify({ keys: [github.jwk] }));
    world = await makeCaWorld(at('.'), {
      names: { uri: ['example.org', 'github.com'], dns: [], email: ['example.com'] },
      team: `      - { issuer: '${GITHUB}', preset: github }\n    trustDomains: [example.org]`,
      identity: `    - { issuer: '${GITHUB}', keysFile: github-keys.json }\n  trustDomains: [{ name: example.org, bundle: example.org.json }]`,
    });
    ca = await world.startCa();
    await mkdir(at('authority'));
    authority = await startAuthority(at('authority'));
    cosign = await tellCosign(world.log, dir.path, authority);
    root = { ...(await trustedRoot(world.log, authority)), ...trustOfCa(world) };
    await writeFile(cosign.trustedRoot, JSON.stringify(root));
    const config = JSON.parse(await readFile(cosign.signingConfig, 'utf8'));
    config.caUrls = [{ url: ca.url, majorApiVersion: 1, validFor: { start: START }, operator: 'stele' }];
    await writeFile(cosign.signingConfig, JSON.stringify(config));
    await writeFile(at('artifact'), 'hello');
    await writeFile(at('changed'), 'hallo');
    await writeFile(at('predicate.json'), '{"builder":{"id":"https://builder.test"}}');
  }, 120_000);
  afterAll(async () => {
    await ca?.kill();
    await world?.close();
    await authority?.close();
    await workloads?.close();
    await dir.remove();
  });

  interface Who {
    readonly identity: string;
    readonly issuer: string;
    token(): Promise<string>;
  }
  const person: Who = {
    identity: 'release@example.com',
    get issuer() {
      return world.issuer.url;
    },
    token: async () => world.token({ jti: randomUUID() }),
  };
  const workload: Who = {
    identity: WORKLOAD,
    issuer: 'spiffe://example.org',
    token: async () => {
      anotherJwtSvid();
      return (await fetchJwtSvid({ workloadApi: workloads.address, audience: 'sigstore' })).token;
    },
  };
  /** Two JWT-SVIDs of one second would be one token, which works once. */
  const anotherJwtSvid = () => {
    workloads.claims = { jti: randomUUID() };
  };
  const workflow: Who = {
    identity: `https://github.com/${WORKFLOW}`,
    issuer: GITHUB,
    token: async () => githubToken(),
  };
  const PEOPLE: readonly (readonly [string, Who])[] = [
    ['the e-mail address of a person', person],
    ['the SPIFFE ID of a workload', workload],
    ['the workflow of a build system', workflow],
  ];

  function githubToken(): string {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      ...{ iss: GITHUB, aud: 'sigstore', sub: 'repo:example/app:ref:refs/heads/main', jti: randomUUID() },
      ...{ iat: now, nbf: now, exp: now + 300, event_name: 'push', sha: 'a'.repeat(40), workflow: 'release' },
      ...{ repository: 'example/app', ref: 'refs/heads/main', job_workflow_ref: WORKFLOW, workflow_ref: WORKFLOW },
      ...{ job_workflow_sha: 'b'.repeat(40), workflow_sha: 'b'.repeat(40), runner_environment: 'github-hosted' },
      ...{ repository_id: '1', repository_owner: 'example', repository_owner_id: '2', repository_visibility: 'public' },
      ...{ run_id: 17, run_attempt: 1 },
    };
    return signToken(github, { alg: 'RS256', kid: github.kid, typ: 'JWT' }, claims);
  }

  async function tokenFile({ token }: Who): Promise<string> {
    await writeFile(at('token'), await token(), { mode: 0o600 });
    return at('token');
  }

  const services = () => ['--signing-config', cosign.signingConfig, '--trusted-root', cosign.trustedRoot];

  /** All four take the bundle for whom it names, and for nobody and nothing else. */
  async function allTake(path: string, { identity, issuer }: Who): Promise<void> {
    const bundle = ['--bundle', path, '--trusted-root', cosign.trustedRoot];
    const by = (name: string) => ['--certificate-identity', name, '--certificate-oidc-issuer', issuer];
    await ok('cosign', ['verify-blob', ...bundle, ...by(identity), at('artifact')], cosign.env);
    await refused('cosign', ['verify-blob', ...bundle, ...by(identity), at('changed')]);
    await refused('cosign', ['verify-blob', ...bundle, ...by('other@example.com'), at('artifact')]);
    const go = (artifact: string, name: string) => [
      ...['-trustedrootJSONpath', cosign.trustedRoot, '-artifact', at(artifact)],
      ...['-expectedSAN', name, '-expectedIssuer', issuer, path],
    ];
    await ok('sigstore-go-verification', go('artifact', identity));
    await refused('sigstore-go-verification', go('changed', identity));
    await refused('sigstore-go-verification', go('artifact', 'other@example.com'));
    const verify = (artifact: string, name: string) =>
      stele(['verify', at(artifact), ...bundle, '--identity', name, '--issuer', issuer, '--require-sct']);
    expect(await verify('artifact', identity)).toMatchObject({ code: 0 });
    expect(await verify('changed', identity)).toMatchObject({ code: 1 });
    expect(await verify('artifact', 'other@example.com')).toMatchObject({ code: 1 });
    const js = async (artifact: string) => {
      const verifier = new Verifier(trustMaterial(root), {
        ctlogThreshold: 1,
        tlogThreshold: 1,
        timestampThreshold: 1,
      });
      const entity = toSignedEntity(
        bundleFromJSON(JSON.parse(await readFile(path, 'utf8'))),
        await readFile(at(artifact)),
      );
      const escaped = identity.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      verifier.verify(entity, { subjectAlternativeName: `^${escaped}$`, extensions: { issuer } });
    };
    await js('artifact');
    await expect(js('changed')).rejects.toThrow();
  }

  it.each(PEOPLE)('of cosign, for %s', async (_, who) => {
    const sign = ['sign-blob', '--yes', ...services(), '--identity-token', await tokenFile(who)];
    await ok('cosign', [...sign, '--bundle', at('cosign.json'), at('artifact')], cosign.env);
    await allTake(at('cosign.json'), who);
    // A token works once.
    const again = await refused('cosign', [...sign, '--bundle', at('again.json'), at('artifact')]);
    expect(again).toContain('token');
  });

  it('of cosign, with the token in SIGSTORE_ID_TOKEN', async () => {
    const sign = ['sign-blob', '--yes', ...services(), '--bundle', at('variable.json'), at('artifact')];
    await ok('cosign', sign, { ...cosign.env, SIGSTORE_ID_TOKEN: await person.token() });
    await allTake(at('variable.json'), person);
  });

  it('of cosign, with the JWT-SVID that it takes from the Workload API', async () => {
    const sign = ['sign-blob', '--yes', ...services(), '--bundle', at('agent.json'), at('artifact')];
    anotherJwtSvid();
    // A bare path: cosign does not read the URI of the specification.
    await ok('cosign', sign, { ...cosign.env, SPIFFE_ENDPOINT_SOCKET: at('agent.sock') });
    await allTake(at('agent.json'), workload);
  });

  it('of cosign over an attestation', async () => {
    const what = ['--predicate', at('predicate.json'), '--type', 'slsaprovenance1', '--bundle', at('att.json')];
    const sign = ['attest-blob', '--yes', ...services(), '--identity-token', await tokenFile(person)];
    await ok('cosign', [...sign, ...what, at('artifact')], cosign.env);
    await attested(at('att.json'), person);
  });

  async function attested(path: string, { identity, issuer }: Who): Promise<void> {
    const by = ['--certificate-identity', identity, '--certificate-oidc-issuer', issuer];
    const how = ['--bundle', path, '--trusted-root', cosign.trustedRoot];
    const check = ['verify-blob-attestation', ...how, ...by, '--type', 'slsaprovenance1'];
    await ok('cosign', [...check, at('artifact')], cosign.env);
    await refused('cosign', [...check, at('changed')]);
    const go = ['-trustedrootJSONpath', cosign.trustedRoot, '-expectedSAN', identity, '-expectedIssuer', issuer];
    await ok('sigstore-go-verification', [...go, '-artifact', at('artifact'), path]);
    await refused('sigstore-go-verification', [...go, '-artifact', at('changed'), path]);
    const verify = ['verify', at('artifact'), ...how, '--identity', identity, '--issuer', issuer, '--require-sct'];
    expect(await stele([...verify, '--type', 'slsaprovenance1'])).toMatchObject({ code: 0 });
  }

  it.each(PEOPLE)('of @sigstore/sign, for %s', async (_, who) => {
    const signer = new FulcioSigner({ fulcioBaseURL: ca.url, identityProvider: { getToken: who.token } });
    const rekor = new RekorWitness({ rekorBaseURL: world.log.url, majorApiVersion: 2 });
    const witnesses = [rekor, new TSAWitness({ tsaBaseURL: authority.tsaUrl })];
    const builder = new MessageSignatureBundleBuilder({ signer, witnesses });
    const bundle = await builder.create({ data: await readFile(at('artifact')) });
    await writeFile(at('js.json'), JSON.stringify(bundleToJSON(bundle)));
    await allTake(at('js.json'), who);
  });

  it.each(PEOPLE)('of stele, for %s', async (_, who) => {
    const sign = ['sign', at('artifact'), ...services(), '--identity-token', await tokenFile(who)];
    const { code, stderr } = await stele([...sign, '--out', at('stele.json')]);
    expect(stderr).toContain(`, in the log ${world.log.origin} as entry `);
    expect(code).toBe(0);
    await allTake(at('stele.json'), who);
    const again = await stele([...sign, '--out', at('again.json')]);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('error [refused]') });
    expect(again.stderr).toContain('the token was used before');
    expect(again.stderr).not.toContain((await readFile(at('token'), 'utf8')).slice(-20));
  });

  it('of stele over an attestation, with the JWT-SVID that it takes from the Workload API', async () => {
    const what = ['--predicate', at('predicate.json'), '--type', 'slsaprovenance1', '--out', at('stele-att.json')];
    anotherJwtSvid();
    const env = { SPIFFE_ENDPOINT_SOCKET: workloads.address };
    await steleJson(['attest', at('artifact'), ...what, '--keyless', ...services()], { env });
    await attested(at('stele-att.json'), workload);
  });

  it('of stele without a time stamp, by the time of the witnesses', async () => {
    const place = ['--log', world.log.url, '--policy', world.policyFile, '--trusted-root', cosign.trustedRoot];
    const how = ['--certificate-authority', ca.url, '--identity-token', await tokenFile(person)];
    const signed = await stele(['sign', at('artifact'), ...place, ...how, '--out', at('witnessed.json')]);
    expect(signed.stderr).not.toContain('warning');
    expect(signed.code).toBe(0);
    const verify = ['verify', at('artifact'), '--bundle', at('witnessed.json'), ...place.slice(2), '--witness-time'];
    const who = ['--identity', person.identity, '--issuer', person.issuer, '--require-sct'];
    expect(await stele([...verify, ...who])).toMatchObject({ code: 0 });
  });

  it('count for nobody whose trusted root has another authority', async () => {
    const other = at('other_root.json');
    const stranger: Keyless = await startKeyless();
    await writeFile(other, JSON.stringify({ ...root, ...stranger.trust }));
    stranger.close();
    const sign = ['sign', at('artifact'), '--identity-token', await tokenFile(person), '--out', at('never.json')];
    const ran = await stele([...sign, '--signing-config', cosign.signingConfig, '--trusted-root', other]);
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('error [bad-certificate]') });
    await expect(readFile(at('never.json'))).rejects.toThrow('ENOENT');
  });

  it('of stele at the authority of @sigstore/mock, which shows no proof of a log', async () => {
    const mock = await startKeyless();
    const mockRoot = at('mock_root.json');
    await writeFile(mockRoot, JSON.stringify({ ...root, ...mock.trust }));
    await writeFile(at('mock.token'), mock.token('https://builds.example.com/app'));
    const place = ['--log', world.log.url, '--tsa', authority.tsaUrl, '--trusted-root', mockRoot];
    const how = ['--certificate-authority', mock.url, '--identity-token', at('mock.token')];
    await steleJson(['sign', at('artifact'), ...place, ...how, '--out', at('mock.json')]);
    const by = ['--certificate-identity', 'https://builds.example.com/app', '--certificate-oidc-issuer', WHO.iss];
    const check = ['verify-blob', '--bundle', at('mock.json'), '--trusted-root', mockRoot, ...by];
    await ok('cosign', [...check, at('artifact')], cosign.env);
    await refused('cosign', [...check, at('changed')]);
    mock.close();
  });
});

/** Members of a trusted root. */
function trustOfCa({ root, team, ct }: CaWorld): object {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const validFor = { start: START };
  const certificates = [team, root].map(({ certificate }) => ({ rawBytes: base64(certificate.der) }));
  const publicKey = { rawBytes: base64(ct.publicKey), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor };
  const logId = { keyId: createHash('sha256').update(ct.publicKey).digest('base64') };
  return {
    certificateAuthorities: [{ subject: {}, uri: 'https://ca.example.com', certChain: { certificates }, validFor }],
    ctlogs: [{ baseUrl: 'https://ca.example.com', hashAlgorithm: 'SHA2_256', publicKey, logId }],
  };
}
