import type { Alert, Sink } from '../types.ts';
import { timeOfDay } from './digest.ts';
import type { SinkOptions } from './sink-options.ts';

/** Which alerts a sink gets, and when. */
export interface SinkSettings {
  readonly severity: Alert['severity'];
  readonly kinds?: readonly string[];
  /** Once a day, so many milliseconds after midnight UTC, but for critical alerts; at once where it is absent. */
  readonly digestAt?: number;
}

/** A sink with what the queue needs to know of it. */
export interface ConfiguredSink extends Sink {
  readonly settings: SinkSettings;
  /** Looks whether secrets and files are there, without sending anything. @throws DeliveryError */
  check?(): Promise<void>;
}

export function settingsOf({ severity, kinds, digest }: SinkOptions): SinkSettings {
  return {
    severity,
    ...(kinds !== undefined && { kinds }),
    ...(digest !== undefined && { digestAt: timeOfDay(digest) }),
  };
}

const RANK = { info: 0, alert: 1, critical: 2 } as const;

export function wants({ severity, kinds }: SinkSettings, alert: Alert): boolean {
  return RANK[alert.severity] >= RANK[severity] && (kinds === undefined || kinds.includes(alert.kind));
}
