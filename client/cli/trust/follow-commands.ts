/** `stele trust use`, `update`, `show` and `forget`: the TUF repository that the commands of this user follow. */
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { acceptRoot } from '../../trust/tuf/accept.ts';
import { duration } from '../../trust/tuf/expiry.ts';
import { type FollowedTrust, loadTrust } from '../../trust/tuf/load-trust.ts';
import { parseMirrorUrl } from '../../trust/tuf/mirror-url.ts';
import { TOP_LEVEL_ROLES, TUF_LIMITS } from '../../trust/tuf/role.ts';
import { notFollowed, TrustStore } from '../../trust/tuf/trust-store.ts';
import { hexSha256 } from '../../trust/tuf/tuf-key.ts';
import { updateTrust, useTrust } from '../../trust/tuf/update.ts';
import { readWhole } from '../files.ts';
import { interruptible } from '../refresh-trust.ts';
import { print, warn } from '../report.ts';
import { addTlsOptions, fetchOf, type TlsOptions } from '../tls-authorities.ts';
import { type TrustOptions, trustDirOf } from '../trust-options.ts';

const USE_HELP = `
The root says whose signatures count: compare its fingerprint with the one that the operator of the log publishes, by another
way than the URL. Afterwards sign, attest, submit, verify, audit and monitor need no other option for their trust. Commands
that are online anyway fetch the news first. \`stele verify\` never goes online.

The directory is --trust, or STELE_TRUST, or stele/trust in XDG_DATA_HOME (~/.local/share).

Exit status: 0 followed, 1 the mirror does not answer, or what it serves is refused (nothing is kept), 2 it could not be tried.

Examples:
  stele trust use https://log.example.com/trust --root root.json
  stele trust use https://log.example.com/trust --root 5.root.json --trust ./trust --json`;

