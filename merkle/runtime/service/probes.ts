/** What scrapers and health probes read of every service, without a token. */
import { jsonAnswer, type Route, textAnswer } from './app.ts';
import type { MetricSet } from './metric-set.ts';

export interface Probed {
  /** Why the service does not do its work, one sentence a reason; empty where it does. */
  readonly notReady: () => readonly string[];
  /** What needs the operator although the service does its work, one sentence each. */
  readonly alarms?: () => readonly string[];
  readonly metrics: MetricSet;
  /** The beginning of the names of the service's metrics, such as `stele_witness`. */
  readonly prefix: string;
}

/**
 * `GET /healthz` and `/livez` (the process answers), `/readyz` (200, or 503 with reasons; with either the alarms, if there are any) and
 * `/metrics` (Prometheus' text).
 */
export function probeRoutes({ notReady, alarms, metrics, prefix }: Probed): Route[] {
  const count = (name: string, help: string, of: () => readonly string[]) =>
    metrics.gauge(`${prefix}_readiness_${name}`, help, [], (gauge) => gauge.set(of().length));
  count('reasons', 'Reasons why the service does not do its work, which GET /readyz has', notReady);
  if (alarms !== undefined)
    count('alarms', 'What needs the operator although the service works, which GET /readyz has', alarms);
  const fresh = { 'cache-control': 'no-store' };
  return [
    { method: 'GET', path: '/healthz', answer: () => textAnswer(200, 'ok\n', fresh) },
    // The name that Kubernetes gives to the same.
    { method: 'GET', path: '/livez', answer: () => textAnswer(200, 'ok\n', fresh) },
    {
      method: 'GET',
      path: '/readyz',
      answer: () => {
        const reasons = notReady();
        const ready = reasons.length === 0;
        const raised = alarms?.() ?? [];
        return jsonAnswer(ready ? 200 : 503, { ready, reasons, ...(raised.length > 0 && { alarms: raised }) }, fresh);
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      answer: async () => {
        const body = await metrics.text();
        return { status: 200, headers: { ...fresh, 'content-type': metrics.registry.contentType }, body };
      },
    },
  ];
}
