/** Writes by identity at the real port of a real log: who gets 201, and that nothing is logged for all others. */
import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeLogger } from '../../../merkle/runtime/service/logger.ts';
import { Writers } from '../../../server/http/writers.ts';
import { Metrics } from '../../../server/metrics.ts';
import { WriteRecords } from '../../../server/store/write-records.ts';
import { issueCa } from '../../merkle/x509/make.ts';
import { badCertificates, issueClient, issueSvid, type Shown, shownBy } from '../../support/client-certificates.ts';
import { type IdentityLog, type Reply, startIdentityLog } from '../../support/identity-log.ts';
import { macToken, newIssuerKey, signToken, startIssuer, type TestIssuer } from '../../support/issuer.ts';
import {
  dsseRequest,
  hashedRekordRequest,
  sharedSigner,
  toJson,
  toJsonBatch,
  toProtobuf,
  toProtobufBatch,
} from '../../support/requests.ts';

const ENTRIES = '/api/v2/log/entries';
const BATCH = `${ENTRIES}:batch`;
const ID = 'spiffe://example.org/build/linux';

const POLICY = `version: 1
name: writers
callers:
  ci: { spiffeId: 'spiffe://example.org/build/**' }
  docs: { spiffeId: 'spiffe://example.org/docs' }
  slow: { spiffeId: 'spiffe://example.org/slow' }
  fulcio: { spiffeId: 'spiffe://example.org/fulcio' }
  operator: { spiffeId: 'spiffe://example.org/operator' }
  team: { certificate: builder-1.example.com }
  release: { issuer: ISSUER, subject: release@example.com }
allow:
  - { name: builders, callers: [ci, team, release], calls: [write] }
  - { name: docs, callers: [docs], calls: [write], kinds: [dsse], keys: [PKIX_ED25519_PH] }
  - { name: slow, callers: [slow], calls: [write], perMinute: 5 }
  - { name: fulcio, callers: [fulcio], calls: [write], issuers: [{ pattern: 'CN=.*' }] }
  - { name: operator, callers: [operator], calls: [admin] }
`;

let log: IdentityLog;
let issuer: TestIssuer;
const svid = (path: string, more = {}): Shown => shownBy(issueSvid(log.root, `spiffe://example.org${path}`, more));
const one = () => toJson(hashedRekordRequest());

beforeAll(async () => {
  issuer = await startIssuer();
  log = await startIdentityLog({
    policy: POLICY.replace('ISSUER', issuer.url),
    identity: `issuers:\n  - { issuer: '${issuer.url}', keepKeys: 1h }\n`,
    settings: '  tokens: true\n',
  });
});
afterAll(async () => {
  await log?.close();
  await issuer?.close();
});

/** Whether the refusal is one for people and for programs, and nothing was logged. */
async function nothingLogged(run: () => Promise<Reply>): Promise<Reply> {
  const before = await log.size();
  const reply = await run();
  expect(await log.size()).toBe(before);
  expect(reply.json().message.length).toBeGreaterThan(20);
  return reply;
}

describe('an allowed caller', () => {
  it.each<[string, string, () => Buffer, string, number]>([
    ['one entry in JSON', ENTRIES, () => toJson(hashedRekordRequest()), 'application/json', 201],
    ['one entry in protobuf', ENTRIES, () => toProtobuf(hashedRekordRequest()), 'application/x-protobuf', 201],
    ['an envelope', ENTRIES, () => toJson(dsseRequest()), 'application/json', 201],
    ['many entries in JSON', BATCH, () => toJsonBatch([hashedRekordRequest(), dsseRequest()]), 'application/json', 200],
    ['many in protobuf', BATCH, () => toProtobufBatch([hashedRekordRequest()]), 'application/x-protobuf', 200],
  ])('writes %s', async (_what, path, body, type, status) => {
    const before = await log.size();
    const reply = await log.post(path, body(), svid('/build/linux'), { headers: { 'content-type': type } });
    expect(reply.status).toBe(status);
    expect(await log.size()).toBeGreaterThan(before);
  });

  it('may be known by another certificate', async () => {
    expect((await log.post(ENTRIES, one(), shownBy(issueClient(log.clients, 'builder-1.example.com')))).status).toBe(
      201,
    );
  });

  it('goes on to write on an open connection', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const shown = svid('/build/linux');
    for (let i = 0; i < 3; i++) expect((await log.post(ENTRIES, one(), shown, { agent })).status).toBe(201);
    agent.destroy();
  });
});

