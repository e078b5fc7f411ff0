/**
 * Passphrases and PINs. They come from a file, from an environment variable or from a prompt, never from the command line,
 * where every user of the machine can read them in the process list.
 */
import { readBounded, tooOpen } from '../disk/bounded.ts';
import { RuntimeError } from '../runtime-errors.ts';
import type { SecretSource, TypedSecret } from './types.ts';

const MAX_SECRET_BYTES = 4096;

interface SecretOptions {
  /** cosign encrypts a key with an empty passphrase too. */
  readonly mayBeEmpty?: boolean;
}

/**
 * The secret as text, 1 to 4,096 bytes of UTF-8, without one newline (LF or CRLF) at its end.
 * @throws RuntimeError `secret`: there is no secret, or it is empty, too long or not UTF-8, or its file is
 *   open to others (see `tooOpen`). The message names the source
 *   and never holds a part of the secret.
 */
export async function readSecret(
  source: SecretSource | TypedSecret,
  { mayBeEmpty = false }: SecretOptions = {},
): Promise<string> {
  const text = await textOf(source);
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '' && !mayBeEmpty)
    throw new RuntimeError('secret', `${nameOf(source)} is empty: put the passphrase or PIN into it`);
  // A NUL would end the PIN in a module written in C, and two different secrets would be one.
  if (secret.includes('\0')) throw new RuntimeError('secret', `${nameOf(source)} holds a NUL byte: it must be text`);
  return secret;
}

async function textOf(source: SecretSource | TypedSecret): Promise<string> {
  if ('typed' in source) return source.typed;
  return 'file' in source ? await fromFile(source.file) : fromEnvironment(source.env);
}

function nameOf(source: SecretSource | TypedSecret): string {
  if ('typed' in source) return 'what was typed';
  return 'file' in source ? `the secret file ${source.file}` : `the environment variable ${source.env}`;
}

async function fromFile(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readBounded(path, MAX_SECRET_BYTES, (stats) => {
      const open = tooOpen(path, stats);
      if (open !== undefined) throw new RuntimeError('secret', `the secret file ${path} ${open}`);
    });
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    const why = (cause as Error).message;
    throw new RuntimeError('secret', `the secret file ${path} cannot be read: ${why}`, { cause });
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new RuntimeError('secret', `the secret file ${path} is not UTF-8 text`);
  }
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (value === undefined) {
    throw new RuntimeError('secret', `the environment variable ${name} is not set: put the passphrase or PIN into it`);
  }
  if (Buffer.byteLength(value) > MAX_SECRET_BYTES) {
    throw new RuntimeError('secret', `the environment variable ${name} is longer than ${MAX_SECRET_BYTES} bytes`);
  }
  return value;
}
