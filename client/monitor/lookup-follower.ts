/**
 * One log of the monitor that is watched by a verifiable index: each round asks for the difference since the last one, for each
 * key that a rule needs, and looks at these entries alone. The promise is the same: every entry below `completeThrough` that a rule
 * may be about was looked at. An index that lies, is behind or is away becomes an alert, and the promise stands still.
 *
 * | step                                          | after a crash behind it                                    |
 * |-----------------------------------------------|------------------------------------------------------------|
 * | the checkpoint of the log, then the lookups   | nothing: the round begins again                            |
 * | the entries, each proven, and the rules       | the same                                                   |
 * | the queue has stored the alerts               | the same; the alerts come again, with the same IDs         |
 * | the state is replaced                         | the next round asks for what came since                    |
 */
import { parseBundle } from '../../merkle/bundle.ts';
import { MerkleError } from '../../merkle/errors.ts';
import type { IndexKey } from '../../merkle/index/keys.ts';
import type { Policy } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import { CompactRange } from '../../merkle/range.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { TILE_WIDTH, tileWidth } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { Feed } from '../follow/follow.ts';
import { sameTree } from '../follow/open-head.ts';
import type { FeedEntry, FollowedLog, Look, SignedHead } from '../follow/types.ts';
import { BadLookup, lookUp } from '../search/lookup-client.ts';
import type { LookupMemory, LookupTrust } from '../search/lookup-trust.ts';
import { proveLeaf, tilesOf } from '../tiles/tree-proofs.ts';
import type { TreeHead } from '../tiles/types.ts';
import { alertOf, conditionOf, type LogCondition, staleLog, stalePeer, stalePeerCondition } from './fact-alerts.ts';
import type { FollowOptions, Round } from './follower.ts';
import { Reports } from './reports.ts';
import type { IndexState, IndexStateStore, WatchedKey } from './store/index-state-store.ts';

/** The verifiable index of a log, and whom to trust about it. */
export interface WatchedIndex {
  /** The origin of the log. */
  readonly log: string;
  /** The base URL of the index. */
  readonly url: string;
  readonly output: FollowedLog;
  /** The rebuilders, and how many must have rebuilt the index. */
  readonly rebuilders?: Policy;
}

interface IndexFollowOptions extends Omit<FollowOptions, 'store'> {
  readonly index: WatchedIndex;
  readonly keys: readonly IndexKey[];
  readonly store: IndexStateStore;
  readonly fetch?: typeof fetch | undefined;
}

/** Entries that the rules get at once. */
const AT_ONCE = 1024;
const BEHIND = 'stale index';

export class LookupFollower {
  readonly #options: IndexFollowOptions;
  readonly #feed: Feed;
  readonly #now: () => number;
  readonly #started: number;
  #state: IndexState | undefined;
  #reports = new Reports();
  #failures = 0;
  #alerts = 0;

