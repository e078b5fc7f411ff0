/** A signer without a key, before an authority that lies in each part of its answer. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ClientError, type ClientErrorCode } from '../../../../client/errors.ts';
import { MAX_CERTIFICATE_REPLY } from '../../../../client/submit/keyless/ask-authority.ts';
import { type CertifiedKey, keylessSigner } from '../../../../client/submit/keyless/keyless-signer.ts';
import { signDigest } from '../../../../client/submit/signed-digest.ts';
import { parseTrustedRoot } from '../../../../client/trust/trusted-root.ts';
import { parseVerifierKey, type VerifierKey } from '../../../../merkle/note.ts';
import { sha256 } from '../../../../merkle/rfc6962.ts';
import { der, issueCa, newKeys, SIGNING } from '../../../merkle/x509/make.ts';
import { type FulcioAuthority, type Lie, mailName, startFulcioAuthority } from '../../../support/fulcio-authority.ts';
import { startIssuer, type TestIssuer } from '../../../support/issuer.ts';
import { tempDir } from '../../../support/log.ts';
import { type ServeProcess, startServer } from '../../../support/serve.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let issuer: TestIssuer;
let authority: FulcioAuthority;
let log: ServeProcess;
let other: ServeProcess;
let logKey: VerifierKey;
beforeAll(async () => {
  dir = await tempDir();
  [issuer, authority] = [await startIssuer({ audience: 'sigstore' }), await startFulcioAuthority()];
  [log, other] = [await startServer(`${dir.path}/log`), await startServer(`${dir.path}/other`)];
  logKey = parseVerifierKey(log.verifierKeys[0]!);
});
afterEach(() => {
  authority.lie = {};
  authority.log = undefined;
  vi.useRealTimers();
});
afterAll(async () => {
  await issuer.close();
  await authority.close();
  await Promise.all([log.stop(), other.stop()]);
  await dir.remove();
});

const MEDIA_TYPE = 'application/vnd.dev.sigstore.trustedroot+json;version=0.1';
const rootWith = (change: object = {}) =>
  parseTrustedRoot(Buffer.from(JSON.stringify({ mediaType: MEDIA_TYPE, ...authority.trust(), ...change })));
const http = { deadline: 5_000, pauses: { first: 10, longest: 50 } };
const signer = (options: Partial<CertifiedKey> = {}) =>
  keylessSigner({ authority: authority.url, token: issuer.token(), http, trustedRoot: rootWith(), ...options });

/** The error of a signer, in which no part of the token stands. */
async function failure(options: Partial<CertifiedKey> = {}): Promise<ClientError> {
  const token = options.token ?? issuer.token();
  const error = await signer({ ...options, token }).then(
    () => new Error('there is a signer'),
    (reason: unknown) => reason as Error,
  );
  expect(error).toBeInstanceOf(ClientError);
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const said = `${at.message} ${at.stack}`;
    for (const part of token.split('.')) {
      for (let from = 0; from + 16 <= part.length; from += 8) expect(said).not.toContain(part.slice(from, from + 16));
    }
  }
  return error as ClientError;
}

