/** `stele up`: runs a log and three witnesses on this machine as child processes, until a signal ends it. */
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { isLoopback } from '../../../merkle/loopback.ts';
import { formatVerifierKey } from '../../../merkle/note.ts';
import { isThere } from '../../../merkle/runtime/disk/files.ts';
import { type Address, tryPorts } from '../../../merkle/runtime/service/ports.ts';
import { workerUrl } from '../../../merkle/runtime/threads/pool.ts';
import { ClientError, usage } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { note, print } from '../report.ts';
import type { ShardInfo } from '../rotate/described-shards.ts';
import { addSettings, configOf, loadServer, type ServerMain } from '../settings-flags.ts';
import { onHangUp, stopSignals } from '../signals.ts';
import { tryIt } from '../try-it.ts';
import { placeOf } from '../where.ts';
import { Child } from './child.ts';
import {
  checkWitnesses,
  type Prepared,
  type PreparedWitness,
  prepare,
  THRESHOLD,
  WITNESSES,
  writeTrust,
} from './prepare.ts';
import {
  explorerDir,
  type IndexPorts,
  indexAddresses,
  indexPorts,
  prepareIndex,
  type ShownLog,
  usablePorts,
  writeUpExplorer,
} from './up-index.ts';
import { type PreparedMap, prepareMap } from './up-map.ts';
import { checkUpTrust, publishUpTrust, type UpTrust, upTrustDir, upTrustKey } from './up-trust.ts';

/** What `--help` lists of the settings; all of `stele serve` are taken and go to the log. */
const SHOWN = ['origin', 'data', 'listen-host', 'listen-port', 'admin-port', 'log-level'];
/** Apart from 3100 and 3101, the ports of a witness with its defaults. */
const FIRST_PORT = 3111;
/** A log for trying is called so unless it has a name. */
const ORIGIN = 'localhost';
/** A log answers the requests under way for half a minute at most; a witness has a single request to end. */
const LOG_GRACE_MS = 40_000;
const WITNESS_GRACE_MS = 10_000;
/** A monitor stores its position; the next start makes the deliveries under way again. */
const MONITOR_GRACE_MS = 10_000;
/** How often root and targets of the TUF repository are looked at. */
const RENEW_MS = 12 * 3_600_000;
/** A refresh that is cut off goes on at the next start. */
const REFRESHER_GRACE_MS = 10_000;
const METRICS_PORT = 9464;
/** Of the index; behind it those of its operator, its output log and its rebuilder. */
const INDEX_PORT = 3400;
/** An index keeps what it has read; the next start goes on from there. */
const INDEX_GRACE_MS = 10_000;

const HELP = `
Every setting of \`stele serve\` is taken too, as a flag, in the file or in a STELE_… variable, and goes to the log.
An index follows the log, so that \`stele search\` and the page at /explorer/ find entries; its configuration is index.yaml in the data
directory. With --monitor a monitor follows the log and compares it with what the witnesses saw. Its configuration is monitor.yaml in
the data directory, made at the first start, or FILE.
A process that dies is started again. SIGTERM or SIGINT ends all in order; a second one ends them at once.

Examples:
  stele up
  stele up --monitor
  stele up --data /tmp/try --listen-port 0 --admin-port 0 --witness-port 0`;

interface LogAnnounced {
  readonly url: string;
  /** Where others reach it, if that is configured. */
  readonly publicUrl?: string;
  readonly adminUrl: string;
  readonly origin: string;
  readonly verifierKeys: readonly string[];
  readonly size: number;
  readonly status: string;
}

interface MonitorAnnounced {
  /** URL of its metrics, where they are served. */
  readonly metrics?: string;
}

interface RunningMonitor extends MonitorAnnounced {
  readonly config: string;
}

/** Of the index, for the output. */
interface RunningIndex {
  readonly url: string;
  readonly adminUrl: string;
  readonly config: string;
  /** Of the log, or of each of its shards. */
  readonly outputLogs: readonly OutputLog[];
}

interface OutputLog extends Pick<PreparedMap, 'origin' | 'url' | 'policy' | 'rebuilders'> {
  /** The log that is indexed. */
  readonly log: { readonly origin: string; readonly url: string };
}

interface UpOptions {
  readonly witnessPort: number;
  readonly index: boolean;
  readonly indexPort: number;
  readonly monitor?: string | true;
  readonly json?: boolean;
}

