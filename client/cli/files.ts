/** The files that the commands read and write. */
import type { Stats } from 'node:fs';
import { printable } from '../../merkle/printable.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { readOpened, tooOpen } from '../../merkle/runtime/disk/bounded.ts';
import { writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../errors.ts';
import { type PublicKey, parsePublicKeyPem } from '../formats/key.ts';
import type { KeySigner } from '../submit/signers/types.ts';
import { allOf, inputName, readInput } from './input.ts';

const MAX_KEY_FILE = 64 * 1024;

export function isDirectory(path: string): ClientError {
  return new ClientError('file', `${path} is a directory: name a file, such as an archive of it`);
}

/**
 * A whole file, pipe or standard input (`-`) of at most `limit` bytes. Nothing of a larger file is read.
 *
 * @param what names the limit in the error: `a bundle`
 * @param check looks at a file before it is read; a pipe has nothing to look at
 * @throws ClientError `file`, `usage`, `cancelled`, and what `check` throws
 */
export async function readWhole(
  path: string,
  limit: number,
  what: string,
  check?: (stats: Stats) => void,
): Promise<Uint8Array> {
  return await reading(path, () =>
    readInput(path, {
      file: async (file, stats) => {
        check?.(stats);
        if (stats.size > limit) throw tooLarge(path, limit, what);
        return readOpened(file, stats, limit);
      },
      pipe: (pieces) => allOf(pieces, limit, () => tooLarge(path, limit, what)),
    }),
  );
}

function tooLarge(path: string, limit: number, what: string): ClientError {
  return new ClientError('file', `${inputName(path)} is larger than ${limit} bytes, the most that ${what} may have`);
}

/** name+key ID+key, as c2sp.org/signed-note writes a verifier key. */
const VERIFIER_KEY = /^[^\s+]+\+[0-9a-fA-F]{8}\+[A-Za-z0-9+/]+={0,2}$/;

/**
 * The verifier keys that `given` is or, where `given` is the name of a file, that the file holds: one a line, beside empty
 * lines and comments (`#`). The keys are not parsed yet. A text that looks like a key is no file name.
 * @throws ClientError `log-key` where it is neither
 */
export async function verifierKeyTexts(given: string): Promise<string[]> {
  const text = given.trim();
  if (VERIFIER_KEY.test(text)) return [text];
  let file: string;
  try {
    file = Buffer.from(await readWhole(given, MAX_KEY_FILE, 'a file of verifier keys')).toString();
  } catch (cause) {
    // The parser says what is wrong with a key that is damaged.
    if (text.includes('+')) return [text];
    const why = `${printable(given)} is neither a verifier key, such as log.example.com+1a2b3c4d+AbCd…, nor a file with one`;
    throw new ClientError('log-key', `${why}: ${(cause as Error).message}`, { cause });
  }
  const lines = file.split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

/** The same, of exactly one key. @throws ClientError `log-key` */
export async function verifierKeyText(given: string): Promise<string> {
  const [key, ...more] = await verifierKeyTexts(given);
  if (key !== undefined && more.length === 0) return key;
  throw new ClientError('log-key', `the file ${printable(given)} must hold one verifier key, and nothing else`);
}

/** @throws ClientError `file`, `key` */
export async function readPublicKey(path: string): Promise<PublicKey> {
  const pem = Buffer.from(await readWhole(path, MAX_KEY_FILE, 'a key')).toString('latin1');
  try {
    return parsePublicKeyPem(pem, nodePrimitives());
  } catch (cause) {
    throw new ClientError('key', `${path}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * A private key in PEM, which no other user of this machine may read.
 *
 * @throws ClientError `file`, `key`; RuntimeError `passphrase`
 */
export async function readPrivateKey(path: string, passphrase: string | undefined): Promise<KeySigner> {
  let open: string | undefined;
  const file = await readWhole(path, MAX_KEY_FILE, 'a key', (stats) => {
    open = tooOpen(path, stats);
  });
  const { pemSigner, privateKeyBlock } = await import('../submit/signers/pem-signer.ts');
  try {
    const block = await privateKeyBlock(Buffer.from(file));
    // A public key may be open to others: only now it is known that this is a private key.
    if (open !== undefined) throw new ClientError('key', `the file ${open} first`);
    return await pemSigner(block, passphrase);
  } catch (cause) {
    if (cause instanceof RuntimeError && cause.code === 'passphrase') {
      const how =
        passphrase === undefined
          ? ': name its passphrase with --passphrase-file or --passphrase-env (for a key of cosign: --passphrase-env COSIGN_PASSWORD)'
          : '';
      throw new RuntimeError('passphrase', `${path}: ${cause.message}${how}`, { cause });
    }
    throw new ClientError('key', `${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Replaces `path` in one step. @throws ClientError `file` */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFileDurable(path, bytes, { mode: 0o644 });
  } catch (cause) {
    // What the runtime says has the reason and the advice already.
    if (cause instanceof RuntimeError) throw new ClientError('file', cause.message, { cause });
    const why = `${path} cannot be written (${reason(cause)}): check the directory and its free space`;
    throw new ClientError('file', why, { cause });
  }
}

/** What `work` reads of `path`. @throws ClientError `file`, and each ClientError of `work` */
export async function reading<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw new ClientError('file', `${inputName(path)} cannot be read: ${reason(cause)}`, { cause });
  }
}

function reason(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'it is not allowed';
  return cause instanceof RuntimeError ? message : (code ?? message);
}