describe('a signer without a key', () => {
  it('has a certificate for the e-mail address of the token, and signs with it', async () => {
    const token = issuer.token();
    const one = await signer({ token });
    expect(one.issued.name).toEqual({ type: 'email', value: 'release@example.com' });
    expect(one.issued.identity.issuer).toBe(issuer.url);
    expect(one.issued.logged).toBeUndefined();
    const digest = sha256(Buffer.from('a file'));
    const signed = await signDigest(digest, one);
    expect(one.publicKey.verify(digest, signed.signature)).toBe(true);
    expect(signed.certificate).toEqual(one.issued.certificate.der);
    const asked = authority.asked.at(-1)!;
    expect(asked.token).toBe(token);
    expect(one.publicKey.verify(sha256(Buffer.from('release@example.com')), asked.proof)).toBe(true);
    // The token goes into the body alone: headers are what servers and proxies write down.
    expect(JSON.stringify(asked.headers)).not.toContain(token.slice(-20));
  });

  it('has another key each time', async () => {
    const [one, two] = [await signer(), await signer()];
    expect(one.publicKey.spki).not.toEqual(two.publicKey.spki);
  });

  it.each([
    ['a SPIFFE ID', { sub: 'spiffe://ci.example.com/build/1' }],
    ['a SPIFFE ID of a token without issuer', { sub: 'spiffe://ci.example.com/build/1', iss: undefined }],
    ['a URI', { sub: 'https://ci.example.com/pipelines/7' }],
  ])('takes %s as it is', async (_, claims) => {
    const token = issuer.token({ ...claims, email: undefined, email_verified: undefined });
    authority.lie = { issuer: 'iss' in claims ? 'spiffe://ci.example.com' : issuer.url };
    expect((await signer({ token })).issued.name).toEqual({ type: 'uri', value: claims.sub });
  });

  const GITHUB = { sub: 'repo:octo/app:ref:refs/heads/main', job_workflow_ref: 'octo/app/.github/workflows/r.yml@v1' };
  const PUBLIC = { ...GITHUB, iss: 'https://token.actions.githubusercontent.com' };
  const GITLAB = {
    sub: 'project_path:octo/app',
    ci_config_ref_uri: 'gitlab.com/octo/app//.gitlab-ci.yml@refs/heads/x',
  };
  it.each([
    ['GitHub', GITHUB, 'https://github.com/octo/app/.github/workflows/r.yml@v1', undefined],
    ['GitHub', GITHUB, 'https://github.com/octo/app2/.github/workflows/r.yml@v1', 'identity'],
    ['GitHub', GITHUB, 'https://github.com/evil/octo/app/.github/workflows/r.yml@v1', 'identity'],
    ['GitHub', GITHUB, 'http://github.com/octo/app/.github/workflows/r.yml@v1', 'identity'],
    ['a server of GitHub', GITHUB, 'https://github.example.com/octo/app/.github/workflows/r.yml@v1', undefined],
    ['GitHub', PUBLIC, 'https://github.com/octo/app/.github/workflows/r.yml@v1', undefined],
    ['GitHub', PUBLIC, 'https://github.example.com/octo/app/.github/workflows/r.yml@v1', 'identity'],
    ['GitLab', GITLAB, 'https://gitlab.com/octo/app//.gitlab-ci.yml@refs/heads/x', undefined],
    ['GitLab', GITLAB, 'https://gitlab.com/octo/app//.gitlab-ci.yml@refs/heads/y', 'identity'],
    ['another build system', { sub: 'org:acme:pipeline:7' }, 'https://build.example.com/acme/7', undefined],
  ])('takes the address of a workflow of %s', async (_, claims, uri, code) => {
    const token = issuer.token({ ...claims, email: undefined });
    authority.lie = { leaf: () => ({ names: [der(0x86, Buffer.from(uri))] }) };
    if (code === undefined) expect((await signer({ token })).issued.name).toEqual({ type: 'uri', value: uri });
    else expect(await failure({ token })).toMatchObject({ code });
    expect(Buffer.from(authority.asked.at(-1)!.claims.sub as string).toString()).toBe(claims.sub);
  });

  it('takes the issuer behind an issuer that passes on what it says', async () => {
    const token = issuer.token({ federated_claims: { connector_id: 'https://accounts.example.com' } });
    authority.lie = { issuer: 'https://accounts.example.com' };
    expect((await signer({ token })).issued.identity.issuer).toBe('https://accounts.example.com');
  });

  it('checks the place of its certificate in the log', async () => {
    authority.log = { url: log.url, key: logKey };
    expect((await signer({ log: { logKey } })).issued.logged).toMatchObject({ origin: log.origin });
    // Nobody says which log counts: nothing is claimed.
    expect((await signer()).issued.logged).toBeUndefined();
    const stranger = parseVerifierKey(other.verifierKeys[0]!);
    expect(await failure({ log: { logKey: stranger } })).toMatchObject({ code: 'bad-checkpoint' });
  });

  it.each<[string, (proof: string) => unknown, ClientErrorCode]>([
    ['of a changed index', (proof) => proof.replace(/^index \d+$/m, 'index 99999'), 'bad-proof'],
    ['of another entry', (proof) => proof.replace(/^extra .*$/m, `extra ${btoa('{}')}`), 'entry-mismatch'],
    ['without the signature of the log', (proof) => proof.replace(/^— .*$/m, '— localhost AAAAAAAA'), 'bad-checkpoint'],
    ['that is none', () => 'hello', 'bad-reply'],
    ['that is no text', () => 7, 'bad-reply'],
  ])('refuses a proof %s', async (_, proof, code) => {
    authority.log = { url: log.url, key: logKey };
    authority.lie = { proof };
    expect(await failure({ log: { logKey } })).toMatchObject({ code });
  });

  it('refuses a proof whose entry has another certificate, also without the extra line', async () => {
    authority.log = { url: log.url, key: logKey };
    let earlier = '';
    authority.lie = { proof: (proof) => (earlier = proof) };
    await signer({ log: { logKey } });
    authority.lie = { proof: () => earlier };
    expect(await failure({ log: { logKey } })).toMatchObject({ code: 'entry-mismatch' });
    authority.lie = { proof: () => earlier.replace(/^extra .*\n/m, '') };
    expect(await failure({ log: { logKey } })).toMatchObject({ code: 'bad-proof' });
  });
});

