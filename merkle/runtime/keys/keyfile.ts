/**
 * Software keys: one private key in a file, PKCS#8 (RFC 5958) in PEM (RFC 7468), Ed25519 (RFC 8410) or ECDSA P-256
 * (RFC 5915), optionally encrypted with a passphrase (PBES2 of RFC 8018, AES-256-CBC).
 *
 *     -----BEGIN PRIVATE KEY-----            or  -----BEGIN ENCRYPTED PRIVATE KEY-----
 *     MC4CAQAwBQYDK2VwBCIEIN…
 *     -----END PRIVATE KEY-----
 */
import * as crypto from 'node:crypto';
import { link, open, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readBounded, tooOpen } from '../disk/bounded.ts';
import { syncDir } from '../disk/files.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { scryptLimit } from './scrypt-limit.ts';
import type { KeyAlgorithm, Signer } from './types.ts';

const MAX_KEY_FILE_BYTES = 64 * 1024;

/** A key that is in no file yet: a start uses it to check its configuration before it makes anything. */
interface NewKey {
  readonly signer: Signer;
  /** Writes it as `createKeyFile` does. @throws RuntimeError `key-exists`, `key-file` */
  save(path: string): Promise<void>;
}

/** @throws RuntimeError `passphrase` where it is empty */
export function newKey(algorithm: KeyAlgorithm, passphrase?: string): NewKey {
  const { privateKey } =
    algorithm === 'ed25519'
      ? crypto.generateKeyPairSync('ed25519')
      : crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  // OpenSSL takes an empty passphrase and encrypts with it, which protects nothing and reads as if it did.
  if (passphrase === '') throw new RuntimeError('passphrase', 'the passphrase is empty: give one, or leave it out');
  const protection = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
  return {
    signer: softwareSigner(privateKey),
    save: async (path) => writeNewKey(path, String(privateKey.export({ type: 'pkcs8', format: 'pem', ...protection }))),
  };
}

/**
 * Makes a key and writes it to `path` with mode 0600, durable (file and directory fsynced) when this resolves. It never
 * overwrites a file. Resolves with the public key, SPKI in DER; the private key is in the file alone.
 *
 * A crash on the way leaves no file at `path`, or the whole key.
 * @throws RuntimeError `key-exists`, `key-file`
 */
export async function createKeyFile(
  path: string,
  algorithm: KeyAlgorithm,
  passphrase?: string,
): Promise<{ publicKey: Uint8Array }> {
  const { signer, save } = newKey(algorithm, passphrase);
  await save(path);
  return { publicKey: signer.publicKey };
}

/**
 * Opens the key in the file `path`, 64 KiB at most.
 * @throws RuntimeError `key-file` (missing, open to others: see `tooOpen`, too large), `passphrase` (wanted, wrong, or given
 * for a key that has none), `key-format` (not one PKCS#8 key, or neither Ed25519 nor P-256)
 */
export async function openKeyFile(path: string, passphrase?: string): Promise<Signer> {
  return softwareSigner(parsePrivateKey(await readKeyFile(path), path, passphrase), path);
}

/**
 * A signer over a key of Node's own.
 *
 * It signs on the calling thread: 25 to 50 µs, where the callback form of `crypto.sign` takes twice as long (50 against
 * 96 µs for Ed25519, 37 against 78 µs for P-256; Node 20.20, 2 cores) and its round trip costs the event loop about as much.
 * @throws RuntimeError `key-format` where the key is neither Ed25519 nor ECDSA P-256
 */
export function softwareSigner(privateKey: crypto.KeyObject, name = 'the key'): Signer {
  const algorithm = keyAlgorithmOf(privateKey);
  if (algorithm === undefined) {
    const found = privateKey.asymmetricKeyDetails?.namedCurve ?? privateKey.asymmetricKeyType;
    throw new RuntimeError('key-format', `${name} is a key for ${found}: use Ed25519 or ECDSA P-256 (stele keygen)`);
  }
  const publicKey = crypto.createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const hash = algorithm === 'ed25519' ? null : 'sha256';
  return {
    algorithm,
    publicKey,
    sign: async (message) => crypto.sign(hash, message, privateKey),
    close: async () => {},
  };
}

