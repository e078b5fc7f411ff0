/** `stele witness`: runs a witness until a signal ends it, and changes the list of its logs. */
import { Command } from 'commander';
import { counted } from '../formats/counted.ts';
import { calledAs, shellWord } from './called-as.ts';
import { verifierKeyText } from './files.ts';
import { print } from './report.ts';
import { addDataSettings, addSettings, configOf } from './settings-flags.ts';
import { onHangUp, stopSignals, untilStopped } from './signals.ts';
import { contradiction } from './verify/verify-evidence.ts';
import { placeOf, warnUnknownUrl } from './where.ts';

type WitnessMain = typeof import('../../witness/main.ts');

const VARIABLE = 'STELE_WITNESS_CONFIG';
/** `--help` of the subcommands lists these settings; the subcommands take all settings. */
const SETTINGS = { service: 'stele witness', shown: ['data', 'logs'], variable: VARIABLE };

const HELP = `
Every setting can also stand in the file or in a STELE_WITNESS_… variable; docs/witness.md describes how to run one.
SIGTERM or SIGINT ends it in order: requests under way are answered first. A second one ends it at once.
SIGHUP reads the list of logs, the lists and the limits anew.

Examples:
  stele witness --name witness.example.com/w1 --data /var/lib/stele-witness --listen-host 0.0.0.0
  stele witness log add 'log.example.com+1a2b3c4d+AbCd…' --data /var/lib/stele-witness
  stele witness --config /etc/stele/witness.yaml --poll 30s
  stele witness --lists-sources https://staging.witness-network.org/log-list-10qps-4klogs.1
  stele witness evidence /var/lib/stele-witness/evidence/0a1b….json`;

interface Facts {
  readonly origin?: string;
  readonly url?: string;
  readonly qpd?: string;
  readonly contact?: string;
}

interface JsonOption {
  readonly json?: boolean;
}

export async function witnessCommand(): Promise<Command> {
  const witness = await import('../../witness/main.ts');
  const command = new Command('witness')
    .description('Run a witness: it cosigns the checkpoints of logs that only ever grow')
    .helpCommand(false)
    // A flag after a subcommand is the subcommand's.
    .enablePositionalOptions();
  addSettings(command, witness, undefined, VARIABLE)
    .option('--accept-clock', "start although the machine's clock does not fit the newest cosignature; it is recorded")
    .option('--json', 'print what was started as JSON')
    .addHelpText('after', HELP)
    .action(() => serve(command, witness));
  command.addCommand(logCommand(witness));
  command.addCommand(evidenceCommand(witness));
  return command;
}

async function serve(command: Command, witness: WitnessMain): Promise<void> {
  const stopping = stopSignals();
  const reread = () => configOf(command, witness);
  const config = reread();
  const acceptClock = command.getOptionValue('acceptClock') === true;
  const running = await witness.serveWitness({ config, acceptClock, reread });
  const { url, publicUrl, adminUrl, name, verifierKeys, logs } = running;
  warnUnknownUrl('witness', name, running);
  const short = /[A-Za-z0-9-]*$/.exec(name)?.[0] || 'w';
  const add = `${calledAs()} witness log add 'LOG+…' --data ${shellWord(config.data)}`;
  print(command.getOptionValue('json') as boolean | undefined, { url, publicUrl, adminUrl, name, verifierKeys, logs }, [
    `The witness "${name}" ${placeOf(running)} (${counted(logs, 'log')}); operator's port ${adminUrl}`,
    verifierKeys.length === 1
      ? 'Its verifier key, which the policies of logs and of their users need:'
      : 'Its verifier keys, of which the policies of logs and of their users need one:',
    ...verifierKeys.map((key) => `  ${key}`),
    ...(publicUrl === undefined
      ? []
      : ['In a policy:', ...verifierKeys.map((key) => `  witness ${short} ${key} ${publicUrl}`)]),
    ...(logs === 0 ? ['', 'It cosigns nothing yet. Add a log by its verifier key:', `  ${add}`] : []),
    '',
  ]);
  onHangUp(() => void running.reload());
  await untilStopped(running, stopping);
}

