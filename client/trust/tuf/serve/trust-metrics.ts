/** The metrics of `stele trust serve`. Labels are roles of the repository and fixed words. */
import type { Observer } from '../../../../merkle/runtime/service/histogram.ts';
import { MetricSet } from '../../../../merkle/runtime/service/metric-set.ts';
import { PortMetrics } from '../../../../merkle/runtime/service/port-metrics.ts';
import type { ServedRole } from './types.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** A repository may delegate to a thousand roles: further ones are not shown. */
const MAX_ROLES = 100;

export class TrustMetrics extends MetricSet {
  readonly port = new PortMetrics(this, 'stele_trust');
  readonly refreshed = this.counter<'role'>(
    'stele_trust_refreshed_total',
    'New versions of snapshot and timestamp, by role',
    'role',
  );
  readonly refreshFailures = this.counter(
    'stele_trust_refresh_failures_total',
    'Looks at snapshot and timestamp that failed; the next one follows within a minute',
  );
  readonly reloads = this.counter<'result'>(
    'stele_trust_config_reloads_total',
    'Reloads of the configuration (SIGHUP), by result: ok or failed',
    'result',
  );
  readonly #requests = this.histogram(
    'stele_trust_http_request_duration_seconds',
    'Time from the request head to the end of the reply',
    SECONDS,
    'route',
    'status',
  );
  /** The roles as they are published, the four of every repository first; read whenever the metrics are read. */
  roles = (): readonly ServedRole[] => [];
  /** Whether a configuration or key was not taken, read whenever the metrics are read. */
  reloadFailed = (): boolean => false;
  diskFree = (): number | undefined => undefined;

  constructor(options: { readonly process?: boolean } = {}) {
    super(options);
    this.freeBytes('stele_trust_disk_free_bytes', () => this.diskFree());
    const ofRoles = (name: string, help: string, value: (role: ServedRole) => number) =>
      this.gauge(name, help, ['role'], (gauge) => {
        gauge.reset();
        for (const role of this.roles().slice(0, MAX_ROLES)) gauge.set({ role: role.name }, value(role));
      });
    ofRoles(
      'stele_trust_expiry_timestamp_seconds',
      'Unix time at which the role expires',
      ({ expires }) => expires / 1000,
    );
    ofRoles('stele_trust_version', 'Version of the role', ({ version }) => version);
    this.gauge(
      'stele_trust_config_reload_failed',
      '1 while a configuration or key was not taken and the one before is in use, else 0',
      [],
      (gauge) => gauge.set(this.reloadFailed() ? 1 : 0),
    );
  }

  request(route: string, status: number): Observer {
    return this.#requests.labels(route, String(status));
  }
}
