/** The commands that the output tells people to run are called as the program was. Built first (`npm test` does). */
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { calledAs } from '../../../client/cli/called-as.ts';
import { tempDir } from '../../support/log.ts';
import { CLI } from '../../support/serve.ts';

const run = promisify(execFile);
const npm = { npm_lifecycle_event: 'start', npm_command: 'run' };

describe('the name of the program', () => {
  const bin = '/home/me/stele/node_modules/.bin';
  const called = (script: string, env: NodeJS.ProcessEnv = {}, cwd = '/home/me/stele') =>
    calledAs({ script, env, cwd });

  it('is stele where the path has it', () => {
    expect(called('/usr/local/bin/stele', { PATH: '/bin:/usr/local/bin' })).toBe('stele');
    expect(called(`${bin}/stele`, { PATH: `${bin}:/bin` })).toBe('stele');
    expect(called('/usr/local/bin/stele', { PATH: '/usr/local/bin', ...npm })).toBe('stele');
  });

  it('is npx without an installation where npm runs it from the checkout', () => {
    expect(called(`${bin}/stele`, { PATH: `${bin}:/bin`, npm_lifecycle_event: 'npx' })).toBe('npx --no-install stele');
    expect(called('/home/me/stele/dist/client/cli/main.js', npm)).toBe('npx --no-install stele');
  });

  it('is the file that runs elsewhere, quoted for a shell', () => {
    expect(called('/home/me/stele/dist/client/cli/main.js')).toBe('node dist/client/cli/main.js');
    expect(called('/opt/s/main.js', {}, '/home/me/stele/data')).toBe('node /opt/s/main.js');
    expect(called('/home/me/my stele/main.js', {}, '/home/me')).toBe("node 'my stele/main.js'");
    expect(called(`${bin}/stele`, { PATH: '/bin' })).toBe('node_modules/.bin/stele');
    expect(called(`${bin}/stele`, { PATH: '/bin' }, bin)).toBe('./stele');
    expect(called('/home/me/stele/stele', { PATH: `.${delimiter}/bin` })).toBe('./stele');
  });
});

describe('a command that the output names', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  beforeEach(async () => {
    dir = await tempDir();
    mkdirSync(join(dir.path, 'node_modules', '.bin'), { recursive: true });
    symlinkSync(CLI, join(dir.path, 'node_modules', '.bin', 'stele'));
    writeFileSync(join(dir.path, 'package.json'), '{"name":"a","scripts":{"sign":"stele sign app --no-log"}}');
    writeFileSync(join(dir.path, 'app'), 'the release');
  });
  afterEach(() => dir.remove());

  const shell = async (line: string) => {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_|^STELE_/.test(name)));
    return await run('sh', ['-c', line], { cwd: dir.path, env });
  };
  /** The last line, which is the command, without its arguments. */
  const named = (stdout: string) => /^ {2}(.*) submit app\.sigstore\.json /m.exec(stdout)?.[1];

  it.each([
    ['npx --no-install stele sign app --no-log', 'npx --no-install stele'],
    ['npm run --silent sign', 'npx --no-install stele'],
    ['PATH="$PWD/node_modules/.bin:$PATH"; stele sign app --no-log', 'stele'],
    ['node_modules/.bin/stele sign app --no-log', 'node_modules/.bin/stele'],
  ])('of %s is called so', async (line, expected) => {
    const { stdout } = await shell(line);
    expect(named(stdout)).toBe(expected);
  });

  it('is in an error too', async () => {
    await shell('npx --no-install stele sign app --no-log');
    await expect(shell(`npx --no-install stele verify app --key app.pub.pem --log-key ${KEY}`)).rejects.toMatchObject({
      stderr: expect.stringContaining('`npx --no-install stele submit` logs it'),
    });
  });
});

const KEY = 'log.example.com+43ab2d2c+AS5mVpYvc1fD7fHCBnp4RCRWEJjDMvTij8GtLbOp5zOc';
