/** What `stele sign` and `stele attest` share: which key signs, which log takes it, and who vouches for the log. */
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { equal } from '../../merkle/bytes.ts';
import { MAX_POLICY } from '../../merkle/policy.ts';
import type { SecretSource } from '../../merkle/runtime/keys/types.ts';
import { ClientError } from '../errors.ts';
import { formatPublicKeyPem, type PublicKey } from '../formats/key.ts';
import { askLogKey } from '../submit/log-info.ts';
import type { KeySigner } from '../submit/signers/types.ts';
import type { LogRequestOptions } from '../submit/types.ts';
import { parseTrustPolicy } from '../trust/quorum.ts';
import type { LogTrust } from '../verify/types.ts';
import { parseLogKey } from '../verify.ts';
import { readPrivateKey, readPublicKey, readWhole, writeWhole } from './files.ts';
import { note, warn } from './report.ts';

export interface SigningOptions {
  readonly log: string;
  readonly logKey?: string;
  readonly policy?: string;
  readonly key?: string;
  readonly newKey?: string;
  readonly passphraseFile?: string;
  readonly passphraseEnv?: string;
  readonly pkcs11Module?: string;
  readonly token?: string;
  readonly label?: string;
  readonly pinFile?: string;
  readonly pinEnv?: string;
  readonly certificate?: string;
  readonly tsa?: string;
  readonly publicOut?: string;
  readonly timeout: string;
  readonly json?: boolean;
}

/** Certificates of one file; chains have three. */
const MAX_CHAIN = 16;
const MAX_CHAIN_FILE = 256 * 1024;

export function addSigningOptions(command: Command): Command {
  return command
    .requiredOption('--log <url>', 'the log, such as https://log.example.com')
    .option('--log-key <vkey>', "the log's verifier key; without it, or a policy, the log's own word is taken")
    .option('--policy <path>', 'trust policy (tlog-policy): its log and its quorum of witnesses must have signed')
    .addOption(
      new Option('--key <path>', 'private key to sign with (PEM; ECDSA, Ed25519, RSA)').conflicts([
        'newKey',
        'pkcs11Module',
      ]),
    )
    .addOption(
      new Option('--new-key <path>', 'where to make the key, or where it was made before').conflicts('pkcs11Module'),
    )
    .addOption(new Option('--passphrase-file <path>', 'file with the passphrase of --key').conflicts('passphraseEnv'))
    .option('--passphrase-env <name>', 'environment variable with the passphrase of --key')
    .option('--pkcs11-module <module>', 'sign with a key in a token: absolute path or file name of the PKCS#11 module')
    .option('--token <label>', 'label of the token')
    .option('--label <label>', 'label of the key in the token')
    .addOption(new Option('--pin-file <file>', 'file with the PIN of the token').conflicts('pinEnv'))
    .option('--pin-env <name>', '… or environment variable with it')
    .option('--certificate <path>', "the key's certificate, and those above it (PEM): logged instead of the key")
    .option(
      '--tsa <url>',
      'time-stamp authority (RFC 3161) that stamps each signature: verifiers of certificates want one',
    )
    .option('--public-out <path>', 'where to write the public key')
    .option('--timeout <seconds>', 'how long to try', '120');
}

export interface SigningKey {
  readonly signer: KeySigner;
  /** Where the public key is, if it was written. */
  readonly publicPath: string | undefined;
}

/**
 * @param beside the file beside which a key is made where no option names one; undefined where one must
 * @throws ClientError `usage`, `file`, `key`; RuntimeError with the codes of keys and tokens
 */
