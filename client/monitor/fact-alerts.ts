/** What a log can be blamed for, and the alert that says so. */
import { encodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import type { EntryEvidence } from '../../merkle/entry-evidence.ts';
import type { Evidence } from '../../merkle/evidence.ts';
import { printable } from '../../merkle/printable.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import type { Alert, AlertKind } from './types.ts';

export interface Misbehaviour {
  readonly kind: AlertKind;
  /**
   * Names the condition: as long as it lasts it is reported once. Without sizes and roots where they go on changing.
   */
  readonly condition: string;
  /** What tells this case from another of the same condition; goes into the alert's ID. */
  readonly detail: string;
  /** One sentence for people. */
  readonly summary: string;
  /** False: it may be a fault on the way, and must be seen several times in a row. */
  readonly proven: boolean;
  readonly evidence?: Evidence | EntryEvidence;
  readonly entry?: { readonly index: number; readonly leafHash: Uint8Array };
}

/** A log that is merely out of reach has done nothing wrong, perhaps. */
const SEVERITY: Partial<Record<AlertKind, Alert['severity']>> = { stale: 'alert', 'quorum-missing': 'alert' };

export function alertOf(
  log: string,
  found: Misbehaviour,
  at: { readonly time: number; readonly completeThrough: number; readonly evidence: string | undefined },
): Alert {
  const { kind, condition, detail, summary, entry } = found;
  return {
    id: alertId([kind, log, condition, detail]),
    kind,
    severity: SEVERITY[kind] ?? 'critical',
    log,
    time: new Date(at.time).toISOString(),
    summary: printable(summary),
    ...(entry !== undefined && {
      entry: { index: entry.index, leafHash: encodeBase64(entry.leafHash), names: [] },
    }),
    ...(at.evidence !== undefined && { evidence: at.evidence }),
    completeThrough: at.completeThrough,
  };
}

/** Hex SHA-256 over the parts, none of which can run into the next. */
export function alertId(parts: readonly string[]): string {
  return encodeHex(fastSha256(encodeUtf8(JSON.stringify(parts))));
}
