/**
 * The encrypted private keys of cosign, in the form of securesystemslib (secure-systems-lab/go-securesystemslib,
 * `encrypted`): a PEM block around
 *
 *   { "kdf": { "name": "scrypt", "params": { "N": 65536, "r": 8, "p": 1 }, "salt": … },
 *     "cipher": { "name": "nacl/secretbox", "nonce": … }, "ciphertext": … }
 *
 * scrypt (RFC 7914) makes a key of 32 bytes from the passphrase. NaCl's secretbox (XSalsa20 and Poly1305) holds a PKCS#8
 * key. Node only.
 */
import { scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { secretbox } from '@noble/ciphers/salsa.js';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../../errors.ts';
import { bytes, type JsonObject, parseJson, record } from '../../formats/json.ts';

const MAX_JSON = 64 * 1024;
const MAX_SALT = 1024;
const KEY_SIZE = 32;
const NONCE_SIZE = 24;
/** In bytes. cosign writes keys that take 64 MiB, and securesystemslib knows parameters that take 128 MiB. */
const MAX_MEMORY = 256 * 1024 * 1024;
/** N * r * p, four times that of the most expensive parameters that securesystemslib knows: about two seconds. */
const MAX_WORK = 4 * 131_072 * 8;

const derive = promisify<string, Uint8Array, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(
  scrypt,
);

/**
 * Decrypts the content of the PEM block.
 *
 * @param passphrase may be empty, as cosign allows
 * @returns PKCS#8, DER
 * @throws ClientError `key` where the content is of another form, or its scrypt takes more than 256 MiB or 4 * 2^20 steps;
 *   RuntimeError `passphrase`
 */
export async function decryptCosignKey(content: Uint8Array, passphrase: string): Promise<Uint8Array> {
  const { params, salt, nonce, ciphertext } = parseContent(content);
  const key = new Uint8Array(await derive(passphrase, salt, KEY_SIZE, { ...params, maxmem: 2 * MAX_MEMORY }));
  try {
    return secretbox(key, nonce).open(ciphertext);
  } catch {
    // No cause: it says nothing more.
    throw new RuntimeError('passphrase', 'the key cannot be opened: the passphrase is wrong, or the file is damaged');
  } finally {
    key.fill(0);
  }
}

function parseContent(content: Uint8Array) {
  try {
    const json = record(parseJson(content, 'the content of the block', MAX_JSON), 'the content', [
      'kdf',
      'cipher',
      'ciphertext',
    ]);
    const kdf = record(json.kdf, 'kdf', ['name', 'params', 'salt']);
    const cipher = record(json.cipher, 'cipher', ['name', 'nonce']);
    named(kdf, 'kdf', 'scrypt');
    named(cipher, 'cipher', 'nacl/secretbox');
    const salt = bytes(kdf.salt, 'kdf.salt');
    if (salt.length > MAX_SALT) throw unread(`its salt is longer than ${MAX_SALT} bytes`);
    return {
      params: parseParams(record(kdf.params, 'kdf.params', ['N', 'r', 'p'])),
      salt,
      nonce: bytes(cipher.nonce, 'cipher.nonce', NONCE_SIZE),
      ciphertext: bytes(json.ciphertext, 'ciphertext'),
    };
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code === 'key') throw cause;
    throw unread(cause.message, cause);
  }
}

function named({ name }: JsonObject, path: string, expected: string): void {
  if (name !== expected) throw unread(`its ${path} is not "${expected}"`);
}

function parseParams(given: JsonObject): { N: number; r: number; p: number } {
  const { N, r, p } = given as Record<string, number>;
  const whole = [N, r, p].every((value) => Number.isSafeInteger(value) && value! > 0);
  // RFC 7914 section 2: N is a power of two, greater than 1.
  if (!whole || N! < 2 || !Number.isInteger(Math.log2(N!))) throw unread('the parameters of its scrypt are malformed');
  if (128 * N! * r! > MAX_MEMORY || N! * r! * p! > MAX_WORK) {
    throw unread(`its scrypt (N ${N}, r ${r}, p ${p}) takes more than the limit of 256 MiB or ${MAX_WORK} steps`);
  }
  return { N: N!, r: r!, p: p! };
}

function unread(why: string, cause?: unknown): ClientError {
  return new ClientError('key', `it is not an encrypted key of cosign that can be read: ${why}`, { cause });
}
