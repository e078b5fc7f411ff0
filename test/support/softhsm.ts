/**
 * SoftHSM in the place of a real HSM, with its tokens in a temporary directory.
 *
 *     const hsm = await startSoftHsm();          // undefined if SoftHSM is not installed: skip visibly
 *     await hsm.initToken('stele', '1234');
 *     … module: hsm.module, token: 'stele', pin: { file: await hsm.pinFile('1234') } …
 *     await hsm.takeAway(); await hsm.giveBack();
 *     await hsm.stop();
 *
 * SOFTHSM2_CONF is one variable for the whole process, so a test file runs one SoftHSM at a time. It stops SoftHSM after it
 * closes all signers.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { moduleDirectories } from '../../merkle/runtime/keys/pkcs11/pkcs11-module.ts';
import { have } from './skip.ts';

const run = promisify(execFile);

export interface SoftHsm {
  /** Absolute path of libsofthsm2. */
  readonly module: string;
  /** The directory with the tokens, the configuration and the PINs. */
  readonly dir: string;
  /** Environment with which a child process sees these tokens. */
  readonly env: NodeJS.ProcessEnv;
  initToken(label: string, pin: string): Promise<void>;
  /** Writes the PIN to a new file. Resolves with its path. */
  pinFile(pin: string): Promise<string>;
  /** Runs `pkcs11-tool` with this module. Rejects if it is not installed. */
  tool(...args: string[]): Promise<string>;
  /** Removes the tokens, like unplugging the device. */
  takeAway(): Promise<void>;
  giveBack(): Promise<void>;
  stop(): Promise<void>;
}

export const SOFTHSM_MODULE: string | undefined = moduleDirectories()
  .map((dir) => join(dir, 'libsofthsm2.so'))
  .find((path) => existsSync(path));

/** Why tests with SoftHSM cannot run; undefined if they can. */
export const NO_SOFTHSM: string | undefined = missing();

function missing(): string | undefined {
  if (SOFTHSM_MODULE === undefined || !have('softhsm2-util'))
    return 'SoftHSM is not installed (apt-get install softhsm2)';
  try {
    createRequire(import.meta.url)('pkcs11js');
    return undefined;
  } catch {
    return 'the optional dependency pkcs11js is not installed';
  }
}

export async function startSoftHsm(): Promise<SoftHsm | undefined> {
  if (SOFTHSM_MODULE === undefined) return undefined;
  const module = SOFTHSM_MODULE;
  const dir = await mkdtemp(join(tmpdir(), 'stele-softhsm-'));
  const tokens = join(dir, 'tokens');
  const away = join(dir, 'away');
  const conf = join(dir, 'softhsm2.conf');
  await mkdir(tokens);
  await mkdir(away);
  await writeFile(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  const before = process.env.SOFTHSM2_CONF;
  process.env.SOFTHSM2_CONF = conf;
  const env = { ...process.env, SOFTHSM2_CONF: conf };
  const move = async (from: string, to: string): Promise<void> => {
    for (const name of await readdir(from)) await rename(join(from, name), join(to, name));
  };
  let pins = 0;
  return {
    module,
    dir,
    env,
    initToken: async (label, pin) => {
      const args = ['--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', 'officer'];
      await run('softhsm2-util', args, { env });
    },
    pinFile: async (pin) => {
      const path = join(dir, `pin-${++pins}`);
      await writeFile(path, `${pin}\n`, { mode: 0o600 });
      return path;
    },
    tool: async (...args) => (await run('pkcs11-tool', ['--module', module, ...args], { env })).stdout,
    takeAway: () => move(tokens, away),
    giveBack: () => move(away, tokens),
    stop: async () => {
      if (before === undefined) delete process.env.SOFTHSM2_CONF;
      else process.env.SOFTHSM2_CONF = before;
      await rm(dir, { recursive: true, force: true });
    },
  };
}
