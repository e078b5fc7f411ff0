/** `stele trust init` and `stele trust stage`: what holders are to sign. */
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Command } from 'commander';
import { ClientError, usage } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { readPlan } from '../../trust/tuf/plan-config.ts';
import { TUF_LIMITS } from '../../trust/tuf/role.ts';
import { collectSignatures } from '../../trust/tuf/staged-signing.ts';
import { initRepository, restage, type StagedRole, stageTargets } from '../../trust/tuf/staging.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { reading, readWhole } from '../files.ts';
import { print } from '../report.ts';

const MAX_TARGETS = 65_536;

const INIT_HELP = `
The plan names the holders with their public keys, the roles root, targets, snapshot and timestamp, and delegations:

  holders:
    holder-1: holder-1.pub.pem
    holder-2: holder-2.pub.pem
    online: online.pub.pem
  root: { holders: [holder-1, holder-2], threshold: 2, expires: 365d }
  targets: { holders: [holder-1, holder-2], threshold: 1, expires: 90d }
  snapshot: { holders: [online], expires: 7d }
  timestamp: { holders: [online], expires: 1d }

Keys are Ed25519 or ECDSA P-256. Nothing is public before \`stele trust publish\`.

Example:
  stele trust init repository --plan plan.yaml`;

const STAGE_HELP = `
FILEs are added as targets under their own names, the files of a directory under their paths in it. Without FILEs it
brings what is staged in line with plan.yaml. Signatures of a version that changes are gone: holders sign it again.

Examples:
  stele trust stage repository trust
  stele trust stage repository admission.yaml --as policies/admission.yaml
  stele trust stage repository --remove old.vkey
  stele trust stage repository --signed root.json
  stele trust stage repository team/tool.json --role team --as team/tool.json`;

interface StageOptions {
  readonly as?: string;
  readonly remove?: readonly string[];
  readonly role?: string;
  readonly signed?: readonly string[];
  readonly json?: boolean;
}

export function initCommand(): Command {
  return new Command('init')
    .description('Make a TUF repository from a plan: its first root and targets, for their holders to sign')
    .argument('<dir>', 'the directory of the repository; it is made where it is missing')
    .requiredOption('--plan <file>', 'the plan, in YAML')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', INIT_HELP)
    .action(async (dir: string, { plan, json }: { readonly plan: string; readonly json?: boolean }) => {
      const staged = await initRepository(dir, readPlan(plan), Date.now());
      print(json, { dir, staged }, [
        `The repository ${dir} is made, and nothing of it is public.`,
        ...next(dir, staged),
      ]);
    });
}

export function stageCommand(): Command {
  return new Command('stage')
    .description(
      'Prepare the next versions of metadata: targets to add or remove, changes of the plan, signatures of copies',
    )
    .argument('<dir>', 'the directory of the repository')
    .argument('[files...]', 'targets to add or replace: files, or directories with all files in them')
    .option('--as <name>', 'the name of the one target that is added')
    .option('--remove <name...>', 'targets to remove')
    .option('--role <role>', 'the role that names the targets', 'targets')
    .option(
      '--signed <file...>',
      'copies of staged metadata that holders signed on their machines: take their signatures',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText('after', STAGE_HELP)
    .action((dir: string, files: readonly string[], options: StageOptions) => stage(dir, files, options));
}

async function stage(dir: string, files: readonly string[], options: StageOptions): Promise<void> {
  const { as, remove = [], role = 'targets', signed = [], json } = options;
  if (signed.length > 0) {
    if (files.length > 0 || remove.length > 0)
      throw usage('--signed brings signatures alone: stage targets in another call');
    return await collect(dir, signed, json);
  }
  const found = (await Promise.all(files.map(targetsAt))).flat();
  if (as !== undefined && found.length !== 1) throw usage(`--as names one target, and there are ${found.length}`);
  const names = found.map(({ name, path }) => ({ name: as ?? name, path }));
  const twice = names.find(({ name }, i) => names.findIndex((one) => one.name === name) !== i);
  if (twice !== undefined)
    throw usage(`two files would be the target ${twice.name}: give one of them another name with --as`);
  const targets = [];
  for (const { name, path } of names)
    targets.push({ name, bytes: await readWhole(path, TUF_LIMITS.target, 'a target') });
  const staged =
    targets.length > 0 || remove.length > 0
      ? await stageTargets(dir, { files: targets, remove, role }, Date.now())
      : await restage(dir, Date.now());
  print(json, { dir, staged, targets: names.map(({ name }) => name), removed: remove }, [
    ...(staged.length === 0 ? ['Nothing changes, so nothing is staged.'] : []),
    ...next(dir, staged),
  ]);
}

async function collect(dir: string, signed: readonly string[], json: boolean | undefined): Promise<void> {
  const taken: { file: string; role: string; signatures: number }[] = [];
  for (const file of signed) {
    const bytes = await readWhole(file, TUF_LIMITS.file.targets, 'signed metadata');
    taken.push({ file, ...(await collectSignatures(dir, bytes)) });
  }
  print(json, { dir, taken }, [
    ...taken.map(({ file, role, signatures }) => `${file}: ${counted(signatures, 'new signature')} of "${role}"`),
    `Who is missing: ${calledAs()} trust status ${shellWord(dir)}`,
  ]);
}

/** A file under its own name, or the files of a directory under their paths in it. */
async function targetsAt(path: string): Promise<{ readonly name: string; readonly path: string }[]> {
  const stats = await reading(path, () => stat(path));
  if (!stats.isDirectory()) return [{ name: basename(path), path }];
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const odd = entries.find((entry) => !entry.isFile() && !entry.isDirectory());
  if (odd !== undefined) {
    const why = `${join(odd.parentPath, odd.name)} is no regular file, and links in a directory are not followed`;
    throw new ClientError('file', `${why}: take it out, or name the file itself with --as NAME`);
  }
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  if (files.length > MAX_TARGETS) throw usage(`${path} has ${files.length} files, more than ${MAX_TARGETS}`);
  const start = join(path, '/').length;
  return files.sort().map((file) => ({ name: file.slice(start).replaceAll('\\', '/'), path: file }));
}

/** What holders sign now. */
export function next(dir: string, staged: readonly StagedRole[]): string[] {
  if (staged.length === 0) return [];
  const some = staged
    .slice(0, 10)
    .map(({ role, version }) => `  ${role} version ${version}: ${join(dir, 'staged', `${role}.json`)}`);
  const more = staged.length > some.length ? [`  and ${staged.length - some.length} more`] : [];
  return [
    'Staged, for their holders to sign:',
    ...some,
    ...more,
    `Each holder signs: ${calledAs()} trust sign ${shellWord(dir)} --key KEY.pem`,
    `Who is missing: ${calledAs()} trust status ${shellWord(dir)}`,
  ];
}
