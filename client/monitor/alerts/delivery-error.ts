import { ClientError } from '../../errors.ts';

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