export async function upCommand(): Promise<Command> {
  const server = await loadServer();
  const command = new Command('up').description('Run a log with three witnesses on this machine, to see how it works');
  return addSettings(command, server, SHOWN)
    .option('--witness-port <n>', `first of the witnesses' ${WITNESSES} ports; 0 takes free ones`, port, FIRST_PORT)
    .option(
      '--index-port <n>',
      "first of the index's ports, four and two for each later shard; 0 takes free ones",
      port,
      INDEX_PORT,
    )
    .option('--no-index', 'run no index, so that nothing can be searched')
    .option('--monitor [file]', 'run a monitor too')
    .option('--json', 'print what was started as JSON')
    .addHelpText('after', HELP)
    .action((options: UpOptions) => up(command, server, options));
}

async function up(command: Command, server: ServerMain, options: UpOptions): Promise<void> {
  const given = configOf(command, server);
  const origin = given.origin ?? (await server.readIdentity(given.data))?.origin ?? ORIGIN;
  const config = { ...given, origin };
  if (config.policy !== undefined) {
    const why = '`stele up` writes the policy of its own three witnesses: for a log with another one use `stele serve`';
    throw usage(why);
  }
  // A mistake must leave nothing behind: what is made now, such as the key, is never changed later.
  await server.checkStart(config);
  const later = options.index ? await laterShards(server, config) : [];
  await checkParts(config, options, 1 + later.length);
  const prepared = await prepare(config, options.witnessPort);
  // Its lines stand behind the name of the process, where JSON would be of use to no program.
  const format = ['--log-format', config.log.format === 'auto' ? 'pretty' : config.log.format];
  const ports = options.index ? await usablePorts(portsOf(options, 1 + later.length)) : undefined;
  const mapped = [{ origin, verifierKeys: prepared.logKeys.map(formatVerifierKey) }, ...later];
  const maps: PreparedMap[] = [];
  for (const [at, one] of (ports?.maps ?? []).entries()) {
    maps.push(await prepareMap(mapped[at]!, at + 1, config.data, prepared, one));
  }
  const witnesses = prepared.witnesses.map((witness) => child(witness.name, [...witnessArgs(witness), ...format]));
  // Those who have a repository of their own name it in the configuration.
  const repository = config.trust.directory === undefined ? upTrustDir(config.data) : undefined;
  const served = repository === undefined ? [] : ['--trust-directory', repository];
  // Those who have a page of their own name it in the configuration.
  const shows = config.explorer.directory === undefined;
  const page = shows ? ['--explorer-directory', explorerDir(config.data)] : [];
  const own = ['--origin', origin, '--policy', prepared.policy, ...served, ...page, ...format];
  const log = child<LogAnnounced>('log', ['serve', ...flagsOf(command, server), ...own]);
  const outputs = maps.map(({ outputLog: { name, args } }) => child(name, [...args, ...format]));
  const all: Pick<Child<unknown>, 'kill' | 'reload'>[] = [log, ...outputs, ...witnesses];
  let rebuilders: readonly Child<unknown>[] = [];
  let monitor: Child<MonitorAnnounced> | undefined;
  let index: Child<Pick<RunningIndex, 'url' | 'adminUrl'>> | undefined;
  let refresher: Child<unknown> | undefined;
  let renewing: NodeJS.Timeout | undefined;
  const stopping = stopSignals((status) => {
    for (const one of all) one.kill();
    process.exit(status);
  });
  try {
    // A signal during the start ends the start at once.
    const early = stopping.then((why): never => {
      throw new ClientError('cancelled', `${why} while starting`);
    });
    early.catch(() => {});
    await Promise.race([Promise.all(witnesses.map((witness) => witness.start())), early]);
    const [running] = await Promise.race([
      Promise.all([log.start(), ...outputs.map((output) => output.start())] as const),
      early,
    ]);
    const first = config.publicUrl ?? running.url;
    const shards = await shardsOf(server, config, first);
    const active = shards.findLast(({ status }) => status !== 'prepared');
    const announced = active?.url === undefined ? running : { ...running, publicUrl: active.url };
    const trust = await writeTrust(config, prepared, first, shards);
    let published: UpTrust | undefined;
    if (repository !== undefined) {
      published = await publishUpTrust(repository, trust.files, Date.now());
      const key = upTrustKey(repository, 'online');
      refresher = child('trust', [
        'trust',
        'serve',
        repository,
        '--refresh-only',
        '--admin-port',
        '0',
        '--key-file',
        key,
        ...format,
      ]);
      all.push(refresher);
      await Promise.race([refresher.start(), early]);
      renewing = setInterval(() => {
        // Without targets: those of this start may be old by then.
        publishUpTrust(repository, [], Date.now()).catch((error: Error) => {
          note(`root and targets of ${repository} cannot be renewed: ${error.message}`);
        });
      }, RENEW_MS);
    }
    const shown = shownLogs(announced, shards);
    let indexed: RunningIndex | undefined;
    if (ports !== undefined) {
      const file = await prepareIndex(config.data, shown, maps, ports);
      index = child('index', ['index', '--config', file]);
      const pairs = maps.map((map, at) => ({ map, log: shown[at]! }));
      rebuilders = pairs.map(({ map, log }) => {
        const { name, args } = map.rebuilder(log.url);
        return child(name, [...args, ...format]);
      });
      all.push(index, ...rebuilders);
      const starts = [index.start(), ...rebuilders.map((rebuilder) => rebuilder.start())] as const;
      const [started] = await Promise.race([Promise.all(starts), early]);
      const outputLogs = pairs.map(({ map: { origin, url, policy, rebuilders }, log }) => {
        return { log: { origin: log.origin, url: log.url }, origin, url, policy, rebuilders };
      });
      indexed = { ...started, config: file, outputLogs };
    }
    if (shows) await writeUpExplorer(config.data, shown, trust.dir, indexed && { url: indexed.url, maps });
    let monitored: RunningMonitor | undefined;
    if (options.monitor !== undefined) {
      const { file, args } = await monitorArgs(options.monitor, config.data, announced, prepared, options.witnessPort);
      monitor = child<MonitorAnnounced>('monitor', args);
      all.push(monitor);
      monitored = { config: file, ...(await Promise.race([monitor.start(), early])) };
    }
    const pids = witnesses.map(({ pid }) => pid);
    const explorer = shows ? `${announced.publicUrl ?? announced.url}/explorer/` : undefined;
    announce(options.json, announced, prepared, trust.dir, published, pids, config, {
      monitor: monitored,
      index: indexed,
      explorer,
    });
    onHangUp(() => {
      for (const one of all) one.reload();
    });
    note(`${await stopping}: the log answers what is under way, then all processes end`);
  } finally {
    clearInterval(renewing);
    // The monitor first: it would report the others as gone.
    await monitor?.stop(MONITOR_GRACE_MS);
    await Promise.all([index, ...rebuilders].map((one) => one?.stop(INDEX_GRACE_MS)));
    await refresher?.stop(REFRESHER_GRACE_MS);
    // The log before its witnesses: it needs them for its last publication.
    await Promise.all([log, ...outputs].map((one) => one.stop(LOG_GRACE_MS)));
    await Promise.all(witnesses.map((witness) => witness.stop(WITNESS_GRACE_MS)));
  }
}

