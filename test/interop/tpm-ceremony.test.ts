/**
 * A ceremony with a TPM: swtpm in the place of the chip, tpm2-pkcs11 as the module. The other holders have SoftHSM.
 *
 * swtpm has no resource manager, which Linux has in /dev/tpmrm0: after a process that died, `tpm2_flushcontext` frees the
 * places of its objects.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { moduleDirectories } from '../../merkle/runtime/keys/pkcs11/pkcs11-module.ts';
import { makeHolders, type TestTokenHolder } from '../support/holders.ts';
import { tempDir } from '../support/log.ts';
import { type Ran, run, stele, steleJson } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { NO_SOFTHSM } from '../support/softhsm.ts';
import { ok } from './tools.ts';

const ROOT = join(import.meta.dirname, '../..');
const MODULE = moduleDirectories()
  .map((path) => join(path, 'libtpm2_pkcs11.so'))
  .find((path) => existsSync(path));
const PIN = 'pin-of-the-tpm';
const unable =
  NO_SOFTHSM ??
  lacking('swtpm', 'swtpm_setup', 'tpm2_getcap', 'pkcs11-tool', 'npm') ??
  (MODULE === undefined ? 'libtpm2_pkcs11.so is not installed' : undefined);

interface Tpm {
  /** With a store of tokens of its own, and the way to the TPM. */
  readonly env: NodeJS.ProcessEnv;
  stop(): Promise<void>;
}

async function startTpm(dir: string): Promise<Tpm> {
  for (const name of ['state', 'store']) mkdirSync(join(dir, name), { recursive: true });
  const [state, socket] = [join(dir, 'state'), join(dir, 'tpm')];
  await ok('swtpm_setup', ['--tpm2', '--tpmstate', state, '--createek', '--overwrite']);
  await ok('swtpm', [
    ...['socket', '--tpm2', '--tpmstate', `dir=${state}`, '--daemon', '--pid', `file=${join(dir, 'pid')}`],
    // The library looks for the control socket beside the other one.
    ...['--server', `type=unixio,path=${socket}`, '--ctrl', `type=unixio,path=${socket}.ctrl`],
    ...['--flags', 'not-need-init,startup-clear'],
  ]);
  const way = `swtpm:path=${socket}`;
  return {
    env: { TPM2_PKCS11_TCTI: way, TPM2TOOLS_TCTI: way, TPM2_PKCS11_STORE: join(dir, 'store'), TSS2_LOG: 'all+NONE' },
    stop: async () => {
      process.kill(Number(readFileSync(join(dir, 'pid'), 'utf8')), 'SIGTERM');
    },
  };
}

