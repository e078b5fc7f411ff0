/** The options that `stele sign` and `stele attest` share, and the key and time stamps that they name. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { equal } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { ClientError, usage } from '../errors.ts';
import type { Signed } from '../formats/entry-request.ts';
import { formatPublicKeyPem, type PublicKey } from '../formats/key.ts';
import type { KeySigner } from '../submit/signers/types.ts';
import type { LogRequestOptions } from '../submit/types.ts';
import { AGENT_TIMEOUT_MS, agentKeyOf } from './agent-key.ts';
import { addDestinationOptions, type DestinationOptions } from './destination.ts';
import { readPrivateKey, readPublicKey, readWhole, writeWhole } from './files.ts';
import { isKeyless, type KeylessOptions } from './keyless/keyless-options.ts';
import { addLogOptions, type GivenTrust } from './log-options.ts';
import type { StoreOption } from './push-to-store.ts';
import { note, warn } from './report.ts';
import { addKeyOptions } from './signing-options.ts';
import type { SelectedServices } from './signing-services.ts';
import { isWorkload, type SvidOptions } from './svid-options.ts';
import { type KeyPlaceOptions, passphraseOf, tokenKeyOf } from './token-options.ts';

export interface SigningOptions extends DestinationOptions, KeyPlaceOptions, KeylessOptions, SvidOptions, StoreOption {
  readonly out?: string;
  readonly key?: string;
  readonly newKey?: string;
  readonly agentKey?: string;
  readonly certificate?: string;
  readonly tsa?: string;
  readonly signingConfig?: string;
  readonly publicOut?: string;
}

const MAX_CHAIN_FILE = 256 * 1024;

/** @param bundle the name of the bundle of one file without `--out`, for the help */
export function addSigningOptions(command: Command, bundle: string): Command {
  addDestinationOptions(addLogOptions(command))
    .option('--out <path>', `where to write the bundle of one file (default: ${bundle})`)
    .option('--new-key <path>', 'where to make the key, or where it was made before');
  return addKeyOptions(command).option('--public-out <path>', 'where to write the public key');
}

export interface SigningKey {
  readonly signer: KeySigner;
  /** The file of the public key, where it was written. */
  readonly publicPath: string | undefined;
}

/**
 * @param beside the key is made beside this file where no option names a key; undefined where an option must name one
 * @throws ClientError `usage`, `file`, `key`; RuntimeError with the codes of keys and tokens; without a key
 *   those of `keylessKey` and `svidKey`
 */