/** The shards behind the first one that have begun: each has a verifiable index of its own. */
async function laterShards(
  server: ServerMain,
  config: ReturnType<ServerMain['loadConfig']>,
): Promise<readonly ShardInfo[]> {
  if (!(await isThere(join(config.data, 'shards')))) return [];
  const shards = await server.listShards(await quiet(config));
  return shards.slice(1).filter(({ status }) => status !== 'prepared');
}

async function quiet(config: ReturnType<ServerMain['loadConfig']>) {
  const { makeLogger } = await import('../../../merkle/runtime/service/logger.ts');
  return { config, logger: makeLogger({ level: 'warn' }) };
}

/**
 * The shards of a log that was rotated, with the URLs that they have now. Empty for a log that was not. With free ports a shard
 * on this machine has another URL at each start.
 */
async function shardsOf(
  server: ServerMain,
  config: ReturnType<ServerMain['loadConfig']>,
  url: string,
): Promise<readonly ShardInfo[]> {
  if (!(await isThere(join(config.data, 'shards')))) return [];
  const options = await quiet(config);
  const [first, ...further] = await server.listShards(options);
  const { port } = new URL(url);
  const shards = [{ ...first!, url }];
  for (const shard of further) {
    const own = new URL(shard.url!);
    const isMoved = config.publicUrl === undefined && isLoopback(shard.url!) && own.port !== port;
    own.port = port;
    const moved = { origin: shard.origin, url: own.href.replace(/\/$/, '') };
    shards.push({
      ...(isMoved ? await server.prepareShard(options, moved) : shard),
      url: isMoved ? moved.url : shard.url!,
    });
  }
  return shards;
}

