/**
 * Keys inside PKCS#11 tokens (OASIS PKCS #11 Specification 3.1): made there, used there, never leaving.
 *
 * One thread a module talks to it (token-worker.ts); here is the side of the callers. P-256 keys sign a SHA-256 digest by
 * CKM_ECDSA, and r ‖ s becomes DER (RFC 3279 section 2.2.3); Ed25519 keys sign the message by CKM_EDDSA.
 */
import { Piscina } from 'piscina';
import { fastSha256 } from '../../crypto/hash.ts';
import { nobleCurves } from '../../crypto/lazy-noble.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { workerUrl } from '../../threads/pool.ts';
import { readSecret } from '../secret.ts';
import { verifySignature } from '../signer.ts';
import type { KeyAlgorithm, Signer, TokenKeySpec } from '../types.ts';
import { findModule } from './pkcs11-module.ts';
import type { OpenedKey, TokenAccess, TokenKeyFacts, TokenReply, TokenRequest, TokenResults } from './types.ts';

/**
 * Logs in to the token, finds the key, and signs once to see that private and public key belong together. A session that
 * was lost is opened anew by the next `sign`; until that succeeds `sign` rejects, mostly with `pkcs11-unavailable`, and
 * `RetryingSigner` turns that into waiting.
 * @throws RuntimeError `pkcs11-module`, `pkcs11-token`, `pkcs11-pin`, `pkcs11-key` (also where the key may leave the token),
 * `pkcs11-unavailable`, `secret`, `sign`
 */
export async function openTokenSigner(spec: TokenKeySpec): Promise<Signer> {
  const thread = await TokenThread.for(spec.module);
  try {
    const opened = await thread.run('open', { access: await accessTo(spec) });
    const signer = new TokenSigner(spec, thread, opened);
    await checkPair(signer, spec);
    return signer;
  } catch (error) {
    await thread.release();
    throw error;
  }
}

