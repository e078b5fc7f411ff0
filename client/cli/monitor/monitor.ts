/** `stele monitor`: follows logs, and alerts when somebody unexpected signs or when a log lies. */
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { freeSpace } from '../../../merkle/runtime/disk/free-space.ts';
import { usage } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { type SinkSettings, settingsOf, wants } from '../../monitor/alerts/sink.ts';
import type { SinkOptions } from '../../monitor/alerts/sink-options.ts';
import type { MonitorConfig } from '../../monitor/config/types.ts';
import type { OpenMonitorOptions } from '../../monitor/open-monitor.ts';
import type { LogReport, MonitorEvent, OnceReport } from '../../monitor/run.ts';
import type { Alert } from '../../monitor/types.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { followNews, withNews } from '../follow-news.ts';
import { followedDirs } from '../followed-trust.ts';
import { warn } from '../report.ts';
import { onHangUp, stopSignals } from '../signals.ts';
import { addTlsOptions, fetchOf, type TlsOptions } from '../tls-authorities.ts';
import type { TrustOptions } from '../trust-options.ts';
import { monitorAckCommand } from './monitor-ack.ts';
import { monitorLogsCommand } from './monitor-logs.ts';
import { monitorTestCommand } from './monitor-test.ts';

interface MonitorOptions extends Pick<TrustOptions, 'trust'>, TlsOptions {
  readonly config: string;
  readonly once?: boolean;
  readonly fromNow?: boolean;
  readonly fromStart?: boolean;
  readonly json?: boolean;
}

/** Bytes on the disk of the state below which a monitor is not ready: a store of LevelDB may grow by as much at once. */
const MIN_FREE = 64 * 1024 * 1024;

const HELP = `
A first start says where to begin: --from-start looks at every entry of the logs, --from-now at those to come. Both are
for logs without a state alone; a state that is lost or damaged is an error without them.

Exit status with --once: 0 nothing was found, 1 something was found or a log lies, 2 it could not be looked at.
Without --once it runs until SIGTERM or SIGINT. SIGHUP reads the configuration anew. docs/monitor.md describes the configuration.

A configuration without logs takes those of the repository that \`stele trust use\` follows, with their keys and its policy.

Examples:
  stele monitor --config monitor.yaml --from-now
  stele monitor --config monitor.yaml --once
  stele monitor test --config monitor.yaml --bundle app.tgz.sigstore.json
  stele monitor logs --config monitor.yaml > monitor_config.json
  stele monitor ack 1f6d… --until 2027-01-01 --reason 'our release of May, signed by hand'`;

export function monitorCommand(): Command {
  const command = addTlsOptions(new Command('monitor'))
    .description('Follow logs: tell when somebody unexpected signs in your name, or when a log lies')
    .helpCommand(false)
    // A flag after a subcommand belongs to the subcommand.
    .enablePositionalOptions()
    .option('--config <path>', 'configuration file (YAML): logs, rules and sinks', 'monitor.yaml')
    .option('--trust <dir>', 'follow the logs of the repository in this directory (see `stele trust use`)')
    .option('--once', 'look once at what is there now, deliver, and end: for cron and CI')
    .option('--from-now', 'begin with the entries to come, where a log has no state')
    .option('--from-start', 'begin with the first entry, where a log has no state')
    .option('--json', 'print what happens as JSON lines')
    .addHelpText('after', HELP)
    .action((options: MonitorOptions) => monitor(options));
  return command.addCommand(monitorTestCommand()).addCommand(monitorAckCommand()).addCommand(monitorLogsCommand());
}

