/** Secrets and certificates of the sinks. A sink reads them for each use, so that a changed file needs no restart. */
import { readBounded } from '../../../merkle/runtime/disk/bounded.ts';
import { readSecret } from '../../../merkle/runtime/keys/secret.ts';
import type { SecretSource } from '../../../merkle/runtime/keys/types.ts';
import { DeliveryError } from './sink.ts';

const MAX_CERTIFICATES = 1024 * 1024;

/**
 * @param minimum the least number of characters
 * @throws DeliveryError `secret`: there is none, others than its owner may read the file, or it is too short
 */
export async function openSecret(source: SecretSource, minimum: number): Promise<string> {
  let secret: string;
  try {
    secret = await readSecret(source);
  } catch (cause) {
    throw new DeliveryError('secret', (cause as Error).message, cause);
  }
  if (secret.length >= minimum) return secret;
  const place = 'file' in source ? source.file : `the variable ${source.env}`;
  throw new DeliveryError('secret', `the secret in ${place} has less than ${minimum} characters: make a longer one`);
}

/** @throws DeliveryError `secret` */
export async function readCertificates(file: string): Promise<string> {
  try {
    return Buffer.from(await readBounded(file, MAX_CERTIFICATES)).toString('latin1');
  } catch (cause) {
    throw new DeliveryError('secret', `the certificates in ${file} cannot be read: ${(cause as Error).message}`, cause);
  }
}
