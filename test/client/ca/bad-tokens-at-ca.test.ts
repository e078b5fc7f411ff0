/** Every kind of bad token, sent to the authority as a process: none gets a certificate, nothing is logged, and no token is in its log. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { badTokens } from '../../merkle/runtime/identity/tokens/bad-tokens.ts';
import { AUDIENCE } from '../../merkle/runtime/identity/tokens/opened.ts';
import { type CaAnswer, type CaProcess, type CaWorld, makeCaWorld, newP256 } from '../../support/ca-service.ts';
import { newIssuerKey } from '../../support/issuer.ts';
import { tempDir } from '../../support/log.ts';

const svidKey = newIssuerKey('ES256', { jwk: { use: 'jwt-svid' } });
const otherSvidKey = newIssuerKey('ES256', { jwk: { use: 'jwt-svid' } });
let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;
let ca: CaProcess;

beforeAll(async () => {
  dir = await tempDir();
  world = await makeCaWorld(dir.path, {
    team: '    trustDomains: [ci.example.com]',
    identity: `  trustDomains: [{ name: ci.example.com, bundle: ci.json }, { name: other.example.com, bundle: other.json }]`,
    settings: `tokens: { audience: ${AUDIENCE}, maxLifetime: 10m }`,
  });
  const keys = (['RS256', 'ES256', 'EdDSA'] as const).map((algorithm) => newIssuerKey(algorithm));
  world.issuer.keys.splice(0, 1, ...keys);
  await writeFile(join(dir.path, 'ci.json'), JSON.stringify({ keys: [svidKey.jwk] }));
  await writeFile(join(dir.path, 'other.json'), JSON.stringify({ keys: [otherSvidKey.jwk] }));
  ca = await world.startCa();
}, 60_000);
afterAll(async () => {
  await ca?.kill();
  await world?.close();
  await dir.remove();
});

const sizeOfLog = async () => Number((await (await fetch(`${world.log.url}/checkpoint`)).text()).split('\n')[1]);

it('gets 401 with a reason and a code, and no certificate', { timeout: 120_000 }, async () => {
  const seconds = Math.floor(Date.now() / 1000);
  const right = { iat: seconds, exp: seconds + 300, aud: AUDIENCE };
  expect(await ca.ask({ bodyToken: world.token(right) })).toMatchObject({ status: 200 });
  const before = await sizeOfLog();
  const known = { issuer: world.issuer, svidKey, otherSvidKey };
  // The tests of the verifier have a clock of their own. Here a token that begins in 11 seconds would begin during the test.
  const ahead = badTokens({ ...known, now: Date.now() + 120_000 }).find(({ kind }) => kind === 'not yet valid')!;
  const kinds = badTokens({ ...known, now: Date.now() }).map((kind) => (kind.kind === ahead.kind ? ahead : kind));
  // The subject of nearly all of them.
  const proof = { keys: newP256(), proven: 'builder-1' };
  const sent: string[] = [];
  for (const { kind, codes, tokens } of kinds) {
    const check = ({ status, json, text }: CaAnswer, name: string) => {
      expect(status, `${name}: ${text}`).toBe(401);
      expect([...codes, 'no-identity'], name).toContain(json.error);
      expect(json.message.length, name).toBeGreaterThan(20);
    };
    for (const [i, token] of tokens.entries()) {
      check(await ca.ask({ bodyToken: token, ...proof }), `${kind}, variant ${i}, in the body`);
      sent.push(token);
      if (i > 2 || token.length > 8000 || !/^[!-~]+$/.test(token)) continue;
      check(await ca.ask({ token, ...proof }), `${kind}, variant ${i}, in the header`);
    }
  }
  expect(sent.length).toBeGreaterThan(1000);
  expect(await sizeOfLog()).toBe(before);
  // 40 characters of a signature are in no other text.
  const log = ca.log();
  for (const token of sent) {
    const end = token.slice(-40);
    if (/[A-Za-z]{4}/.test(end) && new Set(end).size > 10) expect(log).not.toContain(end);
  }
  expect(log).not.toContain('MARKER-of-claims');
  expect((await ca.ready()).ready).toBe(true);
});