async function monitor(options: MonitorOptions): Promise<void> {
  if (options.fromNow === true && options.fromStart === true) {
    throw usage('--from-now and --from-start are both given: keep one');
  }
  // Loaded here: the subcommands need neither the monitor nor its server.
  const [{ loadMonitorConfig }, { openMonitor }, { MonitorMetrics }, { ReloadingMonitor }] = await Promise.all([
    import('../../monitor/config/load-monitor.ts'),
    import('../../monitor/open-monitor.ts'),
    import('../../monitor/monitor-metrics.ts'),
    import('../../monitor/reloading.ts'),
  ]);
  const load = () => withAuthorities(loadMonitorConfig(options.config, followedDirs(options)), options.ca);
  const fetch = await fetchOf(options);
  const config = await withNews(load, fetch);
  const out = new Output(config, options.json === true);
  const start = options.fromNow ? 'now' : options.fromStart ? 'start' : undefined;
  const metrics = new MonitorMetrics();
  const opening: OpenMonitorOptions = {
    ...(start !== undefined && { start }),
    once: options.once === true,
    metrics,
    fetch,
    onEvent: (event) => out.event(event),
    onWarning: warn,
    onDelivery: (event) => {
      if (event.kind === 'failed')
        warn(`the sink "${event.sink}" failed (attempt ${event.attempt}): ${printable(event.error.message)}`);
      if (event.kind === 'forgotten')
        warn(`${event.alerts} alerts waited for the sink "${event.sink}", which is no more`);
    },
  };
  const beforeMaking = async () => {
    if (options.once === true || config.metrics === undefined) return;
    const { tryPorts } = await import('../../../merkle/runtime/service/ports.ts');
    await tryPorts([['metrics', config.metrics]]);
  };
  // Later the port is in use: by this process.
  let isFirst = true;
  const open = (next: MonitorConfig) => {
    const checked = isFirst ? { ...opening, beforeMaking } : opening;
    isFirst = false;
    return openMonitor(next, checked);
  };
  const opened = await ReloadingMonitor.open({ config, load, open, metrics, onReload: warn });
  const stopping = new AbortController();
  const stop = stopSignals();
  void stop.then(() => stopping.abort());
  try {
    if (options.once === true) {
      const { monitor: watching, pending } = opened.current;
      process.exitCode = out.once(await watching.once(stopping.signal), pending());
      return;
    }
    const disk = freeSpace(config.state, MIN_FREE);
    metrics.freeBytes('stele_monitor_disk_free_bytes', disk.bytes);
    let refused: string[] = [];
    const server =
      config.metrics &&
      (await (
        await import('../../monitor/metrics-server.ts')
      ).startMetricsServer(
        metrics,
        config.metrics,
        () => [...opened.current.monitor.troubles, ...disk.reasons()],
        () => [...opened.alarms(), ...refused],
      ));
    try {
      out.started(opened.current.monitor.reports, start, server?.url);
      onHangUp(() => opened.reload());
      const news = followNews(config, config.follow.pollMs, fetch, stopping.signal, {
        onNews: () => opened.reload(),
        onState: (sentences) => {
          for (const sentence of sentences) if (!refused.includes(sentence)) warn(sentence);
          refused = sentences;
        },
      });
      await opened.run(stopping.signal);
      stopping.abort();
      await news;
      out.stopped(await stop, opened.current.monitor.reports, opened.current.pending());
    } finally {
      await server?.close();
    }
  } finally {
    await opened.close();
  }
}

/** Checks the servers of sinks by these authorities too, where a sink names none of its own. */
function withAuthorities(config: MonitorConfig, ca: string | undefined): MonitorConfig {
  if (ca === undefined) return config;
  const sinks = config.sinks.map((sink): SinkOptions => {
    const named = sink.type === 'webhook' || sink.type === 'email';
    return named && sink.caFile === undefined ? { ...sink, caFile: ca } : sink;
  });
  return { ...config, sinks };
}

/** Prints what happens: text for people, or one JSON object a line. */
class Output {
  readonly #config: MonitorConfig;
  readonly #json: boolean;
  /** Stderr where a sink writes alerts to stdout, else stdout. */
  readonly #people: NodeJS.WriteStream;
  /** The last printed trouble of each log: only a change is printed. */
  readonly #troubles = new Map<string, string>();
  /** Sinks that write to standard output. */
  readonly #stdout: readonly SinkSettings[];

  constructor(config: MonitorConfig, json: boolean) {
    this.#config = config;
    this.#json = json;
    this.#stdout = config.sinks.filter(({ type }) => type === 'stdout').map(settingsOf);
    this.#people = this.#stdout.length > 0 ? process.stderr : process.stdout;
  }

