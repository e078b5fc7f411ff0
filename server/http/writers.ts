/**
 * Who may write, where the log requires an identity: found out before a body is read, and judged for each item once ingest has said
 * what it is. A duplicate is judged like a new entry, so that a stranger learns nothing of what the log holds.
 */
import type { IncomingMessage } from 'node:http';
import { printable } from '../../merkle/printable.ts';
import type { Gate } from '../../merkle/runtime/identity/gate.ts';
import type { Identifier } from '../../merkle/runtime/identity/identify.ts';
import { type Caller, IdentityError } from '../../merkle/runtime/identity/types.ts';
import type { AccessEntry, AccessVerdict } from '../../merkle/runtime/policy/access/types.ts';
import { RequestError, requestError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { WriteRecords } from '../store/write-records.ts';
import type { Writer, Written } from '../types.ts';

interface WritersParts {
  readonly identifier: Pick<Identifier, 'challengeFor' | 'kinds' | 'accepted'>;
  readonly gate: Pick<Gate, 'identify' | 'judge'>;
  /** Where the operator keeps who wrote. */
  readonly records?: WriteRecords | undefined;
}

export class Writers {
  readonly #parts: WritersParts;

  constructor(parts: WritersParts) {
    this.#parts = parts;
  }

  /** What a caller can show: for programs, and for people. */
  get accepted(): Pick<Identifier, 'kinds' | 'accepted'> {
    return this.#parts.identifier;
  }

  /**
   * The writer of a request.
   *
   * @param origin of the log, for records
   * @throws RequestError `unidentified`, `identity-unavailable`, `not-allowed`, `caller-rate`, `record-failed`, also as a rejection
   */
  admit(request: IncomingMessage, origin: string, metrics: Metrics): Writer | Promise<Writer> {
    try {
      const caller = this.#parts.gate.identify(request);
      if (!(caller instanceof Promise)) return this.#writer(caller, origin, metrics);
      return caller.then(
        (one) => this.#writer(one, origin, metrics),
        (error: unknown) => {
          throw this.#refused(error, metrics);
        },
      );
    } catch (error) {
      throw this.#refused(error, metrics);
    }
  }

  /**
   * The refusal of a head of more than `limit` bytes; undefined where the log takes no token. No other header of a request is as
   * long as a token.
   */
  refuseHead(limit: number, metrics: Metrics): RequestError | undefined {
    if (!this.accepted.kinds.some((kind) => kind === 'id-token' || kind === 'jwt-svid')) return undefined;
    const why = `the request line and headers have more than ${limit} bytes: no token is so long`;
    return this.#unidentified(new IdentityError('token-too-long', why), metrics);
  }

  #writer(caller: Caller, origin: string, metrics: Metrics): Writer {
    const { gate, records } = this.#parts;
    const verdict = gate.judge(caller, { action: 'write' });
    if (!verdict.allowed) throw notAllowed(caller, verdict, metrics);
    if (records?.mayTake() === false) {
      metrics.refused('record-failed');
      throw requestError('record-failed');
    }
    return new Admitted({ caller, gate, records, origin, metrics });
  }

  #refused(error: unknown, metrics: Metrics): unknown {
    return error instanceof IdentityError ? this.#unidentified(error, metrics) : error;
  }

  #unidentified(error: IdentityError, metrics: Metrics): RequestError {
    const { code, message } = error;
    metrics.refused(code);
    if (code === 'identity-unavailable') return new RequestError('identity-unavailable', message, { error: code });
    const challenge = this.#parts.identifier.challengeFor(error);
    return new RequestError('unidentified', message, { error: code, challenge });
  }
}

interface AdmittedParts extends Pick<WritersParts, 'records'> {
  readonly caller: Caller;
  readonly gate: Pick<Gate, 'judge'>;
  readonly origin: string;
  readonly metrics: Metrics;
}

/** The writer of one request. */
class Admitted implements Writer {
  readonly #parts: AdmittedParts;

  constructor(parts: AdmittedParts) {
    this.#parts = parts;
  }

  ruleFor(entries: readonly AccessEntry[]): string {
    const { gate, caller, metrics } = this.#parts;
    const verdict = gate.judge(caller, { action: 'write', entries });
    if (!verdict.allowed) throw notAllowed(caller, verdict, metrics);
    return verdict.rule;
  }

  record(written: Written): Promise<void> | undefined {
    const { records, caller, origin, metrics } = this.#parts;
    return records?.add({ ...written, origin, caller }).catch(() => {
      metrics.refused('record-failed');
      throw requestError('record-failed');
    });
  }
}

function notAllowed(caller: Caller, verdict: AccessVerdict & { allowed: false }, metrics: Metrics): RequestError {
  const { reasons, retryAfter } = verdict;
  const why = reasons
    .map(({ rule, message }) => (rule === undefined ? message : `rule "${rule}": ${message}`))
    .join('; ');
  const data = { error: 'not-allowed', reasons } as const;
  if (retryAfter !== undefined) {
    metrics.refused('caller-rate');
    return new RequestError('caller-rate', `${printable(caller.id)} writes too much: ${why}`, { ...data, retryAfter });
  }
  metrics.refused('not-allowed');
  return new RequestError('not-allowed', `${printable(caller.id)} may not write this: ${why}`, data);
}
