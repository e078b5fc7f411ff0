/** A sink as the queue sees it: which alerts it gets and when, and why a delivery failed. */
import { ClientError } from '../../errors.ts';
import type { Alert, Sink } from '../types.ts';
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

/** Milliseconds after midnight of `HH:MM`. Requires what the schema of `digest` takes. */
export function timeOfDay(text: string): number {
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  return (hours * 60 + minutes) * 60_000;
}

export const RANK = { info: 0, alert: 1, critical: 2 } as const;

export function wants({ severity, kinds }: SinkSettings, alert: Alert): boolean {
  return RANK[alert.severity] >= RANK[severity] && (kinds === undefined || kinds.includes(alert.kind));
}

/** Why a delivery failed: a closed list for metrics and tests. */
type DeliveryCode =
  /** The guard refuses the address. */
  | 'address'
  /** There was no answer, or the connection broke or is not secure. */
  | 'network'
  | 'timeout'
  /** The receiver answered that it does not take the alerts. */
  | 'refused'
  /** The receiver answered that it is gone for good (HTTP 410). */
  | 'gone'
  /** The monitor could not read a secret, password or certificate. */
  | 'secret'
  /** The program did not start, failed or was killed. */
  | 'exec';

/** The alerts stay in the queue. The message has no secret, and no path or query of a webhook's URL. */
export class DeliveryError extends ClientError {
  readonly reason: DeliveryCode;
  /** The pause that the receiver asks for, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(reason: DeliveryCode, message: string, cause?: unknown, retryAfterMs?: number) {
    super('delivery', message, { cause });
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}
