/** All commands of `stele`. Only the one that runs is loaded: signing a file must not wait for an HTTP server to load. */
import type { Command } from 'commander';
import { root, runProgram, strict } from './program.ts';
import { warn } from './report.ts';
import { holdHangUps } from './signals.ts';

/** Name, summary, and a function that loads the command. */
type Entry = readonly [name: string, summary: string, load: (args: readonly string[]) => Promise<Command>];

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
    'record',
    'run a step of a build, sign and log what went in and out',
    async () => (await import('./policy/record-command.ts')).recordCommand(),
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
    'attestations',
    'find attestations in the store of an index, and verify each',
    async () => (await import('./search/attestations-command.ts')).attestationsCommand(),
  ],
  [
    'decide',
    'decide from evidence whether an artifact may be used',
    async () => (await import('./policy/decide-command.ts')).decideCommand(),
  ],
  [
    'policy',
    'check and test policies for `decide`',
    async () => (await import('./policy/policy-command.ts')).policyCommand(),
  ],
  [
    'audit',
    'rebuild the tree of a whole log, and check all that it serves',
    async () => (await import('./audit-command.ts')).auditCommand(),
  ],
  [
    'search',
    'ask an index for entries, and check each',
    async () => (await import('./search/search-command.ts')).searchCommand(),
  ],
  [
    'log',
    "check, export, freeze, back up or restore a log's data",
    async () => (await import('./log-command.ts')).logCommand(),
  ],
  [
    'explorer',
    'write the page that checks logs in a browser',
    async () => (await import('./explorer-command.ts')).explorerCommand(),
  ],
  [
    'trust',
    'publish what others need to trust a log',
    async () => (await import('./trust/trust-command.ts')).trustCommand(),
  ],
  [
    'ceremony',
    'make the first root of a TUF repository, with tokens',
    async () => (await import('./ceremony/ceremony-command.ts')).ceremonyCommand(),
  ],
  ['ca', 'make and run a certificate authority', async () => (await import('./ca/ca-command.ts')).caCommand()],
  [
    'witness',
    'run a witness, and say which logs it cosigns',
    async () => (await import('./witness-command.ts')).witnessCommand(),
  ],
  [
    'admission',
    'judge the images of a Kubernetes cluster',
    async () => (await import('./admission/admission-command.ts')).admissionCommand(),
  ],
  [
    'monitor',
    'watch logs for signatures in your name, and for lies',
    async () => (await import('./monitor/monitor.ts')).monitorCommand(),
  ],
  [
    'index',
    'run an index over logs, so that entries can be found',
    async (args) =>
      args.includes('--witness')
        ? await (await import('./index/rebuilder-command.ts')).rebuilderCommand()
        : (await import('./index/index-command.ts')).indexCommand(),
  ],
  [
    'completion',
    'print completions for bash, zsh or fish',
    async () => (await import('./completion.ts')).completionCommand(loadAll),
  ],
];

/** Commands that may run a service. */
const SERVICES = ['up', 'serve', 'witness', 'monitor', 'admission', 'index'];

/** Runs one command line (without `node` and the script); resolves with the exit status. */
export async function run(args: readonly string[]): Promise<number> {
  checkServers();
  const named = COMMANDS.find(([name]) => name === args.find((arg) => !arg.startsWith('-')));
  if (isService(args, named?.[0])) holdHangUps();
  return await runProgram(args, async () => {
    const program = root();
    for (const entry of COMMANDS) {
      const [name, summary, load] = entry;
      if (entry === named) program.addCommand(strict(await load(args)));
      else program.command(name).description(summary);
    }
    return program;
  });
}

function isService(args: readonly string[], name = ''): boolean {
  return SERVICES.includes(name) || (name === 'trust' && args[args.indexOf(name) + 1] === 'serve');
}

/** Takes away the variable with which Node would accept any certificate of any server. */
function checkServers(): void {
  if (process.env.NODE_TLS_REJECT_UNAUTHORIZED !== '0') return;
  delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  warn('NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored: servers are checked. Give the authority of yours with --ca');
}

/** The whole tree, for completions and manual pages. */
export async function loadAll(): Promise<Command> {
  const program = root();
  for (const [, , load] of COMMANDS) program.addCommand(await load([]));
  return program;
}

// `stele … | head` is not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  // The terminal has closed. A service goes on without it.
  if (error.code !== 'EIO') throw error;
});