export async function openSigningKey(options: SigningOptions, beside: string | undefined): Promise<SigningKey> {
  const opened = await openKey(options, beside);
  try {
    const { publicKey } = opened;
    const made = options.key === undefined && options.pkcs11Module === undefined && beside !== undefined;
    const publicPath = options.publicOut ?? (made ? `${beside}.pub.pem` : undefined);
    const signer =
      options.certificate === undefined
        ? opened
        : withCertificate(opened, await readCertificate(options.certificate, publicKey));
    if (publicPath !== undefined) await keepPublicKey(publicPath, publicKey);
    return { signer, publicPath };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** `signer` with a certificate for its key, which the caller has compared with the key. */
function withCertificate(signer: KeySigner, certificate: Uint8Array): KeySigner {
  return {
    publicKey: signer.publicKey,
    repeatable: signer.repeatable,
    certificate,
    sign: (digest) => signer.sign(digest),
    close: () => signer.close(),
  };
}

async function openKey(options: SigningOptions, beside: string | undefined): Promise<KeySigner> {
  const { pkcs11Module: module, token, label } = options;
  const pin = secretOf(options.pinFile, options.pinEnv);
  if (module === undefined) {
    if (token !== undefined || label !== undefined || pin !== undefined) {
      throw usage('--token, --label, --pin-file and --pin-env are about a key in a token: give --pkcs11-module too');
    }
    return await softwareKey(options, beside);
  }
  if (token === undefined || label === undefined || pin === undefined) {
    throw usage('--pkcs11-module also needs --token, --label and one of --pin-file and --pin-env');
  }
  if (options.passphraseFile !== undefined || options.passphraseEnv !== undefined) {
    throw usage('a key in a token has a PIN and no passphrase: use --pin-file or --pin-env');
  }
  const { tokenSigner } = await import('../submit/signers/token-signer.ts');
  return await tokenSigner({ module, token, label, pin });
}

async function softwareKey(options: SigningOptions, beside: string | undefined): Promise<KeySigner> {
  const path = options.key ?? options.newKey ?? (beside === undefined ? undefined : `${beside}.key.pem`);
  if (path === undefined) throw usage('say which key signs them all: --key, --new-key or --pkcs11-module');
  if (options.key === undefined) await makeKey(path);
  const source = secretOf(options.passphraseFile, options.passphraseEnv);
  const passphrase =
    source === undefined ? undefined : await (await import('../../merkle/runtime/keys/secret.ts')).readSecret(source);
  return await readPrivateKey(path, passphrase);
}

async function makeKey(path: string): Promise<void> {
  const { createKeyFile } = await import('../../merkle/runtime/keys/keyfile.ts');
  if (existsSync(path)) {
    note(`using the key that is there: ${path}`);
    return;
  }
  await createKeyFile(path, 'ecdsa-p256');
  note(`made a key: ${path} (keep it secret; it is not encrypted)`);
}

/** Another key at that name belongs to somebody else's signature: it is not replaced. */
async function keepPublicKey(path: string, key: PublicKey): Promise<void> {
  if (!existsSync(path)) return await writeWhole(path, Buffer.from(formatPublicKeyPem(key)));
  const there = await readPublicKey(path);
  if (!equal(there.spki, key.spki)) {
    throw new ClientError(
      'file',
      `${path} holds another public key and is not overwritten: move it away, or use --public-out`,
    );
  }
}

/** The first certificate of a chain in PEM, which must be this key's, and each must be signed by the next. */
async function readCertificate(path: string, key: PublicKey): Promise<Uint8Array> {
  const pem = Buffer.from(await readWhole(path, MAX_CHAIN_FILE)).toString('latin1');
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? [];
  const bad = (why: string, cause?: unknown) => new ClientError('key', `${path} ${why}`, { cause });
  if (blocks.length === 0) throw bad('holds no certificate in PEM');
  if (blocks.length > MAX_CHAIN) throw bad(`holds more than ${MAX_CHAIN} certificates`);
  let chain: X509Certificate[];
  let spki: Uint8Array;
  try {
    chain = blocks.map((block) => new X509Certificate(block));
    const { certificateKey } = await import('../../merkle/runtime/x509/certificate-key.ts');
    spki = certificateKey(chain[0]!.raw);
  } catch (cause) {
    throw bad('holds a certificate that cannot be read', cause);
  }
  if (!equal(spki, key.spki)) {
    throw bad("is not for this key: the first certificate of a chain must be the signer's own");
  }
  for (const [at, certificate] of chain.slice(1).entries()) {
    if (!chain[at]!.checkIssued(certificate) || !chain[at]!.verify(certificate.publicKey)) {
      throw bad(`is no chain: certificate ${at + 2} did not issue the one before it`);
    }
  }
  const leaf = chain[0]!;
  const now = Date.now();
  if (now < Date.parse(leaf.validFrom) || now > Date.parse(leaf.validTo)) {
    throw bad(`counts from ${leaf.validFrom} to ${leaf.validTo}, and not now: what it signs now cannot be verified`);
  }
  return Uint8Array.from(leaf.raw);
}

/** Time stamps over a signature, as `--tsa` asks for; none without. @throws ClientError the codes of `requestTimestamp` */
export async function timestampsOf(
  signature: Uint8Array,
  { tsa }: SigningOptions,
  http: LogRequestOptions,
): Promise<Uint8Array[]> {
  if (tsa === undefined) return [];
  const { requestTimestamp } = await import('../submit/timestamp.ts');
  return [await requestTimestamp(tsa, signature, http)];
}

/** @throws ClientError `usage` */
export function checkTsa({ tsa, certificate }: SigningOptions): void {
  if (tsa === undefined) {
    if (certificate === undefined) return;
    warn(
      'without --tsa nothing in the bundle says that the certificate was good when it signed: verifiers may refuse it',
    );
    return;
  }
  const url = URL.canParse(tsa) ? new URL(tsa) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return;
  throw usage('--tsa is not a URL such as https://timestamp.example.com/api/v1/timestamp');
}

export interface Trust {
  readonly trust: LogTrust;
  /** The log's own word was taken for its key. */
  readonly firstUse: boolean;
}

/** @throws ClientError `log-key`, `policy`, `file`: before anything is asked of the log */
export async function readTrust(options: SigningOptions): Promise<LogTrust | undefined> {
  const logKey = options.logKey === undefined ? undefined : parseLogKey(options.logKey);
  const policy =
    options.policy === undefined ? undefined : parseTrustPolicy(await readWhole(options.policy, MAX_POLICY));
  if (logKey !== undefined) return { logKey, policy };
  return policy === undefined ? undefined : { policy };
}

export async function trustOf(given: LogTrust | undefined, log: string, http: LogRequestOptions): Promise<Trust> {
  if (given !== undefined) return { trust: given, firstUse: false };
  const { key, text } = await askLogKey(log, http);
  warn(
    `taking the word of ${log} for its key, as --log-key was not given. Compare it with what the operator publishes: ${text}`,
  );
  return { trust: { logKey: key }, firstUse: true };
}

/** Retries are told on stderr; the first SIGINT cancels, a second one ends the process. */
export function httpOptions(options: SigningOptions): LogRequestOptions {
  if (!/^[1-9][0-9]{0,4}$/.test(options.timeout)) {
    throw usage('--timeout is not a whole number of seconds from 1 to 99999');
  }
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  return {
    deadline: Number(options.timeout) * 1000,
    signal: stop.signal,
    onRetry: ({ why, wait }) => note(`${why}; trying again in ${(wait / 1000).toFixed(1)} s`),
  };
}

function secretOf(file: string | undefined, env: string | undefined): SecretSource | undefined {
  if (file !== undefined) return { file };
  return env === undefined ? undefined : { env };
}

function usage(message: string): ClientError {
  return new ClientError('usage', message);
}
