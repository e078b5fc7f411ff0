/**
 * Acknowledgements: a person looked at an alert and accepts its cause, until a date and for a reason. An acknowledgement is
 * about one rule and one exact identity (rules/hit-report.ts). An entry with another name, issuer, extension or key alerts as
 * before.
 */
import { ClientError } from '../errors.ts';
import { escaped } from './rules/text.ts';
import type { Alert } from './types.ts';

/** An alert with the identity that it is about. */
export interface RuleAlert {
  readonly alert: Alert;
  /** SHA-256, hex. */
  readonly identity: string;
}

export interface Acknowledgement extends Omit<RememberedAlert, 'id' | 'kind' | 'time'> {
  /** ID of the acknowledged alert: 64 hex digits. */
  readonly alert: string;
  readonly by: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** From this time on the monitor alerts again: ISO 8601, UTC. */
  readonly until: string;
  readonly reason: string;
}

/** An alert of a rule as the monitor remembers it, so that a person can acknowledge it by its ID alone. */
export interface RememberedAlert {
  readonly id: string;
  readonly kind: string;
  readonly rule: string;
  /** SHA-256 of the identity, in hex. */
  readonly identity: string;
  readonly log: string;
  readonly index: number;
  readonly time: string;
  /** As in the alert, for people. */
  readonly names: readonly string[];
  readonly issuer?: string;
  readonly key?: string;
}

const MAX_REASON = 300;
const MAX_BY = 100;
const HEX_64 = /^[0-9a-f]{64}$/;
const DATE = /^\d{4}-\d\d-\d\d$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;

interface AckOptions {
  readonly until: string;
  readonly reason: string;
  readonly by: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** @throws ClientError `usage`: the date is malformed or has passed, or the reason or the name is empty or too long */
export function acknowledge(alert: RememberedAlert, { until, reason, by, now }: AckOptions): Acknowledgement {
  const { id, kind: _kind, time: _time, ...about } = alert;
  const end = parseUntil(until);
  if (end <= now) throw new ClientError('usage', `--until ${until} has passed: give a date to come`);
  return {
    alert: id,
    ...about,
    by: words('--by', by, MAX_BY),
    at: new Date(now).toISOString(),
    until: new Date(end).toISOString(),
    reason: words('--reason', reason, MAX_REASON),
  };
}

export function remembered({ alert, identity }: RuleAlert): RememberedAlert {
  const { id, kind, rule = '', log, time, entry } = alert;
  return {
    id,
    kind,
    rule,
    identity,
    log,
    index: entry?.index ?? 0,
    time,
    names: entry?.names ?? [],
    ...(entry?.issuer === undefined ? {} : { issuer: entry.issuer }),
    ...(entry?.keyFingerprint === undefined ? {} : { key: entry.keyFingerprint }),
  };
}

/** Undefined for any other text: a damaged file must neither silence an alert nor stop the monitor. */
export function parseAcknowledgement(text: string): Acknowledgement | undefined {
  const value = record(text);
  const { alert, rule, identity, log, index, by, at, until, reason } = value ?? {};
  if (!isHex(alert) || !isHex(identity) || !Number.isSafeInteger(index)) return undefined;
  if (![rule, log, by, at, until, reason].every((field) => typeof field === 'string')) return undefined;
  if (Number.isNaN(Date.parse(until as string)) || Number.isNaN(Date.parse(at as string))) return undefined;
  return names(value) ? (value as unknown as Acknowledgement) : undefined;
}

/** Undefined for any other text: the last line of a file may be torn. */
export function parseRemembered(text: string): RememberedAlert | undefined {
  const value = record(text);
  const { id, identity, rule, log, index } = value ?? {};
  if (!isHex(id) || !isHex(identity) || !Number.isSafeInteger(index)) return undefined;
  if (typeof rule !== 'string' || typeof log !== 'string') return undefined;
  return names(value) ? (value as unknown as RememberedAlert) : undefined;
}

/** The end of that day in UTC, or that time. @throws ClientError `usage` */
function parseUntil(text: string): number {
  const time = DATE.test(text) ? Date.parse(`${text}T23:59:59.999Z`) : TIME.test(text) ? Date.parse(text) : Number.NaN;
  // Date.parse accepts the 31st of each month.
  const day = text.slice(0, 10);
  const isDay = !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day);
  if (Number.isNaN(time) || !isDay) {
    throw new ClientError('usage', '--until is no date: write 2027-01-31, or 2027-01-31T12:00:00Z');
  }
  return time;
}

function words(option: string, text: string, limit: number): string {
  const clean = text.trim();
  if (clean === '' || clean.length > limit || clean !== escaped(clean).replaceAll('\\\\', '\\')) {
    throw new ClientError('usage', `${option} is 1 to ${limit} characters of text on one line`);
  }
  return clean;
}

function record(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function names(value: Record<string, unknown> | undefined): boolean {
  return Array.isArray(value?.names) && value.names.every((name) => typeof name === 'string');
}

function isHex(value: unknown): value is string {
  return typeof value === 'string' && HEX_64.test(value);
}
