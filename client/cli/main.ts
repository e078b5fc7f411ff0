#!/usr/bin/env node
/**
 * `stele`: the command line. It lists all commands and loads only the one that it runs: signing a file must not wait for
 * an HTTP server to load.
 */
import { readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { exitStatus, reportError, warn } from './report.ts';

/** Name, summary, and a function that loads the command. */
type Entry = readonly [name: string, summary: string, load: () => Promise<Command>];

const COMMANDS: readonly Entry[] = [
  ['up', 'run a log with three witnesses here', async () => (await import('./up/up.ts')).upCommand()],
  ['serve', 'run a log', async () => (await import('./serve-command.ts')).serveCommand()],
  ['keygen', 'make a key, in a file or in a PKCS#11 token', async () => (await import('./keygen.ts')).keygenCommand()],
  ['sign', 'sign a file, log the signature, keep the proof', async () => (await import('./sign.ts')).signCommand()],
  [
    'attest',
    'sign a statement about a file, log it, keep the proof',
    async () => (await import('./attest.ts')).attestCommand(),
  ],
  [
    'submit',
    'log what is signed already, at once or through a queue',
    async () => (await import('./submit.ts')).submitCommand(),
  ],
  [
    'verify',
    'check a file against its proof, offline',
    async () => (await import('./verify/verify-command.ts')).verifyCommand(),
  ],
  [
    'audit',
    'rebuild the tree of a whole log, and check all that it serves',
    async () => (await import('./audit-command.ts')).auditCommand(),
  ],
  [
    'log',
    "check, export, freeze, back up or restore a log's data",
    async () => (await import('./log-command.ts')).logCommand(),
  ],
  [
    'witness',
    'run a witness, and say which logs it cosigns',
    async () => (await import('./witness-command.ts')).witnessCommand(),
  ],
  [
    'monitor',
    'watch logs for signatures in your name, and for lies',
    async () => (await import('./monitor/monitor.ts')).monitorCommand(),
  ],
  [
    'completion',
    'print completions for bash, zsh or fish',
    async () => (await import('./completion.ts')).completionCommand(loadAll),
  ],
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
    const named = COMMANDS.find(([name]) => name === args.find((arg) => !arg.startsWith('-')));
    const program = root();
    for (const entry of COMMANDS) {
      const [name, summary, load] = entry;
      if (entry === named) program.addCommand(strict(await load()));
      else program.command(name).description(summary);
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
  for (const [, , load] of COMMANDS) program.addCommand(await load());
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

/** Takes away the variable with which Node would accept any certificate of any server. */
function checkServers(): void {
  if (process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0') return;
  delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  warn('NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored: servers are checked. Give the authority of yours with --ca');
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

if (isMain()) {
  checkServers();
  // The built file is CommonJS, which has no `await` here.
  void run(process.argv.slice(2)).then((status) => {
    process.exitCode = status;
  });
}