  /** @throws ClientError `usage`: a location is neither a URL nor a directory */
  constructor(log: FollowedLog, options: IndexFollowOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#started = this.#now();
    const consumer = { load: async () => this.#state?.cursor, commit: async () => {} };
    const { open, settings } = options;
    this.#feed = new Feed(log, consumer, { open, settings, start: 'now', now: this.#now });
  }

  get log(): FollowedLog {
    return this.#feed.log;
  }

  pin(last: SignedHead): void {
    const known = this.log.last;
    if (known === undefined || !sameTree(known, last)) this.#feed.pin(last);
  }

  get failures(): number {
    return this.#failures;
  }

  /** The input size of the verified lookups: every entry below it that a rule may be about was looked at. */
  get completeThrough(): number | undefined {
    return this.#state?.completeThrough;
  }

  get head(): SignedHead | undefined {
    return this.#state?.cursor.head;
  }

  get followed(): number {
    return this.#state?.followed ?? this.#started;
  }

  /** Reads the state. @throws ClientError `state`; RuntimeError `file` */
  async load(): Promise<void> {
    this.#state = await this.#options.store.load();
    if (this.#state !== undefined) this.#reports = new Reports(this.#state.reported);
    else if (this.#options.start === undefined) {
      const why = `there is no state of the log "${printable(this.log.origin)}", which an index watches: it is new in the configuration, or its state is lost`;
      throw new ClientError('state', `${why}. To start fresh, give --from-start or --from-now`);
    }
  }

  /** Removes the state. */
  async forget(): Promise<void> {
    await this.#options.store.forget();
  }

  /** One round. What log and index do is in the result and throws nothing. @throws ClientError `cancelled`, `state` */
  async round(signal: AbortSignal): Promise<Round> {
    this.#alerts = 0;
    let found: LogCondition | undefined;
    let fault: string;
    try {
      found = await this.#look(signal);
      if (found === undefined) return { ok: true, alerts: this.#alerts, lying: false };
      this.#failures++;
      fault = found.summary;
      if (this.#reports.confirms(found, this.#options.settings.confirmations)) {
        await this.#report(found);
        return { ok: false, alerts: this.#alerts, lying: true };
      }
    } catch (error) {
      if (signal.aborted) throw new ClientError('cancelled', 'the monitor was told to stop', { cause: error });
      const passing = error instanceof RuntimeError || (error instanceof ClientError && error.code !== 'state');
      if (!passing) throw error;
      if (found === undefined) this.#failures++;
      fault = error.message;
    }
    this.#options.onEvent?.({ type: 'fault', message: fault, attempt: this.#failures });
    if (this.#now() - this.followed >= this.#options.settings.staleMs) {
      await this.#report(staleLog(this.log.origin, this.followed, fault));
    }
    return { ok: false, alerts: this.#alerts, fault, lying: false };
  }

  async close(): Promise<void> {
    await this.#feed.close();
  }

  /** Looks at the log, then at the index. Resolves with what is wrong; undefined where all is well. */
  async #look(signal: AbortSignal): Promise<LogCondition | undefined> {
    this.#feed.reload();
    const look = await this.#feed.look(signal);
    const wrong = await this.#judge(look);
    if (wrong !== undefined) return wrong;
    try {
      await this.#ask(look, signal);
    } catch (error) {
      if (!(error instanceof BadLookup)) throw error;
      const { claim, message } = error;
      const kind = claim.endsWith('quorum') || claim === 'rebuilders' ? 'quorum-missing' : 'bad-index';
      const summary = `the index of "${this.log.origin}" at ${printable(this.#options.index.url)} does not hold: ${message}`;
      // A cache or a proxy on the way can make it look so.
      return { kind, condition: `${kind} ${claim}`, detail: claim, summary, proven: false };
    }
    if (this.#failures > 0) this.#options.onEvent?.({ type: 'recovered' });
    this.#failures = 0;
    return undefined;
  }

  async #ask({ head }: Look, signal: AbortSignal): Promise<void> {
    const { index, keys, start, open, fetch } = this.#options;
    const before = this.#state;
    const trust: LookupTrust = {
      input: this.log,
      output: index.output,
      ...(index.rebuilders && { rebuilders: index.rebuilders }),
    };
    const places = { input: this.log.location, output: index.output.location };
    const onPart = () => this.#reportLate();
    const shared = { index: index.url, trust, places, open, signal, fetch, timeoutMs: 20_000, retries: 1, onPart };
    let memory: LookupMemory = {
      ...(before?.input && { input: before.input }),
      ...(before?.output && { output: before.output }),
      log: { size: head.size, root: head.root },
    };
    const found = new Map<string, WatchedKey>();
    let common = Number.POSITIVE_INFINITY;
    for (const key of keys) {
      const name = `${key.kind} ${key.value}`;
      const old = before?.keys.get(name);
      const proven = await lookUp({ ...shared, key, memory, ...(old && { known: old.known }) });
      memory = proven.memory;
      common = Math.min(common, proven.completeThrough);
      // A key that is new in the rules begins where the others are.
      const from = old === undefined ? (before?.completeThrough ?? 0) : 0;
      const fresh = proven.indexes.filter((at) => at >= from);
      found.set(name, { known: proven.next, pending: [...(old?.pending ?? []), ...fresh] });
    }
    const skip = before === undefined && start === 'now';
    const due = new Set<number>();
    const later = new Map<string, WatchedKey>();
    for (const [name, { known, pending }] of found) {
      for (const at of pending) if (at < common && !skip) due.add(at);
      later.set(name, { known, pending: pending.filter((at) => at >= common) });
    }
    const tree = memory.input !== undefined && memory.input.size > head.size ? memory.input : head;
    await this.#lookAt(
      [...due].sort((a, b) => a - b),
      tree,
      common,
      signal,
    );
    await this.#good(head, { ...memory, keys: later, completeThrough: common });
  }

  /** A round may take for ever without a fault: an index can answer slowly, posting by posting. */
  async #reportLate(): Promise<void> {
    if (this.#now() - this.followed < this.#options.settings.staleMs) return;
    const { origin } = this.log;
    const why = `the lookups at ${printable(this.#options.index.url)} and their entries are not whole yet`;
    await this.#report(staleLog(origin, this.followed, why));
  }

  /** Fetches the entries, proves each, and gives them to the rules. */
  async #lookAt(due: readonly number[], tree: TreeHead, through: number, signal: AbortSignal): Promise<void> {
    const { open, matcher, queue, onEvent } = this.#options;
    const source = open(this.log.location);
    try {
      const tiles = tilesOf(source, signal);
      let bundle: { readonly number: number; readonly bodies: readonly Uint8Array[] } | undefined;
      for (let from = 0; from < due.length; from += AT_ONCE) {
        const entries: FeedEntry[] = [];
        await this.#reportLate();
        for (const index of due.slice(from, from + AT_ONCE)) {
          const number = Math.floor(index / TILE_WIDTH);
          const width = tileWidth(0, number, tree.size);
          if (bundle?.number !== number)
            bundle = { number, bodies: parseBundle(await source.entries(number, width, signal), width) };
          const body = bundle.bodies[index % TILE_WIDTH]!;
          const hash = leafHash(body, fastSha256);
          await proveLeaf(tree, index, hash, tiles, fastSha256);
          entries.push({ log: this.log.origin, index, leafHash: hash, body });
        }
        const alerts = (await matcher.match(entries)).map((alert) => ({ ...alert, completeThrough: through }));
        if (alerts.length > 0) {
          await queue.enqueue(alerts);
          this.#alerts += alerts.length;
          onEvent?.({ type: 'alerts', alerts });
        }
      }
    } catch (cause) {
      if (!(cause instanceof MerkleError)) throw cause;
      const why = `an entry of "${this.log.origin}" that the index names does not lead to the root that the log signed`;
      throw new ClientError('corrupt', `${why}: ${cause.message}`, { cause });
    } finally {
      await source.close();
    }
    onEvent?.({ type: 'progress', count: due.length, through, size: tree.size });
  }

  /** Stores the state of a good round, and reports an index that stays behind. */
  async #good(
    head: SignedHead,
    next: Pick<IndexState, 'input' | 'output' | 'keys' | 'completeThrough'>,
  ): Promise<void> {
    const now = this.#now();
    const { input, output, keys, completeThrough } = next;
    const before = this.#state?.behind;
    const waits = before !== undefined && completeThrough < before.size ? before : undefined;
    const behind = waits ?? (completeThrough < head.size ? { size: head.size, since: now } : undefined);
    this.#reports.good(now);
    if (behind === undefined) this.#reports.over(BEHIND);
    // Only an index that keeps up keeps the promise, so the time stands still with it.
    this.#state = {
      cursor: this.#cursorAt(head),
      ...(input && { input }),
      ...(output && { output }),
      keys,
      completeThrough,
      followed: now,
      ...(behind && { behind }),
      reported: this.#reports.lasting,
    };
    await this.#options.store.save(this.#state);
    if (behind === undefined || now - behind.since < this.#options.settings.staleMs) return;
    const since = new Date(behind.since).toISOString();
    const what = `is complete through ${completeThrough} entries, and the log had ${behind.size} at ${since}`;
    const summary = `the index of "${this.log.origin}" at ${printable(this.#options.index.url)} is behind: it ${what}`;
    await this.#report({ kind: 'stale', condition: BEHIND, detail: since, summary, proven: true });
  }

  #cursorAt(head: SignedHead): IndexState['cursor'] {
    const before = this.#state?.cursor.frozen;
    const frozen = before ?? (head.frozen ? { size: head.size, head } : undefined);
    const peers = this.#feed.cursor?.peers ?? new Map();
    return { range: CompactRange.empty(fastSha256), head, ...(frozen && { frozen }), peers };
  }