describe.skipIf(skips('a ceremony with a TPM', unable))('a ceremony with a TPM', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let tpm: Tpm;
  let others: Map<string, TestTokenHolder>;
  const at = (...names: string[]) => join(dir.path, ...names);
  const ceremony = () => at('ceremony');
  const steps = () => readFileSync(join(ceremony(), 'steps.jsonl'), 'utf8');
  const tool = async (...args: string[]) => {
    const { code, stdout, stderr } = await run('pkcs11-tool', ['--module', MODULE!, ...args], { env: tpm.env });
    expect(code, stderr).toBe(0);
    return stdout;
  };
  const newToken = async (slot: number, label: string) => {
    await tool('--slot', String(slot), '--init-token', '--label', label, '--so-pin', 'officer');
    const so = ['--login', '--login-type', 'so', '--so-pin', 'officer'];
    await tool('--token-label', label, ...so, '--init-pin', '--pin', PIN);
  };
  const lockout = async () => {
    const { stdout } = await run('tpm2_getcap', ['properties-variable'], { env: tpm.env });
    return Number(/TPM2_PT_LOCKOUT_COUNTER: (\S+)/.exec(stdout)![1]);
  };
  const flush = async () => {
    for (const kind of ['-t', '-l']) await run('tpm2_flushcontext', [kind], { env: tpm.env });
  };
  const withTpm = (name: string, holder: string, ...more: string[]): Promise<Ran> =>
    stele(['ceremony', name, ceremony(), '--holder', holder, ...more], { env: tpm.env });
  const key = ['--module', 'libtpm2_pkcs11.so', '--token'];
  const pin = () => ['--pin-file', at('pin')];

  beforeAll(async () => {
    dir = await tempDir();
    others = await makeHolders(dir.path, ['holder-1', 'holder-2']);
    tpm = await startTpm(at('tpm'));
    writeFileSync(at('pin'), PIN, { mode: 0o600 });
    await newToken(1, 'holder-3');
    await ok('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', dir.path, ROOT]);
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('online.pem')]);
    mkdirSync(ceremony());
    copyFileSync(at('online.pub.pem'), join(ceremony(), 'online.pub.pem'));
    const plan = 'name: with a TPM\nholders: [holder-1, holder-2, holder-3]\nthreshold: 2\nonline: online.pub.pem\n';
    writeFileSync(join(ceremony(), 'ceremony.yaml'), plan);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    await steleJson(['ceremony', 'begin', ceremony(), '--package', at(`stele-${version}.tgz`)]);
  });
  afterAll(async () => {
    await tpm?.stop();
    await dir?.remove();
  });

  it('tries a wrong PIN once, and records nothing', async () => {
    const before = steps();
    writeFileSync(at('wrong'), 'wrong', { mode: 0o600 });
    const { code, stderr } = await withTpm('key', 'holder-3', ...key, 'holder-3', '--pin-file', at('wrong'));
    expect(code).toBe(2);
    expect(stderr).toMatch(/error \[pkcs11-pin\]: .*CKR_PIN_INCORRECT/);
    expect(await lockout()).toBe(1);
    expect(steps()).toBe(before);
    await flush();
  });

  it('makes a P-256 key in the TPM, of which all five attributes are said', async () => {
    const { code, stdout, stderr } = await withTpm('key', 'holder-3', ...key, 'holder-3', ...pin());
    expect(code, stderr).toBe(0);
    // The label comes without the blanks that fill it up.
    expect(stdout).toContain('holder-3 has a key in the token "holder-3"');
    const record = JSON.parse(steps().trimEnd().split('\n').at(-1)!);
    expect(record.attributes).toEqual({
      sensitive: true,
      extractable: false,
      local: true,
      neverExtractable: true,
      alwaysSensitive: true,
    });
    expect(record.module.description).toMatch(/TPM/);
    expect(record.tpm).toMatch(/^[0-9a-f]{64}$/);
  });

  it('refuses a second token on the TPM of a holder', async () => {
    const before = steps();
    await flush();
    await newToken(2, 'holder-2');
    await flush();
    const shared = await withTpm('key', 'holder-2', ...key, 'holder-2', ...pin());
    expect(shared).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/\[ceremony\]: the TPM of holder-2 holds other tokens too \(holder-3\)/),
    });
    await flush();
    // Also where another store hides the first token.
    mkdirSync(at('store-2'));
    const hidden = { ...tpm, env: { ...tpm.env, TPM2_PKCS11_STORE: at('store-2') } };
    const first = tpm;
    tpm = hidden;
    await newToken(1, 'holder-2');
    await flush();
    const same = await withTpm('key', 'holder-2', ...key, 'holder-2', ...pin());
    tpm = first;
    expect(same).toMatchObject({ code: 1, stderr: expect.stringContaining('is on the same TPM as that of holder-3') });
    expect(steps()).toBe(before);
    await flush();
  });

  it('signs the root and the transcript beside SoftHSM', async () => {
    for (const { keyArgs, env } of others.values()) {
      expect(await stele(['ceremony', 'key', ceremony(), ...keyArgs], { env })).toMatchObject({ code: 0 });
    }
    await steleJson(['ceremony', 'root', ceremony()]);
    for (const name of ['sign', 'sign-transcript']) {
      if (name === 'sign-transcript') await steleJson(['ceremony', 'transcript', ceremony()]);
      const signed = await withTpm(name, 'holder-3', ...pin());
      expect(signed, signed.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('1 of the 2') });
      await flush();
      const { args, env } = others.get('holder-1')!;
      const second = await stele(['ceremony', name, ceremony(), ...args], { env });
      expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining('2 of the 2') });
    }
    expect(await steleJson(['ceremony', 'status', ceremony()])).toMatchObject({ transcript: true });
  });

  it('is locked by three wrong PINs, and unlocked by the step of the script', async () => {
    const script = (await stele(['ceremony', 'script', ceremony()])).stdout;
    const [unlock] = /tpm2_dictionarylockout --clear-lockout/.exec(script)!;
    const use = (pinFile: string) => {
      const place = ['--pkcs11-module', MODULE!, '--token', 'holder-3', '--label', 'other', '--pin-file', pinFile];
      return stele(['keygen', '--algorithm', 'ecdsa-p256', ...place], { env: tpm.env });
    };
    for (let wrong = await lockout(); wrong < 3; wrong++) {
      writeFileSync(at('wrong'), `wrong ${wrong}`, { mode: 0o600 });
      expect((await use(at('wrong'))).stderr).toContain('CKR_PIN_INCORRECT');
      await flush();
      expect(await lockout()).toBe(wrong + 1);
    }
    expect((await use(at('pin'))).stderr).toContain('CKR_PIN_LOCKED');
    await flush();
    const [program, ...args] = unlock.split(' ');
    expect(await run(program!, args, { env: tpm.env })).toMatchObject({ code: 0 });
    expect(await lockout()).toBe(0);
    const made = await use(at('pin'));
    expect(made, made.stderr).toMatchObject({ code: 0 });
  });
});
