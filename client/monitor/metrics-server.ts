/** The monitor's HTTP server, for scrapers and probes: reading only, and on loopback by default. */
import createFastify from 'fastify';
import { type Address, listen } from '../../merkle/runtime/service/ports.ts';
import { addProbes } from '../../merkle/runtime/service/probes.ts';
import { typeboxSchemas } from '../../merkle/runtime/service/schemas.ts';
import type { MonitorMetrics } from './monitor-metrics.ts';

const HEADERS_MS = 10_000;
const CONNECTIONS = 64;
const BODY_BYTES = 1024;

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
  const app = createFastify({
    logger: false,
    bodyLimit: BODY_BYTES,
    requestTimeout: HEADERS_MS,
    keepAliveTimeout: HEADERS_MS,
    http: { headersTimeout: HEADERS_MS, connectionsCheckingInterval: 1000 },
    forceCloseConnections: true,
    return503OnClosing: false,
    requestIdHeader: false,
    schemaController: typeboxSchemas,
  });
  app.server.maxConnections = CONNECTIONS;
  app.addHook('onRequest', async (_request, reply) => void reply.header('cache-control', 'no-store'));
  app.setErrorHandler((_error, _request, reply) => reply.code(500).type('text/plain').send('internal error\n'));
  app.setNotFoundHandler((_request, reply) => reply.code(404).type('text/plain').send('not found\n'));
  addProbes(app, { notReady, metrics: metrics.registry });
  try {
    return { url: await listen(app, address, 'metrics'), close: () => app.close() };
  } catch (error) {
    await app.close();
    throw error;
  }
}
