/** The monitor's HTTP server, for scrapers and probes: reading only, and on loopback by default. */
import { RouteError, serveRoutes, textAnswer } from '../../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../merkle/runtime/service/http-server.ts';
import { type Address, listen } from '../../merkle/runtime/service/ports.ts';
import { probeRoutes } from '../../merkle/runtime/service/probes.ts';
import type { MonitorMetrics } from './monitor-metrics.ts';

const LIMITS = {
  headerBytes: 16 * 1024,
  connections: 64,
  requestTimeout: 10_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 10_000,
  replyTimeout: 30_000,
};
const STATUS = { timeout: 408, 'headers-too-large': 431, malformed: 400 };
const FRESH = { 'cache-control': 'no-store' };

export interface MetricsServer {
  /** Such as http://localhost:9464. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves `GET /metrics`, `/healthz` and `/readyz`.
 *
 * @param notReady why the monitor does not do its work, one sentence a reason; empty where it does
 * @throws RuntimeError `config` where the port cannot be taken
 */
export async function startMetricsServer(
  metrics: MonitorMetrics,
  address: Address,
  notReady: () => readonly string[],
): Promise<MetricsServer> {
  const app = serveRoutes(
    {
      routes: probeRoutes({ notReady, metrics: metrics.registry }),
      refuse: (error) =>
        error instanceof RouteError
          ? textAnswer(404, 'not found\n', FRESH)
          : textAnswer(500, 'internal error\n', FRESH),
    },
    (handler) =>
      createHttpServer({
        limits: () => LIMITS,
        clients: new ClientAddresses([]),
        handler,
        refuse: (refusal) => textAnswer(STATUS[refusal], `${refusal}\n`, FRESH),
      }).server,
  );
  const close = () => {
    const closed = app.close();
    app.server.closeAllConnections();
    return closed;
  };
  try {
    return { url: await listen(app, address, 'metrics'), close };
  } catch (error) {
    await close();
    throw error;
  }
}
