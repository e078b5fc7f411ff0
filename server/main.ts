/** Starts a log as a server. The command line loads this file, which also exports the operator's commands. */
import { freeSpace } from '../merkle/runtime/disk/free-space.ts';
import { failure } from '../merkle/runtime/service/ends.ts';
import { ExplorerSite } from '../merkle/runtime/service/explorer-site.ts';
import { type Logger, makeLogger } from '../merkle/runtime/service/logger.ts';
import { Mirror } from '../merkle/runtime/service/mirror.ts';
import { drainApp, openPorts, tryPorts } from '../merkle/runtime/service/ports.ts';
import type { Reloads } from '../merkle/runtime/service/reloads.ts';
import { ServedTls } from '../merkle/runtime/service/served-tls.ts';
import { readTls } from '../merkle/runtime/service/tls-files.ts';
import { type Config, SETTINGS } from './config/load.ts';
import { createAdminApp } from './http/admin.ts';
import { createApp } from './http/http.ts';
import { checkAccess, LogAccess } from './http/log-access.ts';
import { logReloads } from './reload.ts';
import { type ShardInfo, Shards } from './shards/shards.ts';

export { loadConfig, SETTINGS } from './config/load.ts';
export { readIdentity } from './dir/identity.ts';
export { listShards, openShard, prepareShard, witnessesKnow } from './shards/shard-commands.ts';
export type { ShardOrder } from './shards/shard-order.ts';
export { checkShardUrl } from './shards/shard-record.ts';
export type { ShardInfo } from './shards/shards.ts';
export type { WitnessesKnow } from './shards/witnesses-know.ts';
export type { CheckOptions, CheckReport } from './tools/check.ts';
export { checkLog } from './tools/check-shards.ts';
export { backupLog, type CommandOptions, exportLog, freezeLog } from './tools/commands.ts';
export { type RestoreOptions, restore as restoreLog } from './tools/restore.ts';

const DRAIN_MS = 30_000;

/** A running server, for the command line to print and to stop. */
export interface Server {
  /** Where it listens, as `http://localhost:3000`. */
  readonly url: string;
  /** Where others reach it, if that is configured. */
  readonly publicUrl: string | undefined;
  readonly adminUrl: string;
  /** Of the newest shard that has begun; so are the verifier keys, the public URL, the size and the status. */
  readonly origin: string;
  /** The log's own verifier key first. */
  readonly verifierKeys: readonly string[];
  readonly size: number;
  readonly status: string;
  /** Every shard, the first one first. */
  readonly shards: readonly ShardInfo[];
  /** Rejects where the log cannot go on. The process should then end with an error. */
  readonly failed: Promise<never>;
  readonly logger: Logger;
  /** Reads TLS files, policy and limits anew. Never rejects: what is wrong is logged, and stays an alarm. */
  reload(): Promise<void>;
  /** Takes no new requests, answers those under way, and closes. */
  close(): Promise<void>;
}

export interface ServeOptions {
  readonly config: Config;
  /** Reads the configuration of a reload; by default it is the one of the start. */
  readonly reread?: () => Config;
  /** Milliseconds that a shutdown waits for the replies under way on each port. */
  readonly drainMs?: number;
  /** File with a checkpoint of the log: it does not start with less, nor with another tree. */
  readonly atLeast?: string | undefined;
}

