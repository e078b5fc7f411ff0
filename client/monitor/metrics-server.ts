/** The monitor's HTTP server, for scrapers and probes: reading only, and loopback unless told otherwise. */
import type { AddressInfo } from 'node:net';
import createFastify from 'fastify';
import { typeboxSchemas } from '../../merkle/runtime/service/schemas.ts';
import { ClientError } from '../errors.ts';
import type { MonitorMetrics } from './monitor-metrics.ts';

const HEADERS_MS = 10_000;
const CONNECTIONS = 64;
const BODY_BYTES = 1024;

export interface MetricsServerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Why the monitor does not do its work, a sentence each; none where it does. */
  readonly notReady?: () => readonly string[];
}

export interface MetricsServer {
  /** Such as http://127.0.0.1:9464. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves `GET /metrics`, `/healthz` (the process answers) and `/readyz` (200, or 503 with the reasons).
 *
 * @throws ClientError `network` where nobody can listen there
 */
export async function startMetricsServer(
  metrics: MonitorMetrics,
  options: MetricsServerOptions,
): Promise<MetricsServer> {
  const { host = '127.0.0.1', port, notReady = () => [] } = options;
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
  app.get('/healthz', (_request, reply) => reply.type('text/plain').send('ok\n'));
  app.get('/readyz', (_request, reply) => {
    const reasons = notReady();
    return reply.code(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, reasons });
  });
  app.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
  try {
    await app.listen({ host, port });
  } catch (cause) {
    await app.close();
    const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
    throw new ClientError('network', `metrics cannot be served on ${host}:${port}: ${why}; choose another port`, {
      cause,
    });
  }
  const address = app.server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return { url: `http://${name}:${address.port}`, close: () => app.close() };
}
