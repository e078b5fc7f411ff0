/** `stele sign`: signs files, logs the signatures and keeps the proofs. */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command } from 'commander';
import { encodeHex } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { usage } from '../errors.ts';
import { formatBundle } from '../formats/bundle.ts';
import { counted } from '../formats/counted.ts';
import type { Signed } from '../formats/entry-request.ts';
import { messageBundle, tlogProofOf } from '../submit/signed-digest.ts';
import type { KeySigner } from '../submit/signers/types.ts';
import type { LogRequestOptions } from '../submit/types.ts';
import { calledAs, shellWord } from './called-as.ts';
import { checkDestination, type Destination, openDestination } from './destination.ts';
import { digestFile } from './digests.ts';
import { isDirectory, reading, readWhole, writeWhole } from './files.ts';
import { inputName, refuseUnnamed, STANDARD_INPUT } from './input.ts';
import { isKeyless } from './keyless/keyless-options.ts';
import { type GivenTrust, givenOrFirstUse, readLogTrust, requestOptions } from './log-options.ts';
import { nextLog, stillFrozen } from './next-log.ts';
import { checkStoreOption, type Pushed, pushedFacts, pushTo, reportNotStored, STORE_HELP } from './push-to-store.ts';
import { signersTrust } from './refresh-trust.ts';
import { print } from './report.ts';
import {
  factsOf,
  type ItemResult,
  type Kept,
  type KeptItem,
  reportItems,
  type SignContext,
  type SignItem,
  signAt,
} from './sign-items.ts';
import { signUnlogged } from './sign-unlogged.ts';
import {
  addSigningOptions,
  checkKeyless,
  checkTsa,
  manyOut,
  openSigningKey,
  type SigningOptions,
  timestampsOf,
} from './signing.ts';
import { logsOf, type SelectedServices, withServices } from './signing-services.ts';
import { forgetUnlogged, signOnce } from './unlogged-signature.ts';

const HELP = `
Without a key an ECDSA P-256 key is made at FILE.key.pem (mode 0600), with its public key at FILE.pub.pem; when they are
there already, they are used again. Running the same command again gives the same entry, not a second one. Many files in
one command need a key that is named, and are logged with few requests.

With --keyless no key is kept: an authority certifies a key of this run for whom an identity token names. The token comes from
--identity-token, SIGSTORE_ID_TOKEN, or the build system (GitHub Actions, Buildkite, CircleCI, SPIFFE, Google). With
--client-svid the X.509-SVID of the workload stands in its place.

With --queue the entry is durable on disk when the command ends, and no log is asked: \`stele submit --flush\` sends it, and
writes the bundle with its proof. With --no-log the bundle has no log entry, and \`stele submit\` completes it.

Exit status: 0 all are logged, 1 something was refused or failed (of many files, the others are logged), 2 it could not be
tried. With --store: 1 also where a bundle is logged and kept here, and the store does not take it.

Without --log and --signing-config the repository says where to log, and whom to trust, that \`stele trust use\` follows.

Examples:
  stele sign app.tgz --key signing.pem
  stele sign app.tgz --log https://log.example.com
  stele sign app.tgz --log https://log.example.com --key signing.pem --log-key 'log.example.com+1a2b3c4d+AbCd…'
  stele sign dist/* --log https://log.example.com --key signing.pem --policy trust/policy --tlog-proof
  stele sign app.tgz --log https://log.example.com --key cosign.key --passphrase-env COSIGN_PASSWORD
  stele sign dist/* --log https://log.example.com --key signing.pem --queue /var/lib/release/queue
  stele sign app.tgz --no-log --key signing.pem
  stele sign app.tgz --log https://log.example.com --pkcs11-module libsofthsm2.so --token stele --label release --pin-file pin
  stele sign app.tgz --log https://log.example.com --agent-key ~/.ssh/id_ecdsa.pub
  stele sign app.tgz --log https://log.example.com --key signing.pem --certificate chain.pem \\
    --tsa https://timestamp.example.com/api/v1/timestamp --json
  stele sign app.tgz --key signing.pem --signing-config signing_config.v0.2.json --trusted-root trusted_root.json
  stele sign app.tgz --keyless --signing-config signing_config.v0.2.json --trusted-root trusted_root.json
  stele sign app.tgz --svid --log https://log.example.com --policy policy
  stele sign app.tgz --identity-token token.jwt --certificate-authority https://ca.example.com --log https://log.example.com`;

