/**
 * Holders of a ceremony, each with a SoftHSM of their own: a directory, a token and a PIN that no other process sees.
 *
 *     const holders = await makeHolders(dir, ['holder-1', 'holder-2']);
 *     await stele(['ceremony', 'key', ceremony, ...holders.get('holder-1')!.keyArgs], holders.get('holder-1')!.options);
 */
import { execFile } from 'node:child_process';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SOFTHSM_MODULE } from './softhsm.ts';

const run = promisify(execFile);

export interface TestTokenHolder {
  readonly name: string;
  /** The environment with this holder's token alone. */
  readonly env: NodeJS.ProcessEnv;
  readonly pin: string;
  readonly pinFile: string;
  /** `--holder … --pin-file …` */
  readonly args: readonly string[];
  /** With the module and the token. */
  readonly keyArgs: readonly string[];
  takeAway(): Promise<void>;
  giveBack(): Promise<void>;
  /** Empties the token, and gives it the same label and PIN. */
  initialize(): Promise<void>;
}

export async function makeHolders(dir: string, names: readonly string[]): Promise<Map<string, TestTokenHolder>> {
  const holders = new Map<string, TestTokenHolder>();
  for (const [at, name] of names.entries()) {
    const own = join(dir, `hsm-${name}`);
    const [tokens, away, conf] = [join(own, 'tokens'), join(own, 'away'), join(own, 'softhsm2.conf')];
    await mkdir(tokens, { recursive: true });
    await writeFile(conf, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
    const env = { SOFTHSM2_CONF: conf };
    const pin = `4711-${at + 1}`;
    const pinFile = join(own, 'pin');
    await writeFile(pinFile, `${pin}\n`, { mode: 0o600 });
    const args = ['--holder', name, '--pin-file', pinFile];
    const initialize = async () => {
      await rm(tokens, { recursive: true });
      await mkdir(tokens);
      const init = ['--init-token', '--free', '--label', name, '--pin', pin, '--so-pin', 'officer'];
      await run('softhsm2-util', init, { env: { ...process.env, ...env } });
    };
    await initialize();
    holders.set(name, {
      name,
      env,
      pin,
      pinFile,
      args,
      keyArgs: [...args, '--module', SOFTHSM_MODULE!, '--token', name],
      takeAway: async () => {
        await rename(tokens, away);
        await mkdir(tokens);
      },
      giveBack: async () => {
        await rm(tokens, { recursive: true });
        await rename(away, tokens);
      },
      initialize,
    });
  }
  return holders;
}