describe('a certificate', () => {
  it.each(Array.from({ length: 24 }, (_, i) => i))('that is bad writes nothing (kind %i), at any call', async (i) => {
    const [what, code, shown] = badCertificates(log.root)[i]!;
    for (const [path, body] of [
      [ENTRIES, one()],
      [BATCH, toJsonBatch([hashedRekordRequest()])],
    ] as const) {
      const reply = await nothingLogged(() => log.post(path, body, shown));
      const expected = code === 'certificate-names' ? ['certificate-names', 'certificate-chain'] : [code];
      expect([what, reply.status]).toEqual([what, 401]);
      expect(expected).toContain(reply.json().error);
      expect(reply.json().code).toBe(16);
      expect(reply.headers['www-authenticate']).toBeDefined();
    }
  });

  it('that is bad writes nothing, however often it comes', async () => {
    const before = await log.size();
    for (const [what, , shown] of badCertificates(log.root)) {
      const replies = await Promise.all(Array.from({ length: 20 }, () => log.post(ENTRIES, one(), shown)));
      expect([what, replies.filter(({ status }) => status === 401).length]).toEqual([what, 20]);
    }
    expect(await log.size()).toBe(before);
  });

  it('is missing', async () => {
    const reply = await nothingLogged(() => log.post(ENTRIES, one()));
    expect(reply.status).toBe(401);
    expect(reply.json()).toMatchObject({ error: 'no-identity', message: expect.stringContaining('X.509-SVID') });
  });

  it('of a caller that no rule names writes nothing', async () => {
    for (const path of ['/deploy', '/builds/linux', '/build', '/operator']) {
      const reply = await nothingLogged(() => log.post(ENTRIES, one(), svid(path)));
      expect(reply.status).toBe(403);
      expect(reply.json()).toMatchObject({ code: 7, error: 'not-allowed', reasons: [{ code: 'caller' }] });
      expect(reply.json().message).toContain(`spiffe://example.org${path}`);
    }
  });

  it('of a caller without a rule is refused before its body is read', async () => {
    const reply = await nothingLogged(() => log.post(ENTRIES, Buffer.from('not JSON at all'), svid('/deploy')));
    expect(reply.status).toBe(403);
    expect((await nothingLogged(() => log.post(ENTRIES, Buffer.alloc(100_000_000)))).status).toBe(401);
    expect((await log.post(ENTRIES, Buffer.from('not JSON at all'), svid('/build/linux'))).status).toBe(400);
  });
});

