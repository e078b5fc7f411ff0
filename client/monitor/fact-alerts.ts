/** The facts of the feed as conditions that the monitor reports, and the alerts that report them. */
import { encodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import type { EntryEvidence } from '../../merkle/entry-evidence.ts';
import type { Evidence } from '../../merkle/evidence.ts';
import { printable } from '../../merkle/printable.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { describeHead } from '../follow/open-head.ts';
import type { Fact, PeerLook, SignedHead } from '../follow/types.ts';
import type { Alert, AlertKind } from './types.ts';

export interface LogCondition {
  readonly kind: AlertKind;
  /** Its name: the monitor reports it once while it lasts. Without sizes and roots where these go on changing. */
  readonly condition: string;
  /** Tells this case from another one of the same condition. Part of the alert's ID. */
  readonly detail: string;
  /** One sentence for people. */
  readonly summary: string;
  /** False: a fault on the way can look the same, and the monitor must see it several times in a row. */
  readonly proven: boolean;
  readonly evidence?: Evidence | EntryEvidence;
  readonly entry?: { readonly index: number; readonly leafHash: Uint8Array };
}

/** The condition of a checkpoint that the witnesses saw too long ago. */
export const OLD = 'old checkpoint';

export function conditionOf(origin: string, fact: Fact): LogCondition {
  const { proven, head } = fact;
  const now = describeHead(head);
  switch (fact.type) {
    case 'empty-root': {
      const summary = `"${origin}" signed a root for the empty tree that the empty tree does not have: ${now}`;
      return { kind: 'inconsistent', condition: 'inconsistent', detail: now, summary, proven };
    }
    case 'fork': {
      const { before, evidence } = fact;
      return { ...forkOf(origin, before, head), detail: `${describeHead(before)}; ${now}`, proven, evidence };
    }
    case 'rollback': {
      const before = describeHead(fact.before);
      const summary = `"${origin}" went back: it had signed ${before}, and now shows ${now}`;
      return { kind: 'rollback', condition: 'rollback', detail: `${before}; ${now}`, summary, proven };
    }
    case 'grew-after-freeze': {
      const { size, evidence } = fact;
      const summary = `"${origin}" is frozen at size ${size}, and has signed a larger tree: ${now}`;
      const detail = `${size}; ${now}`;
      return { kind: 'frozen-grew', condition: 'frozen-grew', detail, summary, proven, ...(evidence && { evidence }) };
    }
    case 'quorum-missing': {
      const summary = `the checkpoint of "${origin}" (${now}) is without its quorum: ${fact.why}`;
      return { kind: 'quorum-missing', condition: 'quorum-missing', detail: now, summary, proven };
    }
    case 'old-checkpoint': {
      const since = new Date(fact.seen).toISOString();
      const summary = `"${origin}" shows a checkpoint that its witnesses saw last at ${since} (${now}): what it has taken since is not shown`;
      return { kind: 'stale', condition: OLD, detail: since, summary, proven };
    }
    case 'split-view': {
      const { peer, seen, evidence } = fact;
      const [older, newer] = seen.size <= head.size ? [seen, head] : [head, seen];
      const detail = `${describeHead(older)}; ${describeHead(newer)}`;
      const summary = `the log shows two histories: here ${now}, and ${describeHead(seen)} at ${printable(peer)}`;
      return { kind: 'split-view', condition: `split-view ${peer}`, detail, summary, proven, evidence };
    }
    case 'bad-entry': {
      const { index, leafHash, served, evidence } = fact;
      const what = served ? 'the bundle has other bytes for it' : 'the bundle ends before it or does not parse';
      return {
        kind: 'bad-entry',
        condition: 'bad-entry',
        detail: `${index} ${encodeHex(fastSha256(evidence.served))}`,
        summary: `entry ${index} does not hash into the tree that the log signed (size ${head.size}): ${what}`,
        proven,
        entry: { index, leafHash },
        evidence,
      };
    }
  }
}

type Named = Pick<LogCondition, 'kind' | 'condition' | 'summary'>;

function forkOf(origin: string, before: SignedHead, head: SignedHead): Named {
  const [was, now] = [describeHead(before), describeHead(head)];
  if (head.size === before.size) {
    const summary = `"${origin}" signed two different trees of one size: first ${was}, now ${now}`;
    return { kind: 'split-view', condition: 'split-view', summary };
  }
  const summary =
    head.size > before.size
      ? `"${origin}" signed a tree that does not continue the one before: first ${was}, now ${now}`
      : `"${origin}" went back to another history: it had signed ${was}, and now shows ${now}`;
  return { kind: 'inconsistent', condition: 'inconsistent', summary };
}

/** The monitor could not follow the log since a time in ms since 1970. */
export function staleLog(origin: string, followed: number, fault: string): LogCondition {
  const since = new Date(followed).toISOString();
  const summary = `"${origin}" could not be followed since ${since}: ${fault}`;
  return { kind: 'stale', condition: 'stale', detail: since, summary, proven: true };
}

/** The monitor could not compare the log with a peer for too long. */
export function stalePeer(origin: string, { peer, view, trouble }: PeerLook): LogCondition {
  const since = new Date(view.agreed).toISOString();
  const summary = `"${origin}" could not be compared with ${peer} since ${since}: ${trouble}`;
  return { kind: 'stale', condition: stalePeerCondition(peer), detail: since, summary, proven: true };
}

export function stalePeerCondition(peer: string): string {
  return `stale ${peer}`;
}

/** A log that is merely out of reach may have done nothing wrong. */
const SEVERITY: Partial<Record<AlertKind, Alert['severity']>> = { stale: 'alert', 'quorum-missing': 'alert' };

export function alertOf(
  log: string,
  found: LogCondition,
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
    ...(entry && { entry: { index: entry.index, leafHash: encodeBase64(entry.leafHash), names: [] } }),
    ...(at.evidence !== undefined && { evidence: at.evidence }),
    completeThrough: at.completeThrough,
  };
}

/** Hex SHA-256 over the parts. JSON keeps one part from running into the next. */
export function alertId(parts: readonly string[]): string {
  return encodeHex(fastSha256(encodeUtf8(JSON.stringify(parts))));
}