  started(reports: readonly LogReport[], start: 'now' | 'start' | undefined, metrics: string | undefined): void {
    const { logs, shards, rules, sinks, state } = this.#config;
    const from = (origin: string) => reports.find(({ log }) => log === origin)?.completeThrough;
    this.#print(
      { type: 'started', logs: reports, rules: rules.length, sinks: sinks.map(({ name }) => name), metrics },
      [
        `The monitor follows ${logs.length + shards.length === 1 ? 'one log' : `${logs.length + shards.length} logs`}, with ${counted(rules.length, 'rule')}; its state is in ${state}`,
        ...logs.map(({ origin, location, policy, peers = [] }) => {
          const at = from(origin);
          const where =
            at === undefined ? (start === 'now' ? 'from now on' : 'from its first entry') : `from entry ${at}`;
          const quorum =
            policy?.quorum === undefined ? 'without a quorum of witnesses' : 'with the quorum of its policy';
          return `  ${origin}  ${location}: ${where}, ${quorum}, ${counted(peers.length, 'other view')}`;
        }),
        ...shards.map(
          ({ name, signingConfig, monitorConfig }) => `  ${name}  every log of ${monitorConfig ?? signingConfig}`,
        ),
        `Alerts go to: ${sinks.map(({ name, type }) => `${name} (${type})`).join(', ')}`,
        ...(metrics === undefined ? [] : [`Metrics: ${metrics}/metrics`]),
        '',
      ],
    );
  }

  event(event: MonitorEvent): void {
    const { log } = event;
    if (event.type === 'progress') {
      this.#print(event, [
        `${log}: complete through ${event.through} of ${event.size} (${counted(event.count, 'entry', 'entries')})`,
      ]);
    } else if (event.type === 'alerts') {
      const unseen = event.alerts.filter((alert) => !this.#isPrintedBySink(alert));
      if (unseen.length === 0) return;
      const alerts = unseen.map(({ id, kind, severity, summary, evidence }) => ({
        id,
        kind,
        severity,
        summary,
        evidence,
      }));
      this.#print(
        { ...event, alerts },
        alerts.flatMap(({ id, kind, summary, evidence }) => [
          `${log}: ${kind.toUpperCase()}: ${summary}`,
          `  alert ${id}`,
          ...(evidence === undefined ? [] : [`  evidence: ${calledAs()} verify --evidence ${shellWord(evidence)}`]),
        ]),
      );
    } else if (event.type === 'fault' || event.type === 'peer') {
      const key = event.type === 'peer' ? `${log} ${event.peer}` : log;
      if (this.#troubles.get(key) === event.message) return;
      this.#troubles.set(key, event.message);
      const where = event.type === 'peer' ? `${log}, compared with ${event.peer}` : log;
      this.#print(event, [`${where}: ${printable(event.message)}`]);
    } else if (event.type === 'new') {
      const message = 'is new, and has no checkpoint yet';
      if (this.#troubles.get(log) === message) return;
      this.#troubles.set(log, message);
      this.#print(event, [`${log}: ${message}`]);
    } else if (event.type === 'recovered') {
      this.#troubles.delete(log);
      this.#print(event, [`${log}: is followed again`]);
    } else if (event.type === 'shard') {
      this.#print(event, [`${log}: a log of the configuration, at ${printable(event.location)}, is followed`]);
    }
  }

  /** Whether a sink prints the alert in the same place. */
  #isPrintedBySink(alert: Alert): boolean {
    if (!this.#json && !process.stdout.isTTY) return false;
    return this.#stdout.some((settings) => settings.digestAt === undefined && wants(settings, alert));
  }

  stopped(why: string, reports: readonly LogReport[], pending: number): void {
    const left =
      pending === 0
        ? 'every alert was delivered'
        : `${counted(pending, 'delivery', 'deliveries')} ${pending === 1 ? 'is' : 'are'} queued for the next start`;
    this.#print({ type: 'stopped', why, logs: reports, pending }, [
      `${why}: stopped; ${left}`,
      ...reports.map(complete),
    ]);
  }

  /** Prints the report; returns the exit status. */
  once({ logs, alerts, delivered, problems }: OnceReport, pending: number): number {
    const found = alerts > 0 || logs.some(({ lying }) => lying);
    const failed = logs.some(({ ok }) => !ok) || problems.length > 0 || !delivered;
    const status = found ? 1 : failed ? 2 : 0;
    const verdict = found
      ? `FOUND: ${counted(alerts, 'new alert')}${logs.some(({ lying }) => lying) ? '; a log lies' : ''}`
      : failed
        ? 'NOT LOOKED AT in full'
        : 'nothing was found';
    this.#print({ type: 'report', ok: status === 0, alerts, delivered, pending, logs, problems }, [
      verdict,
      ...logs.map((log) => `${complete(log)}${log.fault === undefined ? '' : `; ${printable(log.fault)}`}`),
      ...problems.map(printable),
      ...(delivered ? [] : [`${counted(pending, 'delivery', 'deliveries')} outstanding, queued for the next run`]),
    ]);
    return status;
  }

  #print(object: object, lines: readonly string[]): void {
    if (this.#json) process.stdout.write(`${JSON.stringify(object)}\n`);
    else this.#people.write(`${lines.join('\n')}\n`);
  }
}

function complete({ log, completeThrough, size }: LogReport): string {
  if (completeThrough === undefined) return `  ${log}: nothing was looked at`;
  return `  ${log}: complete through tree size ${completeThrough}${size === undefined || size === completeThrough ? '' : ` of ${size}`}`;
}
