#!/usr/bin/env node
/**
 * `stele`: the command line. It lists all commands and loads only the one that it runs: signing a file must not wait for
 * an HTTP server to load.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { exitStatus, reportError } from './report.ts';

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

const COMMANDS: readonly Entry[] = [
  {
    name: 'up',
    summary: 'run a log with three witnesses here',
    load: async () => (await import('./up/up.ts')).upCommand(),
  },
  { name: 'serve', summary: 'run a log', load: async () => (await import('./serve-command.ts')).serveCommand() },
  {
    name: 'keygen',
    summary: 'make a key, in a file or in a PKCS#11 token',
    load: async () => (await import('./keygen.ts')).keygenCommand(),
  },
  {
    name: 'sign',
    summary: 'sign a file, log the signature, keep the proof',
    load: async () => (await import('./sign.ts')).signCommand(),
  },
  {
    name: 'attest',
    summary: 'sign a statement about a file, log it, keep the proof',
    load: async () => (await import('./attest.ts')).attestCommand(),
  },
  {
    name: 'submit',
    summary: 'log what is signed already, at once or through a queue',
    load: async () => (await import('./submit.ts')).submitCommand(),
  },
  {
    name: 'verify',
    summary: 'check a file against its proof, offline',
    load: async () => (await import('./verify/verify-command.ts')).verifyCommand(),
  },
  {
    name: 'audit',
    summary: 'rebuild the tree of a whole log, and check all that it serves',
    load: async () => (await import('./audit-command.ts')).auditCommand(),
  },
  {
    name: 'log',
    summary: "check, export, freeze, back up or restore a log's data",
    load: async () => (await import('./log-command.ts')).logCommand(),
  },
  {
    name: 'witness',
    summary: 'run a witness, and say which logs it cosigns',
    load: async () => (await import('./witness-command.ts')).witnessCommand(),
  },
  {
    name: 'monitor',
    summary: 'watch logs for who signs in your name, and for lies',
    load: async () => (await import('./monitor/monitor.ts')).monitorCommand(),
  },
  {
    name: 'completion',
    summary: 'print completions for bash, zsh or fish',
    load: async () => (await import('./completion.ts')).completionCommand(loadAll),
  },
];

const HELP = `
Examples:
  stele serve --config stele.yaml
  stele sign app.tgz --log https://log.example.com
  stele verify app.tgz --bundle app.tgz.sigstore.json --key app.tgz.pub.pem --log-key 'log.example.com+…'

Exit status: 0 done, 1 refused or failed, 2 could not be tried (wrong arguments, unreadable files).
STELE_DEBUG=1 shows where an error came from.`;

/** Runs one command line (without `node` and the script); resolves with the exit status. */
export async function run(args: readonly string[]): Promise<number> {
  const json = args.includes('--json');
  try {
    const named = COMMANDS.find(({ name }) => name === args.find((arg) => !arg.startsWith('-')));
    const program = root();
    for (const entry of COMMANDS) {
      if (entry === named) program.addCommand(strict(await entry.load()));
      else program.command(entry.name).description(entry.summary);
    }
    await program.parseAsync(args, { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    // Help and version end with a CommanderError too.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    reportError(error, json);
    return exitStatus(error);
  }
}

/** The whole tree, for completions. */
async function loadAll(): Promise<Command> {
  const program = root();
  for (const { load } of COMMANDS) program.addCommand(await load());
  return program;
}

function root(): Command {
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
function strict(command: Command): Command {
  command.exitOverride().configureOutput({ outputError: () => {} });
  for (const inner of command.commands) strict(inner);
  return command;
}

/** package.json is two levels above the source and three above the built file. */
function version(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as Record<
        string,
        string
      >;
      if (name === 'stele' && version !== undefined) return version;
    } catch {
      // Not there: try the other place.
    }
  }
  return 'unknown';
}

/** Whether this file is the program. It is often started through a link in node_modules/.bin. */
function isMain(): boolean {
  const script = process.argv[1];
  return script !== undefined && realpathSync(script) === fileURLToPath(import.meta.url);
}

// `stele … --help | head` is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

if (isMain()) process.exitCode = await run(process.argv.slice(2));
