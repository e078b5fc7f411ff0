/** `stele ca root`, `request` and `team`: a root, and the authorities of teams below it. */
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { MAX_REQUEST, makeRequest, readRequest } from '../../ca/root/authority-request.ts';
import { CaStore, checkTeamName } from '../../ca/root/ca-store.ts';
import { makeRootCertificate, makeTeam } from '../../ca/root/make-authorities.ts';
import { ClientError, usage } from '../../errors.ts';
import { parseExpiry } from '../../trust/tuf/plan-config.ts';
import { hexSha256 } from '../../trust/tuf/tuf-key.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { grouped } from '../ceremony/ceremony-words.ts';
import { readWhole, writeWhole } from '../files.ts';
import { collect } from '../program.ts';
import { print } from '../report.ts';
import { addTrustKeyOptions, type TrustKeyOptions, withTrustKeys } from '../trust/key-options.ts';

const ROOT_HELP = `
For a root that others rely on, hold a ceremony: \`stele ceremony authority\` makes the key in a token, in front of witnesses,
and records what the token says of it. This command takes any ECDSA P-256 key, in a file or in a token.

Examples:
  stele ca root ca --name 'root of example.com' --key root.pem
  stele ca root ca --name 'root of example.com' --pkcs11-module libsofthsm2.so --token ca --label root --pin-file pin`;

const REQUEST_HELP = `
Run it where the key of the team's authority is (\`stele keygen\` makes one, in a file or in a token), and bring the request to
the machine of the root. The digest is of the public key: the root's operator reads it to the team before signing.

Examples:
  stele ca request --key build.pem --out build.csr
  stele ca request --pkcs11-module libsofthsm2.so --token build --label ca --pin-file pin --out build.csr`;

const TEAM_HELP = `
On the machine of the root, which needs no network. The authority may certify the names of its team alone, for code signing,
and no authority below it. A kind of name that is not given is never certified.

  --uri HOST      names such as spiffe://HOST/… and https://HOST/…: a trust domain, without the hosts below it
  --dns DOMAIN    the host DOMAIN and all below it
  --email NAME    addresses in the domain NAME, without those below it; or one address

No team's domain lies below another's. The root signs a delegation too, which says the same; log it with \`stele submit\`.
The same request again gives what was made.

Examples:
  stele ca team ca build --request build.csr --uri build.example.com --key root.pem
  stele ca team ca people --request people.csr --email example.com --expires 30d --key root.pem
  stele ca team ca build --request build-2.csr --renew --uri build.example.com --key root.pem
  stele submit ca/teams/build/1.sigstore.json --key ca/root.pub.pem --log https://log.example.com`;

interface RootOptions extends TrustKeyOptions {
  readonly name: string;
  readonly organization?: string;
  readonly expires: string;
  readonly json?: boolean;
}

export function rootCommand(): Command {
  const command = new Command('root')
    .description('Make the certificate of a root, with a key that is there')
    .argument('<dir>', 'the directory of the root; it is made where it is missing')
    .requiredOption('--name <text>', 'common name of the root')
    .option('--organization <text>', 'organization of the root')
    .option('--expires <period>', 'how long the root counts, 1h to 3650d', '3650d');
  return addTrustKeyOptions(command)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', ROOT_HELP)
    .action(makeRoot);
}

async function makeRoot(dir: string, options: RootOptions): Promise<void> {
  const { name, organization, json } = options;
  const store = new CaStore(dir);
  const subject = { ...(organization !== undefined && { organization }), commonName: name };
  const wish = { subject, expires: parseExpiry(options.expires) };
  await store.locked(async () => {
    if ((await store.rootIfThere()) !== undefined) {
      throw new ClientError(
        'file',
        `${store.rootPath} is there already, and a root is never replaced: choose another directory`,
      );
    }
    await store.createRoot(await withOneKey(options, (signer) => makeRootCertificate(signer, wish, Date.now())));
  });
  const root = await store.root();
  const [sha256, until] = [hexSha256(root.der), timeText(root.notAfter)];
  print(json, { root: store.rootPath, subject: root.subject, sha256, notAfter: until }, [
    `The root "${printable(root.subject)}" is ${store.rootPath}. It counts until ${until}.`,
    'Its SHA-256:',
    `  ${grouped(sha256)}`,
    '',
    'Then, for each team, where the key of its authority is, and here:',
    `  ${calledAs()} ca request --key TEAM.pem --out TEAM.csr`,
    `  ${calledAs()} ca team ${shellWord(dir)} TEAM --request TEAM.csr --uri DOMAIN --key ROOT.pem`,
  ]);
}

