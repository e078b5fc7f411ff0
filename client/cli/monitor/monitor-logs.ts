/** `stele monitor logs`: the logs of a monitor, for other monitors. */
import { Command } from 'commander';
import type { FollowedLog } from '../../follow/types.ts';
import { formatMonitoredLogs } from '../../trust/monitor-config.ts';
import { followedDirs } from '../followed-trust.ts';
import { note, warn } from '../report.ts';
import { addTlsOptions, fetchOf, type TlsOptions } from '../tls-authorities.ts';

const HELP = `
Prints a MonitorConfig (sigstore/protobuf-specs) in JSON: where each log is read, its origin, and version 2 of Rekor's API. The
logs of "shards" are those that their configurations name now. Keys are not in it: give the trusted root as well.

Exit status: 0 printed, 1 a configuration could not be fetched, 2 it could not be tried.

Examples:
  stele monitor logs --config monitor.yaml > monitor_config.json`;

export function monitorLogsCommand(): Command {
  const command = new Command('logs')
    .description('Print the logs of a monitor as a monitor configuration of Sigstore')
    .option('--config <path>', "the monitor's configuration", 'monitor.yaml');
  return addTlsOptions(command).addHelpText('after', HELP).action(printLogs);
}

async function printLogs(options: TlsOptions & { readonly config: string }): Promise<void> {
  const [{ loadMonitorConfig }, { readShards }, { readLocation }] = await Promise.all([
    import('../../monitor/config/load-monitor.ts'),
    import('../../follow/shards.ts'),
    import('../../follow/store/read-location.ts'),
  ]);
  const { logs, shards } = loadMonitorConfig(options.config, followedDirs({}));
  const fetch = await fetchOf(options);
  const all: FollowedLog[] = [...logs];
  for (const source of shards) {
    const read: typeof readLocation = (location, limit, signal) => readLocation(location, limit, signal, fetch);
    const found = await readShards(source, read, Date.now());
    for (const why of found.unknown) warn(why);
    all.push(...found.logs);
  }
  const served = all.filter(({ location }) => /^https?:/.test(location));
  for (const { origin } of all.filter((log) => !served.includes(log)))
    note(`${origin} is read from a directory: left out`);
  const rekorLogs = served.map(({ origin: logOrigin, location }) => ({
    readUrl: location.replace(/\/api\/v2$/, ''),
    logOrigin,
    majorApiVersion: 2,
  }));
  process.stdout.write(formatMonitoredLogs({ rekorLogs, ctLogs: [] }));
}
