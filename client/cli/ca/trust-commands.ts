/** `stele ca trust` and `revoke`: the authority of a team in the trust files of a log. */
import { join } from 'node:path';
import { Command } from 'commander';
import { equal } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { readFileIfThere } from '../../../merkle/runtime/disk/files.ts';
import { timeOfText, timeText } from '../../../merkle/x509/utc-time.ts';
import { type AuthorityChain, certificatesIn, parseAuthorityChain } from '../../ca/trust/authority-chain.ts';
import {
  countsAt,
  withAuthority,
  withoutService,
  withRevoked,
  withServicesOf,
} from '../../ca/trust/trusted-authorities.ts';
import { ClientError, usage } from '../../errors.ts';
import { MAX_SIGNING_CONFIG } from '../../trust/signing-config.ts';
import { SIGNING_CONFIG_FILE } from '../../trust/trust-files.ts';
import { MAX_TRUSTED_ROOT } from '../../trust/trusted-root.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { readPublicKey, readWhole, writeWhole } from '../files.ts';
import { collect } from '../program.ts';
import { print } from '../report.ts';

const MAX_CHAIN = 256 * 1024;
/** The trusted root in both versions that clients read. */
const ROOTS = ['trusted_root.json', 'trusted_root.v0.2.json'] as const;

const TRUST_HELP = `
DIR holds the trust files of a log, as \`stele trust files\` and \`stele up\` write them. The authority becomes an entry of the
trusted root, valid as long as its certificate, and its URL the certificate authority of the signing configuration. Nothing
else changes, and what is there already stays. Publish the files then, for clients that follow them: \`stele trust stage\`.

Clients want a time for each signature by a certificate, and a log of API v2 gives none: name a time-stamp authority with
--tsa and --tsa-chain, unless the files have one.

Examples:
  stele ca trust trust --chain ca/teams/build/1.chain.pem --url https://ca.example.com --ct-key ct.pub.pem
  stele ca trust trust --chain build.chain.pem --url https://ca.example.com --ct-key ct.pub.pem --oidc https://issuer.example.com
  stele trust stage repository trust`;

const REVOKE_HELP = `
Ends the authority in the trusted root: what its signers sign later is refused by clients that follow the files, and what they
signed before, by a time stamp or the time of witnesses, stays verifiable. Without another authority at its URL, the signing
configuration names it no longer. A revocation is never moved to a later time.

Publish the files then: \`stele trust stage\`, \`sign\` and \`publish\`. Clients learn of it with the next files that they fetch.

Examples:
  stele ca revoke trust --chain ca/teams/build/1.chain.pem
  stele ca revoke trust --chain ca/teams/build/1.chain.pem --at 2026-01-31T00:00:00Z
  stele trust stage repository trust`;

interface TrustOptions {
  readonly chain: string;
  readonly url: string;
  readonly ctKey?: string;
  readonly oidc?: readonly string[];
  readonly tsa?: string;
  readonly tsaChain?: string;
  readonly replace?: boolean;
  readonly json?: boolean;
}

export function trustAuthorityCommand(): Command {
  return new Command('trust')
    .description('Add the authority of a team to the trusted root and the signing configuration of a log')
    .argument('<dir>', 'the directory of the trust files')
    .requiredOption('--chain <file>', "the authority's certificate and that of its root (PEM)")
    .requiredOption('--url <url>', 'where clients ask the authority for certificates')
    .option('--ct-key <file>', 'public key (PEM) that signs its certificate timestamps')
    .option(
      '--oidc <url>',
      'an issuer of identity tokens, for clients with a browser (may be given several times)',
      collect,
    )
    .option('--tsa <url>', 'a time-stamp authority for the signing configuration')
    .option('--tsa-chain <file>', 'its certificates, its own first (PEM)')
    .option('--replace', 'end another certificate authority of the signing configuration')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', TRUST_HELP)
    .action(trustAuthority);
}

async function trustAuthority(dir: string, options: TrustOptions): Promise<void> {
  const { url, oidc = [], tsa, replace = false, json } = options;
  for (const one of [url, ...oidc, ...(tsa === undefined ? [] : [tsa])]) checkUrl(one);
  if ((tsa === undefined) !== (options.tsaChain === undefined)) throw usage('--tsa and --tsa-chain belong together');
  const chain = await readChain(options.chain);
  const ctKey = options.ctKey === undefined ? undefined : (await readPublicKey(options.ctKey)).spki;
  const timestamps =
    options.tsaChain === undefined
      ? undefined
      : { url: tsa!, certificates: certificatesIn(await readWhole(options.tsaChain, MAX_CHAIN, 'certificates')) };
  const now = Date.now();
  const added = { chain, url, ...(ctKey && { ctKey }), ...(timestamps && { timestamps }) };
  const changed = await change(dir, [
    ...ROOTS.map((name) => [name, (file: Uint8Array) => withAuthority(file, added)] as const),
    [
      SIGNING_CONFIG_FILE,
      (file) => withServicesOf(file, { ca: url, oidc, ...(tsa !== undefined && { tsa }), replace }, now),
    ],
  ]);
  report(dir, json, changed, chain, `counts from ${timeText(chain[0].notBefore)} to ${timeText(chain[0].notAfter)}`);
}

