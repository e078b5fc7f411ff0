/** `stele trust sign`: a holder sees what a version changes, and signs it, on a machine without a network. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import { ClientError, usage } from '../../errors.ts';
import { type Metadata, type Root, readRootOrTargets, type Targets } from '../../trust/tuf/metadata.ts';
import { holderOf } from '../../trust/tuf/plan.ts';
import { isTopLevelRole, TUF_LIMITS } from '../../trust/tuf/role.ts';
import {
  addSignature,
  keyFor,
  signStaged,
  type VersionToSign,
  versionsToSign,
  wrongSigners,
} from '../../trust/tuf/staged-signing.ts';
import { type TufKey, tufKey } from '../../trust/tuf/tuf-key.ts';
import { reading, readWhole, writeWhole } from '../files.ts';
import { note, print } from '../report.ts';
import { addTrustKeyOptions, type TrustKeyOptions, withTrustKeys } from './key-options.ts';
import { changesOf, signedDigest } from './metadata-changes.ts';

const HELP = `
It says what each version changes against the published one, with the keys and the SHA-256 of what is signed, and asks.
Compare that digest with the other holders: it is the same for all. The command opens no connection.

With a repository it signs every staged version that names the key. A single FILE can be carried to another machine with
the published metadata that it follows: the root, and the targets for targets. Bring the copy of --out back with
\`stele trust stage DIR --signed COPY\`.

Examples:
  stele trust sign repository --key holder-1.pem
  stele trust sign repository --role root --pkcs11-module libsofthsm2.so --token holder-2 --label root --pin-file pin
  stele trust sign root.json --published 1.root.json --key holder-3.pem --out root.holder-3.json
  stele trust sign targets.json --published 1.root.json 4.targets.json --agent-key SHA256:… --out targets.holder-1.json`;

interface SignStagedOptions extends TrustKeyOptions {
  readonly role?: readonly string[];
  readonly published?: readonly string[];
  readonly out?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** Where versions come from, and where their signatures go. */
interface Source {
  readonly versions: readonly VersionToSign[];
  nameOf(key: TufKey): string;
  /** Signs one version, and says where the signature is. */
  sign(version: VersionToSign, signer: Signer): Promise<string>;
}

export function signStagedCommand(): Command {
  const command = new Command('sign')
    .description('Sign staged metadata as one of their holders, after showing what they change')
    .argument('<path>', 'a repository, or a staged metadata file')
    .option('--role <role...>', 'sign these roles alone; of a single file, its role')
    .option('--published <file...>', 'with a single file: the published root, and the published version of its role')
    .option('--out <file>', 'write the signed copy to this file, and leave the original as it is');
  return addTrustKeyOptions(command)
    .option('--yes', 'do not ask; needed where there is no terminal')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(async (path: string, options: SignStagedOptions) => {
      const source = await sourceOf(path, options);
      await withTrustKeys(options, (signers) => sign(path, source, signers, options));
    });
}

async function sign(
  path: string,
  source: Source,
  signers: readonly Signer[],
  options: SignStagedOptions,
): Promise<void> {
  const { out, role: roles, yes, json } = options;
  const work = source.versions.flatMap((version) =>
    signers.flatMap((signer) => {
      const key = keyFor(version.role, version.delegators, signer.publicKey);
      return key === undefined || roles?.includes(version.role) === false ? [] : [{ version, signer, key }];
    }),
  );
  if (work.length === 0) throw nothingToSign(path, source, signers, roles);
  if (out !== undefined && work.length !== 1) {
    const what = work.map(({ version, key }) => `"${version.role}" as ${source.nameOf(key)}`).join(', ');
    throw usage(`--out takes one signature, and these could be made: ${what}. Name one with --role and one key`);
  }
  const described = work.map(({ version, key }) => describe(version, key, source));
  for (const { lines } of described) process.stderr.write(`${lines.join('\n')}\n\n`);
  if (yes !== true) await confirm(work.length);
  const made: { role: string; version: number; holder: string; keyid: string; digest: string; file: string }[] = [];
  for (const { version, signer, key } of work) {
    const { role, metadata } = version;
    const file = await source.sign(version, signer);
    const digest = signedDigest(metadata);
    made.push({ role, version: metadata.signed.version, holder: source.nameOf(key), keyid: key.keyid, digest, file });
  }
  const changes = Object.fromEntries(described.map(({ role, changes }) => [role, changes]));
  print(json, { signed: made.map((one) => ({ ...one, changes: changes[one.role] })) }, [
    ...made.map(({ role, version, holder, file }) => `Signed "${role}" version ${version} as ${holder}: ${file}`),
  ]);
}

function describe({ role, metadata, before, delegators }: VersionToSign, key: TufKey, { nameOf }: Source) {
  const { version } = metadata.signed;
  const changes = changesOf(metadata, before, nameOf);
  const against =
    before === undefined ? 'It is the first version.' : `Against version ${before.signed.version}, which is published:`;
  const lines = [
    `"${role}" version ${version}`,
    `SHA-256 of what is signed: ${signedDigest(metadata)}`,
    against,
    ...changes.map((line) => `  ${line}`),
    ...leftOut(version, before?.signed.version ?? 0),
    ...wrongSigners(role, metadata, delegators).map(
      (other) => `NOTE: the signature of ${nameOf(other)} in it does not hold: ${nameOf(other)} signed something else`,
    ),
    `You sign as ${nameOf(key)}, ${key.name}, key ID ${key.keyid}`,
  ];
  return { role, changes, lines };
}

/** Clients refuse all lower versions once they have seen one: a version far ahead can use numbers up. */
function leftOut(version: number, before: number): string[] {
  if (version === before + 1) return [];
  const why = before === 0 ? 'no version before it is published' : `version ${before} is the one before it`;
  return [
    `NOTE: version ${version} is not the next one, as ${why}: ask why, unless you know of the versions in between`,
  ];
}

