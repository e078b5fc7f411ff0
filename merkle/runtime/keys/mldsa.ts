/**
 * ML-DSA-44 keys (FIPS 204) in files, and signing with them in the worker pool.
 *
 * A key file is PKCS#8 in PEM with the 32-byte seed alone, the form that RFC 9881 (section 6) recommends and that OpenSSL
 * 3.5 and Go read:
 *
 *     30 34 02 01 00 30 0b 06 09 60 86 48 01 65 03 04 03 11 04 22 80 20 || seed
 *
 * Measured (noble in JavaScript, Node 20, one core): 13 ms for a signature, 2 ms for its check. That is two hundred times
 * an Ed25519 signature, so it never runs on the main thread.
 */
import { randomBytes } from 'node:crypto';
import { concat, equal } from '../../bytes.ts';
import { nobleMldsa44 } from '../crypto/lazy-noble.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { createPool, type Pool, workerUrl } from '../threads/pool.ts';
import { readKeyFile, writeNewKey } from './keyfile.ts';
import { MLDSA_SIZE, MLDSA_TASK, type MldsaWorkerData } from './mldsa-task.ts';

const PREFIX = Buffer.from('3034020100300b06096086480165030403110422' + '8020', 'hex');
const SEED_SIZE = 32;
const PEM = /^-----BEGIN PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PRIVATE KEY-----\s*$/;

/** Verifies ML-DSA-44 signatures beside the main thread, which a verification would hold for 2 ms. */
interface MldsaVerifier {
  /**
   * Whether `signature` (2420 bytes) is by the key of 1312 bytes over `message`. False for every malformed input. Rejects
   * with RuntimeError `pool`.
   */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>;
  /** Ends the threads; idempotent. */
  close(): Promise<void>;
}

export interface MldsaSigner extends MldsaVerifier {
  /** 1312 bytes. */
  readonly publicKey: Uint8Array;
  /** 2420 bytes, verified before they are handed out. Rejects with RuntimeError `pool`, `signature-wrong`. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** 1312 and 2560 bytes. */
interface MldsaKey {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** A key that is in no file yet; `save` writes it as `createMldsaKeyFile` does. */
export function newMldsaKey(): MldsaKey & { save(path: string): Promise<void> } {
  const seed = randomBytes(SEED_SIZE);
  const body = Buffer.from(concat(PREFIX, seed)).toString('base64').replace(/.{64}/g, '$&\n');
  const save = (path: string) => writeNewKey(path, `-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`);
  return { ...nobleMldsa44().keygen(seed), save };
}

/**
 * Makes a key in the new file `path`, mode 0600, durable; nothing is overwritten. Resolves with its 1312-byte public key.
 * @throws RuntimeError `key-exists`, `key-file`
 */
export async function createMldsaKeyFile(path: string): Promise<{ publicKey: Uint8Array }> {
  const { publicKey, save } = newMldsaKey();
  await save(path);
  return { publicKey };
}

interface MldsaThreads {
  /** Workers that sign; 1 by default. */
  readonly threads?: number;
  /** Added to the niceness of each worker, 0 to 19, so that a busy core runs other threads first; 0 by default. */
  readonly niceness?: number;
}

/** @throws RuntimeError `key-file`; `key-format` where the file holds no ML-DSA-44 seed */
export async function readMldsaKey(path: string): Promise<MldsaKey> {
  return nobleMldsa44().keygen(parseSeed(await readKeyFile(path), path));
}

/** Workers sign. */
export function mldsaSigner({ publicKey, secretKey }: MldsaKey, threads: MldsaThreads = {}): MldsaSigner {
  const pool = openPool({ publicKey, secretKey }, threads);
  return {
    publicKey,
    sign: async (message) => {
      const answer = await runTask(pool, MLDSA_TASK.sign, message);
      if (answer.length > 0) return answer;
      throw new RuntimeError(
        'signature-wrong',
        'ML-DSA-44 gave a signature that its own public key refuses, so it was not used: check the memory of the machine',
      );
    },
    ...verifierOf(() => pool),
    close: () => pool.close(),
  };
}

/** One worker verifies. It starts with the first verification. */
export function openMldsaVerifier(): MldsaVerifier {
  let pool: Pool | undefined;
  let closed = false;
  const opened = () => {
    if (closed) throw new RuntimeError('pool', 'the verifier is closed');
    pool ??= openPool(undefined, {});
    return pool;
  };
  return {
    ...verifierOf(opened),
    close: async () => {
      closed = true;
      await pool?.close();
    },
  };
}

function openPool(own: MldsaWorkerData['own'], { threads = 1, niceness = 0 }: MldsaThreads): Pool {
  const workerData: MldsaWorkerData = { ...(own && { own }), niceness };
  return createPool({ file: workerUrl('merkle/runtime/keys/mldsa-worker'), threads, workerData });
}

function verifierOf(pool: () => Pool): Pick<MldsaVerifier, 'verify'> {
  return {
    verify: async (publicKey, message, signature) => {
      if (publicKey.length !== MLDSA_SIZE.publicKey || signature.length !== MLDSA_SIZE.signature) return false;
      return (await runTask(pool(), MLDSA_TASK.verify, publicKey, signature, message)).length > 0;
    },
  };
}

/** The parts are copied, because the task is transferred. */
async function runTask(pool: Pool, kind: number, ...parts: readonly Uint8Array[]): Promise<Uint8Array> {
  return new Uint8Array(await pool.run(concat(Uint8Array.of(kind), ...parts).buffer as ArrayBuffer));
}

function parseSeed(bytes: Uint8Array, path: string): Uint8Array {
  const base64 = PEM.exec(Buffer.from(bytes).toString('latin1'))?.[1];
  const der = Buffer.from(base64 ?? '', 'base64');
  if (der.length === PREFIX.length + SEED_SIZE && equal(der.subarray(0, PREFIX.length), PREFIX)) {
    return Uint8Array.from(der.subarray(PREFIX.length));
  }
  throw new RuntimeError(
    'key-format',
    `${path} does not hold one ML-DSA-44 key as a seed in PKCS#8, unencrypted: make one with stele keygen --algorithm ml-dsa-44`,
  );
}
