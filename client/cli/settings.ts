/** The settings of a log as flags: made from the server's schema, so that `--help` and the configuration agree. */
import { type Command, Option } from 'commander';

export type ServerMain = typeof import('../../server/main.ts');

/** The one import from another room: the server, loaded when a command needs it. */
export async function loadServer(): Promise<ServerMain> {
  return await import('../../server/main.ts');
}

/**
 * Adds `--config` and every setting to a command.
 *
 * @param shown flags that `--help` lists; all where left out
 */
export function addSettings(command: Command, server: ServerMain, shown?: readonly string[]): Command {
  command.option('--config <path>', 'configuration file (YAML); STELE_CONFIG names one too');
  for (const setting of server.SETTINGS) {
    const option = new Option(`--${setting.flag} ${server.placeholder(setting)}`, describe(setting, server));
    command.addOption(shown === undefined || shown.includes(setting.flag) ? option : option.hideHelp());
  }
  return command;
}

/** The configuration that the flags of `command`, the environment and the file give. */
export function configOf(command: Command, server: ServerMain): ReturnType<ServerMain['loadConfig']> {
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

function describe(setting: ServerMain['SETTINGS'][number], server: ServerMain): string {
  return `${setting.description.replaceAll('`', '')} (default: ${server.defaultText(setting).replaceAll('`', '')})`;
}