interface FollowOptions extends Pick<TrustOptions, 'trust'>, TlsOptions {
  readonly root: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

export function followCommands(): readonly Command[] {
  const use = placed(new Command('use'))
    .description('Follow a TUF repository: the commands take their trust from it from then on')
    .argument('<url>', 'a mirror of the repository')
    .requiredOption('--root <path>', 'the root that you trust, of any version: root.json or N.root.json')
    .option('--force', 'in the place of another repository that is followed')
    .addHelpText('after', USE_HELP);
  const update = placed(new Command('update'))
    .description('Fetch the news of the followed repository')
    .addHelpText('after', '\nExamples:\n  stele trust update\n  stele trust update --trust ./trust --json');
  const show = placed(new Command('show'))
    .description('Say which repository is followed, what expires when, and which files it has; offline')
    .addHelpText('after', '\nExamples:\n  stele trust show\n  stele trust show --json');
  const forget = placed(new Command('forget'))
    .description('Follow the repository no longer, and remove the local trust')
    .addHelpText('after', '\nExample:\n  stele trust forget');
  return [
    addTlsOptions(use).action(useRepository),
    addTlsOptions(update).action(updateRepository),
    show.action(showRepository),
    forget.action(forgetRepository),
  ];
}

function placed(command: Command): Command {
  return command
    .option('--trust <dir>', 'the directory of the local trust')
    .option('--json', 'print the result as JSON');
}

async function useRepository(given: string, options: FollowOptions): Promise<void> {
  const url = parseMirrorUrl(given);
  const store = new TrustStore(trustDirOf(options));
  refuseAnother(store, url, options.force === true);
  const file = await readWhole(options.root, TUF_LIMITS.file.root, 'a root');
  const { signed: root } = acceptRoot(file, printable(options.root));
  await interruptible(async (signal) => {
    await useTrust(store, url, file, { fetch: await fetchOf(options), signal });
  });
  const trust = current(store);
  print(options.json, { ...facts(trust), named: { version: root.version, sha256: hexSha256(file) } }, [
    `The repository ${printable(url)} is followed from now on, in ${store.dir}`,
    `  The root that you named has version ${root.version} and SHA-256 ${hexSha256(file)}`,
    ...lines(trust),
  ]);
}

/** @throws ClientError `trust` */
function refuseAnother(store: TrustStore, url: string, force: boolean): void {
  const mirror = force ? undefined : store.read()?.mirror;
  if (mirror === undefined) return;
  const how = mirror === url ? 'fetch its news with `stele trust update`' : 'replace it with --force';
  const why = `the repository ${printable(mirror)} is followed already in ${store.dir}`;
  throw new ClientError('trust', `${why}: ${how}, or name another directory with --trust`);
}

async function updateRepository(options: FollowOptions): Promise<void> {
  const store = new TrustStore(trustDirOf(options));
  const before = store.read();
  const changed = await interruptible(
    async (signal) => await updateTrust(store, { fetch: await fetchOf(options), signal }),
  );
  const trust = current(store);
  const was =
    before?.set.targets === trust.state.set.targets ? 'nothing that commands use has changed' : 'there is news';
  const said = changed ? `the metadata were renewed, and ${was}` : 'there is nothing new';
  print(options.json, { ...facts(trust), changed }, [`${printable(trust.state.mirror)}: ${said}`, ...lines(trust)]);
}

function showRepository(options: FollowOptions): void {
  const trust = current(new TrustStore(trustDirOf(options)));
  print(options.json, facts(trust), [
    `The repository ${printable(trust.state.mirror)} is followed, in ${trust.dir}`,
    ...lines(trust),
  ]);
}

async function forgetRepository(options: FollowOptions): Promise<void> {
  const store = new TrustStore(trustDirOf(options));
  if (!store.isThere()) throw notFollowed(store.dir);
  await store.forget();
  print(options.json, { dir: store.dir }, [`Nothing is followed in ${store.dir} any more`]);
}

/** What has expired is shown too. @throws ClientError `trust`, and those of signatures that do not hold */
function current(store: TrustStore): FollowedTrust {
  const trust = loadTrust(store, { takeExpired: true, warn });
  if (trust === undefined) throw notFollowed(store.dir);
  return trust;
}

function facts(trust: FollowedTrust): object {
  const { state, root, targets, age } = trust;
  return {
    dir: trust.dir,
    mirror: state.mirror,
    root: { version: root.version, sha256: state.root, firstSha256: state.first },
    age: Math.round(age / 1000),
    roles: TOP_LEVEL_ROLES.map((name) => {
      const { keyids, threshold } = root.roles[name];
      const { version, expires } = trust[name];
      return { name, version, expires: timeText(expires), threshold, keyids };
    }),
    targets: [...targets.targets].map(([name, { length, hashes }]) => {
      const sha256 = hashes.get('sha256')!;
      return { name, length, sha256, here: state.set.files.includes(sha256) };
    }),
    delegated: [...(targets.delegations?.roles.keys() ?? [])],
  };
}

function lines(trust: FollowedTrust): string[] {
  const { state, root, targets, age } = trust;
  const roles = TOP_LEVEL_ROLES.map((name) => {
    const { keyids, threshold } = root.roles[name];
    const { version, expires } = trust[name];
    return `  ${name.padEnd(9)}  version ${version}, expires ${timeText(expires)}, ${threshold} of ${counted(keyids.length, 'key')} must sign`;
  });
  const keys = root.roles.root.keyids.map((id) => `             ${printable(id)} (${root.keys.get(id)?.name})`);
  const files = [...targets.targets.keys()];
  return [
    `  root SHA-256 ${state.root}`,
    ...roles.slice(0, 1),
    ...keys,
    ...roles.slice(1),
    `  newest timestamp since ${duration(age)}`,
    `  ${counted(files.length, 'target')}: ${files.slice(0, SHOWN).map(printable).join(', ')}${files.length > SHOWN ? ', …' : ''}`,
  ];
}

const SHOWN = 20;
