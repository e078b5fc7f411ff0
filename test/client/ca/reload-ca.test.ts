/** SIGHUP at the authority: what is broken changes nothing and is an alarm, and no request fails meanwhile. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CaProcess, type CaWorld, makeCaWorld } from '../../support/ca-service.ts';
import { tempDir } from '../../support/log.ts';
import { until } from '../../support/until.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;
let ca: CaProcess;
let made = 0;
const at = (name: string) => join(dir.path, name);
const accessFor = (domain: string) => `version: 1
name: who gets certificates
callers: { people: { issuer: '${world.issuer.url}', email: { pattern: '.*@${domain}' } } }
allow: [{ name: people, callers: [people], calls: [issue] }]
`;

beforeAll(async () => {
  dir = await tempDir();
  world = await makeCaWorld(dir.path, { settings: 'access: access.yaml\nlimits: { perMinute: 0 }' });
  await writeFile(at('access.yaml'), accessFor('example\\.com'));
  ca = await world.startCa();
}, 60_000);

afterAll(async () => {
  await ca?.kill();
  await world?.close();
  await dir.remove();
});

async function statusOf(email: string): Promise<number> {
  return (await ca.ask({ token: world.token({ jti: `${++made}`, email }) })).status;
}

/** Sends SIGHUP, and resolves with the alarms once the reload has ended. */
async function reload(): Promise<string> {
  const ends = () => ca.log().split('SIGHUP: read again').length + ca.log().split('"part":"configuration"').length;
  const before = ends();
  ca.signal('SIGHUP');
  await until(() => ends() > before);
  return ((await ca.ready()).alarms ?? []).join('\n');
}

it.each([
  ['an empty access policy', 'access.yaml', () => '', /setup of teams and callers was not taken.*access\.yaml/],
  ['an access policy without rules', 'access.yaml', () => 'version: 1\nname: none\n', /"allow" \(line 1\) is missing/],
  ['an empty chain', 'ci.chain.pem', () => '', /team ci cannot be used/],
  [
    'a chain without its root',
    'ci.chain.pem',
    (text: string) => text.slice(0, text.indexOf('-----END CERTIFICATE-----') + 26),
    /holds 1 certificates/,
  ],
  ['a key that is none', 'ci.key.pem', () => 'hello', /ci\.key\.pem/],
] as const)('%s changes nothing', async (_, name, broken, alarm) => {
  const good = await readFile(at(name), 'utf8');
  await writeFile(at(name), broken(good));
  expect(await reload()).toMatch(alarm);
  expect(await statusOf('release@example.com')).toBe(200);
  expect(await statusOf('release@example.net')).toBe(403);
  await writeFile(at(name), good);
  expect(await reload()).toBe('');
});

it('a file that is gone changes nothing', async () => {
  for (const name of ['access.yaml', 'ci.chain.pem', 'ci.key.pem']) {
    await rename(at(name), at('away'));
    expect(await reload()).toContain(name);
    expect(await statusOf('release@example.com')).toBe(200);
    expect(await statusOf('release@example.net')).toBe(403);
    await rename(at('away'), at(name));
    expect(await reload()).toBe('');
  }
});

it('another access policy decides from then on', async () => {
  await writeFile(at('access.yaml'), accessFor('example\\.net'));
  expect(await reload()).toBe('');
  expect(await statusOf('release@example.com')).toBe(403);
  await writeFile(at('access.yaml'), accessFor('example\\.com'));
  expect(await reload()).toBe('');
  expect(await statusOf('release@example.com')).toBe(200);
});

it('no request fails while the authority reads its files again', async () => {
  let done = false;
  const statuses: number[] = [];
  const callers = Array.from({ length: 8 }, async () => {
    while (!done) statuses.push(await statusOf('release@example.com'));
  });
  for (let i = 0; i < 5; i++) expect(await reload()).toBe('');
  done = true;
  await Promise.all(callers);
  expect(statuses.length).toBeGreaterThan(8);
  expect(new Set(statuses)).toEqual(new Set([200]));
}, 60_000);

it('an access policy that is taken away decides no more, and is a change once', async () => {
  const changes = () =>
    [...ca.log().matchAll(/"changed":(\[[^\]]*\]).*"SIGHUP: read again"/g)].map(([, names]) => names).at(-1);
  await world.configure('limits: { perMinute: 0 }');
  expect(await reload()).toBe('');
  expect(changes()).toBe('["access"]');
  expect(await statusOf('other@example.com')).toBe(200);
  expect(await reload()).toBe('');
  expect(changes()).toBe('[]');
});
