/** `stele attestations`: finds attestations in the store of an index, and verifies each. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { encodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { ClientError, usage } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { predicateType } from '../../formats/statement.ts';
import type { FoundAttestation, FoundAttestations, RefusedAttestation } from '../../search/find-attestations.ts';
import { writeWhole } from '../files.ts';
import { namedArtifacts } from '../policy/decide-artifacts.ts';
import { addEvidenceTrustOptions, type DecideOptions } from '../policy/decide-options.ts';
import { collect } from '../program.ts';
import { withProgress } from '../progress.ts';
import { printJson, reportFailed, writeOut } from '../report.ts';
import { addTlsOptions, fetchOf, type TlsOptions } from '../tls-authorities.ts';
import type { RequestedSigner, VerifyOptions } from '../verify/arguments.ts';

const HELP = `
Asks the attestation store of an index (\`stele index\`), and verifies each piece that it returns as \`stele verify\` does, by your
trust: the store is believed nothing. FILE is hashed here, and only its digest is sent. An image is NAME@sha256:HEX, or NAME:TAG with
--resolve, whose digest its registry says.

The store is a convenience, and no promise of a log: it may lack attestations, and may forget them. So a list never shows that there
is no other attestation. Without --key and --identity the signature of anybody counts, and each line says whose it is.

Exit status: 0 each piece that came was verified, 1 a piece was refused, or the store gives no answer, 2 it could not be tried.
That nothing was found is 0.

Examples:
  stele attestations app.tgz --store https://index.example.com --quorum-policy trust/policy
  stele attestations sha256:9f86…0a08 --type slsaprovenance1 --store https://index.example.com --quorum-policy trust/policy --json
  stele attestations registry.example.com/team/app@sha256:9f86…0a08 --store https://index.example.com --trusted-root root.json \\
    --identity builder@example.com --issuer https://accounts.example.com --output found
  stele attestations --material gitCommit:1f2e…3d4c --store https://index.example.com --log-key trust/log.vkey
  stele attestations registry.example.com/team/app:1.2 --resolve --store https://index.example.com --quorum-policy trust/policy`;

interface Options
  extends Omit<DecideOptions, 'store' | 'key' | 'policy' | 'evidence' | 'registry' | 'name'>,
    Pick<VerifyOptions, 'key' | 'identity' | 'identityRegexp' | 'issuer' | 'issuerRegexp' | 'extension'>,
    TlsOptions {
  readonly store?: string;
  readonly type?: string;
  readonly material?: string;
  readonly signer?: string;
  readonly subjectName?: string;
  readonly output?: string;
  readonly resolve?: boolean;
  readonly json?: boolean;
}

export function attestationsCommand(): Command {
  const command = new Command('attestations')
    .description('Find attestations in the store of an index, and verify each')
    .argument('[subject]', 'a file, a digest (sha256:HEX, gitCommit:HEX), or an image NAME@sha256:HEX')
    .requiredOption('--store <url>', 'the index whose store is asked, such as https://index.example.com')
    .option('--type <type>', 'of this predicate type: a short name, as in `stele attest`, or a URI')
    .option('--material <value>', 'made from this: a digest (gitCommit:HEX, sha256:HEX), a URI or a name')
    .option('--subject-name <name>', 'with a subject of this name')
    .option('--signer <signer>', 'ask only for pieces by this signer: sha256:HEX of the key, or an identity')
    .option('--resolve', 'SUBJECT is an image with a tag: ask its registry for the digest')
    .option('--insecure-registry <host>', 'ask this registry by http; can be repeated', collect)
    .option('--registry-config <path>', "names and passwords for registries, in the form of Docker's config.json")
    .option('--output <dir>', 'write each verified piece to DIR/sha256-HEX.sigstore.json')
    .option('--key <path>', 'each must be signed by this public key (PEM)')
    .option('--identity <name>', 'each must be signed by a certificate with this name')
    .addOption(new Option('--identity-regexp <re2>', 'the same as a pattern for all of it').conflicts('identity'))
    .option('--issuer <url>', 'the identity provider that must have vouched for it')
    .addOption(new Option('--issuer-regexp <re2>', 'the same as a pattern for all of it').conflicts('issuer'))
    .option('--extension <name=value>', 'another extension of Fulcio, by name or OID; can be repeated', collect);
  return addTlsOptions(addEvidenceTrustOptions(command))
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(find);
}

async function find(subject: string | undefined, options: Options): Promise<void> {
  const stop = new AbortController();
  const interrupted = () => stop.abort();
  process.once('SIGINT', interrupted);
  try {
    const { findAttestations } = await import('../../search/find-attestations.ts');
    const { openTrust } = await import('../../policy/decision-basis.ts');
    const { readTrustBasis } = await import('../policy/basis-files.ts');
    const { presentTime } = await import('../verify/demands.ts');
    const trust = openTrust(await readTrustBasis(options as DecideOptions));
    const signer = await signerOf(options, trust);
    const { type, material, subjectName: name, signer: by, store = '' } = options;
    const query = {
      subject: await subjectOf(subject, options, stop.signal),
      name,
      predicateType: type === undefined ? undefined : predicateType(type),
      material,
      signer: by,
    };
    const fetch = await fetchOf(options);
    const now = presentTime(options as DecideOptions);
    const found = await withProgress('verifying', 'attestations', (onProgress) =>
      findAttestations({ store, query, trust, signer, now, fetch, signal: stop.signal, onProgress }),
    );
    const files = await written(found.verified, options.output);
    report(found, files, options);
  } finally {
    process.removeListener('SIGINT', interrupted);
  }
}

/** Undefined where anybody's signature counts. */
async function signerOf(
  options: Options,
  { trustedRoot, spiffeBundles }: Pick<DecidedTrust, 'trustedRoot' | 'spiffeBundles'>,
) {
  const { requestedSigner } = await import('../verify/arguments.ts');
  const { key, identity, identityRegexp, issuer, issuerRegexp, extension } = options;
  const given = [key, identity, identityRegexp, issuer, issuerRegexp, extension];
  if (given.every((value) => value === undefined)) return undefined;
  const wished: RequestedSigner = requestedSigner(options as VerifyOptions);
  const { readSigner } = await import('../verify/verify-trust.ts');
  const read = await readSigner(wished, { trustedRoot, ...(spiffeBundles && { spiffeBundles }) });
  return 'key' in read ? { key: read.key.info } : { identity: read.identity };
}

