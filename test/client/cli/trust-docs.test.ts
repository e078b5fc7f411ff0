/** The walk of docs/trust.md runs as it is written, from the keys to those that replace stolen ones. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { CLI } from '../../support/serve.ts';
import { readAsClient } from '../trust/tuf/repository.ts';

const run = promisify(execFile);
const DOCUMENT = readFileSync(join(import.meta.dirname, '../../../docs/trust.md'), 'utf8');

let dir: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  ({ path: dir, remove } = await tempDir());
  for (const name of ['bin', 'trust']) mkdirSync(join(dir, name));
  symlinkSync(CLI, join(dir, 'bin', 'stele'));
  writeFileSync(join(dir, 'trust', 'policy'), 'quorum none\n');
  writeFileSync(join(dir, 'admission.yaml'), 'rules: []\n');
  writeFileSync(join(dir, 'tool.json'), '{}\n');
});
afterAll(() => remove());

/** The blocks of a section that have this language, in order. */
function blocks(section: string, language: string): string {
  const start = DOCUMENT.indexOf(`\n## ${section}\n`);
  expect(start, section).toBeGreaterThan(0);
  const end = DOCUMENT.indexOf('\n## ', start + 4);
  const found = [...DOCUMENT.slice(start, end === -1 ? undefined : end).matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)];
  const chosen = found.filter(([, name]) => name === language).map(([, , text]) => text!);
  expect(chosen.length, section).toBeGreaterThan(0);
  return chosen.join('');
}

async function shell(script: string): Promise<string> {
  const env = { ...process.env, PATH: `${join(dir, 'bin')}:${process.env.PATH}` };
  return (await run('sh', ['-ec', script], { cwd: dir, env })).stdout;
}

const client = () => readAsClient(join(dir, 'repository'), Date.now());

it('leads from an empty directory to a published root', async () => {
  const section = 'From an empty directory to a published root';
  writeFileSync(join(dir, 'plan.yaml'), blocks(section, 'yaml'));
  const out = await shell(blocks(section, ''));
  expect(out).toContain(
    '"root" version 1 lacks 2 of 2 signatures by version 1 of root: holder-1, holder-2, holder-3 can sign',
  );
  expect(out).toMatch(/root\.holder-2\.json: 1 new signature of "root"[\s\S]*Nothing waits\.\n$/);
  expect(client().targets).toEqual({ policy: 'quorum none\n' });
});

it('changes targets, also of a delegated role', async () => {
  expect(await shell(blocks('Change targets', ''))).toContain('2 targets: policies/admission.yaml, team/tool.json');
  expect(client().targets).toMatchObject({ 'policies/admission.yaml': 'rules: []\n', 'team/tool.json': '{}\n' });
});

it('replaces keys without a gap', async () => {
  const { versions } = client();
  await shell(blocks('Replace keys', ''));
  expect(client().versions).toMatchObject({ root: 2, timestamp: versions.timestamp + 1 });
  expect(await shell('stele trust status repository')).toContain('Nothing waits.');
});

it('replaces a stolen key of a witness, of the online roles, and of targets', async () => {
  const before: Record<string, number> = client().versions;
  writeFileSync(join(dir, 'policy'), 'quorum none\n# with another witness\n');
  expect(await shell(blocks('A stolen key', ''))).toMatch(/root version 3[\s\S]*root version 4/);
  expect(client().versions).toMatchObject({ root: 4, 'targets.json': before['targets.json']! + 2 });
  expect(client().targets).toMatchObject({
    policy: 'quorum none\n# with another witness\n',
    'policies/admission.yaml': 'rules: []\n',
    'team/tool.json': '{}\n',
  });
  expect(await shell('stele trust status repository')).toContain('Nothing waits.');
});
