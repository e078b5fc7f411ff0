/** The monitor's HTTP server, for scrapers and probes: reading only, and on loopback by default. */
import { RouteError, serveRoutes, textAnswer } from '../../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../merkle/runtime/service/http-server.ts';
import { pageGuard } from '../../merkle/runtime/service/operator-guard.ts';
import { OPERATOR_LIMITS } from '../../merkle/runtime/service/operator-limits.ts';
import { type Address, listen } from '../../merkle/runtime/service/ports.ts';
import { probeRoutes } from '../../merkle/runtime/service/probes.ts';
import { RequestBodies } from '../../merkle/runtime/service/request-bodies.ts';
import type { MonitorMetrics } from './monitor-metrics.ts';

const STATUS = { timeout: 408, 'headers-too-large': 431, malformed: 400 };
const FRESH = { 'cache-control': 'no-store' };

/** The request is of a web page. */
class Foreign extends Error {}

interface MetricsPort extends Address {
  /** Further names by which the port is called, in the header `Host`. */
  readonly hosts?: readonly string[];
}

export interface MetricsServer {
  /** Such as http://localhost:9464. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves `GET /metrics`, `/healthz` and `/readyz`, and refuses web pages.
 *
 * @param notReady why the monitor does not do its work, one sentence a reason; empty where it does
 * @param alarms what needs the operator although the monitor works, one sentence each
 * @throws RuntimeError `config` where the port cannot be taken
 */
export async function startMetricsServer(
  metrics: MonitorMetrics,
  port: MetricsPort,
  notReady: () => readonly string[],
  alarms: () => readonly string[] = () => [],
): Promise<MetricsServer> {
  const clients = new ClientAddresses([]);
  // No call takes a body.
  const bodies = new RequestBodies({ limits: () => OPERATOR_LIMITS, clients, refuse: (refusal) => new Error(refusal) });
  const ofPages = pageGuard([port.host, ...(port.hosts ?? [])], 'metrics.hosts');
  const app = serveRoutes(
    {
      routes: probeRoutes({ notReady, alarms, metrics, prefix: 'stele_monitor' }),
      admit: (request) => {
        const refused = ofPages(request);
        if (refused !== undefined) throw new Foreign(refused);
      },
      refuse: (error) => {
        if (error instanceof Foreign) return textAnswer(403, `${error.message}\n`, FRESH);
        if (error instanceof RouteError) return textAnswer(404, 'not found\n', FRESH);
        return textAnswer(500, 'internal error\n', FRESH);
      },
    },
    (handler) =>
      createHttpServer({
        limits: () => OPERATOR_LIMITS,
        clients,
        bodies,
        handler,
        refuse: (refusal, why = refusal) => textAnswer(STATUS[refusal], `${why}\n`, FRESH),
      }),
  );
  const close = () => {
    const closed = app.close();
    app.server.closeAllConnections();
    return closed;
  };
  try {
    return { url: await listen(app, port, 'metrics'), close };
  } catch (error) {
    await close();
    throw error;
  }
}