/** Checks what the log does not: the ports and the keys of the witnesses, and the monitor's configuration. */
async function checkParts(
  { data, listen, admin, trust }: ReturnType<ServerMain['loadConfig']>,
  options: UpOptions,
  shards: number,
): Promise<void> {
  const { witnessPort, monitor } = options;
  const host = '127.0.0.1';
  const taken = witnessPort === 0 ? [] : Array.from({ length: WITNESSES }, (_, i) => witnessPort + i);
  const witnesses = taken.map((port) => ['--witness-port', { host, port }] as const);
  // All at once: no two of them may be the same.
  const ports = [['listen', listen] as const, ['admin', admin] as const, ...witnesses];
  const metrics = monitor === undefined ? undefined : await metricsOf(data, monitor, witnessPort);
  const index = options.index ? await indexAddresses(data, portsOf(options, shards)) : [];
  await tryPorts([...ports, ...index, ...(metrics === undefined ? [] : [['metrics', metrics] as const])]);
  await checkWitnesses(data);
  if (trust.directory === undefined) await checkUpTrust(upTrustDir(data));
}

/** Where the monitor will serve its metrics. @throws what `loadMonitorConfig` throws for a file that its owner has written */
async function metricsOf(data: string, given: string | true, witnessPort: number): Promise<Address | undefined> {
  const { loadMonitorConfig } = await import('../../monitor/config/load-monitor.ts');
  if (given !== true) return loadMonitorConfig(resolve(given)).metrics;
  if (await isThere(join(data, 'monitor.yaml'))) return undefined;
  return witnessPort === 0 ? undefined : { host: '127.0.0.1', port: METRICS_PORT };
}

/** With free ports for the witnesses, an index whose port nobody has named gets free ones too. */
function portsOf({ indexPort, witnessPort }: UpOptions, shards: number): IndexPorts {
  const free = witnessPort === 0 && indexPort === INDEX_PORT;
  return indexPorts(free ? 0 : indexPort, shards);
}

/** The log, or all of its shards that have begun. */
function shownLogs({ origin, url, verifierKeys }: LogAnnounced, shards: readonly ShardInfo[]): ShownLog[] {
  const begun = shards.filter(({ status }) => status !== 'prepared');
  if (begun.length <= 1) return [{ origin, url, verifierKeys }];
  return begun.map((shard) => ({ origin: shard.origin, url: shard.url!, verifierKeys: shard.verifierKeys }));
}

function child<T>(name: string, args: readonly string[]): Child<T> {
  const script = fileURLToPath(workerUrl('client/cli/main'));
  const write = (line: string) => process.stderr.write(`${line}\n`);
  return new Child<T>({ name, args: [script, ...args, '--json'], write, say: note });
}

function witnessArgs({ keyName, data, logs, port }: PreparedWitness): string[] {
  const settings = { name: keyName, data, logs, 'listen-host': '127.0.0.1', 'listen-port': port, 'admin-port': 0 };
  return ['witness', ...Object.entries(settings).flatMap(([flag, value]) => [`--${flag}`, String(value)])];
}

async function monitorArgs(
  given: string | true,
  data: string,
  { url, origin, verifierKeys }: LogAnnounced,
  { witnesses }: Prepared,
  witnessPort: number,
): Promise<{ file: string; args: string[] }> {
  if (given !== true) return { file: resolve(given), args: ['monitor', '--config', resolve(given)] };
  const { prepareMonitor } = await import('./up-monitor.ts');
  const watched = { origin, url, verifierKeys, witnesses: witnesses.map((witness) => witness.url) };
  // With free ports for the witnesses, the metrics get a free port too.
  const { file, fresh } = await prepareMonitor(data, watched, witnessPort === 0 ? 0 : METRICS_PORT);
  // Only for a fresh monitor: without the flag a later start reports a lost state.
  return { file, args: ['monitor', '--config', file, ...(fresh ? ['--from-start'] : [])] };
}

/** The flags of this command that are settings of the log. */
function flagsOf(command: Command, server: ServerMain): string[] {
  const names = ['config', ...server.SETTINGS.map(({ flag }) => flag)];
  return command.options.flatMap((option) => {
    const name = option.long?.slice(2) ?? '';
    const value: unknown = command.getOptionValue(option.attributeName());
    if (!names.includes(name) || value === undefined) return [];
    return value === true ? [`--${name}`] : [`--${name}`, String(value)];
  });
}

interface BesideLog {
  readonly monitor: RunningMonitor | undefined;
  readonly index: RunningIndex | undefined;
  /** URL of the page. */
  readonly explorer: string | undefined;
}

