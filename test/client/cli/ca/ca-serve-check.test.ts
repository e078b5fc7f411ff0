/** `stele ca serve --check`: says before a start or a reload whether all of the configuration can be used. Run `npm run build` first. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newKey } from '../../../../merkle/runtime/keys/keyfile.ts';
import { type CaWorld, makeCaWorld } from '../../../support/ca-service.ts';
import { tempDir } from '../../../support/log.ts';
import { stele } from '../../../support/serve.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;

beforeAll(async () => {
  dir = await tempDir();
  world = await makeCaWorld(dir.path, { settings: 'access: access.yaml' });
  const caller = `{ issuer: '${world.issuer.url}', email: release@example.com }`;
  const allow = 'allow: [{ name: people, callers: [people], calls: [issue] }]';
  await writeFile(at('access.yaml'), `version: 1\nname: who\ncallers: { people: ${caller} }\n${allow}\n`);
}, 60_000);
afterAll(async () => {
  await world?.close();
  await dir.remove();
});

const at = (name: string) => join(dir.path, name);
const check = (...more: readonly string[]) =>
  stele(['ca', 'serve', '--check', '--config', at('changed.yaml'), ...more]);
const configured = async (change: (text: string) => string = (text) => text) =>
  writeFile(at('changed.yaml'), change(await readFile(world.configFile, 'utf8')));

it('ends with 0 where all of it can be used, names the teams, and leaves nothing behind', async () => {
  await configured();
  const { code, stdout } = await check();
  expect([code, stdout]).toEqual([0, 'All of it can be used. Teams: ci\n']);
  const asJson = await check('--json');
  expect([asJson.code, JSON.parse(asJson.stdout)]).toEqual([0, { ok: true, teams: ['ci'] }]);
  await expect(readdir(at('ca-data'))).rejects.toThrow('ENOENT');
});

it('tells so of a service that runs, without its lock', async () => {
  await configured();
  const ca = await world.startCa();
  try {
    expect((await check()).code).toBe(0);
  } finally {
    await ca.kill();
  }
});

it.each<[what: string, says: RegExp, change: (text: string) => string, before?: () => Promise<void>]>([
  ['an unknown setting', /colour/, (text) => `${text}\ncolour: green\n`],
  ['a key that is not there', /gone\.pem/, (text) => text.replace('ci.key.pem', 'gone.pem')],
  [
    "a key that is not the certificate's",
    /key of the team ci is not the one/,
    (text) => text.replace('ci.key.pem', 'ct.key.pem'),
  ],
  ['a chain that is not there', /gone\.pem/, (text) => text.replace('ci.chain.pem', 'gone.pem')],
  ['a file without certificates', /holds 0 certificates/, (text) => text.replace('ci.chain.pem', 'policy')],
  [
    'a timestamp key that no client takes',
    /ct\.key.*P-256/,
    (text) => text.replace('ct.key.pem', 'ed25519.pem'),
    async () => newKey('ed25519').save(at('ed25519.pem')),
  ],
  [
    'an access policy with a mistake',
    /access\.yaml/,
    (text) => text,
    async () =>
      writeFile(at('access.yaml'), 'version: 1\nname: who\nallow: [{ name: x, callers: [nobody], calls: [issue] }]\n'),
  ],
  ['an access policy that is gone', /access\.yaml is not there/, (text) => text, async () => rm(at('access.yaml'))],
  [
    'a quorum policy that is not there',
    /gone-policy/,
    (text) => text.replace('quorumPolicy: policy', 'quorumPolicy: gone-policy'),
  ],
])('ends with 2 and says why: %s', async (_, says, change, before) => {
  await configured(change);
  await before?.();
  const { code, stdout, stderr } = await check();
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(says);
});
