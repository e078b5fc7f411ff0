/** The options that say where a key is: in a file with a passphrase, or in a PKCS#11 token with a PIN. */
import type { Command } from 'commander';
import type { SecretSource, TokenKeySpec } from '../../merkle/runtime/keys/types.ts';
import { usage } from '../errors.ts';

export interface KeyPlaceOptions {
  readonly passphraseFile?: string;
  readonly passphraseEnv?: string;
  readonly pkcs11Module?: string;
  readonly token?: string;
  readonly label?: string;
  readonly pinFile?: string;
  readonly pinEnv?: string;
}

/** @param module begins the help of `--pkcs11-module` */
export function addTokenOptions(command: Command, module: string, label: string): Command {
  return command
    .option('--pkcs11-module <module>', `${module}: absolute path or file name of the PKCS#11 module`)
    .option('--token <label>', 'label of the token')
    .option('--label <label>', label)
    .option('--pin-file <file>', 'file with the PIN of the token')
    .option('--pin-env <name>', '… or environment variable with it');
}

export function passphraseOf({ passphraseFile, passphraseEnv }: KeyPlaceOptions): SecretSource | undefined {
  return secretOption('passphrase', passphraseFile, passphraseEnv);
}

/** The key in a token that the options name; undefined where they name no token. @throws ClientError `usage` */
export function tokenKeyOf(options: KeyPlaceOptions): TokenKeySpec | undefined {
  const { pkcs11Module: module, token, label } = options;
  const pin = secretOption('pin', options.pinFile, options.pinEnv);
  if (module === undefined) {
    if (token === undefined && label === undefined && pin === undefined) return undefined;
    throw usage('--token, --label, --pin-file and --pin-env are about a key in a token: give --pkcs11-module too');
  }
  if (token === undefined || label === undefined || pin === undefined) {
    throw usage('--pkcs11-module also needs --token, --label and one of --pin-file and --pin-env');
  }
  if (passphraseOf(options) !== undefined) {
    throw usage('a key in a token has a PIN and no passphrase: use --pin-file or --pin-env');
  }
  return { module, token, label, pin };
}

/** A secret comes from a file or from the environment, and never from the command line. */
function secretOption(name: string, file: string | undefined, env: string | undefined): SecretSource | undefined {
  if (file !== undefined && env !== undefined) throw usage(`give one of --${name}-file and --${name}-env, not both`);
  if (file !== undefined) return { file };
  return env === undefined ? undefined : { env };
}