function nothingToSign(
  path: string,
  { versions }: Source,
  signers: readonly Signer[],
  roles: readonly string[] | undefined,
): ClientError {
  if (versions.length === 0) return new ClientError('trust', `nothing in ${path} waits for signatures`);
  const staged = versions.map(({ role }) => role);
  if (roles !== undefined && !staged.some((role) => roles.includes(role))) {
    const there = staged.slice(0, 10).join(', ');
    return new ClientError(
      'trust',
      `no version of ${roles.map(printable).join(', ')} waits for signatures: staged are ${there}`,
    );
  }
  if (versions.every(({ delegators }) => delegators.length === 0)) {
    return new ClientError(
      'trust',
      `${path} has no root that says whose keys sign: \`stele trust stage\` makes one from the plan`,
    );
  }
  const keys = signers.map(({ publicKey }) => tufKey(publicKey).keyid).join(', ');
  const what = (roles ?? versions.map(({ role }) => role)).slice(0, 10).join(', ');
  return new ClientError('key', `the key ${keys} may not sign ${what}: the metadata do not name it there`);
}

async function confirm(count: number): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw usage('there is no terminal to ask on: read the changes above, and add --yes');
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(`Sign ${count === 1 ? 'it' : `these ${count} versions`}? Type yes: `);
    if (answer.trim() !== 'yes') throw new ClientError('cancelled', 'nothing was signed');
  } finally {
    prompt.close();
  }
}

async function sourceOf(path: string, options: SignStagedOptions): Promise<Source> {
  if ((await reading(path, () => stat(path))).isDirectory()) return await fromRepository(path, undefined, options);
  const staged = dirname(path);
  const dir = dirname(staged);
  const isStaged =
    basename(staged) === 'staged' && (await stat(join(dir, 'plan.yaml')).catch(() => undefined)) !== undefined;
  if (isStaged && options.published === undefined) return await fromRepository(dir, basename(path, '.json'), options);
  return await fromFile(path, options);
}

async function fromRepository(
  dir: string,
  only: string | undefined,
  { out, published }: SignStagedOptions,
): Promise<Source> {
  if (published !== undefined) throw usage('--published is for a single file: a repository holds what is published');
  const { plan, versions } = await versionsToSign(dir);
  return {
    versions: only === undefined ? versions : versions.filter(({ role }) => role === only),
    nameOf: (key) => holderOf(plan, key),
    sign: async (version, signer) => {
      if (out !== undefined) return await writeCopy(out, version, signer);
      await signStaged(dir, signer, version.role, version.metadata);
      return join(dir, 'staged', `${version.role}.json`);
    },
  };
}

/** A file that was carried here. What it follows was carried with it. */
async function fromFile(path: string, options: SignStagedOptions): Promise<Source> {
  const metadata = await readEither(path);
  const role = options.role?.length === 1 ? options.role[0]! : roleOfFile(metadata.signed.type, basename(path));
  if ((role === 'root') !== (metadata.signed.type === 'root')) throw usage(`${path} is no metadata of "${role}"`);
  const published = await Promise.all(
    (options.published ?? []).map(async (file) => ({ file, metadata: await readEither(file) })),
  );
  const roots = published.filter(({ metadata }) => metadata.signed.type === 'root');
  const others = published.filter(({ metadata }) => metadata.signed.type === 'targets');
  const before =
    role === 'root'
      ? roots.find(({ metadata: root }) => root.signed.version === metadata.signed.version - 1)
      : others.find(({ file }) => roleOfFile('targets', basename(file)) === role);
  const { version } = metadata.signed;
  if (version > 1 && before === undefined) {
    throw usage(`${path} is version ${version} of "${role}": give the published version before it with --published`);
  }
  const delegating = others.flatMap(({ metadata: { signed } }) =>
    signed.type === 'targets' && signed.delegations?.roles.has(role) ? [signed] : [],
  );
  const rootsOf = roots.map(({ metadata: { signed } }) => signed as Root);
  const own =
    role === 'root' ? [metadata.signed as Root, ...(before === undefined ? [] : [before.metadata.signed as Root])] : [];
  const delegators = role === 'root' ? own : role === 'targets' ? rootsOf : delegating;
  if (delegators.length === 0) {
    const what = role === 'targets' ? 'the root' : 'the metadata that delegate to it';
    throw usage(`${path} does not say whose keys sign it: give ${what} with --published`);
  }
  if (options.out === undefined) note(`the signature goes into ${path} itself`);
  return {
    versions: [{ role, metadata, before: before?.metadata, delegators }],
    nameOf: ({ keyid }) => `key ${keyid.slice(0, 16)}`,
    sign: (one, signer) => writeCopy(options.out ?? path, one, signer),
  };
}

async function writeCopy(out: string, { role, metadata, delegators }: VersionToSign, signer: Signer): Promise<string> {
  await writeWhole(out, await addSignature(metadata, role, delegators, signer));
  return out;
}

/** @throws ClientError `tuf-malformed`, `file` */
async function readEither(path: string): Promise<Metadata<Root> | Metadata<Targets>> {
  return readRootOrTargets(await readWhole(path, TUF_LIMITS.file.targets, 'metadata'), path);
}

/** `root`, `targets`, or the role that a file is called after. */
function roleOfFile(type: 'root' | 'targets', fileName: string): string {
  if (type === 'root') return 'root';
  const name = fileName.replace(/\.json$/, '').replace(/^[1-9][0-9]*\./, '');
  return isTopLevelRole(name) ? 'targets' : name;
}
