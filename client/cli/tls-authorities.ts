/** `--ca`: the certificate authorities of one command, in the place of the system's. */
import { X509Certificate } from 'node:crypto';
import type { Command } from 'commander';
import { formatPem, parsePem, pemBytes } from '../../merkle/pem.ts';
import { fetchTrusting } from '../../merkle/runtime/service/authority-fetch.ts';
import { ClientError } from '../errors.ts';
import { readWhole } from './files.ts';

const MAX_AUTHORITIES = 1024 * 1024;

export function addCaOption(command: Command): Command {
  return command.option(
    '--ca <path>',
    "certificates (PEM) of the authorities that certify servers, in the place of the system's",
  );
}

/**
 * A `fetch` that trusts the authorities in the file alone; undefined where no file is given.
 *
 * @throws ClientError `file`
 */
export async function fetchOf(ca: string | undefined): Promise<typeof fetch | undefined> {
  if (ca === undefined) return undefined;
  // The file may be a pipe, which is read once, and a command may ask twice.
  const made = fetches.get(ca) ?? fetchTrusting(await certificatesOf(ca));
  fetches.set(ca, made);
  return made;
}

const fetches = new Map<string, typeof fetch>();

/** @returns at least one certificate, in PEM. @throws ClientError `file` */
export async function certificatesOf(path: string): Promise<readonly string[]> {
  const text = Buffer.from(await readWhole(path, MAX_AUTHORITIES, 'a list of authorities')).toString('latin1');
  const wrong = (why: string, cause?: unknown) =>
    new ClientError('file', `the authorities in ${path} cannot be used: ${why}`, { cause });
  try {
    const blocks = parsePem(text);
    if (blocks.some(({ label }) => label.endsWith('PRIVATE KEY'))) {
      throw wrong('the file holds a private key, and --ca takes certificates alone. Keep the key elsewhere');
    }
    const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE').map(pemBytes);
    if (certificates.length === 0) {
      throw wrong('the file holds no certificate (PEM, -----BEGIN CERTIFICATE-----)');
    }
    for (const der of certificates) new X509Certificate(der);
    return certificates.map((der) => formatPem('CERTIFICATE', der));
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw wrong((cause as Error).message, cause);
  }
}
