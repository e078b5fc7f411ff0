/**
 * Alerts as the sinks send them.
 *
 * Webhooks and programs get one JSON document, `{"version":1,"alerts":[…]}`, the alerts as types.ts describes them, oldest
 * first. Standard output gets one alert a line. Mail gets text.
 *
 * Names, issuers and digests come from the signer of the entry. JSON has them as strings with everything outside printable
 * ASCII escaped, so that they cannot act on a reader's terminal. Text has them through `printable`.
 */
import { createHash } from 'node:crypto';
import { printable } from '../../../merkle/printable.ts';
import type { Alert } from '../types.ts';
import { RANK } from './sink.ts';

/** Bounds of the texts of one alert, in characters. Longer text ends in "…". */
const MAX_TEXT = 1000;
const MAX_NAMES = 64;
const MAX_NAME = 300;
const MAX_SUBJECT = 150;

/** The alert with every text and list cut to a bound: below 200 kB of JSON, whatever the entry contains. */
export function boundedAlert(alert: Alert): Alert {
  const { entry, rule, evidence } = alert;
  return {
    id: clip(alert.id, 128),
    kind: alert.kind,
    severity: alert.severity,
    log: clip(alert.log, MAX_TEXT),
    time: clip(alert.time, 64),
    summary: clip(alert.summary, MAX_TEXT),
    ...(rule !== undefined && { rule: clip(rule, MAX_TEXT) }),
    ...(entry !== undefined && { entry: boundedEntry(entry) }),
    ...(evidence !== undefined && { evidence: clip(evidence, 4096) }),
    completeThrough: alert.completeThrough,
  };
}

/** The document for webhooks and programs, in ASCII. */
export function documentOf(alerts: readonly Alert[]): string {
  return asciiJson({ version: 1, alerts });
}

/** One line of JSON without its end. ASCII, so no line separator of any kind is in it. */
export function lineOf(alert: Alert): string {
  return asciiJson(alert);
}

/** The same alerts give the same ID, so that a receiver recognizes a second delivery of a message. 64 hex digits. */
export function deliveryId(alerts: readonly Alert[]): string {
  const hash = createHash('sha256');
  for (const { id } of alerts) hash.update(`${id}\n`);
  return hash.digest('hex');
}

/** One line: the most severe alert, and how many there are. */
export function subjectOf(alerts: readonly Alert[]): string {
  const [worst] = [...alerts].sort((a, b) => RANK[b.severity] - RANK[a.severity]);
  if (worst === undefined) return '[stele] no alerts';
  const more = alerts.length > 1 ? ` (and ${alerts.length - 1} more)` : '';
  const summary = printable(worst.summary);
  return `[stele] ${worst.severity}: ${clip(summary, MAX_SUBJECT)}${more}`;
}

/** Plain text for people. Every line that holds text from outside is one line. */
export function textOf(alerts: readonly Alert[]): string {
  const count = alerts.length === 1 ? 'One alert' : `${alerts.length} alerts`;
  return [
    `${count} of the Stele monitor, oldest first. The ID of an alert stays the same if it is delivered again.`,
    ...alerts.map(oneText),
    '',
  ].join('\n\n');
}

function oneText(alert: Alert): string {
  const { entry } = alert;
  const rows: (readonly [string, string | undefined])[] = [
    ['kind', alert.kind],
    ['log', alert.log],
    ['rule', alert.rule],
    ['entry', entry && `index ${entry.index}, leaf hash ${entry.leafHash}`],
    ...(entry?.names ?? []).map((name) => ['name', name] as const),
    ['issuer', entry?.issuer],
    ['key', entry?.keyFingerprint],
    ['digest', entry?.digest],
    ['evidence', alert.evidence],
    ['time', alert.time],
    ['complete', `all entries below tree size ${alert.completeThrough} have been looked at`],
    ['id', alert.id],
  ];
  const shown = rows.filter((row): row is readonly [string, string] => row[1] !== undefined);
  const title = `${alert.severity.toUpperCase()}: ${printable(alert.summary)}`;
  return [title, ...shown.map(([label, value]) => `  ${label.padEnd(9)} ${printable(value)}`)].join('\n');
}

function boundedEntry(entry: NonNullable<Alert['entry']>): NonNullable<Alert['entry']> {
  const { names, issuer, keyFingerprint, digest } = entry;
  const left = names.length - MAX_NAMES;
  const kept = names.slice(0, MAX_NAMES).map((name) => clip(name, MAX_NAME));
  return {
    index: entry.index,
    leafHash: clip(entry.leafHash, 64),
    names: left > 0 ? [...kept, `… and ${left} more names`] : kept,
    ...(issuer !== undefined && { issuer: clip(issuer, MAX_TEXT) }),
    ...(keyFingerprint !== undefined && { keyFingerprint: clip(keyFingerprint, 256) }),
    ...(digest !== undefined && { digest: clip(digest, 256) }),
  };
}

function clip(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

function asciiJson(value: object): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
