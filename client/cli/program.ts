/** What all command lines of `stele` have in common: the program around the commands, and how it ends. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { closeAtEnd } from './at-end.ts';
import { exitStatus, reportError, writeOut } from './report.ts';

const HELP = `
Examples:
  stele serve --config stele.yaml
  stele sign app.tgz --log https://log.example.com
  stele verify app.tgz --bundle app.tgz.sigstore.json --key app.tgz.pub.pem --log-key 'log.example.com+…'

Exit status: 0 done, 1 refused or failed, 2 could not be tried (wrong arguments, unreadable files).
STELE_DEBUG=1 shows where an error came from.`;

/** Runs the command line `args` of a program; resolves with the exit status. */
export async function runProgram(args: readonly string[], load: () => Promise<Command>): Promise<number> {
  process.once('beforeExit', endsEarly);
  let program: Command | undefined;
  try {
    program = await load();
    await program.parseAsync(args, { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    // Help and version end with a CommanderError too.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const better =
      program && error instanceof CommanderError
        ? (await import('./unknown-command.ts')).unknownCommand(program, error)
        : undefined;
    // What follows -- is not of this program.
    const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
    reportError(better ?? error, own.includes('--json'));
    return exitStatus(better ?? error);
  } finally {
    await closeAtEnd();
    process.off('beforeExit', endsEarly);
  }
}

/** A promise alone does not keep Node alive. A command whose promise is still open would end in silence. */
function endsEarly(): void {
  process.stderr.write(
    'stele: error [internal]: the command ended before it was done, as nothing was left that it could wait for. This is a fault in Stele\n',
  );
  process.exitCode = 1;
}

/** Of an option that may be given several times: all of its values, in the order of the command line. */
export const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** `stele` without its commands. */
export function root(): Command {
  const program = new Command('stele')
    .description('An append-only transparency log for software supply chains')
    .version(version(), '--version', 'print the version')
    .helpCommand(false)
    // The words after a command belong to the command and its subcommands.
    .enablePositionalOptions()
    .addHelpText('after', HELP);
  return strict(program);
}

/** Makes commander throw errors, which are printed in one place. */
export function strict(command: Command): Command {
  command.exitOverride().configureOutput({ writeOut, outputError: () => {} });
  for (const inner of command.commands) strict(inner);
  return command;
}

/** Of this package: its package.json is two levels above the source, and above the built file too. */
export function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return String(version);
}