describe('an authority that lies', () => {
  const soon = (ms: number) => `${new Date(Date.now() + ms).toISOString().slice(0, 19)}Z`;
  it.each<[string, () => Lie, ClientErrorCode]>([
    ['certifies another key', () => ({ keys: newKeys() }), 'bad-certificate'],
    ['certifies somebody else', () => ({ leaf: () => ({ names: [mailName('other@example.com')] }) }), 'identity'],
    [
      'certifies the address as a URI',
      () => ({ leaf: () => ({ names: [uriName('release@example.com')] }) }),
      'identity',
    ],
    ['adds a name', () => ({ leaf: () => ({ names: [ours(), mailName('other@example.com')] }) }), 'identity'],
    ['adds the name once more', () => ({ leaf: () => ({ names: [ours(), ours()] }) }), 'identity'],
    ['names nobody', () => ({ leaf: () => ({ rawExtensions: [] }), ct: null }), 'bad-certificate'],
    ['names another issuer', () => ({ issuer: 'https://accounts.example.org' }), 'identity'],
    ['names no issuer', () => ({ issuer: null }), 'identity'],
    ['certifies too late', () => ({ leaf: () => ({ from: soon(-900_000), to: soon(-1_000) }) }), 'bad-certificate'],
    ['certifies too early', () => ({ leaf: () => ({ from: soon(60_000) }) }), 'bad-certificate'],
    ['certifies for another use', () => ({ leaf: () => ({ usages: ['1.3.6.1.5.5.7.3.2'] }) }), 'bad-certificate'],
    ['certifies for no use', () => ({ leaf: () => ({ usages: undefined }) }), 'bad-certificate'],
    ['makes an authority of the signer', () => ({ leaf: () => ({ ca: true, keyUsage: 0x84 }) }), 'bad-certificate'],
    ['is another authority', () => ({ by: issueCa('team', undefined, { usages: [SIGNING] }) }), 'bad-certificate'],
    ['promises nothing', () => ({ ct: null }), 'bad-sct'],
    ['promises with another key', () => ({ ct: newKeys() }), 'bad-sct'],
    ['sends the leaf alone', () => ({ chain: (chain) => chain.slice(0, 1) }), 'bad-certificate'],
    ['sends the chain upside down', () => ({ chain: (chain) => [...chain].reverse() }), 'bad-certificate'],
    ['sends a chain of strangers', () => ({ chain: ([leaf]) => [leaf, strangerPem()] }), 'bad-certificate'],
    ['sends a chain of garbage', () => ({ chain: ([leaf]) => [leaf, garbage()] }), 'bad-certificate'],
    ['sends garbage', () => ({ chain: ([, team]) => [garbage(), team] }), 'bad-certificate'],
    ['sends no certificate', () => ({ chain: () => [] }), 'bad-reply'],
    ['sends two in one', () => ({ chain: ([leaf]) => [`${leaf}${leaf}`] }), 'bad-reply'],
    ['sends nine', () => ({ chain: ([leaf]) => Array(9).fill(leaf) }), 'bad-reply'],
    ['sends numbers', () => ({ chain: () => [1, 2] }), 'bad-reply'],
    [
      'sends a key',
      () => ({ chain: () => ['-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'] }),
      'bad-reply',
    ],
    ['sends another object', () => ({ reply: () => ({ hello: 1 }) }), 'bad-reply'],
    ['sends a list', () => ({ reply: () => [] }), 'bad-reply'],
    [
      'sends two chains',
      () => ({
        reply: ({ signedCertificateEmbeddedSct: one }) => ({
          signedCertificateEmbeddedSct: one,
          signedCertificateDetachedSct: one,
        }),
      }),
      'bad-reply',
    ],
    [
      'hides the token in the certificate',
      () => ({ leaf: ({ token }) => ({ extensions: [{ oid: '1.2.3', value: Buffer.from(token) }] }) }),
      'bad-certificate',
    ],
    [
      'hides its signature in the certificate',
      () => ({
        leaf: ({ token }) => ({
          extensions: [{ oid: '1.2.3', value: Buffer.from(token.split('.')[2]!, 'base64url') }],
        }),
      }),
      'bad-certificate',
    ],
  ])('and %s gets no signature', async (_, lie, code) => {
    authority.lie = lie();
    expect(await failure()).toMatchObject({ code });
  });

  const uriName = (text: string) => der(0x86, Buffer.from(text));
  const ours = () => mailName('release@example.com');
  const garbage = () => '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n';
  const strangerPem = () =>
    `-----BEGIN CERTIFICATE-----\n${Buffer.from(issueCa('team').certificate.der).toString('base64')}\n-----END CERTIFICATE-----\n`;

  it('is caught without a trusted root too where its own chain does not hold', async () => {
    expect(await signer({ trustedRoot: undefined })).toMatchObject({ issued: { name: { type: 'email' } } });
    authority.lie = { by: issueCa('team', undefined, { usages: [SIGNING] }), chain: ([leaf, , root]) => [leaf, root] };
    expect(await failure({ trustedRoot: undefined })).toMatchObject({ code: 'bad-certificate' });
  });

  it('counts in its time alone, as the trusted root has it', async () => {
    const [one] = authority.trust().certificateAuthorities as [object];
    const ended = { ...one, validFor: { start: '2020-01-01T00:00:00Z', end: '2021-01-01T00:00:00Z' } };
    expect(await failure({ trustedRoot: rootWith({ certificateAuthorities: [ended] }) })).toMatchObject({
      code: 'bad-certificate',
    });
  });

  it.each<[string, NonNullable<Lie['answer']>, ClientErrorCode]>([
    ['HTML', (_, reply) => reply.writeHead(200).end('<html>hello</html>'), 'bad-reply'],
    ['nothing', (_, reply) => reply.writeHead(200).end(), 'bad-reply'],
    ['a megabyte', (_, reply) => reply.writeHead(200).end('a'.repeat(1024 * 1024)), 'bad-reply'],
    ['deep JSON', (_, reply) => reply.writeHead(200).end('['.repeat(MAX_CERTIFICATE_REPLY - 1)), 'bad-reply'],
    ['a redirect', (_, reply) => reply.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(), 'network'],
    ['a refusal', (_, reply) => reply.writeHead(401).end('{"code":16,"message":"the token has expired"}'), 'refused'],
    [
      'the token in its refusal',
      ({ token }, reply) => reply.writeHead(400).end(JSON.stringify({ message: `bad token: ${token}` })),
      'refused',
    ],
    ['the token as plain text', ({ token }, reply) => reply.writeHead(403).end(token), 'refused'],
    [
      'the token in parts',
      ({ token }, reply) => reply.writeHead(400).end(`no: ${token.slice(20, 90)} and ${token.slice(-40)}`),
      'refused',
    ],
    [
      'the token as a field',
      ({ token }, reply) => reply.writeHead(200).end(JSON.stringify({ [token]: 1, [`${token}x`]: 1 })),
      'bad-reply',
    ],
    [
      'the token as a field twice',
      ({ token }, reply) => reply.writeHead(200).end(`{"${token}":1,"${token}":2}`),
      'bad-reply',
    ],
    [
      'the token as a certificate',
      ({ token }, reply) =>
        reply.writeHead(200).end(
          JSON.stringify({
            signedCertificateEmbeddedSct: {
              chain: { certificates: [`-----BEGIN ${token}-----\nAAAA\n-----END ${token}-----`] },
            },
          }),
        ),
      'bad-reply',
    ],
  ])('and answers with %s gets no signature, and the token stays a secret', async (_, answer, code) => {
    authority.lie = { answer };
    expect(await failure()).toMatchObject({ code });
  });

  it('that says "not now" with the token is asked again, and gives no secret away', async () => {
    const token = issuer.token();
    authority.lie = { answer: (asked, reply) => reply.writeHead(503).end(JSON.stringify({ message: asked.token })) };
    const said: string[] = [];
    const retrying = { ...http, deadline: 300, onRetry: ({ why }: { why: string }) => void said.push(why) };
    const error = await failure({ token, http: retrying });
    expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining('A token may work once') });
    expect(said.length).toBeGreaterThan(0);
    for (const why of said) expect(why).not.toContain(token.slice(0, 16));
  });

  it('that could not answer, and then refuses the token, is named with both reasons', async () => {
    let asks = 0;
    authority.lie = {
      answer: (_, reply) => {
        asks += 1;
        if (asks === 1) reply.writeHead(503).end('{"message":"the log did not take the certificate in time"}');
        else reply.writeHead(401).end('{"message":"the token was used before"}');
      },
    };
    const { code, message } = await failure();
    expect(code).toBe('refused');
    expect(message).toMatch(/the token was used before.*earlier attempt ended with: .*the log did not take/);
  });

  it('that puts the token into the subject gives no secret away', async () => {
    authority.lie = { leaf: ({ token }) => ({ name: token.slice(0, 200), usages: ['1.3.6.1.5.5.7.3.2'] }) };
    expect(await failure()).toMatchObject({ code: 'bad-certificate' });
  });

  it('that never answers does not hold the caller', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const patience = { ...http, deadline: 300, attemptTimeout: 100 };
    expect(await failure({ authority: url, http: patience })).toMatchObject({ code: 'network' });
    silent.closeAllConnections();
    silent.close();
  });
});

