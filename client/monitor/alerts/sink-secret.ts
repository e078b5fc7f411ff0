/** Secrets and certificates of the sinks. A sink reads them for each use, so that a changed file needs no restart. */
import { readBounded } from '../../../merkle/runtime/disk/bounded.ts';
import { readSecret } from '../../../merkle/runtime/keys/secret.ts';
import type { SecretSource } from '../../../merkle/runtime/keys/types.ts';
import { DeliveryError } from './delivery-error.ts';

const MAX_SECRET = 4096;
const MAX_CERTIFICATES = 1024 * 1024;
const GROUP_AND_OTHERS = 0o077;

/** The name of the source in a message. */
function sourceName(source: SecretSource): string {
  return 'file' in source ? source.file : `the variable ${source.env}`;
}

/**
 * @param minimum the least number of characters
 * @throws DeliveryError `secret`: there is none, others than its owner may read the file, or it is too short
 */
export async function openSecret(source: SecretSource, minimum: number): Promise<string> {
  let secret: string;
  try {
    if ('file' in source) await readBounded(source.file, MAX_SECRET, ownerOnly);
    secret = await readSecret(source);
  } catch (cause) {
    throw new DeliveryError('secret', `${sourceName(source)} gives no secret: ${(cause as Error).message}`, cause);
  }
  if (secret.length < minimum) {
    throw new DeliveryError(
      'secret',
      `the secret in ${sourceName(source)} has less than ${minimum} characters: make a longer one`,
    );
  }
  return secret;
}

/** @throws DeliveryError `secret` */
export async function readCertificates(file: string): Promise<string> {
  try {
    return Buffer.from(await readBounded(file, MAX_CERTIFICATES)).toString('latin1');
  } catch (cause) {
    throw new DeliveryError('secret', `the certificates in ${file} cannot be read: ${(cause as Error).message}`, cause);
  }
}

function ownerOnly(stats: { readonly mode: number }): void {
  // Windows has no such bits and reports all of them as set.
  if (process.platform === 'win32' || (stats.mode & GROUP_AND_OTHERS) === 0) return;
  throw new Error('others than its owner can read it: chmod 600');
}
