/** `stele keygen`: makes a signing key in a file, or inside a PKCS#11 token. It shows only the public key. */
import { constants } from 'node:fs';
import { access, open } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { encodeBase64 } from '../../merkle/bytes.ts';
import {
  ecdsaVerifierKey,
  formatVerifierKey,
  KEY_TYPE,
  logId,
  makeVerifierKey,
  type VerifierKey,
} from '../../merkle/note.ts';
import { encodeSpki } from '../../merkle/rekor/spki.ts';
import { createKeyFile } from '../../merkle/runtime/keys/keyfile.ts';
import { createMldsaKeyFile } from '../../merkle/runtime/keys/mldsa.ts';
import { createTokenKey } from '../../merkle/runtime/keys/pkcs11/pkcs11.ts';
import { readSecret } from '../../merkle/runtime/keys/secret.ts';
import type { KeyAlgorithm, SecretSource, TokenKeySpec } from '../../merkle/runtime/keys/types.ts';
import { isKeyName } from '../../merkle/verifier-key.ts';
import { ClientError, usage } from '../errors.ts';
import { formatPublicKeyPem } from '../formats/key.ts';
import { addTokenOptions, type KeyPlaceOptions, passphraseOf, tokenKeyOf } from './token-options.ts';

type Algorithm = KeyAlgorithm | 'ml-dsa-44';

interface KeygenOptions extends KeyPlaceOptions {
  readonly algorithm: Algorithm;
  readonly out?: string;
  readonly public?: string;
  readonly origin?: string;
  readonly cosigner?: string;
  readonly json?: true;
}

/** Where the key will be. The options are checked before anything is made. */
type Place =
  | { readonly file: string; readonly passphrase: SecretSource | undefined }
  | { readonly pkcs11: TokenKeySpec };

/** SubjectPublicKeyInfo of an Ed25519 key (RFC 8410) ends in the 32 bytes of the key. */
const ED25519_KEY_SIZE = 32;
const MLDSA_KEY_SIZE = 1312;

const MORE_HELP = `
A key in a file is PKCS#8 in PEM, with mode 0600, and encrypted if a passphrase is given. A key in a token is made there
and cannot leave it. No key is ever overwritten. Passphrases and PINs come from a file (its last newline is cut) or from
the environment, never from the command line.

Examples:
  stele keygen --out log.pem --origin log.example.com
  stele keygen --out log.pem --passphrase-file /run/secrets/log-passphrase
  stele keygen --pkcs11-module libsofthsm2.so --token stele --label log --pin-file pin --origin log.example.com

Exit status: 0 the key was made, 2 it was not.`;

/**
 * The command. Its action rejects with RuntimeError (`key-exists`, `key-file`, `secret`, `pkcs11-…`) or ClientError
 * (`usage`, `file`). `write` gets the text for standard output.
 */
export function keygenCommand(write: (text: string) => unknown = (text) => process.stdout.write(text)): Command {
  const algorithm = new Option('--algorithm <name>', 'kind of key').choices(['ed25519', 'ecdsa-p256', 'ml-dsa-44']);
  const command = new Command('keygen')
    .description('Make a signing key, in a file or inside a PKCS#11 token')
    .addOption(algorithm.default('ed25519'))
    .option('--out <file>', 'make a software key in this new file')
    .option('--passphrase-file <file>', 'encrypt the software key with the passphrase in this file')
    .option('--passphrase-env <name>', '… or in this environment variable');
  return addTokenOptions(command, 'make the key in a token', 'label of the new key in the token')
    .option('--public <file>', 'write the public key (PEM) to this new file (default with --out: FILE.pub.pem)')
    .option('--origin <name>', 'print the verifier key of a log with this origin, such as log.example.com')
    .option('--cosigner <name>', 'print the verifier key of a witness with this name, such as witness.example.com/w1')
    .option('--json', 'print one JSON object')
    .addHelpText('after', MORE_HELP)
    .action(async (options: KeygenOptions) => {
      write(await keygen(options));
    });
}

async function keygen(options: KeygenOptions): Promise<string> {
  const { algorithm, origin, cosigner } = options;
  const place = placeOf(options);
  if (origin !== undefined && !isKeyName(origin)) {
    throw usage(`--origin "${origin}" cannot name a key: use a host name, without white space and "+"`);
  }
  if (cosigner !== undefined) checkCosigner(cosigner, origin, algorithm);
  const publicFile = options.public ?? ('file' in place ? publicFileFor(place.file) : undefined);
  if (publicFile !== undefined) await refuseExisting(publicFile);
  const publicKey = await makeKey(place, algorithm);
  const pem = formatPublicKeyPem({ spki: publicKey });
  const verifierKey = verifierKeyOf(algorithm, { origin, cosigner }, publicKey);
  if (publicFile !== undefined) await writePublic(publicFile, pem);
  const made = { place, algorithm, publicFile, pem, verifierKey };
  return options.json === true ? asJson(made) : asText(made);
}