export function signCommand(): Command {
  const command = new Command('sign')
    .description('Sign files, log the signatures, check the answers and keep the proofs as Sigstore bundles')
    .argument('<file...>', 'the files to sign, of any length; - is standard input');
  return addSigningOptions(command, 'FILE.sigstore.json')
    .option('--store <url>', STORE_HELP)
    .option('--tlog-proof', 'write FILE.tlog-proof as well (c2sp.org/tlog-proof)')
    .addHelpText('after', HELP)
    .action(sign);
}

async function sign(named: readonly string[], chosen: SigningOptions): Promise<void> {
  const followed = await signersTrust(chosen);
  const options = await withServices(chosen, followed);
  const files = [...new Set(named)];
  const [first] = files;
  const alone = files.length === 1 ? first : undefined;
  if (alone === undefined && options.out !== undefined) throw manyOut();
  if (options.out === undefined) refuseUnnamed(files, 'its bundle: give --out');
  if (options.tlogProof === true) refuseUnnamed(files, 'its proof: leave out --tlog-proof');
  // Check all options before anything reaches the log.
  await checkStoreOption(options, options.noLog !== true && options.queue === undefined);
  checkDestination(options);
  const http = await requestOptions(options);
  checkKeyless(options);
  const given = await readLogTrust(options, logsOf(options), followed, isKeyless(options));
  checkTsa(options, given);
  const beside = alone === STANDARD_INPUT ? undefined : alone;
  if (beside !== undefined) await checkFile(beside);
  const { signer, publicPath } = await openSigningKey(options, beside, given, http);
  try {
    const destination = await openDestination(options);
    const items = files.map((file) => itemOf(file, signer, options, { ...http, destination }));
    if (destination.kind !== 'log') {
      return await signUnlogged(items, destination, { given, signal: http.signal, json: options.json, publicPath });
    }
    const logs = [destination.log, ...options.moreLogs];
    let firstUse = false;
    const readyBy =
      ({ trust }: GivenTrust) =>
      async (log: string) => {
        const found = await givenOrFirstUse(trust, log, http);
        firstUse ||= found.firstUse;
        return found.trust;
      };
    const next = async () => {
      const moved = await nextLog(chosen, logs);
      return moved && { logs: moved.logs, ready: readyBy(moved.given) };
    };
    const results = await signAt(items, { logs, ready: readyBy(given) }, http, next, (error) =>
      stillFrozen(error, chosen),
    );
    const context = { logs, options, publicPath, firstUse };
    if (alone !== undefined) printOne(results[0] as KeptItem<Written>, context);
    else printMany(results, context);
    reportNotStored(results.flatMap((result) => ('value' in result ? [result.value] : [])));
  } finally {
    await signer.close();
  }
}

interface Written extends Kept {
  readonly pushed: Pushed | undefined;
  readonly proof: string | undefined;
}

function itemOf(
  file: string,
  signer: KeySigner,
  options: SigningOptions & SelectedServices,
  { destination, ...http }: LogRequestOptions & { readonly destination: Destination },
): SignItem<Written> {
  const out = options.out ?? `${file}.sigstore.json`;
  const proof = options.tlogProof === true ? `${file}.tlog-proof` : undefined;
  let timestamps: Uint8Array[] = [];
  return {
    file,
    out,
    sign: async () => {
      const digest = await digestFile(file, signer.publicKey.digest, http.signal);
      const bundleOf = (made: Signed) => messageBundle(made, undefined);
      const signed = await signOnce(digest, signer, { out, destination }, bundleOf, (limit) => messageIn(file, limit));
      // The time stamp comes before the entry: a log never removes an entry.
      timestamps = await timestampsOf(signed, options, http);
      return { signed, bundle: messageBundle(signed, undefined, timestamps) };
    },
    kept: () => forgetUnlogged(signer, out),
    keep: async (logged) => {
      const bundle = formatBundle({ ...logged.bundle, timestamps });
      await writeWhole(out, bundle);
      if (proof !== undefined) await writeWhole(proof, tlogProofOf(logged));
      await forgetUnlogged(signer, out);
      return { logged, out, proof, pushed: await pushTo(options, bundle, http) };
    },
  };
}

/** The whole file, for a key that takes no digest; undefined where it is longer than `limit`. @throws ClientError `file`, `usage` */
async function messageIn(file: string, limit: number): Promise<Uint8Array | undefined> {
  const stats = file === STANDARD_INPUT ? undefined : await reading(file, () => stat(file));
  if (stats?.isFile() !== true) throw usage('a key in an ssh-agent reads a file twice: name a file, and no pipe');
  return stats.size > limit ? undefined : await readWhole(file, limit, 'a message for an ssh-agent');
}