describe('one certificate', () => {
  it('serves many signatures, and none after its end', async () => {
    const one = await signer();
    for (const text of ['a', 'b', 'c']) await signDigest(sha256(Buffer.from(text)), one);
    vi.useFakeTimers({ now: one.issued.certificate.notAfter + 1, toFake: ['Date'] });
    const late = expect.objectContaining({ code: 'identity-token', message: expect.stringContaining('a new token') });
    await expect(signDigest(sha256(Buffer.from('d')), one)).rejects.toThrow(late);
    expect(() => one.sign(sha256(Buffer.from('d')))).toThrow(late);
  });
});

describe('the address of an authority', () => {
  it.each([
    'ftp://ca.example.com',
    'ca.example.com',
    'http://ca.example.com',
    'http://10.0.0.1',
    'http://127.0.0.1.example.com',
    'http://localhost.example.com',
    'https://user:secret@ca.example.com',
    'https://ca.example.com/?a=b',
    'https://ca.example.com/#a',
  ])('is not %s, and nothing is sent', async (url) => {
    const before = authority.asked.length;
    expect(await failure({ authority: url })).toMatchObject({ code: 'usage' });
    expect(authority.asked).toHaveLength(before);
  });

  it('may end in slashes', async () => {
    expect(await signer({ authority: `${authority.url}//` })).toMatchObject({ repeatable: true });
  });
});
