import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadCa } from '../../../client/ca/ca-config.ts';
import { tempDir } from '../../support/log.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
beforeAll(async () => {
  dir = await tempDir();
});
afterAll(async () => await dir.remove());

const GOOD = `data: data
teams:
  - name: ci
    certificate: ci.pem
    key: { file: ci.key }
    issuers: [{ issuer: 'https://a.example.com', name: 'https://ci.example.com/{project}', extensions: { buildTrigger: '{event}' } }]
    trustDomains: [ci.example.com]
identity:
  issuers: [{ issuer: 'https://a.example.com' }, { issuer: 'https://b.example.com' }]
  trustDomains: [{ name: ci.example.com, bundle: bundle.pem }]
ct: { key: { file: ct.key } }
transparencyLog: { url: 'https://log.example.com', quorumPolicy: policy }
`;

async function load(text: string) {
  const file = join(dir.path, 'ca.yaml');
  await writeFile(file, text);
  return loadCa(file);
}

it('reads ca.yaml, with paths beside the file', async () => {
  const config = await load(GOOD);
  expect(config.leaf.lifetime).toBe(600_000);
  expect(config.data).toBe(join(dir.path, 'data'));
  expect(config.identity.trustDomains[0]!.bundle).toBe(join(dir.path, 'bundle.pem'));
  const [team] = config.teams;
  expect(team).toMatchObject({ name: 'ci', key: { file: join(dir.path, 'ci.key') }, trustDomains: ['ci.example.com'] });
  expect([...team!.issuers[0]!.extensions.keys()]).toEqual(['1.3.6.1.4.1.57264.1.20']);
});

it('takes the certificate of its port from a Workload API in the place of files', async () => {
  const { tls } = await load(`${GOOD}tls: { workloadApi: 'unix:///run/agent.sock' }\n`);
  expect(tls).toEqual({ workloadApi: 'unix:///run/agent.sock' });
  expect((await load(`${GOOD}tls: { cert: a, key: b }\n`)).tls).toEqual({
    cert: join(dir.path, 'a'),
    key: join(dir.path, 'b'),
  });
});

it.each([
  ['an unknown setting', GOOD.replace('data: data', 'data: data\nmore: 1'), '"more"'],
  ['no teams', GOOD.replace(/teams:[\s\S]*identity:/, 'teams: []\nidentity:'), '"teams"'],
  [
    'an issuer that identity does not name',
    GOOD.replace("issuer: 'https://a.example.com', name", "issuer: 'https://c.example.com', name"),
    'identity.issuers',
  ],
  [
    'a trust domain that identity does not name',
    GOOD.replace('trustDomains: [ci.example.com]', 'trustDomains: [x.example.com]'),
    'identity.trustDomains',
  ],
  [
    'an issuer without a name',
    GOOD.replace("name: 'https://ci.example.com/{project}', ", ''),
    'neither "name" nor "preset"',
  ],
  ['a name that is fixed', GOOD.replace('/{project}', ''), 'claims in braces'],
  ['an extension that is not known', GOOD.replace('buildTrigger', 'buildTriger'), 'buildTrigger'],
  ['an extension for the issuer', GOOD.replace('buildTrigger', 'issuer'), 'is unknown'],
  ['no key of the log', GOOD.replace(', quorumPolicy: policy', ''), 'transparencyLog'],
  ['no key for timestamps', GOOD.replace('ct: { key: { file: ct.key } }\n', ''), '"ct.key"'],
  [
    'an issuer in two teams',
    GOOD.replace(
      'identity:',
      "  - { name: b, certificate: b, key: { file: b }, issuers: [{ issuer: 'https://a.example.com', name: email }] }\nidentity:",
    ),
    'exactly one team',
  ],
  ['half of TLS', `${GOOD}tls: { cert: a }\n`, '"tls.cert" is set, but not "tls.key"'],
  ['a key without its certificate', `${GOOD}tls: { key: a }\n`, '"tls.key" is set, but not "tls.cert"'],
  ['two certificates', `${GOOD}tls: { cert: a, key: b, workloadApi: /run/agent.sock }\n`, 'keep one'],
  ['no address of a Workload API', `${GOOD}tls: { workloadApi: agent }\n`, '"tls.workloadApi"'],
])('refuses %s, and says where', async (_, text, what) => {
  await expect(load(text)).rejects.toThrow(what);
});
