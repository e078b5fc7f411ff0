/** `stele attest`: signs a statement about files, logs it and keeps the proof. */
import { basename } from 'node:path';
import { Command } from 'commander';
import { encodeHex } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { INTOTO_TYPE } from '../../merkle/rekor/dsse.ts';
import { PREDICATE_TYPES } from '../../merkle/rekor/predicate-types.ts';
import { ClientError, usage } from '../errors.ts';
import { type Bundle, formatBundle } from '../formats/bundle.ts';
import type { Signed } from '../formats/entry-request.ts';
import {
  checkStatement,
  formatStatement,
  MAX_PREDICATE,
  MAX_STATEMENT,
  predicateType,
  type Statement,
} from '../formats/statement.ts';
import { type Attested, attest, attestationBundle } from '../submit/attestation.ts';
import type { KeySigner } from '../submit/signers/types.ts';
import type { LogRequestOptions } from '../submit/types.ts';
import { hashesOf, subjectsFor } from '../verify/content.ts';
import { shellWord } from './called-as.ts';
import { checkDestination, type Destination, openDestination } from './destination.ts';
import { digestFile, digestsOf } from './digests.ts';
import { readWhole, writeWhole } from './files.ts';
import { refuseUnnamed } from './input.ts';
import { type GivenTrust, givenOrFirstUse, readLogTrust, requestOptions } from './log-options.ts';
import { nextLog, stillFrozen } from './next-log.ts';
import { signersTrust } from './refresh-trust.ts';
import { print, warn } from './report.ts';
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
import { addSigningOptions, checkTsa, manyOut, openSigningKey, type SigningOptions, timestampsOf } from './signing.ts';
import { logsOf, type SelectedServices, withServices } from './signing-services.ts';
import { forgetUnlogged, signOnce } from './unlogged-signature.ts';

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
tried.