/** Throws the errors of `digestFile` early: no key must stay behind beside a file that cannot be signed. */
async function checkFile(file: string): Promise<void> {
  const stats = await reading(file, () => stat(file));
  if (stats.isDirectory()) throw isDirectory(file);
}

interface Context extends SignContext<SigningOptions> {
  readonly firstUse: boolean;
}

function describeSigned(kept: KeptItem<Written>, context: Context) {
  const { log, ...facts } = factsOf(kept, context);
  const { logged, proof, pushed } = kept.value;
  const { publicKey, digest } = logged.signed;
  return {
    ...facts,
    tlogProof: proof ?? null,
    digest: { algorithm: publicKey.digest, hex: encodeHex(digest) },
    log: { ...log, trustedOnFirstUse: context.firstUse },
    ...pushedFacts(pushed),
  };
}

function printOne(kept: KeptItem<Written>, context: Context): void {
  const { options, publicPath } = context;
  const result = describeSigned(kept, context);
  const { file, bundle, digest, log, cosignatures } = result;
  const signed = "its proof and the log's signature were checked";
  const checked =
    options.policy === undefined
      ? signed
      : `its proof, the log's signature and the policy's quorum (${counted(cosignatures.length, 'witness', 'witnesses')}) were checked`;
  print(options.json, result, [
    `Signed ${basename(inputName(file))} (${digest.algorithm} ${digest.hex})`,
    `Logged by ${log.origin} as entry ${result.index} of ${result.treeSize}; ${checked}`,
    ...(result.moreEntries ?? []).map((one) => `And by ${one.log.origin} as entry ${one.index} of ${one.treeSize}`),
    `Proof: ${bundle}`,
    ...(result.tlogProof === null ? [] : [`tlog-proof: ${result.tlogProof}`]),
    ...(publicPath === undefined ? [] : [`Public key: ${publicPath}`]),
    '',
    'Anybody can check it, offline:',
    `  ${verifyCommandFor(result, options)}`,
  ]);
}

function verifyCommandFor(
  { file, bundle, publicKey, log, signer: certified }: ReturnType<typeof describeSigned>,
  { policy, trustedRoot }: SigningOptions,
): string {
  const root = trustedRoot === undefined ? undefined : `--trusted-root ${shellWord(trustedRoot)}`;
  const keyOrRoot = root ?? `--log-key ${shellWord(log.verifierKey)}`;
  const trust = policy === undefined ? keyOrRoot : `--policy ${shellWord(policy)}`;
  const signer =
    certified === undefined
      ? `--key ${shellWord(publicKey ?? 'PUBLIC_KEY.pem')}`
      : [
          ...(trust === root ? [] : [root ?? authoritiesOf(certified)]),
          `--identity ${shellWord(printable(nameOf(certified)))}`,
          ...(certified.issuer === null ? [] : [`--issuer ${shellWord(printable(certified.issuer))}`]),
        ].join(' ');
  return `${calledAs()} verify ${shellWord(file)} --bundle ${shellWord(bundle)} ${signer} ${trust}`;
}

type CertifiedSigner = NonNullable<ReturnType<typeof describeSigned>['signer']>;

/** A workload may have DNS names beside its SPIFFE ID. */
function nameOf({ names }: CertifiedSigner): string {
  return (names.find(({ type }) => type === 'uri') ?? names[0])?.value ?? 'IDENTITY';
}

/** Who vouches for a certified signer: a trusted root, or for an X.509-SVID the bundle of its trust domain. */
function authoritiesOf(signer: CertifiedSigner): string {
  const [, trustDomain] = /^spiffe:\/\/([^/]+)/.exec(nameOf(signer)) ?? [];
  if (signer.issuer !== null || trustDomain === undefined) return '--trusted-root TRUSTED_ROOT.json';
  return `--spiffe-bundle ${shellWord(printable(`${trustDomain}=BUNDLE.json`))}`;
}

function printMany(results: readonly ItemResult<Written>[], context: Context): void {
  const facts = (kept: KeptItem<Written>) => describeSigned(kept, context);
  reportItems(context.options.json, results, facts, (kept) => {
    const origin = kept[0]?.value.logged.verified.origin;
    const summary = `Logged by ${origin}: ${kept.length} of ${results.length} files; all proofs were checked`;
    return [
      ...kept.map(({ file, value }) => `Signed ${file}: entry ${value.logged.verified.index}, ${value.out}`),
      ...(origin === undefined ? [] : [summary]),
    ];
  });
}
