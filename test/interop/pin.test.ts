/** The PIN of a holder: typed at a terminal, seen nowhere, and given to the module once. The module is spied on by OpenSC's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { moduleDirectories } from '../../merkle/runtime/keys/pkcs11/pkcs11-module.ts';
import { makeHolders, type TestTokenHolder } from '../support/holders.ts';
import { tempDir } from '../support/log.ts';
import { CLI, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { NO_SOFTHSM, SOFTHSM_MODULE } from '../support/softhsm.ts';
import { ok } from './tools.ts';

const QUESTION = 'PIN of the token "holder-1" (nothing is shown): ';
const ROOT = join(import.meta.dirname, '../..');
const SPY = moduleDirectories()
  .map((path) => join(path, 'pkcs11-spy.so'))
  .find((path) => existsSync(path));
const unable =
  NO_SOFTHSM ?? lacking('script', 'npm') ?? (SPY === undefined ? 'pkcs11-spy is not installed (opensc)' : undefined);

describe.skipIf(skips('the PIN of a holder', unable))('the PIN of a holder', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let holder: TestTokenHolder;
  let env: NodeJS.ProcessEnv;
  const at = (...names: string[]) => join(dir.path, ...names);
  const spied = () => readFileSync(at('spy.log'), 'latin1');
  const calls = (name: string) => spied().split(`: ${name}\n`).length - 1;
  const words = (...more: string[]) => [
    ...['ceremony', 'key', at('ceremony'), '--holder', 'holder-1', '--token', 'holder-1', '--module', SPY!],
    ...more,
  ];
  /** Types into a terminal of its own. */
  const typed = async (text: string, args: readonly string[]) => {
    const command = [process.execPath, CLI, ...args].map((word) => `'${word}'`).join(' ');
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = once(child, 'close') as Promise<[number]>;
    let stdout = '';
    for await (const part of child.stdout.setEncoding('utf8')) {
      // A terminal shows what is typed before the question.
      const asked = stdout.includes(QUESTION);
      stdout += part;
      if (!asked && stdout.includes(QUESTION)) child.stdin.write(text);
    }
    return { code: (await ended)[0], stdout, stderr: '' };
  };

  beforeAll(async () => {
    dir = await tempDir();
    holder = (await makeHolders(dir.path, ['holder-1'])).get('holder-1')!;
    env = { ...holder.env, PKCS11SPY: SOFTHSM_MODULE!, PKCS11SPY_OUTPUT: at('spy.log') };
    await ok('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', dir.path, ROOT]);
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('online.pem')]);
    mkdirSync(at('ceremony'));
    copyFileSync(at('online.pub.pem'), at('ceremony', 'online.pub.pem'));
    const plan = 'name: PIN\nholders: [holder-1]\nthreshold: 1\nonline: online.pub.pem\n';
    writeFileSync(at('ceremony', 'ceremony.yaml'), plan);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    await steleJson(['ceremony', 'begin', at('ceremony'), '--package', at(`stele-${version}.tgz`)]);
  });
  beforeEach(() => writeFileSync(at('spy.log'), ''));
  afterAll(() => dir?.remove());

  it('that is wrong is offered once, from a file and from a prompt', async () => {
    writeFileSync(at('wrong'), '0000-wrong\n', { mode: 0o600 });
    const file = await stele(words('--pin-file', at('wrong')), { env });
    expect(file).toMatchObject({ code: 2, stderr: expect.stringContaining('CKR_PIN_INCORRECT') });
    expect(calls('C_Login')).toBe(1);
    const prompt = await typed('0000-wrong\r', words());
    expect(prompt.code).toBe(2);
    expect(prompt.stdout).toContain('CKR_PIN_INCORRECT');
    expect(calls('C_Login')).toBe(2);
    for (const { stdout, stderr } of [file, prompt]) expect(stdout + stderr).not.toContain('0000-wrong');
  });

  it('is not offered where nothing, too much or another key was typed, or the prompt was left', async () => {
    for (const [text, message] of [
      ['\r', 'no PIN was typed'],
      ['\x03', 'cancelled'],
      [`${'1'.repeat(300)}\r`, 'at most 256'],
      // A line that is to be deleted (Ctrl-U), and an arrow key.
      [`wrong\x15${holder.pin}\r`, 'no character of a PIN'],
      [`${holder.pin}\x1b[D\r`, 'no character of a PIN'],
    ] as const) {
      expect((await typed(text, words())).stdout).toContain(message);
    }
    expect(spied()).toBe('');
  });

  it('is typed at a prompt that shows nothing, and corrected there', async () => {
    const { code, stdout } = await typed(`${holder.pin}x\x7f\r`, words());
    expect(code, stdout).toBe(0);
    expect(stdout).toContain(QUESTION);
    expect(stdout).toContain('holder-1 has a key in the token');
    expect(stdout).not.toContain(holder.pin);
    for (const name of ['steps.jsonl', 'package.sha256']) {
      expect(readFileSync(at('ceremony', name), 'utf8')).not.toContain(holder.pin);
    }
  });

  it('reads the five attributes in one call', async () => {
    writeFileSync(
      at('ceremony', 'steps.jsonl'),
      `${readFileSync(at('ceremony', 'steps.jsonl'), 'utf8').split('\n')[0]}\n`,
    );
    expect(await stele(words('--pin-file', holder.pinFile), { env })).toMatchObject({ code: 0 });
    const five = spied()
      .split(/^\d+: /m)
      .filter((call) => call.startsWith('C_GetAttributeValue') && call.includes('CKA_NEVER_EXTRACTABLE'));
    expect(five.length).toBeGreaterThan(0);
    for (const call of five) {
      for (const name of ['SENSITIVE', 'EXTRACTABLE', 'LOCAL', 'NEVER_EXTRACTABLE', 'ALWAYS_SENSITIVE']) {
        expect(call).toMatch(new RegExp(`CKA_${name}\\b`));
      }
    }
  });

  it('goes with a template that says sensitive, not extractable, private and in the token', async () => {
    writeFileSync(
      at('ceremony', 'steps.jsonl'),
      `${readFileSync(at('ceremony', 'steps.jsonl'), 'utf8').split('\n')[0]}\n`,
    );
    expect(await stele(words('--pin-file', holder.pinFile, '--label', 'other'), { env })).toMatchObject({ code: 0 });
    const [made] = spied()
      .split(/^\d+: /m)
      .filter((call) => call.startsWith('C_GenerateKeyPair'));
    const template = made!.slice(made!.indexOf('pPrivateKeyTemplate'));
    expect(template).toMatch(/CKA_SENSITIVE +True/);
    expect(template).toMatch(/CKA_EXTRACTABLE +False/);
    expect(template).toMatch(/CKA_PRIVATE +True/);
    expect(template).toMatch(/CKA_TOKEN +True/);
  });
});