/** Signs digests that were made elsewhere, of files too large to be sent to a token. */
interface TokenDigestSigner {
  /** SubjectPublicKeyInfo, DER, of a P-256 key. */
  readonly publicKey: Uint8Array;
  /** DER `SEQUENCE { r, s }` over `digest`, 32 bytes of SHA-256. Rejects as `Signer.sign` does. */
  signDigest(digest: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * As `openTokenSigner`, for ECDSA P-256 keys alone: CKM_EDDSA takes the message and not its digest.
 * @throws RuntimeError as `openTokenSigner`; `pkcs11-key` for an Ed25519 key
 */
export async function openTokenDigestSigner(spec: TokenKeySpec): Promise<TokenDigestSigner> {
  const signer = (await openTokenSigner(spec)) as TokenSigner;
  if (signer.algorithm === 'ecdsa-p256') return signer;
  await signer.close();
  throw new RuntimeError(
    'pkcs11-key',
    `the key labelled "${spec.label}" in token "${spec.token}" is Ed25519, which signs whole messages in a token and no digests of files: use an ECDSA P-256 key (stele keygen --algorithm ecdsa-p256)`,
  );
}

/**
 * Makes a key pair inside the token: private, sensitive, not extractable, for signing alone. Resolves with the public key.
 * @throws RuntimeError `key-exists` where the label is taken, `pkcs11-module`, `pkcs11-token`, `pkcs11-pin`, `pkcs11-key`,
 * `pkcs11-unavailable`, `secret`, `sign`
 */
export async function createTokenKey(
  spec: TokenKeySpec & { readonly algorithm: KeyAlgorithm },
): Promise<{ publicKey: Uint8Array }> {
  const thread = await TokenThread.for(spec.module);
  try {
    return { publicKey: await thread.run('create', { access: await accessTo(spec), algorithm: spec.algorithm }) };
  } finally {
    await thread.release();
  }
}

/**
 * As `createTokenKey`, but takes the key that the token has under the label, and resolves with what the token says of the
 * key. One login serves for all of it.
 * @throws RuntimeError as `createTokenKey`, but never `key-exists`; `pkcs11-key` where the token does not say all attributes
 */
export async function holdTokenKey(spec: TokenKeySpec & { readonly algorithm: KeyAlgorithm }): Promise<TokenKeyFacts> {
  const thread = await TokenThread.for(spec.module);
  try {
    return await thread.run('hold', { access: await accessTo(spec), algorithm: spec.algorithm });
  } finally {
    await thread.release();
  }
}

/** No checkpoint, cosignature or entry begins like this, so that the signature is of use for nothing else. */
const PAIR_CHECK = new TextEncoder().encode('stele: do the two halves of this key belong together?\n');

async function checkPair(signer: TokenSigner, spec: TokenKeySpec): Promise<void> {
  if (verifySignature(signer, PAIR_CHECK, await signer.sign(PAIR_CHECK))) return;
  throw new RuntimeError(
    'pkcs11-key',
    `the public key labelled "${spec.label}" in token "${spec.token}" does not belong to the private key of that label: make another key`,
  );
}

async function accessTo({ token, label, pin }: TokenKeySpec): Promise<TokenAccess> {
  if (label === '') throw new RuntimeError('pkcs11-key', 'the label of the key is empty: give it one');
  return { token, label, pin: await readSecret(pin) };
}

class TokenSigner implements Signer {
  readonly algorithm: KeyAlgorithm;
  readonly publicKey: Uint8Array;
  readonly #spec: TokenKeySpec;
  readonly #thread: TokenThread;
  #session: number | undefined;
  #opening: Promise<number> | undefined;
  #closed: Promise<void> | undefined;

  constructor(spec: TokenKeySpec, thread: TokenThread, opened: OpenedKey) {
    this.algorithm = opened.algorithm;
    this.publicKey = opened.publicKey;
    this.#spec = spec;
    this.#thread = thread;
    this.#session = opened.session;
  }

  async sign(message: Uint8Array): Promise<Uint8Array> {
    if (this.algorithm === 'ecdsa-p256') return await this.signDigest(fastSha256(message));
    return await this.#signRaw(message);
  }

  /** For a P-256 key: DER over 32 bytes of SHA-256. */
  async signDigest(digest: Uint8Array): Promise<Uint8Array> {
    return toDer(await this.#signRaw(digest));
  }

  close(): Promise<void> {
    this.#closed ??= this.#thread.release(this.#session);
    return this.#closed;
  }

  async #signRaw(data: Uint8Array): Promise<Uint8Array> {
    if (this.#closed !== undefined) throw new RuntimeError('aborted', 'the signer is closed');
    const session = this.#session;
    if (session !== undefined) {
      try {
        return await this.#thread.run('sign', { session, data });
      } catch (error) {
        if (this.#session === session) this.#session = undefined;
        // Tokens end idle sessions, and the recovery of another signer ends ours. So try once more in a new session.
        if (!(error instanceof RuntimeError) || error.code !== 'pkcs11-unavailable') throw error;
      }
    }
    return this.#thread.run('sign', { session: await this.#reopen(), data });
  }

  #reopen(): Promise<number> {
    if (this.#session !== undefined) return Promise.resolve(this.#session);
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(): Promise<number> {
    const opened = await this.#thread.run('open', { access: await accessTo(this.#spec) });
    if (opened.algorithm !== this.algorithm || Buffer.compare(opened.publicKey, this.publicKey) !== 0) {
      await this.#thread.run('close', { session: opened.session });
      const { label, token } = this.#spec;
      throw new RuntimeError(
        'pkcs11-key',
        `token "${token}" came back with another key labelled "${label}": put back the token with the key that was there at the start`,
      );
    }
    this.#session = opened.session;
    return opened.session;
  }
}

/** PKCS#11 gives r ‖ s, 32 bytes each, big-endian. */
function toDer(signature: Uint8Array): Uint8Array {
  try {
    return nobleCurves().p256.Signature.fromBytes(signature, 'compact').toBytes('der');
  } catch (cause) {
    throw new RuntimeError('signature-wrong', 'the token gave r and s that are no ECDSA signature: check the token', {
      cause,
    });
  }
}

type Arguments<Op> = Omit<Extract<TokenRequest, { op: Op }>, 'op' | 'module'>;

/** The thread for one module, shared by all keys there: PKCS#11 has one C_Initialize for a process. */
class TokenThread {
  static readonly #threads = new Map<string, TokenThread>();
  readonly #module: string;
  readonly #pool: Piscina<TokenRequest, TokenReply>;
  #users = 0;
  #ended: Promise<void> | undefined;

  /** @throws RuntimeError `pkcs11-module`, `file` (the worker has not been built) */
  static async for(name: string): Promise<TokenThread> {
    const module = await findModule(name);
    let thread = TokenThread.#threads.get(module);
    // Its C_Finalize must not meet our C_Initialize.
    while (thread !== undefined && thread.#ended !== undefined) {
      await thread.#ended;
      thread = TokenThread.#threads.get(module);
    }
    if (thread === undefined) {
      thread = new TokenThread(module);
      TokenThread.#threads.set(module, thread);
    }
    thread.#users++;
    return thread;
  }

  private constructor(module: string) {
    this.#module = module;
    // Not `createPool`, whose threads take two tasks at once: here each call must end before the next begins.
    this.#pool = new Piscina({
      filename: workerUrl('merkle/runtime/keys/pkcs11/token-worker').href,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
    });
    // Without a listener a worker that dies between two tasks would end the process.
    this.#pool.on('error', () => {});
  }

  async run<Op extends TokenRequest['op']>(op: Op, rest: Arguments<Op>): Promise<TokenResults[Op]> {
    const request = { ...rest, op, module: this.#module } as unknown as TokenRequest;
    let reply: TokenReply;
    try {
      reply = await this.#pool.run(request);
    } catch (cause) {
      // piscina starts another thread, which does not have our sessions: as if the token had lost them.
      throw new RuntimeError('pkcs11-unavailable', 'the thread that talks to the PKCS#11 module failed', { cause });
    }
    if ('error' in reply) throw new RuntimeError(reply.error.code, reply.error.message);
    return reply.value as TokenResults[Op];
  }

  /** Ends one use, with its session; the last one ends the module and the thread. */
  async release(session?: number): Promise<void> {
    if (--this.#users === 0) {
      this.#ended = this.#end();
      await this.#ended;
    } else if (session !== undefined) {
      await this.run('close', { session }).catch(() => {}); // given up either way
    }
  }

  async #end(): Promise<void> {
    await this.run('finalize', {}).catch(() => {}); // given up either way
    await this.#pool.destroy();
    TokenThread.#threads.delete(this.#module);
  }
}
