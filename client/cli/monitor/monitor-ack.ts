/** `stele monitor ack`: acknowledges an alert, with a name, a date and a reason. */
import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { usage } from '../../errors.ts';
import { type Acknowledgement, acknowledge } from '../../monitor/acks.ts';
import { loadMonitorConfig } from '../../monitor/config/load-monitor.ts';
import { escaped } from '../../monitor/rules/text.ts';
import { AckStore } from '../../monitor/store/ack-store.ts';
import { followedDirs } from '../followed-trust.ts';
import { print, warn } from '../report.ts';

interface Where {
  readonly config?: string;
  readonly state?: string;
  readonly json?: boolean;
}

interface AckOptions extends Where {
  readonly until?: string;
  readonly reason?: string;
  readonly by?: string;
}

const HELP = `
From then on the monitor leaves out alerts of the same rule about the same identity: all names of the certificate, its
issuer, its authority and every extension that is not of a single run, or the key where there is no issuer. A signer that
differs in any of them alerts as before. The acknowledgement ends at the date, in UTC; a running monitor sees it at its
next alert. Alerts about a log itself cannot be acknowledged.

ID is the alert's ID, or its first 8 or more digits.

Examples:
  stele monitor ack 3f2a91c0 --config monitor.yaml --until 2027-01-31 --reason 'release of 1.4 by hand, ticket 812'
  stele monitor ack list --config monitor.yaml
  stele monitor ack remove 3f2a91c0 --state /var/lib/stele-monitor`;

export function monitorAckCommand(): Command {
  const command = new Command('ack')
    .description('Mark an alert as looked at, for that exact identity and until a date')
    .argument('<id>', "the alert's ID")
    .option('--until <date>', 'required: when it ends: 2027-01-31 (the end of that day) or 2027-01-31T12:00:00Z')
    .option('--reason <text>', 'required: why it is all right')
    .option('--by <name>', 'who looked at it (default: the user who runs this)')
    .helpCommand(false)
    .enablePositionalOptions()
    .addHelpText('after', HELP)
    .action(add);
  placed(command);
  command.addCommand(
    placed(new Command('list').description('Show what is acknowledged, and what has expired').action(list)),
  );
  command.addCommand(
    placed(
      new Command('remove')
        .description('Take an acknowledgement back: alerts come again')
        .argument('<id>', "the alert's ID")
        .action(remove),
    ),
  );
  return command;
}

function placed(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--config <path>',
        "the monitor's configuration, which names the state (default: monitor.yaml)",
      ).conflicts('state'),
    )
    .option('--state <dir>', "the monitor's state directory")
    .option('--json', 'print the result as JSON');
}

async function add(id: string, options: AckOptions): Promise<void> {
  const { until, reason } = options;
  // Not commander's required options: the subcommands would require them too.
  if (until === undefined || reason === undefined) {
    throw usage('--until and --reason are missing: an acknowledgement says when it ends, and why');
  }
  const store = storeOf(options);
  const alert = await store.find(id);
  const ack = acknowledge(alert, {
    until,
    reason,
    by: options.by ?? userInfo().username,
    now: Date.now(),
  });
  await store.add(ack);
  print(options.json, { ack }, ['Acknowledged:', ...lines(ack, Date.now())]);
}

async function list(options: Where): Promise<void> {
  const { acks, damaged } = await storeOf(options).list();
  for (const name of damaged) warn(`${name} is not an acknowledgement and has no effect: remove it`);
  const now = Date.now();
  const shown = acks.map((ack) => ({ ...ack, expired: isExpired(ack, now) }));
  print(
    options.json,
    { acks: shown, damaged },
    acks.length === 0 ? ['Nothing is acknowledged.'] : acks.flatMap((ack) => lines(ack, now)),
  );
}

async function remove(id: string, options: Where): Promise<void> {
  const ack = await storeOf(options).remove(id);
  print(options.json, { removed: ack }, [`No longer acknowledged: ${ack.alert}`]);
}

function storeOf({ config, state }: Where): AckStore {
  return new AckStore(
    state === undefined ? loadMonitorConfig(config ?? 'monitor.yaml', followedDirs({})).state : resolve(state),
  );
}

function lines(ack: Acknowledgement, now: number): string[] {
  const who = ack.names.join(', ') || `key ${ack.key ?? 'unknown'}`;
  return [
    ack.alert,
    `  rule    ${escaped(ack.rule)}`,
    `  signer  ${who}${ack.issuer === undefined ? '' : ` (issuer ${ack.issuer})`}`,
    `  entry   ${ack.index} of ${escaped(ack.log)}`,
    `  until   ${ack.until}${isExpired(ack, now) ? ' (expired)' : ''}`,
    `  by      ${escaped(ack.by)}, ${ack.at}`,
    `  reason  ${escaped(ack.reason)}`,
  ];
}

function isExpired({ until }: Acknowledgement, now: number): boolean {
  return Date.parse(until) <= now;
}
