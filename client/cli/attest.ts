/** `stele attest`: signs a statement about files, logs it and keeps the proof. */
import { basename } from 'node:path';
import { Command } from 'commander';
import { encodeHex } from '../../merkle/bytes.ts';
import { PREDICATE_TYPES } from '../../merkle/rekor/predicate-types.ts';
import { ClientError, usage } from '../errors.ts';
import {
  checkStatement,
  formatStatement,
  MAX_PREDICATE,
  MAX_STATEMENT,
  predicateType,
  type Statement,
} from '../formats/statement.ts';
import { hashesOf, subjectsFor } from '../verify/content.ts';
import { type Make, withAttester } from './attester.ts';
import { digestFile, digestsOf } from './digests.ts';
import { readWhole } from './files.ts';
import { refuseUnnamed } from './input.ts';
import { checkStoreOption, STORE_HELP } from './push-to-store.ts';
import { signersTrust } from './refresh-trust.ts';
import { addSigningOptions, manyOut, type SigningOptions } from './signing.ts';
import { withServices } from './signing-services.ts';

interface AttestOptions extends SigningOptions {
  readonly predicate?: string;
  readonly type?: string;
  readonly statement?: string;
}

const HELP = `
The statement (in-toto v1) names each FILE by its base name and SHA-256: one statement, one log entry and one bundle a file.
It is signed as a DSSE envelope. --type is a URI or one of
  ${[...PREDICATE_TYPES].map(([name, uri]) => `${name.padEnd(16)} ${uri}`).join('\n  ')}

Exit status: 0 all are logged, 1 something was refused or failed (of many files, the others are logged), 2 it could not be
tried. With --store: 1 also where a bundle is logged and kept here, and the store does not take it.

Examples:
  stele attest app.tgz --predicate provenance.json --type slsaprovenance1 --key signing.pem --log https://log.example.com
  stele attest app.tgz --predicate sbom.spdx.json --type spdx --key signing.pem --log https://log.example.com --json
  stele attest dist/*.whl --predicate review.json --type https://example.com/review/v1 --key k.pem --log https://log.example.com
  stele attest app.tgz --statement statement.json --key signing.pem --log https://log.example.com
  stele attest app.tgz --statement statement.json --key signing.pem --no-log
  stele attest app.tgz --predicate provenance.json --type slsaprovenance1 --key k.pem --log https://log.example.com \\
    --store https://index.example.com
  stele attest app.tgz --predicate sbom.spdx.json --type spdx --keyless --signing-config signing_config.v0.2.json`;

export function attestCommand(): Command {
  const command = new Command('attest')
    .description('Sign a statement about files (in-toto, DSSE), log it, check the answer and keep the proof')
    .argument('[file...]', 'the files that it is about; with --statement they must be subjects of it');
  return addSigningOptions(command, 'FILE.<type>.sigstore.json')
    .option('--predicate <path>', 'what is said of the files: a JSON object')
    .option('--type <type>', `type of the predicate: ${[...PREDICATE_TYPES.keys()].join(', ')}, or a URI`)
    .option('--store <url>', STORE_HELP)
    .option('--statement <path>', 'sign this in-toto statement as it is, instead of making one')
    .addHelpText('after', HELP)
    .action(attestFiles);
}

async function attestFiles(named: readonly string[], chosen: AttestOptions): Promise<void> {
  const followed = await signersTrust(chosen);
  const options = await withServices(chosen, followed);
  await checkStoreOption(options, options.noLog !== true && options.queue === undefined);
  const source = sourceOf([...new Set(named)], options);
  await withAttester(
    { chosen, options, followed },
    () => statements(source),
    async (attester, makes) => await attester.attest(makes),
  );
}

/** What to attest: one statement as it is, or a predicate about each of the files. */
type Source = { readonly files: readonly string[]; readonly out: string | undefined } & (
  | { readonly statement: string }
  | { readonly predicate: string; readonly type: string; readonly suffix: string }
);

function sourceOf(files: readonly string[], { predicate, type, statement, out }: AttestOptions): Source {
  if (statement !== undefined) {
    if (predicate !== undefined || type !== undefined) {
      throw usage('--statement is signed as it is: leave out --predicate and --type');
    }
    if (out === undefined) refuseUnnamed([statement], 'the bundle: give --out');
    return { files, out, statement };
  }
  if (predicate === undefined || type === undefined) {
    throw usage('say what is attested: --predicate with --type, or --statement');
  }
  if (files.length === 0) throw usage('name the file that the predicate is about');
  refuseUnnamed(files, 'the statement about it');
  if (files.length > 1 && out !== undefined) throw manyOut();
  const suffix = PREDICATE_TYPES.has(type) ? type : 'attestation';
  return { files, out, predicate, type: predicateType(type), suffix };
}

async function statements(source: Source): Promise<Make[]> {
  const { files, out } = source;
  if ('statement' in source) {
    const statement = await readWhole(source.statement, MAX_STATEMENT, 'a statement');
    const checked = checkStatement(statement);
    for (const file of files) await refuseOtherFile(file, checked, source.statement);
    const [file = source.statement] = files;
    return [{ file, out: out ?? `${source.statement}.sigstore.json`, statement: async () => statement }];
  }
  const { type, suffix } = source;
  const predicate = await readWhole(source.predicate, MAX_PREDICATE, 'a predicate');
  formatStatement([], type, predicate);
  const only = files.length === 1 ? files[0] : undefined;
  // A single file that cannot be read fails before a token asks for its PIN.
  const known = only === undefined ? undefined : await digestFile(only, 'SHA2_256');
  return files.map((file) => {
    let sha256 = known;
    return {
      file,
      out: out ?? `${file}.${suffix}.sigstore.json`,
      statement: async () => {
        sha256 ??= await digestFile(file, 'SHA2_256');
        return formatStatement([{ name: basename(file), sha256 }], type, predicate);
      },
    };
  });
}

/** @throws ClientError `statement` where the file is no subject; `unsupported` where no digest can be compared; `file` */
async function refuseOtherFile(file: string, statement: Statement, path: string): Promise<void> {
  const { digests } = await digestsOf(file, hashesOf(statement));
  try {
    subjectsFor(statement, digests);
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code !== 'digest-mismatch') throw cause;
    const named = Object.entries(digests).map(([hash, digest]) => `${hash} ${encodeHex(digest)}`);
    throw new ClientError('statement', `${file} (${named.join(', ')}) is no subject of ${path}`, { cause });
  }
}
