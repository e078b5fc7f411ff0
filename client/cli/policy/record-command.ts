/** `stele record`: runs a step of a build, and signs and logs what went in and what came out. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { isStepName } from '../../../merkle/runtime/policy/layout/layout-metadata.ts';
import { ClientError, usage } from '../../errors.ts';
import { type LinkForm, linkFileName, linkStatement, type MadeLink, signedLink } from '../../policy/made-link.ts';
import { withAttester } from '../attester.ts';
import { writeWhole } from '../files.ts';
import { isKeyless } from '../keyless/keyless-options.ts';
import { collect } from '../program.ts';
import { signersTrust } from '../refresh-trust.ts';
import { note, print } from '../report.ts';
import { addSigningOptions, type SigningOptions } from '../signing.ts';
import { withServices } from '../signing-services.ts';
import { isWorkload } from '../svid-options.ts';
import { excluded, recordFiles } from './recorded-files.ts';
import { runStep } from './run-step.ts';

interface RecordOptions extends SigningOptions {
  readonly stepName: string;
  readonly materials?: readonly string[];
  readonly products?: readonly string[];
  readonly exclude?: readonly string[];
  readonly recordStreams?: boolean;
  readonly signFailed?: boolean;
  readonly linkDir?: string;
  readonly linkForm: LinkForm;
}

const HELP = `
The materials are hashed before the command and the products after it, by SHA-256. The statement (in-toto v1) is about the
products, its predicate is https://in-toto.io/attestation/link/v0.3, and it is signed and logged as by \`stele attest\`. With
--link-dir the step's link for layouts is written too, STEP.KEYID8.link: \`stele decide --layout\` and in-toto-golang read it,
and the bundle beside it shows that it is logged.

The command runs without a shell, and signals go to it. Where it fails, nothing is signed (unless --sign-failed). A pattern of
--exclude is one of layouts: * and ? match slashes too.

Exit status: 0 done, 1 the command failed or something was refused, 2 it could not be tried, 130 interrupted.

Examples:
  stele record -n build -m src -p app --key signing.pem --log https://log.example.com -- make app
  stele record -n build -m src -p app --link-dir links --key signing.pem --log https://log.example.com -- make app
  stele record -n test -m app -p report.xml --key signing.pem --no-log --json -- sh -c './app --test > report.xml'
  stele record -n build -m . -p . --exclude '.git' --exclude '*.o' --key k.pem --log https://log.example.com -- make`;

export function recordCommand(): Command {
  const command = new Command('record')
    .description('Run a step of a build, and sign and log its materials and products (in-toto link)')
    .argument('<command...>', 'after --: the program and its arguments')
    .requiredOption('-n, --step-name <name>', 'the name of the step')
    .option('-m, --materials <path>', 'a file or folder that the step begins with; can be repeated', collect)
    .option('-p, --products <path>', 'a file or folder that the step makes; can be repeated', collect)
    .option(
      '--exclude <pattern>',
      'record no file of this name, and nothing below such a folder; can be repeated',
      collect,
    )
    .option('--record-streams', 'record the first 64 KiB of what the command prints to each stream')
    .option('--sign-failed', 'sign and log the step also where the command fails; the exit status is 1 then')
    .option('--link-dir <dir>', 'write the link for layouts into this folder too')
    .addOption(
      new Option('--link-form <form>', 'the form of that link').choices(['dsse', 'metablock']).default('dsse'),
    );
  return addSigningOptions(command, 'STEP.link.sigstore.json, beside the link with --link-dir')
    .addHelpText('after', HELP)
    .action(record);
}

async function record(command: readonly string[], chosen: RecordOptions): Promise<void> {
  const { stepName, materials = [], products = [], exclude = [], json = false } = chosen;
  if (!isStepName(stepName))
    throw usage(`--step-name "${printable(stepName)}" must not hold / \\ * ? [ or control characters`);
  if (materials.length + products.length === 0) throw usage('say what is recorded: --materials, --products or both');
  if (chosen.linkDir !== undefined && (isKeyless(chosen) || isWorkload(chosen))) {
    throw usage('a layout names the keys of its steps, and a key of minutes is no such key: leave out --link-dir');
  }
  const isExcluded = excluded(exclude);
  const followed = await signersTrust(chosen);
  const options = await withServices(chosen, followed);
  const stop = new AbortController();
  const interrupted = () => stop.abort();
  process.on('SIGINT', interrupted);
  try {
    await withAttester(
      { chosen, options, followed },
      async () => await recordFiles(materials, 'materials', isExcluded, stop.signal),
      async (attester, before) => {
        const run = await runStep(command, { streams: chosen.recordStreams === true, aside: json });
        if (run.status !== 0 && chosen.signFailed !== true) throw failed(command, run.ending);
        const after = await recordFiles(products, 'products', isExcluded, stop.signal);
        const link: MadeLink = {
          name: stepName,
          materials: before,
          products: after,
          command,
          byproducts: run.byproducts,
        };
        await keep(link, chosen, attester);
        if (run.status === 0) return;
        note(`the command ended with ${run.ending}, which the signed link says`);
        process.exitCode = 1;
      },
    );
  } finally {
    process.off('SIGINT', interrupted);
  }
}

async function keep(
  link: MadeLink,
  { linkDir, linkForm, noLog, out, json }: RecordOptions,
  { signer: open, attest }: Parameters<Parameters<typeof withAttester>[2]>[0],
): Promise<void> {
  const facts = {
    step: link.name,
    returnValue: link.byproducts['return-value'],
    materials: link.materials.size,
    products: link.products.size,
  };
  const bare = link.products.size === 0;
  if (bare && (linkDir === undefined || noLog !== true)) {
    throw new ClientError(
      'statement',
      'the step made no products, and a statement is about products: nothing was signed. Record some with --products, or keep the link alone with --link-dir and --no-log',
    );
  }
  // A statement that is too long is refused before anything is written.
  const statement = bare ? undefined : linkStatement(link);
  let path: string | undefined;
  if (linkDir !== undefined) {
    const { file, bytes } = await signedLink(link, linkForm, await open());
    await mkdir(linkDir, { recursive: true }).catch((cause: Error) => {
      throw new ClientError('file', `${printable(linkDir)} cannot be made: ${printable(cause.message)}`, { cause });
    });
    path = join(linkDir, file);
    await writeWhole(path, bytes);
  }
  if (statement === undefined) {
    print(json, { ...facts, link: path, logged: false }, [`Recorded ${link.name}, and logged nothing: ${path}`]);
    return;
  }
  if (path !== undefined) note(`wrote the link ${printable(path)}`);
  const beside = linkDir === undefined ? `${link.name}.link` : join(linkDir, linkFileName(link.name, await open()));
  const make = { file: link.name, out: out ?? `${beside}.sigstore.json`, statement: async () => statement };
  await attest([make], { ...facts, ...(path === undefined ? {} : { link: path }) });
}

function failed([program = '']: readonly string[], ending: string): ClientError {
  const what = printable(program);
  return new ClientError(
    'command',
    `${what} ended with ${ending}: nothing was signed (--sign-failed signs all the same)`,
  );
}
