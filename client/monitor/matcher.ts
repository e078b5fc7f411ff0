/** Compares entries with the rules: a few entries on this thread, many in the worker pool. */
import { encodeBase64 } from '../../merkle/bytes.ts';
import { createPool, type Pool, TASKS_PER_THREAD, workerUrl } from '../../merkle/runtime/threads/pool.ts';
import type { FeedEntry } from '../follow/types.ts';
import type { RuleAlert } from './acks.ts';
import { alertId } from './fact-alerts.ts';
import { matchBatch, packBatch, unpackHits } from './rules/batch.ts';
import { RuleEngine } from './rules/engine.ts';
import type { HitReport } from './rules/hit-report.ts';
import { type IssuingAuthority, Trust } from './rules/issuer-trust.ts';
import type { MatchWorkerData } from './rules/rules-worker.ts';
import { escaped } from './rules/text.ts';
import type { Rule } from './rules/types.ts';
import type { AckStore } from './store/ack-store.ts';
import type { Alert, Matcher } from './types.ts';

interface MatcherOptions {
  /** Threads of the pool, which starts with the first task; 0, the default: everything runs on the calling thread. */
  readonly threads?: number;
  /** Authorities whose certificates count. Absent: the matcher trusts what a certificate says of itself. */
  readonly authorities?: readonly IssuingAuthority[];
  /** The matcher closes it. */
  readonly acknowledged?: AckStore;
  /** For the time in alerts, in milliseconds since 1970. */
  readonly now?: () => number;
}

/** So few entries stay on this thread: a pool costs 0.3 s to start and a round trip. */
const INLINE_ENTRIES = 16;
const INLINE_BYTES = 64 * 1024;
/** A task of a worker ends at either bound. */
const TASK_ENTRIES = 128;
const TASK_BYTES = 512 * 1024;

/** @throws ClientError `usage`: a pattern does not compile */
export function createMatcher(rules: readonly Rule[], options: MatcherOptions = {}): Matcher {
  const { threads = 0, authorities, acknowledged, now = Date.now } = options;
  const trust = authorities && new Trust(authorities);
  const engine = new RuleEngine(rules, trust);
  let pool: Pool | undefined;
  let closed = false;

  const inPool = async (entries: readonly FeedEntry[]): Promise<HitReport[]> => {
    const workerData: MatchWorkerData = { rules, ...(authorities && { authorities }) };
    pool ??= createPool({ file: workerUrl('client/monitor/rules/rules-worker'), threads, youngMb: 8, workerData });
    try {
      return unpackHits(await pool.run(packBatch(entries)));
    } catch (error) {
      if (closed) throw error;
      // Another task may have killed the worker. The caller reports a second failure, and tries again.
      return unpackHits(await pool.run(packBatch(entries)));
    }
  };

  const compare = async (entries: readonly FeedEntry[]): Promise<HitReport[]> => {
    const tasks = tasksOf(entries);
    const found: HitReport[][] = [];
    if (threads === 0 || isSmall(entries)) {
      for (const { start, end } of tasks) {
        found.push(matchBatch(engine, entries.slice(start, end), trust));
        // The other work of this thread gets its turn.
        if (end < entries.length) await new Promise((resolve) => setImmediate(resolve));
      }
    } else {
      // A lane for each task that the threads take at once bounds the copies of bodies.
      let next = 0;
      const lane = async (): Promise<void> => {
        for (let at = next++; at < tasks.length; at = next++) {
          const { start, end } = tasks[at]!;
          found[at] = await inPool(entries.slice(start, end));
        }
      };
      await Promise.all(Array.from({ length: threads * TASKS_PER_THREAD }, lane));
    }
    return found.flatMap((hits, task) => hits.map((hit) => ({ ...hit, at: hit.at + tasks[task]!.start })));
  };

  return {
    async match(entries) {
      const hits = await compare(entries);
      if (hits.length === 0) return [];
      await acknowledged?.refresh();
      const time = new Date(now()).toISOString();
      const fresh: RuleAlert[] = [];
      for (const hit of hits) {
        const rule = rules[hit.rule]!;
        const entry = entries[hit.at]!;
        const identity = hit.identity ?? Buffer.from(entry.leafHash).toString('hex');
        if (acknowledged?.has(rule.name, identity)) continue;
        fresh.push({ alert: alertOf(rule, entry, hit, time), identity });
      }
      await acknowledged?.remember(fresh);
      return fresh.map(({ alert }) => alert);
    },
    async close() {
      closed = true;
      await pool?.close();
      await acknowledged?.close();
    },
  };
}

function alertOf(rule: Rule, entry: FeedEntry, hit: HitReport, time: string): Alert {
  const more = hit.nameCount - hit.names.length;
  const names = more > 0 ? [...hit.names, `… and ${more} more`] : [...hit.names];
  const { kind, issuer, key, digest } = hit;
  const { log, index } = entry;
  const leafHash = encodeBase64(entry.leafHash);
  return {
    // With the leaf hash: two histories of a log, or two logs of one name, can have different entries at one index.
    id: alertId([kind, log, String(index), leafHash, rule.name]),
    kind,
    severity: rule.severity,
    log,
    time,
    summary: summaryOf(rule, entry, hit),
    rule: rule.name,
    entry: {
      index,
      leafHash,
      names,
      ...(issuer === undefined ? {} : { issuer }),
      ...(key === undefined ? {} : { keyFingerprint: key }),
      ...(digest === undefined ? {} : { digest }),
    },
    completeThrough: index + 1,
  };
}

function summaryOf(rule: Rule, entry: FeedEntry, hit: HitReport): string {
  const { kind, names, nameCount, issuer, key, problem, doubt } = hit;
  const where = `entry ${entry.index} of ${escaped(entry.log)}`;
  if (kind === 'unreadable') {
    return `${where} looks like something that the rule "${rule.name}" watches, and cannot be read: ${problem ?? 'unknown form'}`;
  }
  const by = names[0] ?? (key === undefined ? 'nobody who can be read' : `the key ${key}`);
  const others = nameCount > 1 ? ` and ${nameCount - 1} more names` : '';
  const from = issuer === undefined ? '' : ` (issuer ${issuer})`;
  const what = kind === 'match' ? 'is watched by' : 'is not what is expected by';
  const but = doubt === undefined ? '' : `; no trusted authority issued its certificate: ${doubt}`;
  return `${where}, signed by ${by}${others}${from}, ${what} the rule "${rule.name}"${but}`;
}

function isSmall(entries: readonly FeedEntry[]): boolean {
  return entries.length <= INLINE_ENTRIES && entries.reduce((sum, { body }) => sum + body.length, 0) <= INLINE_BYTES;
}

function tasksOf(entries: readonly FeedEntry[]): { start: number; end: number }[] {
  const tasks: { start: number; end: number }[] = [];
  let start = 0;
  let bytes = 0;
  for (const [at, { body }] of entries.entries()) {
    if (at > start && (at - start >= TASK_ENTRIES || bytes + body.length > TASK_BYTES)) {
      tasks.push({ start, end: at });
      start = at;
      bytes = 0;
    }
    bytes += body.length;
  }
  if (start < entries.length) tasks.push({ start, end: entries.length });
  return tasks;
}