type DecidedTrust = import('../../search/find-attestations.ts').FindAttestationsOptions['trust'];

/** `ALGORITHM:HEX` */
async function subjectOf(
  subject: string | undefined,
  options: Options,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { resolve, insecureRegistry, registryConfig } = options;
  if (resolve !== true && (insecureRegistry !== undefined || registryConfig !== undefined)) {
    throw usage('--insecure-registry and --registry-config are about a registry: give --resolve, or leave them out');
  }
  if (subject === undefined) {
    if (resolve === true) throw usage('--resolve is about an image: name it');
    return undefined;
  }
  if (resolve === true) {
    const { parseImageName } = await import('../../evidence/image-name.ts');
    const { registrySource } = await import('../../evidence/registry.ts');
    const image = parseImageName(subject);
    if (image.digest !== undefined) throw usage(`${printable(subject)} has a digest already: leave out --resolve`);
    const allow = ['loopback', 'private'];
    const registry = registrySource({ insecure: insecureRegistry, configFile: registryConfig, allow });
    return await registry.resolveTag(image, signal);
  }
  const [artifact] = await namedArtifacts([subject], {});
  const [git] = Object.entries(artifact!.git ?? {});
  if (git !== undefined) return git.join(':');
  const digests = Object.entries(await artifact!.digests(['sha256'], signal, nodePrimitives()));
  const [hash, value] = digests.find(([name]) => name === 'sha256') ?? digests[0]!;
  return `${hash}:${encodeHex(value)}`;
}

/** The file of each, in order. */
async function written(verified: readonly FoundAttestation[], dir: string | undefined): Promise<readonly string[]> {
  if (dir === undefined) return [];
  await mkdir(dir, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new ClientError('file', `the directory ${printable(dir)} cannot be made: ${cause.code}`, { cause });
  });
  const files: string[] = [];
  for (const { digest, bytes } of verified) {
    const file = join(dir, `${digest.replace(':', '-')}.sigstore.json`);
    await writeWhole(file, bytes);
    files.push(file);
  }
  return files;
}

const NOTICE =
  'The store is a convenience, and no promise of a log: there may be other attestations, which it lacks or has forgotten.';

function report({ verified, refused }: FoundAttestations, files: readonly string[], { json }: Options): void {
  if (json === true) {
    printJson({
      ok: refused.length === 0,
      attestations: verified.map((one, at) => ({
        ...foundFacts(one),
        ...(files[at] !== undefined && { file: files[at] }),
      })),
      refused: refused.map(({ digest, error: { code, message } }) => ({ digest, error: { code, message } })),
      notice: NOTICE,
    });
  } else {
    for (const [at, one] of verified.entries()) writeOut(`${linesOf(one, files[at]).join('\n')}\n`);
    writeOut(
      `${counted(verified.length, 'attestation')} verified${refused.length === 0 ? '' : `, ${refused.length} refused`}. ${NOTICE}\n`,
    );
  }
  for (const { digest, error } of refused as readonly RefusedAttestation[]) reportFailed(digest, error);
  if (refused.length > 0) process.exitCode = 1;
}

function foundFacts({ digest, statement, outcome }: FoundAttestation) {
  const { signer, entries } = outcome;
  return {
    digest,
    predicateType: statement?.predicateType ?? null,
    subjects: (statement?.subjects ?? []).map(({ name, digest: set }) => ({
      name: name ?? null,
      digest: Object.fromEntries(set),
    })),
    signer: {
      key: `sha256:${signer.fingerprint}`,
      ...(signer.kind === 'certificate' && {
        names: signer.identity.names.map(({ type, value }) => ({ type, value })),
        issuer: signer.identity.issuer ?? null,
      }),
    },
    entries: entries.map(({ origin, index }) => ({ log: origin, index })),
  };
}

function linesOf(found: FoundAttestation, file: string | undefined): string[] {
  const { digest, predicateType: type, subjects, signer, entries } = foundFacts(found);
  const names = signer.names?.map(({ value }) => printable(value)).join(', ');
  const by =
    names === undefined
      ? `the key ${signer.key}`
      : `${names}${signer.issuer === null ? '' : ` (${printable(signer.issuer ?? '')})`}`;
  const about = subjects.slice(0, 3).map(({ name }) => printable(name ?? '(no name)'));
  return [
    digest,
    `  says       ${type === null ? 'nothing: a signature over the file' : printable(type)}`,
    ...(subjects.length === 0
      ? []
      : [
          `  about      ${about.join(', ')}${subjects.length > about.length ? `, and ${subjects.length - about.length} more` : ''}`,
        ]),
    `  signed by  ${by}`,
    ...entries.map(({ log, index }) => `  logged by  ${printable(log)} as entry ${index}`),
    ...(file === undefined ? [] : [`  file       ${printable(file)}`]),
    '',
  ];
}