describe('the policy', () => {
  it('judges kinds and keys', async () => {
    const ed25519 = sharedSigner('ed25519ph');
    const shown = svid('/docs');
    expect((await log.post(ENTRIES, toJson(dsseRequest(ed25519)), shown)).status).toBe(201);
    const kind = await nothingLogged(() => log.post(ENTRIES, toJson(hashedRekordRequest(ed25519)), shown));
    expect([kind.status, kind.json().reasons]).toMatchObject([403, [{ code: 'kind', rule: 'docs' }]]);
    const key = await nothingLogged(() =>
      log.post(ENTRIES, toProtobuf(dsseRequest()), shown, { headers: { 'content-type': 'application/x-protobuf' } }),
    );
    expect([key.status, key.json().reasons]).toMatchObject([403, [{ code: 'key', rule: 'docs' }]]);
    const mixed = await nothingLogged(() => log.post(ENTRIES, toJson(dsseRequest([ed25519, sharedSigner()])), shown));
    expect(mixed.status).toBe(403);
  });

  it('judges issuers of certificates', async () => {
    const shown = svid('/fulcio');
    const plain = await nothingLogged(() => log.post(ENTRIES, one(), shown));
    expect([plain.status, plain.json().reasons]).toMatchObject([403, [{ code: 'issuer', rule: 'fulcio' }]]);
    const certified = toJson(hashedRekordRequest(sharedSigner(), Buffer.from('certified'), 'x509Certificate'));
    expect((await log.post(ENTRIES, certified, shown)).status).toBe(201);
  });

  it('judges each item of a bulk call', async () => {
    const ed25519 = sharedSigner('ed25519ph');
    const before = await log.size();
    const items = [dsseRequest(ed25519), hashedRekordRequest(), dsseRequest(ed25519)];
    const reply = await log.post(BATCH, toJsonBatch(items), svid('/docs'));
    expect(reply.status).toBe(200);
    const { results } = JSON.parse(reply.body.toString()) as { results: { entry?: object; error?: object }[] };
    expect(results.map((result) => 'entry' in result)).toEqual([true, false, true]);
    expect(results[1]!.error).toMatchObject({ code: 7, error: 'not-allowed', reasons: [{ code: 'kind' }] });
    expect(await log.size()).toBe(before + 2);
  });

  it('does not answer 201 for a duplicate of another caller', async () => {
    const body = one();
    expect((await log.post(ENTRIES, body, svid('/build/linux'))).status).toBe(201);
    expect((await log.post(ENTRIES, body)).status).toBe(401);
    expect((await log.post(ENTRIES, body, svid('/deploy'))).status).toBe(403);
    const docs = await log.post(ENTRIES, body, svid('/docs'));
    expect(docs.status).toBe(403);
    expect(docs.headers).not.toHaveProperty('x-log-index');
  });

  it('counts entries in a minute', async () => {
    const shown = svid('/slow');
    const many = (count: number) => toJsonBatch(Array.from({ length: count }, () => hashedRekordRequest()));
    expect((await log.post(BATCH, many(4), shown)).status).toBe(200);
    const last = JSON.parse((await log.post(BATCH, many(3), shown)).body.toString()) as { results: object[] };
    expect(last.results.map((result) => 'entry' in result)).toEqual([true, false, false]);
    const reply = await nothingLogged(() => log.post(ENTRIES, one(), shown));
    expect(reply.status).toBe(429);
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(reply.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect(reply.json()).toMatchObject({ code: 8, error: 'not-allowed', reasons: [{ code: 'rate' }] });
    expect((await log.post(ENTRIES, one(), svid('/build/linux'))).status).toBe(201);
  });
});

describe('a bearer token', () => {
  const tokenAgent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  afterAll(() => tokenAgent.destroy());
  const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

  it('of an allowed caller writes, again on the same connection, and never on another', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const token = issuer.token();
    for (let i = 0; i < 3; i++) {
      expect((await log.post(ENTRIES, one(), undefined, { agent, ...bearer(token) })).status).toBe(201);
    }
    const stolen = await nothingLogged(() => log.post(ENTRIES, one(), undefined, bearer(token)));
    expect([stolen.status, stolen.json().error]).toEqual([401, 'token-connection']);
    expect(stolen.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
    expect((await log.post(ENTRIES, one(), undefined, { agent, ...bearer(token) })).status).toBe(201);
    agent.destroy();
  });

  const now = () => Math.floor(Date.now() / 1000);
  const claims = () => ({
    iss: issuer.url,
    sub: 'release@example.com',
    aud: 'log.example.com',
    iat: now(),
    exp: now() + 300,
  });
  const key = () => issuer.keys.at(-1)!;
  it.each<[string, number, string, () => string]>([
    ['of another subject', 403, 'not-allowed', () => issuer.token({ sub: 'other@example.com' })],
    [
      'without a signature',
      401,
      'token-algorithm',
      () => `${signToken(key(), { alg: 'none', kid: key().kid }, claims()).split('.').slice(0, 2).join('.')}.`,
    ],
    [
      'with the public key as secret',
      401,
      'token-algorithm',
      () =>
        macToken(
          key().publicKey.export({ type: 'spki', format: 'pem' }) as string,
          { alg: 'HS256', kid: key().kid },
          claims(),
        ),
    ],
    ['of an unknown key', 401, 'token-key', () => issuer.token({}, { key: newIssuerKey() })],
    [
      'of another key of the same name',
      401,
      'token-signature',
      () => issuer.token({}, { key: newIssuerKey('ES256', { kid: key().kid }) }),
    ],
    ['for another audience', 401, 'token-audience', () => issuer.token({ aud: 'other.example.com' })],
    ['for two audiences', 401, 'token-audience', () => issuer.token({ aud: ['log.example.com', 'other.example.com'] })],
    ['by another issuer', 401, 'token-issuer', () => issuer.token({ iss: 'https://accounts.example.org' })],
    [
      'of an unknown trust domain',
      401,
      'trust-domain',
      () => issuer.token({ iss: undefined, sub: 'spiffe://example.net/build/linux' }),
    ],
    ['that expired', 401, 'token-expired', () => issuer.token({ iat: now() - 300, exp: now() - 1 })],
    ['that is not yet valid', 401, 'token-not-yet-valid', () => issuer.token({ nbf: now() + 120 })],
    ['that is valid for an hour', 401, 'token-lifetime', () => issuer.token({ exp: now() + 3600 })],
    ['without an end', 401, 'token-claims', () => issuer.token({ exp: undefined })],
    ['that is none', 401, 'token-malformed', () => 'aaaa.bbbb.cccc'],
  ])('%s writes nothing', async (_what, status, code, make) => {
    const token = make();
    for (let i = 0; i < 19; i++) {
      const again = await nothingLogged(() =>
        log.post(ENTRIES, one(), undefined, { agent: tokenAgent, ...bearer(make()) }),
      );
      expect([again.status, again.json().error]).toEqual([status, code]);
    }
    const reply = await nothingLogged(() =>
      log.post(ENTRIES, one(), undefined, { agent: tokenAgent, ...bearer(token) }),
    );
    expect([reply.status, reply.json().error]).toEqual([status, code]);
    for (const part of token.split('.').filter((text) => text.length > 8))
      expect(reply.body.toString()).not.toContain(part);
  });

  it('of a megabyte is refused with the same kind of reason', async () => {
    for (let i = 0; i < 20; i++) {
      const reply = await nothingLogged(() => log.post(ENTRIES, one(), undefined, bearer('a'.repeat(1_000_000))));
      expect([reply.status, reply.json().error]).toEqual([401, 'token-too-long']);
      expect(reply.json().message).toContain('no token is so long');
      expect(reply.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
    }
    expect((await log.post(ENTRIES, one(), svid('/build/linux'))).status).toBe(201);
  });

  it('beside a certificate is refused', async () => {
    const reply = await nothingLogged(() => log.post(ENTRIES, one(), svid('/build/linux'), bearer(issuer.token())));
    expect([reply.status, reply.json().error]).toEqual([401, 'no-identity']);
  });

  it('never stands in metrics', async () => {
    const token = issuer.token({ sub: 'someone@example.com' });
    await log.post(ENTRIES, one(), undefined, bearer(token));
    const metrics = await log.metrics();
    expect(metrics).toContain('stele_refusals_total{reason="token-audience"}');
    expect(metrics).toContain('stele_refusals_total{reason="not-allowed"}');
    expect(metrics).not.toContain('example.com');
    for (const part of token.split('.')) expect(metrics).not.toContain(part);
  });
});

describe('the log', () => {
  it('says that writes need an identity, and which', async () => {
    const info = JSON.parse((await log.get('/stele/v1/log')).body.toString()) as { writes: object };
    expect(info.writes).toEqual({ identity: ['x509-svid', 'certificate', 'jwt-svid', 'id-token'] });
    expect((await log.get('/')).body.toString()).toContain('Writes need an identity');
  });

  it('is open for reading', async () => {
    for (const path of ['/checkpoint', '/tile/0/000.p/1', '/stele/v1/entries/0'])
      expect((await log.get(path)).status).toBe(200);
  });
});

describe('a log that cannot keep who writes', () => {
  it('takes no entry', async () => {
    const records = await WriteRecords.open({
      file: join(log.dir, 'full.jsonl'),
      retention: 1000,
      logger: makeLogger({ level: 'silent' }),
    });
    const caller = { kind: 'x509-svid', id: ID, names: [], expires: Number.MAX_SAFE_INTEGER } as const;
    const gate = { identify: () => caller, judge: () => ({ allowed: true, rule: 'builders' }) as const };
    const identifier = { challengeFor: () => 'Certificate', kinds: [], accepted: '' };
    const writers = new Writers({ identifier, gate, records });
    const writer = await writers.admit({} as never, 'log.example.com', new Metrics({ process: false }));
    const entry = { index: 1, leafHash: new Uint8Array(32), duplicate: false, rule: 'builders' };
    await writer.record(entry);
    // The next write needs the file of another day in a directory that is away.
    await records.close();
    await rename(log.dir, `${log.dir}-away`);
    try {
      await expect(writer.record(entry)).rejects.toMatchObject({ code: 'record-failed' });
      expect(() => writers.admit({} as never, 'log.example.com', new Metrics({ process: false }))).toThrow(
        'could not keep who writes',
      );
    } finally {
      await rename(`${log.dir}-away`, log.dir);
    }
    await records.close();
  });
});

describe('another policy', () => {
  afterEach(async () => {
    await log.setPolicy(POLICY.replace('ISSUER', issuer.url));
    await log.server.reload();
  });

  it('takes effect with a reload, on open connections too, and a broken one changes nothing', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    const shown = svid('/build/linux');
    expect((await log.post(ENTRIES, one(), shown, { agent })).status).toBe(201);
    await log.setPolicy('version: 1\nname: broken\n');
    await log.server.reload();
    expect((await log.post(ENTRIES, one(), shown, { agent })).status).toBe(201);
    const ready = (await (await fetch(`${log.server.adminUrl}/readyz`)).json()) as { alarms: string[] };
    expect(ready.alarms.join()).toContain('the access policy was not taken');
    await log.setPolicy(`version: 1
name: closed
callers: { docs: { spiffeId: 'spiffe://example.org/docs' } }
allow: [ { name: docs, callers: [docs], calls: [write] } ]
`);
    await log.server.reload();
    expect((await log.post(ENTRIES, one(), shown, { agent })).status).toBe(403);
    agent.destroy();
  });

  it('of other authorities of clients takes effect with a reload', async () => {
    const shown = shownBy(issueClient(log.clients, 'builder-1.example.com'));
    const file = join(log.dir, 'clients.pem');
    const before = await readFile(file);
    expect((await log.post(ENTRIES, one(), shown)).status).toBe(201);
    const { pemOf } = await import('../../support/tls-server.ts');
    await writeFile(file, pemOf(issueCa('next')));
    await log.server.reload();
    expect((await log.post(ENTRIES, one(), shown)).status).toBe(401);
    await writeFile(file, before);
    await log.server.reload();
    expect((await log.post(ENTRIES, one(), shown)).status).toBe(201);
  });
});

describe('a log of opaque entries', () => {
  it('takes them from those whom its policy allows, and keeps who wrote', async () => {
    const raw = await startIdentityLog({
      policy: `version: 1
name: raw
callers:
  ci: { spiffeId: '${ID}' }
  signer: { spiffeId: 'spiffe://example.org/signer' }
allow:
  - { name: opaque, callers: [ci], calls: [write], kinds: [raw], perMinute: 3 }
  - { name: signed, callers: [signer], calls: [write], kinds: [hashedrekord] }
`,
      config: 'entries: raw\n',
      settings: '  record: { file: writes.jsonl }\n',
    });
    try {
      const shown = shownBy(issueSvid(raw.root, ID));
      expect((await raw.post('/add', Buffer.from('one'), shown)).body.toString()).toBe('0');
      expect((await raw.post('/add', Buffer.from('one'), shown)).body.toString()).toBe('0');
      expect((await raw.post('/add', Buffer.from('one'))).json().error).toBe('no-identity');
      const other = await raw.post(
        '/add',
        Buffer.from('one'),
        shownBy(issueSvid(raw.root, 'spiffe://example.org/signer')),
      );
      expect([other.status, other.json().reasons]).toMatchObject([403, [{ code: 'kind' }]]);
      expect((await raw.post('/add', Buffer.from('two'), shown)).body.toString()).toBe('1');
      expect((await raw.post('/add', Buffer.from('three'), shown)).status).toBe(429);
      const file = join(raw.dir, 'writes.jsonl');
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      const lines = (await readFile(file, 'utf8'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as object);
      expect(lines).toMatchObject([
        {
          origin: 'log.example.com',
          index: 0,
          duplicate: false,
          caller: { kind: 'x509-svid', id: ID },
          rule: 'opaque',
        },
        { index: 0, duplicate: true },
        { index: 1, leafHash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      ]);
    } finally {
      await raw.close();
    }
  });
});
