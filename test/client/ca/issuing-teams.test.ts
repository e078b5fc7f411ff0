import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NameSubtrees } from '../../../client/ca/certificates/types.ts';
import { closeTeams, openTeams } from '../../../client/ca/issuing-teams.ts';
import type { TeamConfig } from '../../../client/ca/types.ts';
import { formatPem } from '../../../merkle/pem.ts';
import { newTestRoot, type TestRoot } from '../../support/ca.ts';
import { tempDir } from '../../support/log.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let root: TestRoot;
let made = 0;

beforeAll(async () => {
  dir = await tempDir();
  root = await newTestRoot();
});
afterAll(() => dir?.remove());

async function configOf(name: string, names: Partial<NameSubtrees>): Promise<TeamConfig> {
  const team = await root.team(name, names);
  const at = (suffix: string) => join(dir.path, `${name}-${++made}.${suffix}`);
  const [certificate, file] = [at('chain.pem'), at('key.pem')];
  await writeFile(certificate, team.chain);
  await team.save(file);
  return { name, certificate, key: { file }, issuers: [], trustDomains: [] };
}

describe('the teams of an authority', () => {
  it('are opened where each has names of its own', async () => {
    const wishes = [
      await configOf('build', { uri: ['build.example.com'] }),
      await configOf('people', { email: ['example.com'] }),
    ];
    const teams = await openTeams(wishes);
    expect(teams.map(({ name }) => name)).toEqual(['build', 'people']);
    await closeTeams(teams);
  });

  it.each([
    ['build.example.com', 'build.example.com'],
    ['build.example.com', 'example.com'],
    ['build.example.com', 'a.build.example.com'],
  ])('are refused where names of two overlap: %s and %s', async (one, other) => {
    const wishes = [await configOf('one', { uri: [one] }), await configOf('other', { uri: [other] })];
    await expect(openTeams(wishes)).rejects.toThrow(
      expect.objectContaining({ code: 'config', message: expect.stringMatching(/other and one may both certify/) }),
    );
  });

  it('are refused where the certificate is not that of a team', async () => {
    const wish = await configOf('build', { uri: ['build.example.com'] });
    const foreign = await newTestRoot();
    await writeFile(
      wish.certificate,
      [root, foreign].map(({ certificate }) => formatPem('CERTIFICATE', certificate.der)).join(''),
    );
    await expect(openTeams([wish])).rejects.toThrow(expect.objectContaining({ code: 'config' }));
  });
});