Examples:
  stele attest app.tgz --predicate provenance.json --type slsaprovenance1 --key signing.pem --log https://log.example.com
  stele attest app.tgz --predicate sbom.spdx.json --type spdx --key signing.pem --log https://log.example.com --json
  stele attest dist/*.whl --predicate review.json --type https://example.com/review/v1 --key k.pem --log https://log.example.com
  stele attest app.tgz --statement statement.json --key signing.pem --log https://log.example.com
  stele attest app.tgz --statement statement.json --key signing.pem --no-log`;

export function attestCommand(): Command {
  const command = new Command('attest')
    .description('Sign a statement about files (in-toto, DSSE), log it, check the answer and keep the proof')
    .argument('[file...]', 'the files that it is about; with --statement they must be subjects of it');
  return addSigningOptions(command, 'FILE.<type>.sigstore.json')
    .option('--predicate <path>', 'what is said of the files: a JSON object')
    .option('--type <type>', `type of the predicate: ${[...PREDICATE_TYPES.keys()].join(', ')}, or a URI`)
    .option('--statement <path>', 'sign this in-toto statement as it is, instead of making one')
    .addHelpText('after', HELP)
    .action(attestFiles);
}

async function attestFiles(named: readonly string[], chosen: AttestOptions): Promise<void> {
  const followed = await signersTrust(chosen);
  const options = await withServices(chosen, followed);
  const source = sourceOf([...new Set(named)], options);
  checkDestination(options);
  const http = await requestOptions(options);
  checkTsa(options);
  const given = await readLogTrust(options, logsOf(options), followed);
  // Check all options and files before a key is opened.
  const makes = await statements(source);
  const { signer, publicPath } = await openSigningKey(options, undefined);
  try {
    if (signer.publicKey.info.kind === 'ed25519') {
      warn(
        'other verifiers take pure Ed25519 in attestations, which a log cannot check: with this key only Stele verifies',
      );
    }
    const destination = await openDestination(options);
    const items = makes.map((make) => itemOf(make, signer, options, { ...http, destination }));
    if (destination.kind !== 'log') {
      return await signUnlogged(items, destination, { given, signal: http.signal, json: options.json, publicPath });
    }
    const logs = [destination.log, ...options.moreLogs];
    const readyBy =
      ({ trust }: GivenTrust) =>
      async (log: string) =>
        (await givenOrFirstUse(trust, log, http)).trust;
    const next = async () => {
      const moved = await nextLog(chosen, logs);
      return moved && { logs: moved.logs, ready: readyBy(moved.given) };
    };
    const results = await signAt(items, { logs, ready: readyBy(given) }, http, next, (error) =>
      stillFrozen(error, chosen),
    );
    report(results, { logs, options, publicPath });
  } finally {
    await signer.close();
  }
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

/** One statement to sign. */
interface Make {
  /** Names the statement in messages, and its bundle. */
  readonly file: string;
  readonly out: string;
  /** The same bytes each time. Only the file's digest is kept: the statements of many files could fill the memory. */
  statement(): Promise<Uint8Array>;
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

interface Written extends Kept {
  readonly predicateType: string;
  readonly subjects: readonly object[];
}

function itemOf(
  { file, out, statement }: Make,
  signer: KeySigner,
  options: AttestOptions & SelectedServices,
  { destination, ...http }: LogRequestOptions & { readonly destination: Destination },
): SignItem<Written> {
  let signed: Signed | undefined;
  let timestamps: Uint8Array[] = [];
  return {
    file,
    out,
    sign: async () => {
      const attested = await attestOnce(await statement(), signer, { out, destination });
      signed = attested.signed;
      timestamps = await timestampsOf(signed, options, http);
      return { signed, bundle: attestationBundle(attested, undefined, timestamps) };
    },
    kept: () => forgetUnlogged(signer, out),
    keep: async (logged) => {
      const payload = await statement();
      const envelope = { payloadType: INTOTO_TYPE, payload, signature: signed!.signature };
      const bundle = attestationBundle({ envelope, signed: signed! }, logged.entry, timestamps);
      await writeWhole(out, formatBundle({ ...bundle, entries: logged.bundle.entries }));
      await forgetUnlogged(signer, out);
      const { predicateType: type, subjects } = checkStatement(payload);
      return {
        logged,
        out,
        predicateType: type,
        subjects: subjects.map(({ name, digest }) => ({ name, digest: Object.fromEntries(digest) })),
      };
    },
  };
}

/** As `attest`, but uses the signature of an earlier run where a key in a token would give another one. */
async function attestOnce(
  statement: Uint8Array,
  signer: KeySigner,
  place: { readonly out: string; readonly destination: Destination },
): Promise<Attested> {
  const { publicKey, certificate } = signer;
  // Only `attest` makes the digest, and hands it to the signer.
  return await attest(statement, {
    publicKey,
    certificate,
    sign: async (digest, message) => {
      const bundleOf = (made: Signed): Bundle => {
        const envelope = { payloadType: INTOTO_TYPE, payload: statement, signature: made.signature };
        return attestationBundle({ envelope, signed: made }, undefined);
      };
      return (await signOnce(digest, signer, place, bundleOf, message)).signature;
    },
  });
}

function report(results: readonly ItemResult<Written>[], context: SignContext<AttestOptions>): void {
  const { json } = context.options;
  const facts = (kept: KeptItem<Written>) => {
    const { predicateType, subjects } = kept.value;
    return { ...factsOf(kept, context), predicateType, subjects };
  };
  const line = ({ file, value: { predicateType: type, logged, out } }: KeptItem<Written>) =>
    `Attested ${printable(file)} (${printable(type)}): entry ${logged.verified.index} of ${logged.verified.origin}, ${shellWord(out)}`;
  const [only] = results;
  if (results.length === 1 && only !== undefined && 'value' in only) {
    print(json, facts(only), [line(only)]);
    return;
  }
  reportItems(json, results, facts, (kept) => [
    ...kept.map(line),
    `${kept.length} of ${results.length} are logged; their proofs were checked`,
  ]);
}
