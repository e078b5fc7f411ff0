/** Starts a log as a server. The command line loads this file, and with it the operator's commands. */
import type { AddressInfo } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { decodeUtf8 } from '../merkle/bytes.ts';
import { readFileIfThere } from '../merkle/runtime/disk/files.ts';
import type { Config } from './config/load.ts';
import { ServerError } from './errors.ts';
import { createAdminApp, createApp } from './http/app.ts';
import { openLog } from './open.ts';

export { loadConfig } from './config/load.ts';
export { defaultText, placeholder, SETTINGS } from './config/settings.ts';
export { type CheckOptions, type CheckReport, checkDir as checkLog } from './tools/check.ts';
export { backupLog, type CommandOptions, exportLog, freezeLog } from './tools/commands.ts';
export { type RestoreOptions, restore as restoreLog } from './tools/restore.ts';

/** A chain of certificates, and a key, in bytes. */
const MAX_PEM = 1024 * 1024;

const DRAIN_MS = 30_000;

/** A running server, for the command line to print and to stop. */
export interface Server {
  /** Where clients reach it, as `http://localhost:3000`. */
  readonly url: string;
  readonly adminUrl: string;
  readonly origin: string;
  /** The log's own verifier key first. */
  readonly verifierKeys: readonly string[];
  readonly size: number;
  readonly status: string;
  /** Rejects where the log cannot go on; the process should then end with an error. */
  readonly failed: Promise<never>;
  /** Takes no new requests, answers those under way, and closes. */
  close(): Promise<void>;
}

export interface ServeOptions {
  readonly config: Config;
  /** How long a shutdown waits for the replies under way on each port, in milliseconds. */
  readonly drainMs?: number;
}

/** Starts the log of `config` on its public and its admin port. Throws `ServerError` and `RuntimeError`. */
export async function serve({ config, drainMs = DRAIN_MS }: ServeOptions): Promise<Server> {
  const logger = pino({ level: config.log.level }, pino.destination({ fd: 2, sync: false }));
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const opened = await openLog({ config, logger, onFatal: fail });
  const { log, metrics, lock, adminToken } = opened;
  const apps: FastifyInstance[] = [];
  try {
    const app = createApp(log, await httpOptions(config), metrics, logger);
    apps.push(app);
    const admin = createAdminApp(log, { token: adminToken }, metrics, logger);
    apps.push(admin);
    await listen(admin, config.admin, 'admin');
    await listen(app, config.listen, 'listen');
    const url = urlOf(app, config.listen.host, config.tls !== undefined);
    const adminUrl = urlOf(admin, config.admin.host, false);
    await lock.announce({ admin: adminUrl });
    const { origin, verifierKeys, status } = log.info;
    return {
      url,
      adminUrl,
      origin,
      verifierKeys,
      size: log.publishedSize,
      status,
      failed,
      close: async () => {
        await Promise.all([closeApp(app, drainMs), log.drain()]);
        // A freeze under way may wait for witnesses or a token without end, and goes on at the next start.
        await closeApp(admin, drainMs);
        await opened.close();
        logger.info({}, 'closed');
      },
    };
  } catch (error) {
    await Promise.allSettled(apps.map((app) => app.close()));
    await opened.close();
    throw error;
  }
}

/** Waits for the replies under way, but not for ever. */
async function closeApp(app: FastifyInstance, drainMs: number): Promise<void> {
  const late = setTimeout(() => app.server.closeAllConnections(), drainMs);
  await app.close();
  clearTimeout(late);
}

async function httpOptions(config: Config) {
  const { limits } = config;
  return {
    bodyBytes: limits.bodyBytes,
    bodiesBytes: limits.bodiesBytes,
    compressedBytes: limits.compressedBytes,
    replyTimeoutMs: limits.replyTimeout,
    headerBytes: limits.headerBytes,
    urlBytes: limits.urlBytes,
    connections: limits.connections,
    requestTimeoutMs: limits.requestTimeout,
    headersTimeoutMs: limits.headersTimeout,
    keepAliveTimeoutMs: limits.keepAliveTimeout,
    bulkItems: limits.bulkItems,
    rateLimit:
      config.rateLimit.max === 0 ? undefined : { max: config.rateLimit.max, windowMs: config.rateLimit.window },
    trustProxy: config.trustProxy.length === 0 ? false : config.trustProxy,
    duplicates: config.duplicates,
    retryAfterSeconds: Math.ceil(config.retryAfter / 1000),
    tls: config.tls === undefined ? undefined : await readTls(config.tls),
    requestLog: config.log.requests,
  };
}

/** Tried here: the server would fail with OpenSSL's words, which name no file. */
async function readTls(files: { readonly cert: string; readonly key: string }): Promise<{ cert: string; key: string }> {
  const cert = await readPem(files.cert);
  const key = await readPem(files.key);
  const usable = (pair: { readonly cert?: string; readonly key?: string }) => {
    try {
      createSecureContext(pair);
      return true;
    } catch {
      return false;
    }
  };
  if (!usable({ cert }))
    throw new ServerError('config', `\`tls.cert\`: ${files.cert} is not a certificate chain in PEM.`);
  if (!usable({ key })) {
    throw new ServerError('config', `\`tls.key\`: ${files.key} is not a private key in PEM without a passphrase.`);
  }
  if (!usable({ cert, key })) {
    throw new ServerError('config', `the key in ${files.key} is not the one of the certificate in ${files.cert}.`);
  }
  return { cert, key };
}

async function readPem(file: string): Promise<string> {
  const bytes = await readFileIfThere(file, MAX_PEM);
  if (bytes === undefined) throw new ServerError('config', `the TLS file ${file} is not there.`);
  return decodeUtf8(bytes);
}

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there. Stop it, or set `SETTING.port`.',
  EACCES: 'this user may not take that port. Set `SETTING.port` to 1024 or more, or give the right to it.',
  EADDRNOTAVAIL: 'this machine does not have that address. Set `SETTING.host`.',
  ENOTFOUND: 'there is no host of that name. Set `SETTING.host` to an address of this machine.',
};

async function listen(app: FastifyInstance, { host, port }: { host: string; port: number }, setting: string) {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = LISTEN_ERRORS[String(code)] ?? `${code}. Look at \`SETTING.host\` and \`SETTING.port\`.`;
    throw new ServerError('config', `cannot listen on ${host}:${port}: ${why.replaceAll('SETTING', setting)}`);
  }
}

function urlOf(app: FastifyInstance, host: string, tls: boolean): string {
  const { port } = app.server.address() as AddressInfo;
  const loopback = ['127.0.0.1', '::1', '0.0.0.0', '::'].includes(host);
  const name = loopback ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `${tls ? 'https' : 'http'}://${name}:${port}`;
}