/** Starts the log of `config` on its public and its admin port. Throws `ServerError` and `RuntimeError`. */
export async function serve({
  config,
  reread = () => config,
  drainMs = DRAIN_MS,
  atLeast,
}: ServeOptions): Promise<Server> {
  const logger = makeLogger(config.log);
  const { failed, fail } = failure();
  let reloads: Reloads | undefined;
  const askClients = config.identity !== undefined;
  const tls = config.tls && (await ServedTls.open(config.tls, { logger, askClients, reloads: () => reloads }));
  const shards = await Shards.open({
    config,
    logger,
    onFatal: fail,
    atLeast,
    beforeMaking: () => tryAll(config),
  }).catch(async (error: unknown) => {
    await tls?.close();
    throw error;
  });
  const { log, metrics, lock, adminToken } = shards.first;
  let access: LogAccess | undefined;
  try {
    const { identity } = config;
    access = identity && (await LogAccess.open({ ...config, identity }, log.info.origin, logger));
    const { writers } = access ?? {};
    const mirror = config.trust.directory === undefined ? undefined : new Mirror(config.trust.directory);
    const { directory } = config.explorer;
    const page = directory === undefined ? undefined : new ExplorerSite(directory);
    const http = { ...config, tls: tls?.pair, mirror, page, writers };
    const app = createApp(log, http, metrics, logger, shards);
    tls?.serve(app.server);
    const used: Reloads = logReloads({
      config,
      settings: SETTINGS,
      reread,
      http,
      metrics,
      opened: () => shards.opened,
      inTurn: (step) => shards.inTurn(step),
      onChange: (used) => {
        shards.config = used;
      },
      port: tls,
      access,
      logger,
    });
    reloads = used;
    if (tls?.problem() !== undefined) {
      logger.warn({ ...tls.facts }, 'the TLS certificate is not valid any more: clients refuse it');
    }
    if (tls !== undefined) metrics.certificateEnd = () => Date.parse(tls.facts.notAfter) / 1000;
    const hosts = [config.admin.host, ...config.admin.hosts];
    const alarms = () => [
      ...used.alarms(),
      ...unpublished(mirror),
      ...unusable(page),
      ...(access?.alarms() ?? []),
      ...shards.first.outgoingProblems(),
    ];
    const disk = freeSpace(config.data, config.readiness.minFree, 'readiness.minFree');
    metrics.diskFree = disk.bytes;
    const secure = config.admin.tls ? { gate: access?.gate, tls: tls?.pair } : {};
    const options = { token: adminToken, ...secure, hosts, alarms, notReady: disk.reasons };
    const admin = createAdminApp(shards, options, metrics, logger);
    if (config.admin.tls) tls?.serve(admin.server);
    const { url, adminUrl } = await openPorts(
      {
        public: { app, at: config.listen, tls: tls !== undefined },
        admin: { app: admin, at: config.admin, tls: config.admin.tls },
      },
      lock,
    );
    const { log: active, publicUrl } = shards.active;
    const { origin, verifierKeys, status } = active.info;
    return {
      url,
      publicUrl,
      adminUrl,
      origin,
      verifierKeys,
      size: active.publishedSize,
      status,
      shards: shards.list(),
      failed,
      logger,
      reload: () => used.request(),
      close: async () => {
        await tls?.close();
        await used.close();
        await Promise.all([drainApp(app, drainMs), shards.drain()]);
        // A freeze may wait for witnesses or a token without end. It continues at the next start.
        await drainApp(admin, drainMs);
        await access?.close();
        await shards.close();
        logger.info({}, 'closed');
      },
    };
  } catch (error) {
    await tls?.close();
    await access?.close();
    await shards.close();
    throw error;
  }
}

/**
 * Reads and checks what a start of the log of `config` needs, as `serve` does, and makes nothing: for a program that makes
 * things of its own before the log starts. Throws what `serve` throws.
 */
export async function checkStart(config: Config): Promise<void> {
  const logger = makeLogger({ level: 'silent' });
  if (config.tls !== undefined && config.tls.workloadApi === undefined) await readTls(config.tls);
  const checked = new Error('everything was checked');
  const beforeMaking = async () => {
    await tryAll(config);
    throw checked;
  };
  await Shards.open({ config, logger, onFatal: () => {}, beforeMaking }).catch((error: unknown) => {
    if (error !== checked) throw error;
  });
}

/** What a start checks before it makes anything. */
async function tryAll(config: Config): Promise<void> {
  if (config.identity !== undefined) await checkAccess(config.identity);
  await tryPorts(portsOf(config));
}

/** What needs the operator where nobody can follow the repository that `trust.directory` names. */
function unpublished(mirror: Mirror | undefined): string[] {
  const problem = mirror?.problem();
  return problem === undefined ? [] : [`\`trust.directory\` has nothing to serve: ${problem}`];
}

/** What needs the operator where the page that `explorer.directory` names shows nothing. */
function unusable(page: ExplorerSite | undefined): string[] {
  const problem = page?.problem();
  return problem === undefined ? [] : [`\`explorer.directory\` has no page to serve: ${problem}`];
}

function portsOf({ listen, admin }: Config): Parameters<typeof tryPorts>[0] {
  return [
    ['listen', listen],
    ['admin', admin],
  ];
}
