/** Starts a witness as a server. The command line loads this file, and with it the operator's commands. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { createAdminApp } from './admin.ts';
import type { Config } from './config.ts';
import { WitnessError } from './errors.ts';
import { createApp } from './http.ts';
import { listLogs } from './listing.ts';
import { openWitness } from './open.ts';
import { Poller } from './poll.ts';

export { defaultText, placeholder } from '../merkle/runtime/config/settings.ts';
export { addLog, checkEvidence, disableLog, type EvidenceReport, listKnownLogs } from './commands.ts';
export { type Config, loadConfig, SETTINGS } from './config.ts';
export type { Listing } from './listing.ts';

/** How long a shutdown waits for the replies under way, in milliseconds. */
const DRAIN_MS = 10_000;

/** A running witness, for the command line to print and to stop. */
export interface WitnessServer {
  /** Where logs reach it, as `http://localhost:3100`. */
  readonly url: string;
  readonly adminUrl: string;
  readonly name: string;
  /** One of type 4, one of type 6, or both. */
  readonly verifierKeys: readonly string[];
  /** How many logs are witnessed. */
  readonly logs: number;
  /** Rejects where the witness cannot go on; the process should then end with an error. */
  readonly failed: Promise<never>;
  /** Takes no new requests, answers those under way, and closes. */
  close(): Promise<void>;
}

/** Starts the witness of `config` on its public and its admin port. Throws `WitnessError` and `RuntimeError`. */
export async function serveWitness({ config }: { readonly config: Config }): Promise<WitnessServer> {
  const logger = pino({ level: config.log.level }, pino.destination({ fd: 2, sync: false }));
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const opened = await openWitness({ config, logger, onFatal: fail });
  const { witness, logs, store, metrics, lock, adminToken, verifierKeys } = opened;
  const apps: FastifyInstance[] = [];
  let poller: Poller | undefined;
  try {
    const app = createApp(witness, httpOptions(config), metrics, logger);
    apps.push(app);
    const list = () => listLogs(logs, store.current);
    const admin = createAdminApp(witness, logs, { token: adminToken, list }, metrics, logger);
    apps.push(admin);
    await listen(admin, config.admin, 'admin');
    await listen(app, config.listen, 'listen');
    const adminUrl = urlOf(admin, config.admin.host);
    await lock.announce({ admin: adminUrl });
    if (config.poll > 0) poller = new Poller({ witness, logs, intervalMs: config.poll, metrics, logger });
    return {
      url: urlOf(app, config.listen.host),
      adminUrl,
      name: config.name,
      verifierKeys,
      logs: logs.count,
      failed,
      close: async () => {
        const late = setTimeout(() => app.server.closeAllConnections(), DRAIN_MS);
        await Promise.all([app.close(), poller?.close()]);
        clearTimeout(late);
        await admin.close();
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

function httpOptions({ limits, rateLimit, trustProxy }: Config) {
  return {
    bodyBytes: limits.bodyBytes,
    connections: limits.connections,
    requestTimeoutMs: limits.requestTimeout,
    perAddress: rateLimit.perAddress,
    windowMs: rateLimit.window,
    trustProxy,
  };
}

async function listen(app: FastifyInstance, { host, port }: { host: string; port: number }, setting: string) {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'EADDRINUSE' ? 'another program listens there' : code === 'EACCES' ? 'it is not allowed' : String(code);
    throw new WitnessError(
      'config',
      `cannot listen on ${host}:${port}: ${why}. Stop the other program, or set \`${setting}.port\`.`,
    );
  }
}

function urlOf(app: FastifyInstance, host: string): string {
  const { port } = app.server.address() as AddressInfo;
  const loopback = ['127.0.0.1', '::1', '0.0.0.0', '::'].includes(host);
  return `http://${loopback ? 'localhost' : host.includes(':') ? `[${host}]` : host}:${port}`;
}
