/** `stele verify`: check a file against its proof, without a network. */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { Command } from 'commander';
import { encodeBase64, encodeHex } from '../../merkle/bytes.ts';
import { formatVerifierKey } from '../../merkle/note.ts';
import { MAX_POLICY } from '../../merkle/policy.ts';
import { MAX_BUNDLE, parseBundle } from '../bundle.ts';
import { ClientError, printable } from '../errors.ts';
import { type Cosigned, logKeyOf, parseTrustPolicy, verifyQuorum } from '../quorum.ts';
import { parseLogKey, verifyBundle } from '../verify.ts';
import { digestFile, readPublicKey, readWhole } from './files.ts';
import { print } from './report.ts';

interface VerifyOptions {
  readonly bundle?: string;
  readonly key: string;
  readonly logKey?: string;
  readonly policy?: string;
  readonly json?: boolean;
}

const HELP = `
Exit status: 0 all of it holds, 1 something does not, 2 it could not be checked.

Examples:
  stele verify app.tgz --key app.tgz.pub.pem --log-key 'log.example.com+1a2b3c4d+AbCd…'
  stele verify app.tgz --key app.tgz.pub.pem --policy trust/policy
  stele verify app.tgz --bundle proofs/app.sigstore.json --key signer.pub.pem --log-key 'log.example.com+1a2b3c4d+AbCd…' --json`;

/** What a reader might otherwise believe. */
const NOT_PROVEN = [
  'who holds the key: whose it is, you must know from elsewhere',
  'when it was signed: no time stamp was checked',
];
const NO_WITNESS = 'that the log shows everybody the same tree: no witness was checked (give --policy)';

export function verifyCommand(): Command {
  return new Command('verify')
    .description('Check a file against its proof (a Sigstore bundle), offline')
    .argument('<file>', 'the file that was signed')
    .option('--bundle <path>', 'the proof (default: FILE.sigstore.json)')
    .requiredOption('--key <path>', "the signer's public key (PEM)")
    .option('--log-key <vkey>', "the log's verifier key, as the log prints it at start")
    .option('--policy <path>', 'trust policy (tlog-policy): its log and its quorum of witnesses must have signed')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(verify);
}

async function verify(file: string, options: VerifyOptions): Promise<void> {
  if (options.logKey === undefined && options.policy === undefined) {
    throw new ClientError('usage', 'give the log that you trust: --log-key, or --policy with witnesses as well');
  }
  const given = options.logKey === undefined ? undefined : parseLogKey(options.logKey);
  const policy =
    options.policy === undefined ? undefined : parseTrustPolicy(await readWhole(options.policy, MAX_POLICY));
  const publicKey = await readPublicKey(options.key);
  const bundle = parseBundle(await readWhole(options.bundle ?? `${file}.sigstore.json`, MAX_BUNDLE));
  const logKey = given ?? logKeyOf(policy!, bundle.entry.checkpoint);
  const digest = await digestFile(file, publicKey.digest);
  const verified = verifyBundle(bundle, digest, publicKey, logKey);
  const cosigned = policy === undefined ? undefined : verifyQuorum(policy, bundle.entry.checkpoint);
  const notProven = policy?.quorum === undefined ? [...NOT_PROVEN, NO_WITNESS] : NOT_PROVEN;

  const fingerprint = createHash('sha256').update(publicKey.spki).digest('hex');
  const vkey = formatVerifierKey(logKey);
  const { entry } = bundle;
  const result = {
    file,
    digest: { algorithm: publicKey.digest, hex: encodeHex(digest) },
    signer: { key: publicKey.name, spkiSha256: fingerprint },
    log: { origin: verified.origin, verifierKey: vkey },
    index: verified.index,
    treeSize: verified.treeSize,
    root: encodeBase64(verified.root),
    leafHash: encodeBase64(verified.leafHash),
    hashes: entry.hashes.map(encodeBase64),
    checkpoint: entry.checkpoint,
    cosignatures: cosigned ?? [],
    unverifiedSignatures: unchecked(verified.unverified, cosigned),
    notProven,
  };
  const { unverifiedSignatures: left } = result;
  const others = left.length === 0 ? [] : [`  (further signatures, not checked: ${printable(left.join(', '))})`];
  print(options.json, result, [
    `OK: ${basename(file)} is signed, and the signature is in the log ${verified.origin}`,
    '',
    'Checked:',
    `  file        ${publicKey.digest} ${encodeHex(digest)}`,
    `  signature   ${publicKey.name}, by the key with SHA-256 ${fingerprint}`,
    '  entry       rebuilt from file, signature and key: the logged bytes are exactly these',
    `  inclusion   entry ${verified.index} of ${verified.treeSize}, by ${count(entry.hashes.length, 'hash', 'hashes')} from`,
    `              leaf ${encodeBase64(verified.leafHash)}`,
    ...entry.hashes.map((hash) => `              with ${encodeBase64(hash)}`),
    `              root ${encodeBase64(verified.root)}`,
    `  checkpoint  signed by ${vkey}`,
    ...(cosigned ?? []).map(
      ({ verifierKey, timestamp }) => `  cosigned    ${new Date(timestamp * 1000).toISOString()} by ${verifierKey}`,
    ),
    ...(policy?.quorum === undefined ? [] : [`  quorum      met, as ${options.policy} asks`]),
    ...others,
    '',
    'Not proven:',
    ...notProven.map((line) => `  ${line}`),
  ]);
}

/** Signature lines that neither the log nor a witness of the policy accounts for. */
function unchecked(names: readonly string[], cosigned: readonly Cosigned[] = []): string[] {
  const known = new Set(cosigned.map(({ verifierKey }) => verifierKey.slice(0, verifierKey.indexOf('+'))));
  return names.filter((name) => !known.has(name));
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}