function announce(
  json: boolean | undefined,
  { url, publicUrl, adminUrl, origin, verifierKeys, size, status }: LogAnnounced,
  prepared: Prepared,
  trust: string,
  repository: UpTrust | undefined,
  pids: readonly (number | undefined)[],
  { data, entries }: { readonly data: string; readonly entries: 'signed' | 'raw' },
  { monitor, index, explorer }: BesideLog,
): void {
  const { witnesses } = prepared;
  const [vkey = ''] = verifierKeys;
  const raw = entries === 'raw';
  const shown = witnesses.map(({ name, vkey, url, data }, at) => ({ name, vkey, url, data, pid: pids[at] }));
  print(
    json,
    {
      url,
      publicUrl,
      adminUrl,
      origin,
      verifierKeys,
      size,
      status,
      witnesses: shown,
      trust,
      ...(repository && { trustRepository: repositoryJson(repository, publicUrl ?? url) }),
      ...(index && { index }),
      ...(explorer !== undefined && { explorer }),
      ...(monitor && { monitor }),
    },
    [
      `The log "${origin}" ${placeOf({ url, publicUrl })} (${counted(size, 'entry', 'entries')}${status === 'open' ? '' : `, ${status}`}); operator's port ${adminUrl}`,
      'Its verifier key, which every verifier of its proofs must know:',
      ...verifierKeys.map((key) => `  ${key}`),
      `Its ${WITNESSES} witnesses, ${THRESHOLD} of which must cosign each checkpoint before it is published:`,
      ...witnesses.map(({ name, url }, at) => `  ${name}  ${url}  process ${pids[at]}`),
      `What others need, also for cosign and sigstore-js: ${trust}`,
      ...(repository ? repositoryLines(repository, publicUrl ?? url, raw) : []),
      ...(index ? indexLines(index, trust) : []),
      ...(explorer === undefined ? [] : [`See the log, and check it in the browser: ${explorer}`]),
      ...(monitor
        ? [`A monitor follows the log by ${monitor.config}${monitor.metrics ? `; metrics: ${monitor.metrics}` : ''}`]
        : []),
      '',
      'Witnesses keep a log from showing different histories to different people. On one machine they show how that works',
      "and protect nobody from this machine's operator, who has all the keys. To change that, let others run a witness",
      `on machines of theirs (docs/witness.md) and add the key above; put their witness lines into a copy of`,
      `${prepared.policy}, and start the log with it: ${calledAs()} serve --data ${shellWord(data)} --policy COPY`,
      '',
      ...(status === 'open'
        ? tryIt(publicUrl ?? url, vkey, {
            policy: relative('.', join(trust, 'policy')),
            raw,
            // Of the shard that takes entries, which is the last one.
            index: index && {
              url: index.url,
              policy: relative('.', index.outputLogs.at(-1)!.policy),
              rebuilders: relative('.', index.outputLogs.at(-1)!.rebuilders),
            },
          })
        : []),
    ],
  );
}

/** How to ask the index, and how to check all of it. */
function indexLines({ url, outputLogs }: RunningIndex, trust: string): string[] {
  const shown = (path: string) => shellWord(relative('.', path));
  return [
    `An index of its entries, which ${calledAs()} search asks: ${url}`,
    ...outputLogs.flatMap(({ log, url, policy }) => [
      `What the index says${outputLogs.length === 1 ? '' : ` of "${log.origin}"`} is committed to an output log, ${url}, and a rebuilder compares it. To compare all of it:`,
      `  ${calledAs()} audit ${log.url} --policy ${shown(join(trust, 'policy'))} --index ${url} --index-policy ${shown(policy)}`,
    ]),
  ];
}

function repositoryJson({ directory, root, rootSha256, rootExpires }: UpTrust, url: string): object {
  return { url: `${url}/trust/`, directory, root, rootSha256, rootExpires: new Date(rootExpires).toISOString() };
}

/** How to follow the repository, and what its keys are worth. */
function repositoryLines({ directory, root, rootSha256, rootExpires }: UpTrust, url: string, raw: boolean): string[] {
  const file = shellWord(relative('.', root));
  return [
    `The same in a TUF repository, at ${url}/trust/: clients that follow it learn of new keys by themselves. Its root (SHA-256`,
    `${rootSha256}):`,
    `  ${calledAs()} trust use ${url}/trust/ --root ${file}`,
    ...(raw ? [] : [`  cosign initialize --mirror ${url}/trust --root ${file}`]),
    `All keys of the repository, that of its root too, are on this machine, in ${relative('.', directory)}/keys: anybody who reads`,
    `them can tell those who follow it to trust something else. The root expires at ${new Date(rootExpires).toISOString()}; this`,
    'command renews it in the last weeks before, while it runs and when it starts.',
  ];
}

function port(text: string): number {
  if (/^(0|[1-9][0-9]{0,4})$/.test(text) && Number(text) <= 65_535 - WITNESSES) return Number(text);
  throw new InvalidArgumentError('It is not a port number.');
}