export async function openSigningKey(
  options: SigningOptions & SelectedServices,
  beside: string | undefined,
  given: GivenTrust,
  http: LogRequestOptions,
): Promise<SigningKey> {
  if (isKeyless(options)) {
    const { keylessKey } = await import('./keyless/keyless-key.ts');
    return { signer: await keylessKey(options, given, http), publicPath: undefined };
  }
  if (isWorkload(options)) {
    const { svidKey } = await import('./svid-key.ts');
    return { signer: await svidKey(options), publicPath: undefined };
  }
  const opened = await openKey(options, beside);
  try {
    const { publicKey } = opened;
    const named = [options.key, options.pkcs11Module, options.agentKey].some((place) => place !== undefined);
    const made = !named && beside !== undefined;
    const publicPath = options.publicOut ?? (made ? `${beside}.pub.pem` : undefined);
    const certificate =
      options.certificate === undefined ? undefined : await readCertificate(options.certificate, publicKey);
    if (publicPath !== undefined) await keepPublicKey(publicPath, publicKey);
    return { signer: { ...opened, certificate }, publicPath };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function openKey(options: SigningOptions, beside: string | undefined): Promise<KeySigner> {
  const { key, newKey, pkcs11Module, agentKey } = options;
  const places = [key, newKey, pkcs11Module, agentKey].filter((place) => place !== undefined);
  if (places.length > 1) {
    throw usage('the key is in one place: give one of --key, --new-key, --pkcs11-module and --agent-key');
  }
  const spec = tokenKeyOf(options);
  if (agentKey !== undefined) return await keyInAgent(agentKey, options);
  if (spec === undefined) return await softwareKey(options, beside);
  const { tokenSigner } = await import('../submit/signers/token-signer.ts');
  return await tokenSigner(spec);
}

/** @param named a fingerprint, the public key itself, or its file */
async function keyInAgent(named: string, options: SigningOptions): Promise<KeySigner> {
  if (passphraseOf(options) !== undefined) {
    throw usage('an ssh-agent has opened its keys already: leave out --passphrase-file and --passphrase-env');
  }
  const { agentSigner } = await import('../submit/signers/agent-signer.ts');
  return await agentSigner({ key: await agentKeyOf(named), timeoutMs: AGENT_TIMEOUT_MS });
}

async function softwareKey(options: SigningOptions, beside: string | undefined): Promise<KeySigner> {
  const path = options.key ?? options.newKey ?? (beside === undefined ? undefined : `${beside}.key.pem`);
  if (path === undefined) throw usage('say which key signs them all: --key, --new-key, --pkcs11-module or --agent-key');
  const source = passphraseOf(options);
  if (options.key === undefined && source !== undefined) {
    throw usage('a key that this command makes is not encrypted: make one with `stele keygen`, and name it with --key');
  }
  if (options.key === undefined) await makeKey(path);
  else await refuseKeyUri(options.key);
  if (source === undefined) return await readPrivateKey(path, undefined);
  const { readSecret } = await import('../../merkle/runtime/keys/secret.ts');
  return await readPrivateKey(path, await readSecret(source, { mayBeEmpty: true }));
}

/** cosign takes URIs as keys. @throws ClientError `key` */
async function refuseKeyUri(key: string): Promise<void> {
  if (!key.includes(':')) return;
  const { unreadKeyUri } = await import('../submit/signers/unread-key.ts');
  const why = unreadKeyUri(key);
  if (why !== undefined) throw new ClientError('key', `${printable(key)}: ${why}`);
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

/** Does not replace another key at that path: it belongs to another signature. */
async function keepPublicKey(path: string, key: PublicKey): Promise<void> {
  if (!existsSync(path)) return await writeWhole(path, Buffer.from(formatPublicKeyPem(key)));
  const there = await readPublicKey(path);
  if (!equal(there.spki, key.spki)) {
    const why = `${path} holds another public key and is not overwritten: move it away, or use --public-out`;
    throw new ClientError('file', why);
  }
}

/** The first certificate of a chain in a file, for this key. @throws ClientError `file`, `key` */
async function readCertificate(path: string, key: PublicKey): Promise<Uint8Array> {
  const pem = Buffer.from(await readWhole(path, MAX_CHAIN_FILE, 'a chain')).toString('latin1');
  const { signingCertificate } = await import('../submit/signers/signing-certificate.ts');
  try {
    return signingCertificate(pem, key);
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    throw new ClientError(cause.code, `${path} ${cause.message}`, { cause });
  }
}

/**
 * A time stamp of each selected authority over a signature.
 *
 * @throws ClientError the codes of `requestTimestamp`; `bad-certificate` where the signer's certificate is not valid at the
 *   time of the stamp
 */
export async function timestampsOf(
  { signature, certificate, publicKey }: Signed,
  { tsas }: SelectedServices,
  http: LogRequestOptions,
): Promise<Uint8Array[]> {
  if (tsas.length === 0) return [];
  const { requestTimestamp } = await import('../submit/timestamp.ts');
  const stamps = await Promise.all(tsas.map((tsa) => requestTimestamp(tsa, signature, http)));
  if (certificate !== undefined) {
    const { checkSignerCertificate, timesIn } = await import('../submit/signers/certificate-check.ts');
    checkSignerCertificate(certificate, publicKey, timesIn(stamps));
  }
  return stamps;
}

/**
 * A signature without a key has no key, and its certificate ends in minutes. A workload has its key from its SVID.
 *
 * @throws ClientError `usage`
 */
export function checkKeyless(options: SigningOptions & SelectedServices): void {
  const [keyless, workload] = [isKeyless(options), isWorkload(options)];
  if (keyless && workload) throw usage('sign without a key, or with the SVID of a workload: not both');
  if (!keyless && !workload) return;
  const { key, newKey, pkcs11Module, token, label, agentKey, certificate, publicOut, passphraseFile, passphraseEnv } =
    options;
  const others = {
    '--key': key,
    '--new-key': newKey,
    '--pkcs11-module': pkcs11Module,
    '--token': token,
    '--label': label,
    '--agent-key': agentKey,
    '--certificate': certificate,
    '--public-out': publicOut,
    '--passphrase-file': passphraseFile,
    '--passphrase-env': passphraseEnv,
  };
  const named = Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (named.length > 0) {
    const what = keyless ? 'the key of one run signs, and is kept nowhere' : 'the key of the SVID signs';
    throw usage(`${what}: leave out ${named.join(', ')}`);
  }
  if (workload) return;
  const { tsas, noLog, queue } = options;
  if (tsas.length === 0 && (noLog === true || queue !== undefined)) {
    throw usage(
      `the certificate of a key of one run has ended when a log gets the entry later, and nothing would say that it was good when it signed: give --tsa, or log at once without ${noLog === true ? '--no-log' : '--queue'}`,
    );
  }
}

/** @throws ClientError `usage` */
export function checkTsa(
  { tsa, tsas, certificate, ...options }: SigningOptions & SelectedServices,
  { trust }: GivenTrust,
): void {
  if (tsas.length === 0) {
    // The witnesses of a quorum say when it signed, too.
    const certified = (isKeyless(options) || isWorkload(options)) && trust?.policy?.quorum === undefined;
    if (certificate === undefined && !certified) return;
    warn(
      'without --tsa nothing in the bundle says that the certificate was good when it signed: verifiers may refuse it',
    );
    return;
  }
  if (tsa === undefined) return;
  const url = URL.canParse(tsa) ? new URL(tsa) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return;
  throw usage('--tsa is not a URL such as https://timestamp.example.com/api/v1/timestamp');
}

export function manyOut(): ClientError {
  return usage('--out is for one file: each of many files gets its bundle beside it');
}
