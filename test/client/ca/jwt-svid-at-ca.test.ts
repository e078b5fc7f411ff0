/** A workload with a JWT-SVID at the authority, and how many certificates a caller gets in a minute. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parsePem, pemBytes } from '../../../merkle/pem.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { identityOf } from '../../../merkle/x509/fulcio.ts';
import { CA_AUDIENCE, type CaProcess, type CaWorld, makeCaWorld } from '../../support/ca-service.ts';
import { newIssuerKey, signToken } from '../../support/issuer.ts';
import { tempDir } from '../../support/log.ts';
import { until } from '../../support/until.ts';

const ID = 'spiffe://ci.example.com/build/linux';
const svidKey = newIssuerKey('ES256', { jwk: { use: 'jwt-svid', alg: undefined } });
const LIMIT = 3;

let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;
let ca: CaProcess;

beforeAll(async () => {
  dir = await tempDir();
  world = await makeCaWorld(dir.path, {
    team: '    trustDomains: [ci.example.com]',
    identity: '  trustDomains: [{ name: ci.example.com, bundle: ci.json }]',
    settings: `limits: { perMinute: ${LIMIT} }`,
  });
  await writeFile(join(dir.path, 'ci.json'), JSON.stringify({ keys: [svidKey.jwk] }));
  ca = await world.startCa();
}, 60_000);
afterAll(async () => {
  await ca?.kill();
  await world?.close();
  await dir.remove();
});

let nonce = 0;
function svid(sub = ID, more: Readonly<Record<string, unknown>> = {}) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub, aud: [CA_AUDIENCE], iat: now, exp: now + 300, nonce: ++nonce, ...more };
  return signToken(svidKey, { alg: 'ES256', kid: svidKey.kid, typ: 'JWT' }, claims);
}

it('gets a certificate for its SPIFFE ID, once for each JWT-SVID, in the header or in the body', async () => {
  const id = `${ID}/once`;
  const token = svid(id);
  const first = await ca.ask({ token });
  expect(first.status, first.text).toBe(200);
  const [pem] = first.json.signedCertificateEmbeddedSct.chain.certificates;
  const leaf = parseCertificate(pemBytes(parsePem(pem)[0]!));
  expect(leaf.names).toEqual([{ type: 'uri', value: id }]);
  // The trust domain vouches for it. Nobody vouches for a claim `iss`.
  expect(identityOf(leaf).issuer).toBe('spiffe://ci.example.com');
  const second = await ca.ask({ bodyToken: token });
  expect([second.status, second.json.error]).toEqual([401, 'token-used']);
  const inBody = await ca.ask({ bodyToken: svid(id, { iss: 'https://other.example.com' }) });
  expect(inBody.status, inBody.text).toBe(200);
});

it('must prove its key over its SPIFFE ID, and have a trust domain that a team certifies', async () => {
  const wrong = await ca.ask({ token: svid(`${ID}/proof`), proven: ID });
  expect([wrong.status, wrong.json.error]).toEqual([400, 'possession']);
  const other = await ca.ask({ token: svid('spiffe://other.example.com/build') });
  expect([other.status, other.json.error]).toEqual([401, 'trust-domain']);
});

it('gets so many certificates in a minute, and then 429 with the seconds to wait, which uses up no token', async () => {
  for (let i = 0; i < LIMIT; i++) expect((await ca.ask({ token: svid() })).status).toBe(200);
  const token = svid();
  const { status, json, headers } = await ca.ask({ token });
  expect(status).toBe(429);
  expect(json).toMatchObject({ code: 8, error: 'rate', details: [] });
  expect(json.message).toContain(`${LIMIT} requests in this minute`);
  const seconds = Number(headers.get('retry-after'));
  expect(seconds).toBeGreaterThanOrEqual(1);
  expect(seconds).toBeLessThanOrEqual(60);
  // Others are not held up, by a JWT-SVID or by another token.
  expect((await ca.ask({ token: svid(`${ID}/other`) })).status).toBe(200);
  expect((await ca.ask({ token: world.token({ nonce: 'other' }) })).status).toBe(200);
  // A limit that is raised holds at once.
  await world.configure('limits: { perMinute: 100 }');
  ca.signal('SIGHUP');
  await until(async () => (await ca.ask({ token })).status === 200);
});
