/** The error with which ingest refuses a request. `ingest-body.ts` turns it into a `Refusal`. */
import { RequestError, type RequestErrorCode } from '../errors.ts';

export class Refused extends RequestError {
  /** Short, fixed label for metrics. */
  readonly reason: Reason;

  constructor(code: RequestErrorCode, reason: Reason, message: string) {
    super(code, message);
    this.reason = reason;
  }
}

/** Every `reason` of a refusal. */
export type Reason =
  | 'syntax'
  | 'utf8'
  | 'depth'
  | 'unknown-field'
  | 'repeated-field'
  | 'oneof'
  | 'enum'
  | 'base64'
  | 'field-type'
  | 'kind'
  | 'missing'
  | 'key'
  | 'certificate'
  | 'key-details'
  | 'digest-length'
  | 'signature'
  | 'entry-size'
  | 'too-many'
  | 'internal';

export function refuse(code: RequestErrorCode, reason: Reason, message: string): never {
  throw new Refused(code, reason, message);
}

/** Quotes and escapes a name of a request for a message, at most 64 characters of it. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);
}
