/** The certificate chain and the key of a TLS port: read from their files, checked, and read anew when the files change. */
import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { decodeUtf8 } from '../../bytes.ts';
import { stampOf } from '../disk/file-stamps.ts';
import { readFileIfThere } from '../disk/files.ts';
import { RuntimeError } from '../runtime-errors.ts';

/** Longest file with a certificate chain or a key, in bytes. */
const MAX_PEM = 1024 * 1024;
/** How often the files are looked at, in milliseconds. */
const WATCH_MS = 2000;

/** Paths of PEM files. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Authorities whose certificates clients must have; without them clients need none. */
  readonly clientCa?: string | undefined;
}

/** Contents of PEM files that fit each other. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string | undefined;
  /** Of a server: asks each client for a certificate, and takes any, or none. What a request needs is for the service to say, in HTTP. */
  readonly askClients?: boolean;
}

/** What this end of connections shows of itself. */
export interface TlsIdentity {
  /** The newest pair. @throws RuntimeError `svid`: none is valid now */
  current(): TlsPair;
  /** Calls the listener after each rotation, until the returned function is called. */
  onChange(listener: () => void): () => void;
  close(): Promise<void>;
}

/**
 * The context of a server. One that asks clients for certificates gives no session tickets: a resumed session keeps the identity of
 * an earlier handshake, also when its certificate has ended. It renegotiates nothing, for one connection has one identity.
 */
export function contextOf({ cert, key, clientCa, askClients }: TlsPair): SecureContextOptions {
  const asks = clientCa !== undefined || askClients === true;
  // Without `ca`, the server would take clients of every public authority. An empty one names no authority to clients.
  const ca = clientCa ?? (asks ? [] : undefined);
  const secureOptions = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION;
  return { cert, key, ...(ca && { ca }), ...(asks && { secureOptions }) };
}

/**
 * Reads both files and checks them here: the messages of OpenSSL would name no file.
 *
 * @param named what stands before `cert` and `key` in the names of the settings, for messages
 * @throws RuntimeError `config`, `file`
 */
export async function readTls(files: TlsFiles, named = 'tls.'): Promise<TlsPair> {
  const cert = await readPem(files.cert);
  const key = await readPem(files.key);
  if (!isUsable({ cert })) throw wrong(`\`${named}cert\`: ${files.cert} is not a certificate chain in PEM.`);
  if (!isUsable({ key }))
    throw wrong(`\`${named}key\`: ${files.key} is not a private key in PEM without a passphrase.`);
  // OpenSSL itself takes a certificate and a key of two algorithms as halves of two pairs.
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw wrong(`the key in ${files.key} is not the one of the certificate in ${files.cert}.`);
  }
  const { clientCa: authorities } = files;
  if (authorities === undefined) return { cert, key };
  const clientCa = await readPem(authorities);
  // OpenSSL takes any text as no authority at all.
  if (!isCertificate(clientCa)) throw wrong(`\`${named}clientCa\`: ${authorities} holds no certificate in PEM.`);
  return { cert, key, clientCa };
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0 && isUsable({ ca: pem });
  } catch {
    return false;
  }
}

function isUsable(context: SecureContextOptions): boolean {
  try {
    createSecureContext(context);
    return true;
  } catch {
    return false;
  }
}

async function readPem(file: string): Promise<string> {
  const bytes = await readFileIfThere(file, MAX_PEM);
  if (bytes === undefined) throw wrong(`the TLS file ${file} is not there.`);
  try {
    return decodeUtf8(bytes);
  } catch {
    throw wrong(`the TLS file ${file} is not PEM.`);
  }
}

function wrong(message: string): RuntimeError {
  return new RuntimeError('config', message);
}

/** What is told of a certificate. */
export interface TlsFacts {
  readonly subject: string;
  /** RFC 3339, UTC. */
  readonly notAfter: string;
  /** SHA-256 of the certificate, in hex with colons. */
  readonly fingerprint: string;
}

interface WatchOptions {
  readonly files: TlsFiles;
  /** What the files hold now. */
  readonly pair: TlsPair;
  /** Puts another pair in use. */
  readonly take: (pair: TlsPair) => void;
  /** The files changed and cannot be used, in one sentence; undefined where they can again. */
  readonly onProblem: (problem: string | undefined) => void;
  /** Default 2,000. */
  readonly watchMs?: number;
  /** As for `readTls`. */
  readonly named?: string;
}

/**
 * A pair in files. New connections get the newest pair that could be read; open ones keep theirs.
 *
 * Programs that renew certificates replace a file, or a symbolic link to it or to its directory. All of these change what
 * `stat` says of the path. The two files do not change at one moment, so a pair that does not fit is tried again, and is
 * a problem only where it stays.
 */
export class TlsWatch {
  readonly #options: WatchOptions;
  readonly #timer: NodeJS.Timeout;
  #files: TlsFiles;
  #pair: TlsPair;
  /** What `stat` said of the files when they were last read. */
  #seen: string | undefined;
  #failed = false;
  #busy: Promise<void> = Promise.resolve();

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#files = options.files;
    this.#pair = options.pair;
    this.#timer = setInterval(() => void this.#inTurn(() => this.#look()), options.watchMs ?? WATCH_MS).unref();
  }

  get facts(): TlsFacts {
    return factsOf(this.#pair);
  }

  /** Reads these files now. @throws RuntimeError `config`, `file`: they cannot be used, and the pair before stays */
  use(files: TlsFiles): Promise<void> {
    return this.#inTurn(async () => {
      const seen = await stampOfFiles(files);
      this.#take(await readTls(files, this.#options.named));
      this.#files = files;
      this.#seen = seen;
      this.#ended(undefined);
    });
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#busy.then(work);
    this.#busy = done.catch(() => {});
    return done;
  }

  async #look(): Promise<void> {
    const seen = await stampOfFiles(this.#files);
    if (seen === this.#seen && !this.#failed) return;
    try {
      this.#take(await readTls(this.#files, this.#options.named));
      this.#ended(undefined);
    } catch (error) {
      // The second file may be on its way.
      if (seen === this.#seen) this.#ended((error as Error).message);
      this.#failed = true;
    }
    this.#seen = seen;
  }

  #take(pair: TlsPair): void {
    const { cert, key, clientCa } = pair;
    const before = this.#pair;
    if (cert === before.cert && key === before.key && clientCa === before.clientCa) return;
    this.#options.take(pair);
    this.#pair = pair;
  }

  #ended(problem: string | undefined): void {
    this.#failed = problem !== undefined;
    this.#options.onProblem(problem);
  }
}

export function factsOf({ cert }: TlsPair): TlsFacts {
  const { subject, validTo, fingerprint256 } = new X509Certificate(cert);
  return {
    subject: subject.replaceAll('\n', ', '),
    notAfter: new Date(validTo).toISOString(),
    fingerprint: fingerprint256,
  };
}

function stampOfFiles({ cert, key, clientCa }: TlsFiles): Promise<string> {
  return stampOf(clientCa === undefined ? [cert, key] : [cert, key, clientCa]);
}