function placeOf(options: KeygenOptions): Place {
  const { out } = options;
  const pkcs11 = tokenKeyOf(options);
  if (out === undefined) {
    if (pkcs11 === undefined) throw usage('say where to make the key: --out FILE, or --pkcs11-module with a token');
    return { pkcs11 };
  }
  if (pkcs11 !== undefined) {
    throw usage('--out makes a key in a file: leave out --pkcs11-module, --token, --label, --pin-file and --pin-env');
  }
  return { file: out, passphrase: passphraseOf(options) };
}

async function makeKey(place: Place, algorithm: Algorithm): Promise<Uint8Array> {
  if (algorithm === 'ml-dsa-44') {
    if ('pkcs11' in place || place.passphrase !== undefined) {
      throw usage('an ML-DSA-44 key is made in a file and not encrypted: use --out alone');
    }
    return encodeSpki('mldsa44', (await createMldsaKeyFile(place.file)).publicKey);
  }
  if ('pkcs11' in place) return (await createTokenKey({ ...place.pkcs11, algorithm })).publicKey;
  const passphrase = place.passphrase && (await readSecret(place.passphrase));
  return (await createKeyFile(place.file, algorithm, passphrase)).publicKey;
}

function publicFileFor(file: string): string {
  return `${file.replace(/\.pem$/, '')}.pub.pem`;
}

/** Comes before the key is made: otherwise there would be a key without its public key beside it. */
async function refuseExisting(path: string): Promise<void> {
  const there = await access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
  if (there) throw new ClientError('file', `${path} is there already: choose another file by --public`);
}

async function writePublic(path: string, pem: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o644);
    try {
      await file.writeFile(pem);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    const why = (cause as Error).message;
    throw new ClientError('file', `the key was made, but its public key cannot be written: ${why}. It is\n${pem}`, {
      cause,
    });
  }
}

function verifierKeyOf(
  algorithm: Algorithm,
  { origin, cosigner }: { readonly origin: string | undefined; readonly cosigner: string | undefined },
  spki: Uint8Array,
): VerifierKey | undefined {
  const name = cosigner ?? origin;
  if (name === undefined) return undefined;
  if (algorithm === 'ml-dsa-44') return makeVerifierKey(name, KEY_TYPE.mldsa44, spki.slice(-MLDSA_KEY_SIZE));
  if (algorithm === 'ecdsa-p256') return ecdsaVerifierKey(name, spki);
  const type = cosigner === undefined ? KEY_TYPE.ed25519 : KEY_TYPE.cosignature;
  return makeVerifierKey(name, type, spki.slice(-ED25519_KEY_SIZE));
}

function checkCosigner(cosigner: string, origin: string | undefined, algorithm: Algorithm): void {
  if (origin !== undefined) throw usage('a key is for a log or for a witness: give one of --origin and --cosigner');
  if (!isKeyName(cosigner)) throw usage(`--cosigner "${cosigner}" cannot name a key: leave out white space and "+"`);
  if (algorithm === 'ecdsa-p256') throw usage('a witness cosigns with ed25519 or ml-dsa-44: use one as --algorithm');
}

interface Made {
  readonly place: Place;
  readonly algorithm: Algorithm;
  readonly publicFile: string | undefined;
  readonly pem: string;
  readonly verifierKey: VerifierKey | undefined;
}

function asText({ place, algorithm, publicFile, pem, verifierKey }: Made): string {
  const where =
    'file' in place
      ? `in ${place.file} (${place.passphrase === undefined ? 'not encrypted' : 'encrypted'}, mode 0600)`
      : `inside the token "${place.pkcs11.token}", labelled "${place.pkcs11.label}"`;
  const lines = [`Made a key for ${algorithm} ${where}.`];
  lines.push(publicFile === undefined ? 'Its public key:' : `Its public key, also in ${publicFile}:`, '', pem);
  if (verifierKey !== undefined) lines.push(`Verifier key: ${formatVerifierKey(verifierKey)}`, '');
  return lines.join('\n');
}

function asJson({ place, algorithm, publicFile, pem, verifierKey }: Made): string {
  const key =
    'file' in place
      ? { file: place.file, encrypted: place.passphrase !== undefined }
      : { module: place.pkcs11.module, token: place.pkcs11.token, label: place.pkcs11.label };
  return `${JSON.stringify({
    algorithm,
    key,
    publicKey: pem,
    ...(publicFile !== undefined && { publicKeyFile: publicFile }),
    ...(verifierKey !== undefined && {
      verifierKey: formatVerifierKey(verifierKey),
      logId: encodeBase64(logId(verifierKey)),
    }),
  })}\n`;
}
