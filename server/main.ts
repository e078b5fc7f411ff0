/** Starts a log as a server. The command line loads this file, which also exports the operator's commands. */
import { createSecureContext } from 'node:tls';
import { decodeUtf8 } from '../merkle/bytes.ts';
import { readFileIfThere } from '../merkle/runtime/disk/files.ts';
import { failure } from '../merkle/runtime/service/ends.ts';
import { type Logger, makeLogger } from '../merkle/runtime/service/logger.ts';
import { drainApp, openPorts } from '../merkle/runtime/service/ports.ts';
import type { Config } from './config/load.ts';
import { ServerError } from './errors.ts';
import { createAdminApp } from './http/admin.ts';
import { createApp } from './http/http.ts';
import { openLog } from './open.ts';

export { loadConfig, SETTINGS } from './config/load.ts';
export { readIdentity } from './dir/identity.ts';
export { type CheckOptions, type CheckReport, checkDir as checkLog } from './tools/check.ts';
export { backupLog, type CommandOptions, exportLog, freezeLog } from './tools/commands.ts';
export { type RestoreOptions, restore as restoreLog } from './tools/restore.ts';

/** Longest file with a certificate chain or a key, in bytes. */
const MAX_PEM = 1024 * 1024;

const DRAIN_MS = 30_000;

/** A running server, for the command line to print and to stop. */
export interface Server {
  /** Where it listens, as `http://localhost:3000`. */
  readonly url: string;
  /** Where others reach it, if that is configured. */
  readonly publicUrl: string | undefined;
  readonly adminUrl: string;
  readonly origin: string;
  /** The log's own verifier key first. */
  readonly verifierKeys: readonly string[];
  readonly size: number;
  readonly status: string;
  /** Rejects where the log cannot go on. The process should then end with an error. */
  readonly failed: Promise<never>;
  readonly logger: Logger;
  /** Takes no new requests, answers those under way, and closes. */
  close(): Promise<void>;
}

export interface ServeOptions {
  readonly config: Config;
  /** Milliseconds that a shutdown waits for the replies under way on each port. */
  readonly drainMs?: number;
  /** File with a checkpoint of the log: it does not start with less, nor with another tree. */
  readonly atLeast?: string | undefined;
}

/** Starts the log of `config` on its public and its admin port. Throws `ServerError` and `RuntimeError`. */
export async function serve({ config, drainMs = DRAIN_MS, atLeast }: ServeOptions): Promise<Server> {
  const logger = makeLogger(config.log);
  const { failed, fail } = failure();
  const opened = await openLog({ config, logger, onFatal: fail, atLeast });
  const { log, metrics, lock, adminToken } = opened;
  try {
    const tls = config.tls && (await readTls(config.tls));
    const app = createApp(log, { ...config, tls }, metrics, logger);
    const admin = createAdminApp(
      log,
      { token: adminToken, hosts: [config.admin.host, ...config.admin.hosts] },
      metrics,
      logger,
    );
    const { url, adminUrl } = await openPorts(
      { public: { app, at: config.listen, tls: tls !== undefined }, admin: { app: admin, at: config.admin } },
      lock,
    );
    const { origin, verifierKeys, status } = log.info;
    return {
      url,
      publicUrl: config.publicUrl,
      adminUrl,
      origin,
      verifierKeys,
      size: log.publishedSize,
      status,
      failed,
      logger,
      close: async () => {
        await Promise.all([drainApp(app, drainMs), log.drain()]);
        // A freeze may wait for witnesses or a token without end. It continues at the next start.
        await drainApp(admin, drainMs);
        await opened.close();
        logger.info({}, 'closed');
      },
    };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** Checks the files here: the messages of OpenSSL would name no file. */
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
