/** The settings of a log or a witness as flags: made from its schema, so that `--help` and the configuration agree. */
import { type Command, Option } from 'commander';
import type { LoadOptions } from '../../merkle/runtime/config/load.ts';
import { defaultText, placeholder, type Setting } from '../../merkle/runtime/config/settings.ts';

import { addTlsOptions, fetchOf, type TlsOptions } from './tls-authorities.ts';

export type ServerMain = typeof import('../../server/main.ts');

/** The one import from another room: the server, loaded when a command needs it. */
export async function loadServer(): Promise<ServerMain> {
  return await import('../../server/main.ts');
}

/** What a program with settings exports. */
interface Configured<C> {
  readonly SETTINGS: readonly Setting[];
  readonly loadConfig: (options: LoadOptions) => C;
}

/**
 * Adds `--config` and every setting to a command.
 *
 * @param shown flags that `--help` lists; by default all
 */
export function addSettings(
  command: Command,
  { SETTINGS }: Pick<Configured<unknown>, 'SETTINGS'>,
  shown?: readonly string[],
  variable = 'STELE_CONFIG',
): Command {
  command.option('--config <path>', `configuration file (YAML); ${variable} names one too`);
  for (const setting of SETTINGS) {
    const option = new Option(`--${setting.flag} ${placeholder(setting)}`, helpOf(setting));
    command.addOption(shown === undefined || shown.includes(setting.flag) ? option : option.hideHelp());
  }
  return command;
}

/** A subcommand that works on the data of a service: all settings of `service` as flags, `--json`, and an example. */
export function addDataSettings(
  command: Command,
  program: Pick<Configured<unknown>, 'SETTINGS'>,
  { service, shown, variable }: { service: string; shown: readonly string[]; variable?: string },
  example: string,
): Command {
  return addAdminOptions(addSettings(command, program, shown, variable))
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `\nEvery setting of \`${service}\` is taken too: give the same ones, best by the same --config.\n\nExample:\n  ${example}`,
    );
}

/** The options of a command that may call the admin port of a running service. */
export function addAdminOptions(command: Command): Command {
  return addTlsOptions(command).hook('preAction', async (_, called) => await connectAdmin(called.opts()));
}

/** The running service is called over TLS where the options say how. */
async function connectAdmin(options: TlsOptions): Promise<void> {
  const fetch = await fetchOf(options);
  if (fetch === undefined) return;
  const { connectAdminPorts } = await import('../../merkle/runtime/service/admin-client.ts');
  connectAdminPorts({ fetch, showsIdentity: options.clientCert !== undefined || options.clientSvid !== undefined });
}

/** The configuration that the flags of `command`, the environment and the file give. */
export function configOf<C>(command: Command, { SETTINGS, loadConfig }: Configured<C>): C {
  const known = new Set(SETTINGS.map(({ flag }) => flag));
  const flags: Record<string, string | boolean> = {};
  for (const option of command.options) {
    const name = option.long?.slice(2);
    const value: unknown = command.getOptionValue(option.attributeName());
    if (name === undefined || !known.has(name)) continue;
    if (typeof value === 'string' || typeof value === 'boolean') flags[name] = value;
  }
  const file = command.getOptionValue('config') as string | undefined;
  return loadConfig({ file, env: process.env, flags });
}

function helpOf(setting: Setting): string {
  return `${setting.description} (default: ${defaultText(setting)})`.replaceAll('`', '');
}
