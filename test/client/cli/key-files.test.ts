/** Every option that takes a verifier key takes a file with it as well. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { type ServeProcess, startServer, stele } from '../../support/serve.ts';

let at: (name: string) => string;
let server: ServeProcess;
let vkey: string;

beforeAll(async () => {
  const dir = await tempDir();
  at = (name) => join(dir.path, name);
  server = await startServer(at('data'));
  vkey = server.verifierKeys[0]!;
  await writeFile(at('log.vkey'), `# The log of this test.\n\n${vkey}\n`);
  await writeFile(at('two'), `${vkey}\n${vkey}\n`);
  await writeFile(at('none'), '# nothing\n');
  await writeFile(at('wrong'), 'log.example+00000000+AAAA\n');
  await writeFile(at('app'), 'an artifact');
  await mkdir(at('a+b'));
  await writeFile(at('a+b/log.vkey'), vkey);
  const signed = await stele([
    'sign',
    at('app'),
    '--new-key',
    at('k.pem'),
    '--log',
    server.url,
    '--log-key',
    at('log.vkey'),
  ]);
  expect(signed.code, signed.stderr).toBe(0);
  await stele(['log', 'export', at('export'), '--data', at('data')]);
  return async () => {
    await server.kill();
    await dir.remove();
  };
});

const COMMANDS: readonly (readonly [string, () => string[]])[] = [
  ['verify', () => ['verify', at('app'), '--bundle', at('app.sigstore.json'), '--key', at('app.pub.pem')]],
  ['audit', () => ['audit', server.url]],
  ['log check', () => ['log', 'check', at('export')]],
  ['sign', () => ['sign', at('app'), '--key', at('k.pem'), '--log', server.url, '--out', at(`again${Math.random()}`)]],
];

describe.each(COMMANDS)('stele %s --log-key', (_, args) => {
  it.each([() => vkey, () => at('log.vkey'), () => at('a+b/log.vkey')])(
    'a key, and a file with one: %#',
    async (key) => {
      const { code, stderr } = await stele([...args(), '--log-key', key()]);
      expect(code, stderr).toBe(0);
    },
  );

  it('neither', async () => {
    const { code, stderr } = await stele([...args(), '--log-key', at('missing')]);
    expect(stderr).toMatch(
      /missing is neither a verifier key, such as .*, nor a file with one: .*there is no such file/,
    );
    expect(code).toBe(2);
  });

  it.each(['none', 'wrong'])('a file without a key: %s', async (name) => {
    expect((await stele([...args(), '--log-key', at(name)])).code).toBeGreaterThan(0);
  });
});

it('one key is one key', async () => {
  const [, args] = COMMANDS[0]!;
  const { code, stderr } = await stele([...args(), '--log-key', at('two')]);
  expect([code, stderr]).toEqual([2, expect.stringContaining('must hold one verifier key, and nothing else')]);
});

it('stele witness log add', async () => {
  const where = ['--data', at('w'), '--name', 'witness.example/w', '--json'];
  const { code, stdout, stderr } = await stele(['witness', 'log', 'add', at('log.vkey'), ...where]);
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ vkey });
});
