/** `stele up`: a log and three witnesses on this machine, as processes of their own, until it is told to stop. */

import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { workerUrl } from '../../merkle/runtime/pool.ts';
import { ClientError } from '../errors.ts';
import { note, print, shellWord } from './report.ts';
import { addSettings, configOf, loadServer, type ServerMain } from './settings.ts';
import { stopSignals } from './signals.ts';
import { tryIt } from './try.ts';
import { Child } from './up/child.ts';
import { type Prepared, type PreparedWitness, prepare, THRESHOLD, WITNESSES, writeTrust } from './up/prepare.ts';

/** What `--help` lists of the settings; all of `stele serve` are taken and go to the log. */
const SHOWN = ['origin', 'data', 'listen-host', 'listen-port', 'admin-port', 'log-level'];
const FIRST_PORT = 3101;
/** A log answers what is under way, for half a minute at most; a witness has no more than a request to end. */
const LOG_GRACE_MS = 40_000;
const WITNESS_GRACE_MS = 10_000;

const HELP = `
Every setting of \`stele serve\` is taken too, as a flag, in the file or in a STELE_… variable, and goes to the log.
A process that dies is started again. SIGTERM or SIGINT ends all in order; a second one ends them at once.

Examples:
  stele up
  stele up --data /tmp/try --listen-port 0 --admin-port 0 --witness-port 0`;

interface LogAnnounced {
  readonly url: string;
  readonly adminUrl: string;
  readonly origin: string;
  readonly verifierKeys: readonly string[];
  readonly size: number;
  readonly status: string;
}

interface UpOptions {
  readonly witnessPort: number;
  readonly json?: boolean;
}

export async function upCommand(): Promise<Command> {
  const server = await loadServer();
  const command = new Command('up').description('Run a log with three witnesses on this machine, to see how it works');
  return addSettings(command, server, SHOWN)
    .option('--witness-port <n>', `first of the witnesses' ${WITNESSES} ports; 0 takes free ones`, port, FIRST_PORT)
    .option('--json', 'print what was started as JSON')
    .addHelpText('after', HELP)
    .action((options: UpOptions) => up(command, server, options));
}

async function up(command: Command, server: ServerMain, options: UpOptions): Promise<void> {
  const config = configOf(command, server);
  if (config.policy !== undefined) {
    const why = '`stele up` writes the policy of its own three witnesses: for a log with another one use `stele serve`';
    throw new ClientError('usage', why);
  }
  const prepared = await prepare(config, options.witnessPort);
  const witnesses = prepared.witnesses.map((witness) => child(witness.name, witnessArgs(witness)));
  const log = child<LogAnnounced>('log', ['serve', ...flagsOf(command, server), '--policy', prepared.policy]);
  const all = [log, ...witnesses];
  const stopping = stopSignals((status) => {
    for (const one of all) one.kill();
    process.exit(status);
  });
  try {
    // Whoever is told to stop while all this starts does not wait for it.
    const early = stopping.then((why): never => {
      throw new ClientError('cancelled', `${why} while starting`);
    });
    early.catch(() => {});
    await Promise.race([Promise.all(witnesses.map((witness) => witness.start())), early]);
    const announced = await Promise.race([log.start(), early]);
    const trust = await writeTrust(config, prepared, announced.url);
    announce(options.json, announced, prepared, trust, config.data);
    note(`${await stopping}: the log answers what is under way, then all processes end`);
  } finally {
    // The log first: what it still has to publish needs the witnesses.
    await log.stop(LOG_GRACE_MS);
    await Promise.all(witnesses.map((witness) => witness.stop(WITNESS_GRACE_MS)));
  }
}

function child<T>(name: string, args: readonly string[]): Child<T> {
  const script = fileURLToPath(workerUrl(import.meta.url, 'main'));
  const write = (line: string) => process.stderr.write(`${line}\n`);
  return new Child<T>({ name, args: [script, ...args, '--json'], write, say: note });
}

function witnessArgs({ keyName, data, logs, port }: PreparedWitness): string[] {
  const settings = { name: keyName, data, logs, 'listen-host': '127.0.0.1', 'listen-port': port, 'admin-port': 0 };
  return ['witness', ...Object.entries(settings).flatMap(([flag, value]) => [`--${flag}`, String(value)])];
}

/** The log's flags as they were given here. */
function flagsOf(command: Command, server: ServerMain): string[] {
  const names = ['config', ...server.SETTINGS.map(({ flag }) => flag)];
  return command.options.flatMap((option) => {
    const name = option.long?.slice(2) ?? '';
    const value: unknown = command.getOptionValue(option.attributeName());
    if (!names.includes(name) || value === undefined) return [];
    return value === true ? [`--${name}`] : [`--${name}`, String(value)];
  });
}

function announce(
  json: boolean | undefined,
  { url, adminUrl, origin, verifierKeys, size, status }: LogAnnounced,
  { witnesses }: Prepared,
  trust: string,
  data: string,
): void {
  const [vkey = ''] = verifierKeys;
  const shown = witnesses.map(({ name, vkey, url, data }) => ({ name, vkey, url, data }));
  print(json, { url, adminUrl, origin, verifierKeys, size, status, witnesses: shown, trust }, [
    `The log "${origin}" listens on ${url} (${size} entries${status === 'open' ? '' : `, ${status}`}); operator's port ${adminUrl}`,
    'Its verifier key, which whoever checks its proofs must know:',
    ...verifierKeys.map((key) => `  ${key}`),
    `Its ${WITNESSES} witnesses, ${THRESHOLD} of which must cosign each checkpoint before it is published:`,
    ...witnesses.map(({ name, url }) => `  ${name}  ${url}`),
    `What others need, also for cosign and sigstore-js: ${trust}`,
    '',
    'Witnesses keep a log from showing different histories to different people. On one machine they show how that works',
    "and protect nobody from this machine's operator, who has all the keys. To change that, let others run `stele witness`",
    `on machines of theirs (docs/witness.md) and add the key above; put their witness lines into a copy of`,
    `${trust}/policy, and start the log with it: stele serve --data ${shellWord(data)} --policy COPY`,
    '',
    ...(status === 'open' ? tryIt(url, vkey, relative('.', join(trust, 'policy'))) : []),
  ]);
}

function port(text: string): number {
  if (/^(0|[1-9][0-9]{0,4})$/.test(text) && Number(text) <= 65_535 - WITNESSES) return Number(text);
  throw new InvalidArgumentError('It is not a port number.');
}