  /** As the follower that scans: what a look has shown of the log itself. */
  async #judge({ accepted, facts, peers }: Look): Promise<LogCondition | undefined> {
    const { origin } = this.log;
    const conditions = facts.map((fact) => conditionOf(origin, fact));
    const ending = accepted ? undefined : conditions.shift();
    for (const condition of conditions) await this.#report(condition);
    for (const look of peers) {
      if (look.trouble !== undefined) this.#options.onEvent?.({ type: 'peer', peer: look.peer, message: look.trouble });
      else if (look.split === undefined) this.#reports.over(stalePeerCondition(look.peer));
      const isStale = look.trouble !== undefined && this.#now() - look.view.agreed >= this.#options.settings.staleMs;
      if (isStale) await this.#report(stalePeer(origin, look));
    }
    return ending;
  }

  async #report(found: LogCondition): Promise<void> {
    const time = this.#now();
    if (this.#reports.lasts(found.condition, time)) return;
    let evidence: string | undefined;
    try {
      evidence = found.evidence && (await this.#options.evidence.keep(this.log.origin, found.evidence));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#options.onEvent?.({
        type: 'fault',
        message: `the evidence could not be kept: ${message}`,
        attempt: this.#failures,
      });
    }
    const alert = alertOf(this.log.origin, found, { time, completeThrough: this.completeThrough ?? 0, evidence });
    await this.#options.queue.enqueue([alert]);
    this.#alerts++;
    this.#reports.add(found.condition, { id: alert.id, seen: time });
    this.#options.onEvent?.({ type: 'alerts', alerts: [alert] });
    if (this.#state === undefined) return;
    this.#state = { ...this.#state, reported: this.#reports.lasting };
    await this.#options.store.save(this.#state);
  }
}