interface RevokeOptions {
  readonly chain: string;
  readonly at?: string;
  readonly json?: boolean;
}

export function revokeAuthorityCommand(): Command {
  return new Command('revoke')
    .description('End the authority of a team in the trusted root of a log')
    .argument('<dir>', 'the directory of the trust files')
    .requiredOption('--chain <file>', "the authority's certificate and that of its root (PEM)")
    .option('--at <time>', 'when it ends (RFC 3339; default: now): what is signed later does not count')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', REVOKE_HELP)
    .action(revokeAuthority);
}

async function revokeAuthority(dir: string, { chain: path, at: given, json }: RevokeOptions): Promise<void> {
  const chain = await readChain(path);
  const now = Date.now();
  const at = given === undefined ? Math.floor(now / 1000) * 1000 : timeOfText(given);
  if (at === undefined)
    throw usage(`--at is "${printable(given!)}", which is no time: write it as 2026-01-31T00:00:00Z`);
  const root = await readRoots(dir);
  const after = root.map(({ name, file }) => ({ name, file: withRevoked(file, chain[0], at) }));
  const urls = new Set(root.flatMap(({ file }) => urlsOf(file, chain)));
  const gone = [...urls].filter((url) => !after.some(({ file }) => countsAt(file, url, Math.max(now, at))));
  const changed = await change(dir, [
    ...after.map(({ name, file }) => [name, () => file] as const),
    [SIGNING_CONFIG_FILE, (file) => gone.reduce((so, url) => withoutService(so, url, Math.max(now, at)), file)],
  ]);
  report(dir, json, changed, chain, `counts no longer after ${timeText(at)}, if it did not end before`);
}

function urlsOf(file: Uint8Array, [authority]: AuthorityChain): string[] {
  const { certificateAuthorities = [] } = JSON.parse(Buffer.from(file).toString()) as {
    certificateAuthorities?: { uri?: string; certChain: { certificates: { rawBytes: string }[] } }[];
  };
  const isOf = (der: string) => equal(Buffer.from(der, 'base64'), authority.der);
  return certificateAuthorities.flatMap(({ uri, certChain }) =>
    uri !== undefined && isOf(certChain.certificates[0]!.rawBytes) ? [uri] : [],
  );
}

type Change = readonly [name: string, change: (file: Uint8Array) => Uint8Array];

/** All files are changed in memory first, so that a file that cannot be changed leaves all as they are. */
async function change(dir: string, changes: readonly Change[]): Promise<string[]> {
  await readRoots(dir);
  const written: { readonly path: string; readonly name: string; readonly bytes: Uint8Array }[] = [];
  for (const [name, make] of changes) {
    const path = join(dir, name);
    const file = await readFileIfThere(path, name === SIGNING_CONFIG_FILE ? MAX_SIGNING_CONFIG : MAX_TRUSTED_ROOT);
    if (file === undefined) continue;
    const bytes = make(file);
    if (!equal(bytes, file)) written.push({ path, name, bytes });
  }
  // The signing configuration is the last: a client must not be sent to an authority that others do not know.
  for (const { path, bytes } of written) await writeWhole(path, bytes);
  return written.map(({ name }) => name);
}

async function readRoots(dir: string): Promise<{ readonly name: string; readonly file: Uint8Array }[]> {
  const found = await Promise.all(
    ROOTS.map(async (name) => ({ name, file: await readFileIfThere(join(dir, name), MAX_TRUSTED_ROOT) })),
  );
  const there = found.flatMap(({ name, file }) => (file === undefined ? [] : [{ name, file }]));
  if (there.length > 0) return there;
  throw new ClientError(
    'file',
    `${dir} has no ${ROOTS.join(' and no ')}: \`stele trust files\` writes the trust files of a log`,
  );
}

async function readChain(path: string): Promise<AuthorityChain> {
  return parseAuthorityChain(await readWhole(path, MAX_CHAIN, 'a chain'));
}

function checkUrl(url: string): void {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return;
  throw usage(`"${printable(url)}" is no http or https URL`);
}

function report(
  dir: string,
  json: boolean | undefined,
  changed: readonly string[],
  [{ subject }]: AuthorityChain,
  what: string,
): void {
  print(json, { dir, changed, subject }, [
    `The authority "${printable(subject)}" ${what}.`,
    changed.length === 0
      ? 'Nothing had to change.'
      : `Changed in ${dir}: ${changed.join(', ')}. Publish them, such as:`,
    ...(changed.length === 0 ? [] : [`  ${calledAs()} trust stage REPOSITORY ${shellWord(dir)}`]),
  ]);
}
