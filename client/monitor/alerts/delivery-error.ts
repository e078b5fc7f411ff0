import { ClientError } from '../../errors.ts';

/** What makes a delivery fail, in a closed list: metrics and tests go by it. */
type DeliveryCode =
  /** The address must not be connected to. */
  | 'address'
  /** Nobody answered, or the connection broke or is not secure. */
  | 'network'
  | 'timeout'
  /** The receiver answered that it does not take it. */
  | 'refused'
  /** The receiver answered that it is gone for good (HTTP 410). */
  | 'gone'
  /** A secret, password or certificate could not be read here. */
  | 'secret'
  /** The program could not be started, failed or was killed. */
  | 'exec';

/** Alerts were not delivered; they stay queued. The message names no secret, nor path or query of a webhook's URL. */
export class DeliveryError extends ClientError {
  readonly reason: DeliveryCode;
  /** The receiver asked to be left alone for so long, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(reason: DeliveryCode, message: string, options: ErrorOptions & { readonly retryAfterMs?: number } = {}) {
    super('delivery', message, options);
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs;
  }
}
