/** Passphrases and PINs, which come from a file or from the environment and never from the command line. */
import type { SecretSource } from '../../merkle/runtime/keys/types.ts';
import { usage } from '../errors.ts';

/** @param name of the options: `passphrase` or `pin`. @throws ClientError `usage` where both are given */
export function secretOption(
  name: string,
  file: string | undefined,
  env: string | undefined,
): SecretSource | undefined {
  if (file !== undefined && env !== undefined) throw usage(`give one of --${name}-file and --${name}-env, not both`);
  if (file !== undefined) return { file };
  return env === undefined ? undefined : { env };
}
