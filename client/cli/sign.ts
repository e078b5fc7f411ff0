/** `stele sign`: sign a file, log the signature, keep the proof. */
import { existsSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { encodeBase64, encodeHex, equal } from '../../merkle/bytes.ts';
import { formatVerifierKey, type VerifierKey } from '../../merkle/note.ts';
import { formatBundle } from '../bundle.ts';
import { ClientError } from '../errors.ts';
import { type HttpOptions, parseLogUrl } from '../http.ts';
import { formatPublicKeyPem, type PrivateKey } from '../key.ts';
import { formatLogEntry } from '../log-entry.ts';
import { askLogKey, signAndLog } from '../sign.ts';
import { parseLogKey } from '../verify.ts';
import { digestFile, readPrivateKey, readPublicKey, writeWhole } from './files.ts';
import { note, print, shellWord, warn } from './report.ts';

interface SignOptions {
  readonly log: string;
  readonly logKey?: string;
  readonly key?: string;
  readonly newKey?: string;
  readonly passphraseFile?: string;
  readonly passphraseEnv?: string;
  readonly publicOut?: string;
  readonly out?: string;
  readonly timeout: string;
  readonly json?: boolean;
}

const HELP = `
Without --key an ECDSA P-256 key is made at FILE.key.pem (mode 0600), with its public key at FILE.pub.pem; when they are
there already, they are used again. Running the same command again gives the same entry, not a second one.

Examples:
  stele sign app.tgz --log https://log.example.com
  stele sign app.tgz --log https://log.example.com --key signing.pem --log-key 'log.example.com+1a2b3c4d+AbCd…'
  stele sign app.tgz --log http://localhost:3000 --out proofs/app.sigstore.json --json`;

export function signCommand(): Command {
  return new Command('sign')
    .description('Sign a file, log the signature, check the answer and keep the proof as a Sigstore bundle')
    .argument('<file>', 'the file to sign, of any length')
    .requiredOption('--log <url>', 'the log, such as https://log.example.com')
    .option('--log-key <vkey>', "the log's verifier key; without it the log's own word is taken, with a warning")
    .addOption(new Option('--key <path>', 'private key to sign with (PEM, ECDSA)').conflicts('newKey'))
    .option('--new-key <path>', 'where to make the key, or where it was made before (default: FILE.key.pem)')
    .addOption(new Option('--passphrase-file <path>', 'file with the passphrase of --key').conflicts('passphraseEnv'))
    .option('--passphrase-env <name>', 'environment variable with the passphrase of --key')
    .option('--public-out <path>', 'where to write the public key (default: FILE.pub.pem for a key made here)')
    .option('--out <path>', 'where to write the bundle (default: FILE.sigstore.json)')
    .option('--timeout <seconds>', 'how long to try', '120')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(sign);
}

async function sign(file: string, options: SignOptions): Promise<void> {
  const log = parseLogUrl(options.log);
  const out = options.out ?? `${file}.sigstore.json`;
  const http: HttpOptions = {
    deadline: seconds(options.timeout),
    onRetry: ({ why, wait }) => note(`${why}; trying again in ${(wait / 1000).toFixed(1)} s`),
  };
  // All that can be wrong here is found out before anything reaches the log.
  const given = options.logKey === undefined ? undefined : parseLogKey(options.logKey);
  const { key, publicPath } = await signingKey(file, options);
  const digest = await digestFile(file, key.publicKey.digest);
  const logKey = given ?? (await trustOnFirstUse(log, http));

  const { bundle, verified } = await signAndLog(digest, key, log, logKey, http);
  await writeWhole(out, formatBundle(bundle));

  const vkey = formatVerifierKey(logKey);
  const shownKey = publicPath ?? 'PUBLIC_KEY.pem';
  const next = `stele verify ${shellWord(file)} --bundle ${shellWord(out)} --key ${shellWord(shownKey)} --log-key ${shellWord(vkey)}`;
  const result = {
    file,
    bundle: out,
    publicKey: publicPath ?? null,
    digest: { algorithm: bundle.digestAlgorithm, hex: encodeHex(digest) },
    log: { url: log, origin: verified.origin, verifierKey: vkey, trustedOnFirstUse: given === undefined },
    index: verified.index,
    treeSize: verified.treeSize,
    root: encodeBase64(verified.root),
    leafHash: encodeBase64(verified.leafHash),
    entry: formatLogEntry(bundle.entry),
  };
  print(options.json, result, [
    `Signed ${basename(file)} (${bundle.digestAlgorithm} ${encodeHex(digest)})`,
    `Logged by ${verified.origin} as entry ${verified.index} of ${verified.treeSize}; its proof and the log's signature were checked`,
    `Proof: ${out}`,
    ...(publicPath === undefined ? [] : [`Public key: ${publicPath}`]),
    '',
    'Anybody can check it, offline:',
    `  npx ${next}`,
  ]);
}

interface SigningKey {
  readonly key: PrivateKey;
  /** Where the public key is, if it was written. */
  readonly publicPath: string | undefined;
}

async function signingKey(file: string, options: SignOptions): Promise<SigningKey> {
  const path = options.key ?? options.newKey ?? `${file}.key.pem`;
  if (options.key === undefined) {
    // The errors of `digestFile`, before a key is left beside something that cannot be signed.
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats === undefined) throw new ClientError('file', `${file} cannot be read: there is no such file`);
    if (stats.isDirectory())
      throw new ClientError('file', `${file} is a directory: name a file, such as an archive of it`);
    await makeKey(path);
  }
  const key = await readPrivateKey(path, await passphrase(options));
  const publicPath = options.publicOut ?? (options.key === undefined ? `${file}.pub.pem` : undefined);
  if (publicPath !== undefined) await keepPublicKey(publicPath, key);
  return { key, publicPath };
}

async function makeKey(path: string): Promise<void> {
  const { createKeyFile } = await import('../../merkle/runtime/keyfile.ts');
  if (existsSync(path)) {
    note(`using the key that is there: ${path}`);
    return;
  }
  await createKeyFile(path, 'ecdsa-p256');
  note(`made a key: ${path} (keep it secret; it is not encrypted)`);
}

/** Another key at that name belongs to somebody else's signature: it is not replaced. */
async function keepPublicKey(path: string, key: PrivateKey): Promise<void> {
  if (!existsSync(path)) return await writeWhole(path, Buffer.from(formatPublicKeyPem(key.publicKey)));
  const there = await readPublicKey(path);
  if (!equal(there.spki, key.publicKey.spki)) {
    throw new ClientError(
      'file',
      `${path} holds another public key and is not overwritten: move it away, or use --public-out`,
    );
  }
}

async function passphrase({ passphraseFile, passphraseEnv }: SignOptions): Promise<string | undefined> {
  if (passphraseFile === undefined && passphraseEnv === undefined) return undefined;
  const { readSecret } = await import('../../merkle/runtime/secret.ts');
  return await readSecret(passphraseFile === undefined ? { env: passphraseEnv! } : { file: passphraseFile });
}

async function trustOnFirstUse(log: string, http: HttpOptions): Promise<VerifierKey> {
  const { key, text } = await askLogKey(log, http);
  warn(
    `taking the word of ${log} for its key, as --log-key was not given. Compare it with what the operator publishes: ${text}`,
  );
  return key;
}

function seconds(text: string): number {
  if (!/^[1-9][0-9]{0,4}$/.test(text))
    throw new ClientError('usage', '--timeout is not a whole number of seconds from 1 to 99999');
  return Number(text) * 1000;
}
