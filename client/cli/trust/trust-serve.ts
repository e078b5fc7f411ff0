/** `stele trust serve`: keeps a TUF repository fresh with its online key, and serves it, until a signal ends it. */
import { join } from 'node:path';
import { Command } from 'commander';
import { usage } from '../../errors.ts';
import { metadataFileName } from '../../trust/tuf/role.ts';
import { refreshOnce, serveTrust } from '../../trust/tuf/serve/serve-trust.ts';
import { loadTrustServe, TRUST_SERVE_SETTINGS } from '../../trust/tuf/serve/trust-serve-config.ts';
import type { ServedRole } from '../../trust/tuf/serve/types.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { print } from '../report.ts';
import { addSettings, configOf } from '../settings-flags.ts';
import { onHangUp, stopSignals, untilStopped } from '../signals.ts';

/** What `--help` lists of the settings. */
const SHOWN = ['listen-host', 'listen-port', 'admin-port', 'key-file', 'check'];

const HELP = `
Snapshot and timestamp are signed anew once half of their time has passed. Root and targets have keys that are not here:
the command warns when they near their end. \`stele trust publish\` may run beside it.
Every setting can also stand in the file or in a STELE_TRUST_SERVE_… variable; docs/configuration.md describes them all.
With --refresh-only the files are served by something else: a log (\`trust.directory\`), or a web server on public/.
SIGTERM or SIGINT ends it in order: requests under way are answered first. A second one ends it at once.
SIGHUP reads limits and key anew, and looks at the repository at once.

Examples:
  stele trust serve repository --key-file online.pem
  stele trust serve --config /etc/stele/trust.yaml
  stele trust serve repository --key-file online.pem --refresh-only
  stele trust serve repository --key-file online.pem --once
  stele trust serve repository --key-pkcs11-module libsofthsm2.so --key-pkcs11-token stele --key-pkcs11-label online \\
    --key-pkcs11-pin-file pin`;

interface ServeOptions {
  readonly refreshOnly?: boolean;
  readonly once?: boolean;
  readonly json?: boolean;
}

export function trustServeCommand(): Command {
  const command = new Command('serve')
    .description('Serve a TUF repository, and keep its snapshot and timestamp fresh')
    .argument('[dir]', 'the directory of the repository; the setting `directory` names it too');
  return addSettings(command, { SETTINGS: TRUST_SERVE_SETTINGS }, SHOWN, 'STELE_TRUST_SERVE_CONFIG')
    .option('--refresh-only', 'take no public port: only keep the repository fresh')
    .option('--once', 'renew what is due, and end: for cron')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action((dir: string | undefined, options: ServeOptions) => serve(dir, options, command));
}

async function serve(dir: string | undefined, options: ServeOptions, command: Command): Promise<void> {
  if (dir !== undefined) {
    if (command.getOptionValue('directory') !== undefined)
      throw usage('the directory is given twice: keep the argument');
    command.setOptionValue('directory', dir);
  }
  const stopping = stopSignals();
  const reread = () => configOf(command, { SETTINGS: TRUST_SERVE_SETTINGS, loadConfig: loadTrustServe });
  const config = reread();
  const { directory } = config;
  if (options.once === true) {
    const { roles, renewed } = await refreshOnce(config);
    print(options.json, { directory, renewed, roles: roles.map(shownRole) }, [
      renewed.length === 0 ? `Nothing in ${directory} is due.` : `Signed anew in ${directory}: ${renewed.join(', ')}.`,
      ...roles.map(sentence),
    ]);
    return;
  }
  const refreshOnly = options.refreshOnly === true;
  const running = await serveTrust({ config, reread, refreshOnly });
  const { url, adminUrl, roles } = running;
  const [{ version = 1 } = {}] = roles;
  const root = join(directory, 'public', metadataFileName('root', version));
  print(options.json, { url, adminUrl, directory, roles: roles.map(shownRole) }, [
    `The TUF repository ${directory} is kept fresh${url === undefined ? '' : ` and served at ${url}`}; operator's port ${adminUrl}`,
    ...roles.map(sentence),
    ...(url === undefined ? [] : ['Follow it:', `  ${calledAs()} trust use ${url} --root ${shellWord(root)}`]),
    '',
  ]);
  onHangUp(() => void running.reload());
  await untilStopped(running, stopping);
}

function shownRole({ name, version, expires }: ServedRole): object {
  return { name, version, expires: new Date(expires).toISOString() };
}

function sentence({ name, version, expires }: ServedRole): string {
  return `  ${name.padEnd(NAME_WIDTH)}  version ${version}, expires ${new Date(expires).toISOString()}`;
}

const NAME_WIDTH = 'timestamp'.length;