function logCommand(witness: WitnessMain): Command {
  const log = new Command('log').description('Add, list or disable the logs of a witness').helpCommand(false);
  for (const make of [add, list, disable]) log.addCommand(make(witness));
  return log.addHelpText('after', "\nExamples:\n  stele witness log list\n  stele witness log add 'log.example.com+…'");
}

function add(witness: WitnessMain): Command {
  const command = new Command('add')
    .description('Witness a log, or one more key of it. Takes effect at once, whether the witness is running or not')
    .argument('<vkey>', "the log's verifier key, or a file with it")
    .option('--origin <origin>', "first line of the log's checkpoints (default: the name of the key)")
    .option('--url <url>', 'where the log is read when the witness polls')
    .option('--qpd <number>', 'checkpoints that are cosigned in a day at most (default: no limit)')
    .option('--contact <text>', "how to reach the log's operator, for people");
  return addDataSettings(
    command,
    witness,
    SETTINGS,
    "stele witness log add 'log.example.com+1a2b3c4d+AbCd…' --url https://log.example.com\n  stele witness log add 'sum.golang.org+033de0ae+Ac4z…' --origin 'go.sum database tree' --qpd 86400",
  ).action(async (given: string, options: JsonOption & Facts) => {
    const vkey = await verifierKeyText(given);
    const { url, qpd, contact } = options;
    const { origin } = await witness.addLog(configOf(command, witness), vkey, {
      url,
      origin: options.origin,
      qpd,
      contact,
    });
    print(options.json, { origin, vkey }, [`The log "${origin}" is witnessed.`]);
  });
}

function list(witness: WitnessMain): Command {
  const command = new Command('list').description('Show all logs, with the last size that was cosigned');
  return addDataSettings(command, witness, SETTINGS, 'stele witness log list --json').action(
    async (options: JsonOption) => {
      const { logs, lists } = await witness.listKnownLogs(configOf(command, witness));
      const lines = logs.flatMap(({ origin, state, keys, url, qpd, contact, size, hash }) => [
        `${origin}  ${state}, ${size === undefined ? 'nothing cosigned yet' : `size ${size}`}`,
        ...keys.map((key) => `  key  ${key.length > 200 ? `${key.slice(0, 200)}…` : key}`),
        ...(url === undefined ? [] : [`  url  ${url}`]),
        ...(qpd === undefined ? [] : [`  at most ${qpd} checkpoints a day`]),
        ...(contact === undefined ? [] : [`  contact  ${contact}`]),
        `  path /${hash}/checkpoint`,
      ]);
      const read = lists.map(({ source, state, updated, reason }) => {
        const when = updated === undefined ? '' : `, last applied ${updated}`;
        return `list ${source}  ${state}${when}${reason === undefined ? '' : `\n  ${reason}`}`;
      });
      print(options.json, { logs, lists }, [...(lines.length === 0 ? ['No logs.'] : lines), ...read]);
    },
  );
}

function disable(witness: WitnessMain): Command {
  const command = new Command('disable')
    .description('Cosign a log, or one of its keys, no more. What was cosigned is never forgotten')
    .argument('<log>', "the log's origin, or one of its verifier keys");
  return addDataSettings(command, witness, SETTINGS, 'stele witness log disable log.example.com').action(
    async (log: string, options: JsonOption) => {
      const { disabled } = await witness.disableLog(configOf(command, witness), log);
      print(options.json, { disabled }, [`Disabled: ${disabled.join(', ')}`]);
    },
  );
}

function evidenceCommand(witness: WitnessMain): Command {
  return new Command('evidence')
    .description('Check a file of evidence that a log has shown two histories')
    .argument('<file>', "a file of a witness's directory `evidence`")
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nIt ends with 0 where the evidence holds. Whether the keys are those of the log is for you to compare.\n\nExample:\n  stele witness evidence 0a1b….json',
    )
    .action(async (file: string, options: JsonOption) => {
      const report = await witness.checkEvidence(file);
      const { origin, keys } = report;
      print(options.json, { file, ...report }, [
        `HOLDS: the owner of these keys has signed ${contradiction(report)}, both as "${origin}":`,
        ...keys.map((key) => `  ${key}`),
      ]);
    });
}
