import type { Alert, Sink } from '../types.ts';
import { timeOfDay } from './digest.ts';
import type { SinkOptions } from './sink-options.ts';

/** Which alerts a sink gets, and when. */
export interface SinkSettings {
  readonly severity: Alert['severity'];
  readonly kinds?: readonly string[];
  /** The time of the daily digest, in milliseconds after midnight UTC. Critical alerts, and without it all, go at once. */
  readonly digestAt?: number;
}

/** A sink with its settings for the queue. */
export interface ConfiguredSink extends Sink {
  readonly settings: SinkSettings;
  /** Checks that secrets and files are there, and sends nothing. @throws DeliveryError */
  check?(): Promise<void>;
}

export function settingsOf({ severity, kinds, digest }: SinkOptions): SinkSettings {
  return {
    severity,
    ...(kinds !== undefined && { kinds }),
    ...(digest !== undefined && { digestAt: timeOfDay(digest) }),
  };
}

export const RANK = { info: 0, alert: 1, critical: 2 } as const;

export function wants({ severity, kinds }: SinkSettings, alert: Alert): boolean {
  return RANK[alert.severity] >= RANK[severity] && (kinds === undefined || kinds.includes(alert.kind));
}