interface RequestOptions extends TrustKeyOptions {
  readonly out: string;
  readonly name: string;
  readonly json?: boolean;
}

export function requestCommand(): Command {
  const command = new Command('request')
    .description("Make a request (PKCS#10) for the certificate of a team's authority")
    .requiredOption('--out <file>', 'where the request goes')
    .option('--name <text>', 'a name for people; the root chooses that of the certificate', 'authority of a team');
  return addTrustKeyOptions(command)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', REQUEST_HELP)
    .action(request);
}

async function request(options: RequestOptions): Promise<void> {
  const { out, name, json } = options;
  const made = await withOneKey(options, (signer) => makeRequest(signer, name));
  await writeWhole(out, made);
  const sha256 = hexSha256(readRequest(made));
  print(json, { request: out, publicKey: sha256 }, [
    `The request is ${out}. SHA-256 of its public key:`,
    `  ${grouped(sha256)}`,
  ]);
}

interface TeamOptions extends TrustKeyOptions {
  readonly request: string;
  readonly uri?: readonly string[];
  readonly dns?: readonly string[];
  readonly email?: readonly string[];
  readonly expires: string;
  readonly renew?: boolean;
  readonly json?: boolean;
}

export function teamCommand(): Command {
  const command = new Command('team')
    .description('Certify the authority of a team with the key of the root, and delegate the names of the team to it')
    .argument('<dir>', 'the directory of the root')
    .argument('<team>', 'the name of the team')
    .requiredOption('--request <file>', "the request for the authority's key (`stele ca request`)")
    .option('--uri <host>', 'a trust domain of the team (may be given several times)', collect)
    .option('--dns <domain>', 'a domain of hosts of the team', collect)
    .option('--email <name>', 'a mail domain or an address of the team', collect)
    .option('--expires <period>', 'how long the authority counts, 1h to 3650d', '90d')
    .option('--renew', 'make another authority of a team that has one, for another key');
  return addTrustKeyOptions(command)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', TEAM_HELP)
    .action(certifyTeam);
}

async function certifyTeam(dir: string, team: string, options: TeamOptions): Promise<void> {
  const { uri = [], dns = [], email = [], renew = false, json } = options;
  checkTeamName(team);
  const publicKey = readRequest(await readWhole(options.request, MAX_REQUEST, 'a request'));
  const wish = { team, publicKey, names: { uri, dns, email }, expires: parseExpiry(options.expires), renew };
  const store = new CaStore(dir);
  const { delegation, isNew } = await makeTeam(store, wish, (work) => withOneKey(options, work), Date.now());
  const { number, authority } = delegation;
  const [chain, bundle] = [store.path(team, number, 'chain.pem'), store.path(team, number, 'sigstore.json')];
  const facts = { team, number, isNew, chain, delegation: bundle, certificate: store.path(team, number, 'cer') };
  const more = {
    sha256: hexSha256(authority.der),
    publicKey: hexSha256(publicKey),
    notAfter: timeText(authority.notAfter),
  };
  print(json, { ...facts, ...more }, [
    `${isNew ? 'Certified' : 'It was certified before:'} authority ${number} of the team "${team}". It counts until ${more.notAfter}.`,
    'SHA-256 of its certificate, and of its public key:',
    `  ${grouped(more.sha256)}`,
    `  ${grouped(more.publicKey)}`,
    '',
    `${chain} is for \`${calledAs()} ca serve\` and \`${calledAs()} ca trust\`. The delegation is yet to be logged:`,
    `  ${calledAs()} submit ${shellWord(bundle)} --key ${shellWord(`${dir}/root.pub.pem`)} --log https://LOG`,
  ]);
}

/** @throws ClientError `usage` where the options name several keys; RuntimeError of the key */
async function withOneKey<T>(options: TrustKeyOptions, work: (signer: Signer) => Promise<T>): Promise<T> {
  return await withTrustKeys(options, async ([signer, ...more]) => {
    if (more.length > 0) throw usage('one key signs: name it alone');
    return await work(signer!);
  });
}
