/** The monitor's HTTP server, for scrapers and probes: reading only, and on loopback by default. */
import { createServer } from 'node:http';
import { RouteError, serveRoutes, textAnswer } from '../../merkle/runtime/service/app.ts';
import { type Address, listen } from '../../merkle/runtime/service/ports.ts';
import { probeRoutes } from '../../merkle/runtime/service/probes.ts';
import type { MonitorMetrics } from './monitor-metrics.ts';

const HEADERS_MS = 10_000;
const CONNECTIONS = 64;
const TIMES = {
  requestTimeout: HEADERS_MS,
  headersTimeout: HEADERS_MS,
  keepAliveTimeout: HEADERS_MS,
  connectionsCheckingInterval: 1000,
};
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
    (listener) => createServer(TIMES, listener),
  );
  app.server.maxConnections = CONNECTIONS;
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