/** Undefined for a key that is neither Ed25519 nor ECDSA P-256. */
export function keyAlgorithmOf(key: crypto.KeyObject): KeyAlgorithm | undefined {
  if (key.asymmetricKeyType === 'ed25519') return 'ed25519';
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return key.asymmetricKeyType === 'ec' && curve === 'prime256v1' ? 'ecdsa-p256' : undefined;
}

/**
 * The bytes go to a temporary file, made with O_EXCL, which then gets its name by link(2): that never replaces a file, and
 * a crash before it leaves a temporary file that nobody reads, not half a key under the name of one.
 * @throws RuntimeError `key-exists`, `key-file`
 */
export async function writeNewKey(path: string, text: string): Promise<void> {
  const directory = dirname(resolve(path));
  const temporary = join(directory, `.${crypto.randomBytes(8).toString('hex')}.tmp`);
  try {
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await link(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
    await syncDir(directory);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      throw new RuntimeError(
        'key-exists',
        `${path} is there already, and keys are never overwritten: choose another name`,
      );
    }
    const why =
      code === 'ENOENT' || code === 'ENOTDIR'
        ? `there is no directory ${directory}`
        : code === 'EACCES' || code === 'EPERM'
          ? `this user may not write to ${directory}`
          : message;
    throw new RuntimeError('key-file', `the key file ${path} cannot be made: ${why}`, { cause });
  }
}

/** The bytes of a key file that is closed to others. @throws RuntimeError `key-file` */
export async function readKeyFile(path: string): Promise<Uint8Array> {
  try {
    return await readBounded(path, MAX_KEY_FILE_BYTES, (stats) => {
      const open = tooOpen(path, stats);
      if (open === undefined) return;
      const why = `the key file ${path} ${open}, and make a new key if somebody may have read it`;
      throw new RuntimeError('key-file', why);
    });
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (cause as Error).message;
    throw new RuntimeError('key-file', `the key file ${path} cannot be read: ${why}`, { cause });
  }
}

/** Exactly one PKCS#8 block: OpenSSL would skip what stands before it, and read only the first of several. */
const PKCS8_PEM = /^-----BEGIN (ENCRYPTED |)PRIVATE KEY-----\r?\n[A-Za-z0-9+/=\r\n]+-----END \1PRIVATE KEY-----\s*$/;

function parsePrivateKey(bytes: Uint8Array, path: string, passphrase: string | undefined): crypto.KeyObject {
  const pem = Buffer.from(bytes).toString('latin1');
  const encrypted = pem.startsWith('-----BEGIN ENCRYPTED');
  if (!PKCS8_PEM.test(pem)) {
    throw new RuntimeError(
      'key-format',
      `${path} does not hold exactly one PKCS#8 private key in PEM: make one with stele keygen, or turn another format into it with \`openssl pkcs8 -topk8\``,
    );
  }
  if (encrypted && passphrase === undefined) {
    throw new RuntimeError(
      'passphrase',
      `the key file ${path} is encrypted: name the file or variable with its passphrase`,
    );
  }
  // Saying nothing would let an operator believe that the file is protected.
  if (!encrypted && passphrase !== undefined) {
    throw new RuntimeError(
      'passphrase',
      `the key file ${path} is not encrypted, but a passphrase is set: leave it out`,
    );
  }
  try {
    return crypto.createPrivateKey({ key: pem, format: 'pem', ...(encrypted && { passphrase }) });
  } catch (cause) {
    const limit = scryptLimit(cause);
    if (limit !== undefined) throw new RuntimeError('key-format', `the key file ${path} does not open: ${limit}`);
    // No cause: OpenSSL's words change from version to version, and may quote what it read.
    throw encrypted
      ? new RuntimeError(
          'passphrase',
          `the key file ${path} does not open: the passphrase is wrong, or the file is damaged`,
        )
      : new RuntimeError(
          'key-format',
          `the key in ${path} cannot be parsed: the file is damaged, or of an unknown kind`,
        );
  }
}
