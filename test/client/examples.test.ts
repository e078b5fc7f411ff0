/** The first examples of docs/client.md and docs/library.md run as they are written, on a file and a log of the test. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { CLI } from '../support/serve.ts';
import { type FaultyLog, faultyLog } from './submit/faulty-log.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');

let dir: string;
let remove: () => Promise<void>;
let log: FaultyLog;

beforeEach(async () => {
  ({ path: dir, remove } = await tempDir());
  log = await faultyLog();
  for (const name of ['bin', 'node_modules', 'srv']) mkdirSync(join(dir, name));
  symlinkSync(CLI, join(dir, 'bin', 'stele'));
  symlinkSync(ROOT, join(dir, 'node_modules', 'stele'));
  writeFileSync(join(dir, 'app.tgz'), 'the release');
});
afterEach(async () => {
  await log.close();
  await remove();
});

/** The examples of a section of a document. What a reader puts in there is the test's own. */
function examples(document: string, section: string, language: string): string[] {
  const text = readFileSync(join(ROOT, 'docs', document), 'utf8');
  const start = text.indexOf(section);
  expect(start, section).toBeGreaterThanOrEqual(0);
  const end = text.indexOf('\n## ', start + section.length);
  const part = text.slice(start, end === -1 ? undefined : end);
  const found = [...part.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].filter(([, name]) => name === language);
  expect(found.length, section).toBeGreaterThan(0);
  return found.map(([, , code]) =>
    code!
      .replaceAll('https://log.example.com', log.url)
      .replaceAll('log.example.com+1a2b3c4d+AbCd…', log.vkey)
      .replaceAll('/var/lib/release', dir)
      .replaceAll('/srv', join(dir, 'srv')),
  );
}

async function shell(script: string): Promise<string> {
  const env = { ...process.env, PATH: `${join(dir, 'bin')}:${process.env.PATH}` };
  return (await run('sh', ['-ec', script], { cwd: dir, env })).stdout;
}

it('stele signs a file and verifies it', async () => {
  const out = await shell(examples('client.md', '## Sign\n', '')[0]!);
  expect(out).toContain('OK: app.tgz is signed');
});

it('stele submits what it has signed, through a queue', async () => {
  const out = await shell(examples('client.md', '## Submit signatures that exist already', '')[0]!);
  expect(out).toMatch(/queued .*app\.tgz\.sigstore\.json[\s\S]*done .*app\.tgz\.sigstore\.json[\s\S]*0 waiting/);
  const how = `stele verify app.tgz --key app.tgz.pub.pem --log-key '${log.vkey}'`;
  expect(await shell(how)).toContain('OK: app.tgz is signed');
});

it('the library logs what stele has signed, verifies it, signs, and keeps a queue', async () => {
  await shell('stele sign app.tgz --no-log');
  const sections = ['# The library', '## Sign\n', '## A queue'];
  const code = sections.flatMap((section) => examples('library.md', section, 'ts')).join('\n');
  const facts =
    'JSON.stringify({ checks, notProven, index: verified.index, logged: logged.entry.index, results, damaged })';
  writeFileSync(join(dir, 'example.mjs'), `${code}\nconsole.log(${facts});\n`);
  const { stdout } = await run(process.execPath, ['example.mjs'], { cwd: dir });
  expect(JSON.parse(stdout)).toMatchObject({
    checks: expect.arrayContaining([expect.objectContaining({ name: 'inclusion', index: 0 })]),
    notProven: expect.arrayContaining([expect.anything()]),
    index: 0,
    logged: 0,
    results: [{ state: 'done', out: join(dir, 'srv', 'app.tgz.sigstore.json') }],
    damaged: [],
  });
  const bundle = '--bundle srv/app.tgz.sigstore.json';
  const how = `stele verify app.tgz ${bundle} --key app.tgz.pub.pem --log-key '${log.vkey}'`;
  expect(await shell(how)).toContain('OK: app.tgz is signed');
});
