/**
 * The authority as a process, with a log, its witness and an issuer: what it issues, and what it refuses. The file is long because
 * all of it needs that one setting, whose start takes seconds.
 */
import { createHash, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { verifyLeaf } from '../../../client/verify/leaf.ts';
import { parseSpki } from '../../../merkle/rekor/spki.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { parseTlogProof } from '../../../merkle/tlog-proof.ts';
import { type Certificate, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import { identityOf } from '../../../merkle/x509/fulcio.ts';
import { verifySct } from '../../../merkle/x509/sct.ts';
import { issue, issueCa } from '../../merkle/x509/make.ts';
import {
  askCaByTls,
  type CaAnswer,
  type CaProcess,
  type CaWorld,
  makeCaWorld,
  newP256,
  signingBody,
} from '../../support/ca-service.ts';
import { badCertificates, issueSvid, shownBy } from '../../support/client-certificates.ts';
import { der } from '../../support/der.ts';
import { macToken, newIssuerKey, signToken } from '../../support/issuer.ts';
import { tempDir } from '../../support/log.ts';
import { keyPem, pemOf } from '../../support/tls-server.ts';

const GITHUB = 'https://token.actions.example.com';
const githubKey = newIssuerKey('RS256');
const workloads = issueCa('root');
const servers = issueCa('servers');

let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;
let ca: CaProcess;
/** The same with TLS. */
let tlsCa: CaProcess;

beforeAll(async () => {
  dir = await tempDir();
  const at = (name: string) => join(dir.path, name);
  world = await makeCaWorld(dir.path, {
    names: { uri: ['example.org', 'github.com'], dns: [], email: ['example.com'] },
    team: `      - { issuer: '${GITHUB}', preset: github }\n    trustDomains: [example.org]`,
    identity: `    - { issuer: '${GITHUB}', keysFile: github-keys.json }\n  trustDomains: [{ name: example.org, bundle: example.org.pem }]`,
    settings: 'access: access.yaml',
  });
  await writeFile(at('github-keys.json'), JSON.stringify({ keys: [githubKey.jwk] }));
  await writeFile(at('example.org.pem'), pemOf(workloads));
  await writeFile(
    at('access.yaml'),
    `version: 1
name: who gets certificates
callers:
  people: { issuer: '${world.issuer.url}', email: { pattern: '.*@example\\.(com|net)' } }
  builds: { issuer: '${GITHUB}', subject: { pattern: 'repo:example/.*' } }
  workloads: { spiffeId: 'spiffe://example.org/build/**' }
allow:
  - { name: all of them, callers: [people, builds, workloads], calls: [issue] }
`,
  );
  ca = await world.startCa();
  const names = [der(0x82, Buffer.from('localhost'))];
  const server = issue({ name: 'localhost', by: servers, keyUsage: 0x80, usages: ['1.3.6.1.5.5.7.3.1'], names });
  await writeFile(at('tls.crt'), pemOf(server));
  await writeFile(at('tls.key'), keyPem(server), { mode: 0o600 });
}, 60_000);

afterAll(async () => {
  await ca?.kill();
  await tlsCa?.kill();
  await world?.close();
  await dir.remove();
});

function leafOf({ json }: CaAnswer): Certificate {
  const [pem] = json.signedCertificateEmbeddedSct.chain.certificates as [string];
  return parseCertificate(new Uint8Array(new X509Certificate(pem).raw));
}

/** Verifies all that a verifier can: the chain, the timestamp, and the proof of the log over the certificate. */
async function verified(answer: CaAnswer, proven: string, hash = 'sha256', now = Date.now()): Promise<Certificate> {
  expect(answer.status, answer.text).toBe(200);
  const leaf = leafOf(answer);
  const authorities = { intermediates: [world.team.certificate], roots: [world.root.certificate] };
  verifyChain(leaf, authorities, Math.max(now, leaf.notBefore), nodePrimitives());
  const logId = createHash('sha256').update(world.ct.publicKey).digest();
  const ctLog = { logId, key: parseSpki(world.ct.publicKey), validFor: { start: 0 } };
  expect(verifySct(leaf, world.team.certificate, [ctLog], nodePrimitives())).toHaveLength(1);
  const { index, hashes, checkpoint } = parseTlogProof(Buffer.from(answer.json.tlogProof));
  const entry = (await (await fetch(`${world.log.url}/stele/v1/entries/${index}`)).json()) as {
    canonicalizedBody: string;
  };
  const body = Buffer.from(entry.canonicalizedBody, 'base64');
  const { hashedRekordV002 } = JSON.parse(body.toString()).spec;
  expect(Buffer.from(hashedRekordV002.signature.verifier.x509Certificate.rawBytes, 'base64')).toEqual(
    Buffer.from(leaf.der),
  );
  expect(hashedRekordV002.data.digest).toBe(createHash(hash).update(proven).digest('base64'));
  const policy = parseTrustPolicy(
    Buffer.from(`log ${world.log.verifierKeys[0]}\n${world.witness.policyLine('w1')}quorum w1\n`),
  );
  const found = verifyLeaf({ leafHash: leafHash(body), index, hashes, checkpoint }, { policy }, nodePrimitives());
  expect(found.cosigned).toHaveLength(1);
  return leaf;
}

/** No entry more than before. */
async function logSize(): Promise<number> {
  return Number((await (await fetch(`${world.log.url}/checkpoint`)).text()).split('\n')[1]);
}

function githubToken(claims: Record<string, unknown> = {}): string {
  const now = Math.floor(Date.now() / 1000);
  return signToken(
    githubKey,
    { alg: 'RS256', kid: githubKey.kid, typ: 'JWT' },
    {
      iss: GITHUB,
      aud: 'sigstore',
      sub: 'repo:example/app:ref:refs/heads/main',
      ...{ iat: now, nbf: now, exp: now + 300, jti: `${Math.random()}` },
      ...{
        event_name: 'push',
        sha: 'a'.repeat(40),
        workflow: 'release',
        repository: 'example/app',
        ref: 'refs/heads/main',
      },
      job_workflow_ref: 'example/app/.github/workflows/release.yml@refs/heads/main',
      workflow_ref: 'example/app/.github/workflows/release.yml@refs/heads/main',
      ...{ job_workflow_sha: 'b'.repeat(40), workflow_sha: 'b'.repeat(40), runner_environment: 'github-hosted' },
      ...{ repository_id: '1', repository_owner: 'example', repository_owner_id: '2', repository_visibility: 'public' },
      ...{ run_id: 17, run_attempt: 1 },
      ...claims,
    },
  );
}

describe('a certificate', () => {
  it('is for the verified address of a person', async () => {
    const answer = await ca.ask({ token: world.token() });
    const leaf = await verified(answer, 'release@example.com');
    expect(leaf.names).toEqual([{ type: 'email', value: 'release@example.com' }]);
    expect(leaf.subject).toBe('');
    expect(leaf.extension('2.5.29.17')!.critical).toBe(true);
    expect(leaf.extKeyUsage).toEqual(['1.3.6.1.5.5.7.3.3']);
    expect(leaf.keyUsage).toEqual(['digitalSignature']);
    expect(leaf.notAfter - leaf.notBefore).toBe(600_000);
    const { issuer, extensions } = identityOf(leaf);
    expect(issuer).toBe(world.issuer.url);
    expect(extensions.get('1.3.6.1.4.1.57264.1.1')).toBe(world.issuer.url);
    // The poison of a precertificate is in no certificate that leaves.
    expect(leaf.extension('1.3.6.1.4.1.11129.2.4.3')).toBeUndefined();
    expect(answer.json.signedCertificateEmbeddedSct.chain.certificates).toHaveLength(3);
    expect(answer.headers.get('content-type')).toContain('application/json');
  });

  it('takes the token from the body, and the same one from both places', async () => {
    const inBody = world.token({ nonce: 'body' });
    await verified(await ca.ask({ bodyToken: inBody }), 'release@example.com');
    const both = world.token({ nonce: 'both' });
    await verified(await ca.ask({ token: both, bodyToken: both }), 'release@example.com');
    const token = world.token({ nonce: 'differ' });
    const differ = await ca.ask({ token, bodyToken: world.token({ nonce: 'differ more' }) });
    expect(differ.status).toBe(400);
    expect(differ.json).toMatchObject({ code: 3, details: [], error: 'tokens-differ' });
    // Nothing was used up.
    await verified(await ca.ask({ token }), 'release@example.com');
  });

  it('is asked for at two slashes too', async () => {
    await verified(
      await ca.ask({ token: world.token({ nonce: 'slash' }), path: '//api/v2/signingCert' }),
      'release@example.com',
    );
  });

  it("has the name and the extensions that Fulcio gives to a GitHub workflow's token", async () => {
    const leaf = await verified(await ca.ask({ token: githubToken() }), 'repo:example/app:ref:refs/heads/main');
    const uri = 'https://github.com/example/app/.github/workflows/release.yml@refs/heads/main';
    expect(leaf.names).toEqual([{ type: 'uri', value: uri }]);
    const { extensions } = identityOf(leaf);
    expect(Object.fromEntries(extensions)).toMatchObject({
      githubWorkflowTrigger: 'push',
      githubWorkflowRepository: 'example/app',
      issuer: GITHUB,
      buildSignerURI: uri,
      sourceRepositoryURI: 'https://github.com/example/app',
      sourceRepositoryVisibilityAtSigning: 'public',
      runInvocationURI: 'https://github.com/example/app/actions/runs/17/attempts/1',
    });
    expect(extensions.has('deploymentEnvironment')).toBe(false);
    // .1 to .6 are raw, and later ones DER.
    expect(Buffer.from(leaf.extension('1.3.6.1.4.1.57264.1.2')!.value).toString()).toBe('push');
    expect(leaf.extension('1.3.6.1.4.1.57264.1.20')!.value[0]).toBe(0x0c);
  });

  it.each([
    ['P-384', 'sha384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['P-521', 'sha512', () => generateKeyPairSync('ec', { namedCurve: 'P-521' })],
    ['RSA', 'sha256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ] as const)('is for a key of %s, with a proof hashed by %s', async (what, hash, make) => {
    const keys = make();
    const token = world.token({ nonce: what });
    const answer = await ca.ask({ token, keys, body: signingBody(keys, 'release@example.com', undefined, hash) });
    const leaf = await verified(answer, 'release@example.com', hash);
    expect(Buffer.from(leaf.spki)).toEqual(keys.publicKey.export({ type: 'spki', format: 'der' }));
  });

  it('is for each caller alone, whoever asks at once', async () => {
    const people = Array.from({ length: 20 }, (_, i) => `person-${i}@example.com`);
    const answers = await Promise.all(people.map((email) => ca.ask({ token: world.token({ sub: email, email }) })));
    for (const [i, answer] of answers.entries()) {
      const leaf = await verified(answer, people[i]!);
      expect(leaf.names).toEqual([{ type: 'email', value: people[i] }]);
      expect(Buffer.from(leaf.spki)).toEqual(answer.keys.publicKey.export({ type: 'spki', format: 'der' }));
    }
    expect(new Set(answers.map((answer) => leafOf(answer).serialNumber)).size).toBe(20);
  });
});

describe('a token', () => {
  it('works once, also where it is shown twenty times at once or spelled otherwise', async () => {
    const token = world.token({ nonce: 'once' });
    const answers = await Promise.all(Array.from({ length: 20 }, () => ca.ask({ token })));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const { status, json } of answers.filter((one) => one.status !== 200)) {
      expect(status).toBe(401);
      expect(json).toMatchObject({ code: 16, error: 'token-used' });
    }
    // (r, s) and (r, n - s) are two spellings of one ECDSA signature.
    const [head, claims, signature] = token.split('.') as [string, string, string];
    const bytes = Buffer.from(signature, 'base64url');
    const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const s = n - BigInt(`0x${bytes.subarray(32).toString('hex')}`);
    const other = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
    const respelled = await ca.ask({ token: `${head}.${claims}.${other.toString('base64url')}` });
    expect(respelled.json).toMatchObject({ error: 'token-used' });
  });

  it('is not used up by a request that does not hold', async () => {
    const token = world.token({ nonce: 'kept' });
    const bad = await ca.ask({ token, proven: 'somebody-else@example.com' });
    expect(bad.status).toBe(400);
    expect(bad.json.error).toBe('possession');
    await verified(await ca.ask({ token }), 'release@example.com');
  });

  it('that is wrong in any way is refused with a reason, and nothing is logged', async () => {
    const size = await logSize();
    const { issuer } = world;
    const key = issuer.keys.at(-1)!;
    const stranger = newIssuerKey('ES256', { kid: key.kid });
    const now = Math.floor(Date.now() / 1000);
    const publicPem = key.publicKey.export({ type: 'spki', format: 'pem' }) as string;
    const claims = JSON.parse(Buffer.from(issuer.token().split('.')[1]!, 'base64url').toString());
    const wrong: [string, string, string][] = [
      [
        'algorithm none',
        'token-algorithm',
        `${Buffer.from('{"alg":"none"}').toString('base64url')}.${issuer.token().split('.')[1]}.`,
      ],
      ['HS256 with the public key', 'token-algorithm', macToken(publicPem, { alg: 'HS256', kid: key.kid }, claims)],
      ['of an unknown key', 'token-key', issuer.token({}, { key: newIssuerKey('ES256', { kid: 'other' }) })],
      ['of another key with the same ID', 'token-signature', issuer.token({}, { key: stranger })],
      ['of another audience', 'token-audience', issuer.token({ aud: 'other.example.com' })],
      ['of two audiences', 'token-audience', issuer.token({ aud: ['sigstore', 'other.example.com'] })],
      ['of no audience', 'token-audience', issuer.token({ aud: undefined })],
      ['of another issuer', 'token-issuer', issuer.token({ iss: 'https://evil.example.com' })],
      ['of an issuer with a slash more', 'token-issuer', issuer.token({ iss: `${issuer.url}/` })],
      ['expired', 'token-expired', issuer.token({ exp: now - 3600, iat: now - 3900, nbf: now - 3900 })],
      ['not yet valid', 'token-not-yet-valid', issuer.token({ nbf: now + 3600, iat: now, exp: now + 3700 })],
      ['of the future', 'token-not-yet-valid', issuer.token({ iat: now + 3600, nbf: undefined, exp: now + 3700 })],
      ['without expiry', 'token-claims', issuer.token({ exp: undefined })],
      ['for too long', 'token-lifetime', issuer.token({ exp: now + 86_400 })],
      ['without subject', 'token-claims', issuer.token({ sub: undefined })],
      ['of two parts', 'token-malformed', issuer.token().split('.').slice(0, 2).join('.')],
      ['with spaces in a part', 'token-malformed', `${issuer.token()}=`],
      ['of 20 KB', 'token-too-long', issuer.token({ more: 'x'.repeat(20_000) })],
      ['of 1 MB', 'token-too-long', issuer.token({ more: 'x'.repeat(1_000_000) })],
      ['of a trust domain that is unknown', 'token-issuer', issuer.token({ iss: undefined, sub: 'spiffe//x' })],
    ];
    for (const [what, code, token] of wrong) {
      for (const ask of [{ token }, { bodyToken: token }]) {
        const { status, json, text, headers } = await ca.ask({ ...ask, proven: 'release@example.com' });
        expect([what, status, json?.error], text).toEqual([what, 401, expect.stringMatching(/^token-/)]);
        if (token.length < 60_000) expect([what, json.error]).toEqual([what, code]);
        expect(json.message.length).toBeGreaterThan(10);
        expect(headers.get('www-authenticate')).toBe('Bearer');
        // Neither the token nor a part of it comes back.
        expect(text).not.toContain(token.slice(-40));
      }
    }
    expect(await logSize()).toBe(size);
  }, 60_000);

  it('of nobody is asked for', async () => {
    const { status, json } = await ca.ask({ proven: 'release@example.com' });
    expect(status).toBe(401);
    expect(json).toMatchObject({ code: 16, error: 'no-identity' });
  });
});

describe('a caller', () => {
  it.each([
    ['whose address is not verified', { email_verified: false }, 'not-allowed'],
    ['whose address is verified in text', { email_verified: 'true' }, 'not-allowed'],
    ['without an address', { email: undefined }, 'not-allowed'],
    ['of an address outside the constraints', { email: 'release@example.net' }, 'name-constraints'],
    ['that the policy does not name', { email: 'release@evil.example.com' }, 'not-allowed'],
  ])('%s gets 403', async (_, claims, code) => {
    const size = await logSize();
    const { status, json } = await ca.ask({ token: world.token(claims) });
    expect(status).toBe(403);
    expect(json.error).toBe(code);
    expect(json.message.length).toBeGreaterThan(10);
    expect(await logSize()).toBe(size);
  });

  it.each([
    ['leads out of its path', { job_workflow_ref: 'example/app/../../evil@refs/heads/main' }, 'name'],
    ['has an encoded way out', { job_workflow_ref: 'example/%2e%2e/evil@refs/heads/main' }, 'name'],
    ['has a space', { job_workflow_ref: 'example/app x' }, 'name'],
    ['has a line break', { job_workflow_ref: 'example/app\nx' }, 'name'],
    ['has a query', { job_workflow_ref: 'example/app?x=y' }, 'name-constraints'],
    ['has a wildcard', { job_workflow_ref: 'example/*@refs/heads/main' }, 'name-constraints'],
    ['is encoded twice', { job_workflow_ref: 'example/%252e%252e/evil@refs/heads/main' }, 'name-constraints'],
    ['is missing', { job_workflow_ref: undefined }, 'name'],
    ['is no text', { job_workflow_ref: ['example'] }, 'name'],
    ['of an extension is missing', { repository_visibility: undefined }, 'name'],
    ['of an address is not verified', { email: 'a@example.com', email_verified: 'true' }, 'email'],
    ['is longer than a certificate takes', { job_workflow_ref: 'a'.repeat(3000) }, 'name'],
  ])('whose claim %s gets 403', async (_, claims, code) => {
    const size = await logSize();
    const { status, json } = await ca.ask({ token: githubToken(claims) });
    expect(json).toMatchObject({ code: 7, error: code });
    expect(status).toBe(403);
    expect(await logSize()).toBe(size);
  });
});

describe('a request', () => {
  const keys = newP256();
  const good = () => signingBody(keys, 'release@example.com');
  const key = (content: unknown, algorithm: unknown = 'ECDSA') => ({
    publicKeyRequest: { publicKey: { algorithm, content }, proofOfPossession: 'AAAA' },
  });
  const ed25519 = generateKeyPairSync('ed25519');
  const weak = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 });
  it.each<[string, unknown, string]>([
    ['without a body', '', 'malformed'],
    ['that is not JSON', '{', 'malformed'],
    ['that is a list', [], 'malformed'],
    ['with a member twice', '{"publicKeyRequest":{},"publicKeyRequest":{}}', 'malformed'],
    ['with an unknown field', { ...good(), more: 1 }, 'malformed'],
    ['without a key', {}, 'malformed'],
    ['with a request for signing (CSR)', { certificateSigningRequest: 'AAAA' }, 'malformed'],
    ['without a proof', { publicKeyRequest: { publicKey: { content: 'x' } } }, 'malformed'],
    [
      'with a proof that is not base64',
      key('x', 'ECDSA').publicKeyRequest && { publicKeyRequest: { publicKey: {}, proofOfPossession: '!' } },
      'malformed',
    ],
    ['with a key that is no key', key('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'), 'public-key'],
    ['with a key that is text', key('hello'), 'public-key'],
    ['with an unknown algorithm', key('x', 'DSA'), 'malformed'],
    ['with a private key', key(keys.privateKey.export({ type: 'pkcs8', format: 'pem' })), 'public-key'],
    ['with an Ed25519 key', key(ed25519.publicKey.export({ type: 'spki', format: 'pem' }), 'ED25519'), 'public-key'],
    ['with an RSA key of the exponent 3', key(weak.publicKey.export({ type: 'spki', format: 'pem' })), 'public-key'],
    [
      'with a proof by another key',
      {
        publicKeyRequest: {
          publicKey: { content: keys.publicKey.export({ type: 'spki', format: 'pem' }) },
          proofOfPossession: sign('sha256', Buffer.from('release@example.com'), newP256().privateKey).toString(
            'base64',
          ),
        },
      },
      'possession',
    ],
    ['with a proof over another hash', signingBody(keys, 'release@example.com', undefined, 'sha384'), 'possession'],
  ])('%s gets 400, and uses up no token', async (_, body, code) => {
    const token = world.token({ nonce: `${_}` });
    const { status, json } = await ca.ask({ token, body });
    expect([status, json?.error]).toEqual([400, code]);
    expect(json.code).toBe(3);
    expect((await ca.ask({ token })).status).toBe(200);
  });

  it('with an Authorization header of another scheme, or with two, gets 400', async () => {
    const basic = await ca.ask({ headers: { authorization: 'Basic dXNlcjpwYXNz' }, proven: 'x' });
    expect([basic.status, basic.json.error]).toEqual([400, 'malformed']);
    const headers = [1, 2].flatMap((nonce) => ['authorization', `Bearer ${world.token({ nonce })}`]);
    const status = await new Promise((resolve, reject) => {
      const request = http.request(`${ca.url}/api/v2/signingCert`, {
        method: 'POST',
        headers: ['host', new URL(ca.url).host, ...headers],
      });
      request.on('response', ({ statusCode }) => resolve(statusCode)).on('error', reject);
      request.end(JSON.stringify(good()));
    });
    expect(status).toBe(400);
  });

  it('of more bytes than the authority reads gets 413', async () => {
    const { status, json } = await ca.ask({ token: world.token(), body: `"${'x'.repeat(3_000_000)}"` });
    expect([status, json.error]).toEqual([413, 'too-large']);
  });

  it('to another path gets 404, and by another method 405', async () => {
    expect((await ca.ask({ path: '/api/v1/signingCert', proven: 'x' })).status).toBe(404);
    const got = await fetch(`${ca.url}/api/v2/signingCert`);
    expect(got.status).toBe(405);
    expect(got.headers.get('allow')).toBe('POST');
  });

  it('for the trust bundle and the configuration is answered as by Fulcio', async () => {
    const bundle = (await (await fetch(`${ca.url}/api/v2/trustBundle`)).json()) as {
      chains: { certificates: string[] }[];
    };
    expect(
      bundle.chains.map(({ certificates }) => certificates.map((pem) => new X509Certificate(pem).subject)),
    ).toEqual([['O=stele tests\nCN=ci', 'O=stele tests\nCN=root']]);
    const { issuers } = (await (await fetch(`${ca.url}/api/v2/configuration`)).json()) as { issuers: unknown[] };
    expect(issuers).toContainEqual({
      issuerUrl: world.issuer.url,
      audience: 'sigstore',
      challengeClaim: 'email',
      spiffeTrustDomain: '',
    });
  });
});

describe('a workload', () => {
  beforeAll(async () => {
    await world.configure('access: access.yaml\ntls: { cert: tls.crt, key: tls.key }');
    const config = (await import('node:fs/promises')).readFile;
    const text = (await config(world.configFile, 'utf8')).replace('data: ca-data', 'data: tls-data');
    await writeFile(join(dir.path, 'tls.yaml'), text);
    tlsCa = await world.startCa({ args: ['--config', join(dir.path, 'tls.yaml')] });
  }, 60_000);

  const ask = (shown: Parameters<typeof askCaByTls>[2], more: Parameters<typeof askCaByTls>[3]) =>
    askCaByTls(tlsCa.url, pemOf(servers), shown, more);

  it('gets a certificate for its SPIFFE ID, by its X.509-SVID', async () => {
    const id = 'spiffe://example.org/build/linux';
    const leaf = await verified(await ask(shownBy(issueSvid(workloads, id)), { proven: id }), id);
    expect(leaf.names).toEqual([{ type: 'uri', value: id }]);
    expect(identityOf(leaf).issuer).toBe('spiffe://example.org');
  });

  it('that the policy does not name gets 403', async () => {
    const id = 'spiffe://example.org/other';
    const { status, json } = await ask(shownBy(issueSvid(workloads, id)), { proven: id });
    expect([status, json.error]).toEqual([403, 'not-allowed']);
  });

  it('with a certificate that is wrong gets 401 over HTTP, and nothing is logged', async () => {
    const size = await logSize();
    for (const [what, code, shown] of badCertificates(workloads)) {
      const { status, json } = await ask(shown, { proven: 'spiffe://example.org/build/linux' });
      expect([what, status, json.error]).toEqual([what, 401, code]);
    }
    expect(await logSize()).toBe(size);
  });

  it('with a certificate and a token shows one of them', async () => {
    const shown = shownBy(issueSvid(workloads, 'spiffe://example.org/build/linux'));
    const { status, json } = await ask(shown, { token: world.token() });
    expect([status, json.error]).toEqual([401, 'no-identity']);
  });

  it('with no certificate gets one by a token', async () => {
    await verified(await ask({}, { token: world.token({ nonce: 'tls' }) }), 'release@example.com');
  });
});

it('shows nothing of a token in its log and its metrics', async () => {
  const token = world.token({ nonce: 'secret' });
  await ca.ask({ token });
  await ca.ask({ token });
  await ca.ask({ token: `${token}x` });
  await ca.ask({ token, proven: 'x' });
  const metrics = await (await fetch(`${ca.adminUrl}/metrics`)).text();
  expect(metrics).toContain('stele_ca_certificates_total{team="ci"}');
  expect(metrics).toContain('stele_ca_refused_requests_total{error="token-used"}');
  const [, claims, signature] = token.split('.') as [string, string, string];
  for (const text of [ca.log(), metrics]) {
    expect(text).not.toContain(claims.slice(0, 60));
    expect(text).not.toContain(signature.slice(0, 20));
  }
  expect(ca.log()).toContain('issued a certificate');
});
