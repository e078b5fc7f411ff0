/** The settings of a log or a witness as flags: made from its schema, so that `--help` and the configuration agree. */
import { type Command, Option } from 'commander';

export type ServerMain = typeof import('../../server/main.ts');

/** The one import from another room: the server, loaded when a command needs it. */
export async function loadServer(): Promise<ServerMain> {
  return await import('../../server/main.ts');
}

/** What a program with settings exports. */
export interface Settings<C> {
  readonly SETTINGS: ServerMain['SETTINGS'];
  readonly placeholder: ServerMain['placeholder'];
  readonly defaultText: ServerMain['defaultText'];
  readonly loadConfig: (options: Parameters<ServerMain['loadConfig']>[0]) => C;
}

/**
 * Adds `--config` and every setting to a command.
 *
 * @param shown flags that `--help` lists; all where left out
 */
export function addSettings(
  command: Command,
  server: Settings<unknown>,
  shown?: readonly string[],
  variable = 'STELE_CONFIG',
): Command {
  command.option('--config <path>', `configuration file (YAML); ${variable} names one too`);
  for (const setting of server.SETTINGS) {
    const option = new Option(`--${setting.flag} ${server.placeholder(setting)}`, describe(setting, server));
    command.addOption(shown === undefined || shown.includes(setting.flag) ? option : option.hideHelp());
  }
  return command;
}

/** The configuration that the flags of `command`, the environment and the file give. */
export function configOf<C>(command: Command, server: Settings<C>): C {
  const known = new Set(server.SETTINGS.map(({ flag }) => flag));
  const flags: Record<string, string | boolean> = {};
  for (const option of command.options) {
    const name = option.long?.slice(2);
    const value: unknown = command.getOptionValue(option.attributeName());
    if (name !== undefined && known.has(name) && (typeof value === 'string' || typeof value === 'boolean'))
      flags[name] = value;
  }
  const file = command.getOptionValue('config') as string | undefined;
  return server.loadConfig({ file, env: process.env, flags });
}

function describe(setting: ServerMain['SETTINGS'][number], server: Settings<unknown>): string {
  return `${setting.description.replaceAll('`', '')} (default: ${server.defaultText(setting).replaceAll('`', '')})`;
}
