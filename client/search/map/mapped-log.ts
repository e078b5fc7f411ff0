import { equal } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { formatOutputLeaf } from '../../../merkle/index/map-leaf.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { backOffMs, SYSTEM_CLOCK } from '../../../merkle/runtime/service/back-off.ts';
import { type FetchTile, proveConsistency } from '../../../merkle/tile.ts';
import { ClientError } from '../../errors.ts';
import { Feed } from '../../follow/follow.ts';
import type { Batch, SignedHead } from '../../follow/types.ts';
import { FrozenLog } from '../../submit/frozen-log.ts';
import { addRaw } from '../../submit/raw-entry.ts';
import { isBeginning, proveLeaf, tilesOf } from '../../tiles/tree-proofs.ts';
import { SearchError } from '../search-errors.ts';
import { IndexMap } from './index-map.ts';
import { followRefusal, inputNote } from './input-note.ts';
import { MapHalt } from './map-halt.ts';
import { answerLookup, type LookupRequest } from './map-lookup.ts';
import type { MapEvent, MappedLogOptions, MapStatus } from './map-types.ts';
import { OutputLeaves, type SeenLeaf } from './output-leaves.ts';
import { decodePublished, encodePublished, type PublishedMap, withSignatures } from './published-map.ts';
import { type RebuilderSettings, Rebuilders } from './rebuilders.ts';

const LONGEST_PAUSE_MS = 60_000;
/** From one look at the output log to the next, until it covers the leaf. */
const COVER_MS = 200;
const COVER_LONGEST_MS = 60_000;
/** A log that takes no leaf for so long is a fault that the status names. The next round tries again. */
const SUBMIT_MS = 30_000;

export class MappedLog {
  readonly #options: MappedLogOptions;
  readonly #now: () => number;
  readonly #rebuilders: Rebuilders;
  #map: IndexMap;
  #inputFeed: Feed;
  #outputFeed: Feed;
  #leaves: OutputLeaves;
  /** The last checkpoints that were accepted, with all their signatures. */
  #inputHead: SignedHead | undefined;
  #outputHead: SignedHead | undefined;
  #published: PublishedMap | undefined;
  #publishedAt: number | undefined;
  /** The leaf that is on its way to the output log. */
  #pending: Uint8Array | undefined;
  #built = 0;
  /** The store failed, and is opened again before anything else. */
  #broken = false;
  #failures = 0;
  #fault: string | undefined;
  #halt: MapHalt | undefined;
  #followed = 0;

  private constructor(options: MappedLogOptions, map: IndexMap) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#rebuilders = new Rebuilders(options.rebuilders ?? NO_REBUILDERS, options.rebuilderFetch);
    this.#map = map;
    ({ leaves: this.#leaves, input: this.#inputFeed, output: this.#outputFeed } = this.#feeds(map));
  }

  /** @throws ClientError `state`, `usage`; RuntimeError `locked`, `store`, `file` */
  static async open(options: MappedLogOptions): Promise<MappedLog> {
    const map = await openIndexMap(options);
    try {
      const mapped = new MappedLog(options, map);
      await mapped.#restore();
      return mapped;
    } catch (error) {
      await map.close();
      throw error;
    }
  }

  get status(): MapStatus {
    const { input, output } = this.#options;
    const shown = this.#map.shown;
    const published = this.#published;
    return {
      log: input.origin,
      output: output.origin,
      taken: this.#map.size,
      accepted: this.#inputFeed.cursor?.head.size ?? 0,
      ...(published && shown && { published: { ...published, keys: shown.count } }),
      ...(this.#publishedAt !== undefined && { publishedAt: this.#publishedAt }),
      rebuilders: this.#rebuilders.states,
      late: published !== undefined && !this.#rebuilders.complete(published.checkpoint),
      ...(this.#halt && { halted: this.#halt.message }),
      ...(this.#fault !== undefined && { fault: this.#fault }),
      followed: this.#followed,
      memory: this.#map.memory,
    };
  }

  /** Follows both logs and publishes versions until the signal aborts. @throws ClientError `state`: the map must be built again */
  async run(signal: AbortSignal): Promise<void> {
    const { pollMs, retryMs } = this.#options;
    const backOff = { firstMs: retryMs, longestMs: Math.max(pollMs, LONGEST_PAUSE_MS) };
    while (!signal.aborted) {
      const ok = await this.round(signal);
      await SYSTEM_CLOCK.sleep(ok ? pollMs * (0.9 + Math.random() / 10) : backOffMs(backOff, this.#failures), signal);
    }
  }

  /** One look at both logs, and a version where one is due. Resolves with whether all is well. @throws ClientError `state` */
  async round(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#round(signal);
      if (this.#failures > 0) this.#emit({ type: 'recovered' });
      this.#failures = 0;
      this.#fault = undefined;
      this.#halt = undefined;
      this.#followed = this.#now();
      return true;
    } catch (error) {
      if (signal.aborted) return true;
      this.#failures++;
      if (error instanceof MapHalt) {
        if (this.#halt?.message !== error.message) this.#emit({ type: 'halted', message: error.message });
        this.#halt = error;
        // The halt is not about what is stored: nothing was committed behind it.
        this.#outputFeed.reload();
        return false;
      }
      const passes =
        error instanceof RuntimeError ||
        error instanceof MerkleError ||
        (error instanceof ClientError && error.code !== 'state');
      if (!passes) throw error;
      this.#fault = error.message;
      this.#emit({ type: 'fault', message: error.message, attempt: this.#failures });
      if (error instanceof RuntimeError && error.code !== 'pool') this.#broken = true;
      return false;
    }
  }

  /** The answer to a lookup: merkle/index/lookup.ts. @throws SearchError `not-ready`, `bad-query`, `busy`, `store` */
  async lookup(request: Pick<LookupRequest, 'key' | 'since' | 'limit'>): Promise<Uint8Array> {
    const published = this.#published;
    if (published === undefined) {
      throw new SearchError('not-ready', 'no version of the map of this log is published yet');
    }
    const { input, output } = this.#options;
    const whole = { ...request, inputOrigin: input.origin, outputOrigin: output.origin };
    try {
      return await answerLookup(this.#map, whole, () => this.#published ?? published);
    } catch (error) {
      if (error instanceof RuntimeError)
        throw new SearchError('store', 'the store of the map failed, and is opened again', { cause: error });
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#inputFeed.close(), this.#outputFeed.close()]);
    await this.#map.close();
  }

  #feeds(map: IndexMap) {
    const { input, output, open, settings } = this.#options;
    const leaves = new OutputLeaves(map, input, output);
    // Entries of the last, partial bundle are part of a version.
    const options = { open, settings: { ...settings, partialMs: 0 }, start: 'start', now: this.#now } as const;
    const taking = { load: () => map.load(), commit: (batch: Batch) => this.#take(batch) };
    return { leaves, input: new Feed(input, taking, options), output: new Feed(output, leaves, options) };
  }

  /** After a failure of the store, which says nothing of the last write: everything is read again. */
  async #reopen(): Promise<void> {
    await this.close();
    this.#map = await openIndexMap(this.#options);
    ({ leaves: this.#leaves, input: this.#inputFeed, output: this.#outputFeed } = this.#feeds(this.#map));
    await this.#restore();
    this.#broken = false;
  }

  async #restore(): Promise<void> {
    const record = await this.#map.record('published');
    const published = record && decodePublished(record);
    if (published?.size !== this.#map.shown?.size) {
      throw new ClientError('state', 'the map and the record of its published version do not fit: build the map again');
    }
    this.#published = published;
    const pending = await this.#map.record('pending');
    this.#pending = pending === undefined || pending.length === 0 ? undefined : new Uint8Array(pending);
    await this.#inputFeed.load();
    await this.#outputFeed.load();
  }

  async #round(signal: AbortSignal): Promise<void> {
    if (this.#broken) await this.#reopen();
    await this.#followOutput(signal);
    await this.#followInput(signal);
    await this.#refresh(signal);
    // The leaf of another copy of this map, from before: the map comes to its size first.
    if (this.#leaves.next !== undefined) return;
    const latest = this.#leaves.latest;
    const isNew = latest !== undefined && latest.index !== this.#published?.index;
    if (isNew && latest.input.size >= this.#map.base) await this.#publish(latest, signal);
    const leaf = this.#pending ?? (await this.#build());
    if (leaf !== undefined && !signal.aborted) await this.#submit(leaf, signal);
  }

  async #followOutput(signal: AbortSignal): Promise<void> {
    const head = await this.#unlessNew(this.#outputFeed, signal, () =>
      this.#follow(this.#outputFeed, 'output', signal),
    );
    if (head !== undefined) this.#outputHead = head;
  }

  /** A log without an entry may have no checkpoint yet. */
  async #unlessNew<T>(feed: Feed, signal: AbortSignal, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      const isMissing = error instanceof ClientError && error.code === 'missing';
      if (isMissing && (await feed.isNew(signal).catch(() => false))) return undefined;
      throw error;
    }
  }

  async #followInput(signal: AbortSignal): Promise<void> {
    // A version that is on its way needs its trie: the entries behind it wait, but the log is looked at.
    const waits = this.#pending !== undefined && this.#leaves.next === undefined;
    const feed = this.#inputFeed;
    const head = await this.#unlessNew(feed, signal, () => this.#follow(feed, 'input', signal, !waits));
    if (head === undefined) return;
    if (!waits) this.#inputHead = head;
    await this.#checkLeaves();
    await this.#checkInputs(head, signal);
  }

  /** Looks at a log, and reads what it has. @throws MapHalt `output-lies`, `input-lies`; ClientError */
  async #follow(feed: Feed, which: 'input' | 'output', signal: AbortSignal, reads = true): Promise<SignedHead> {
    const look = await feed.look(signal);
    if (!look.accepted) throw followRefusal(which, look.facts[0]!);
    if (!reads) return look.head;
    // The next version is of this checkpoint, unless leaves of the output log come first.
    if (which === 'input' && this.#leaves.next === undefined) this.#map.aim(look.head.size);
    const { fact } = await feed.read(look, signal);
    if (fact !== undefined) throw followRefusal(which, fact);
    return look.head;
  }

  /** Takes entries into the map, which stops at each size whose root a leaf of the output log says. */
  async #take(batch: Batch): Promise<void> {
    const next = this.#leaves.next;
    if (next !== undefined) this.#map.aim(next.input.size);
    await this.#map.commit(batch);
    await this.#checkLeaves();
  }

  async #checkLeaves(): Promise<void> {
    for (
      let next = this.#leaves.next;
      next !== undefined && next.input.size <= this.#map.size;
      next = this.#leaves.next
    ) {
      await this.#leaves.check(await this.#map.seal(next.input.size));
    }
  }

  /** The last leaf must be about the history of the log that the feed follows. */
  async #checkInputs(head: SignedHead, signal: AbortSignal): Promise<void> {
    const latest = this.#leaves.latest;
    const known = latest === undefined || latest.index === this.#published?.index;
    if (known || latest.input.size > head.size) return;
    const source = this.#options.open(this.#options.input.location);
    try {
      if ((await isBeginning(latest.input, head, tilesOf(source, signal), fastSha256)) !== false) return;
    } finally {
      await source.close();
    }
    const why = `the leaf ${latest.index} of the output log names another tree of ${latest.input.size} entries than the log shows`;
    throw new MapHalt('input-lies', `${why}: the log has signed both, or the leaf is not of this index`);
  }

  /** The leaf of a new version, durable, where one is due. */
  async #build(): Promise<Uint8Array | undefined> {
    const head = this.#inputHead;
    // A version was on its way, and nothing was read yet.
    if (head === undefined) return undefined;
    const since = this.#now() - this.#built;
    const latest = Math.max(this.#published?.size ?? 0, this.#leaves.latest?.input.size ?? 0);
    const isNew = head.size > latest;
    if (!isNew || (since >= 0 && since < this.#options.intervalMs)) return undefined;
    const { root, count } = await this.#map.seal(head.size);
    const leaf = formatOutputLeaf({ root, keys: count, inputCheckpoint: inputNote(this.#options.input, head) });
    await this.#map.saveRecord('pending', leaf);
    this.#pending = leaf;
    this.#built = this.#now();
    return leaf;
  }

  /** Adds the leaf to the output log, and publishes the version once a checkpoint with the quorum covers it. */
  async #submit(leaf: Uint8Array, signal: AbortSignal): Promise<void> {
    const { output, fetch: send } = this.#options;
    let index: number;
    try {
      const deadline = this.#options.submitMs ?? SUBMIT_MS;
      index = await addRaw(output.location.replace(/\/$/, ''), leaf, {
        signal,
        deadline,
        ...(send && { fetch: send }),
      });
    } catch (cause) {
      if (!(cause instanceof FrozenLog)) throw cause;
      throw new MapHalt('output-frozen', `the output log "${output.origin}" takes no leaf any more: begin a new one`, {
        cause,
      });
    }
    const end = performance.now() + COVER_LONGEST_MS;
    while ((this.#outputFeed.cursor?.range.size ?? 0) <= index) {
      if (performance.now() > end) {
        const why = `the output log "${output.origin}" took the leaf ${index}, and shows no checkpoint over it yet`;
        throw new ClientError('unavailable', why);
      }
      await this.#followOutput(signal);
      if ((this.#outputFeed.cursor?.range.size ?? 0) <= index) await SYSTEM_CLOCK.sleep(COVER_MS, signal);
      if (signal.aborted) return;
    }
    const latest = this.#leaves.latest!;
    if (!equal(latest.bytes, leaf))
      throw new ClientError('bad-reply', `the output log has another leaf than it took, at ${latest.index}`);
    await this.#publish(latest, signal);
  }

  async #publish(latest: SeenLeaf, signal: AbortSignal): Promise<void> {
    const head = this.#outputHead!;
    const { index, bytes, input } = latest;
    const sealed = await this.#map.seal(input.size);
    const source = this.#options.open(this.#options.output.location);
    try {
      const tiles = tilesOf(source, signal);
      const proof = await proveLeaf(head, index, leafHash(bytes, fastSha256), tiles, fastSha256);
      const lines = await this.#rebuilders.gather(head, from(head, tiles), signal);
      if (signal.aborted) return;
      const checkpoint = withSignatures(head.note, lines);
      const published = { size: input.size, index, leaf: bytes, proof, checkpoint };
      await this.#map.show({ published: encodePublished(published), pending: NONE });
      this.#published = published;
      this.#publishedAt = this.#now();
      this.#pending = undefined;
      this.#emit({ type: 'published', size: input.size, index, keys: sealed.count });
      if (!this.#rebuilders.complete(checkpoint)) {
        const missing = this.#rebuilders.missing(checkpoint).map(({ name }) => name);
        this.#emit({ type: 'late', size: input.size, missing });
      }
    } finally {
      await source.close();
    }
  }

  /** Gives the published checkpoint newer cosignatures of the witnesses, and lines of rebuilders that were late. */
  async #refresh(signal: AbortSignal): Promise<void> {
    const published = this.#published;
    const head = this.#outputHead;
    if (published === undefined || head === undefined || head.size !== published.index + 1) return;
    let checkpoint = withSignatures(head.note, this.#rebuilders.linesOf(published.checkpoint));
    if (this.#rebuilders.missing(checkpoint).length > 0) {
      const source = this.#options.open(this.#options.output.location);
      try {
        const prove = from(head, tilesOf(source, signal));
        checkpoint = withSignatures(checkpoint, await this.#rebuilders.askMissing(checkpoint, head, prove, signal));
      } finally {
        await source.close();
      }
    }
    if (checkpoint === published.checkpoint || signal.aborted) return;
    const refreshed = { ...published, checkpoint };
    await this.#map.saveRecord('published', encodePublished(refreshed));
    this.#published = refreshed;
  }

  #emit(event: MapEvent): void {
    this.#options.onEvent?.(event);
  }
}

const NONE = new Uint8Array(0);

const NO_REBUILDERS: RebuilderSettings = {
  policy: { logs: [], witnesses: [], groups: [], quorum: undefined },
  waitMs: 0,
};

async function openIndexMap({ dir, input, threads }: MappedLogOptions): Promise<IndexMap> {
  return await IndexMap.open({ dir, log: input, threads });
}

function from({ size }: SignedHead, tiles: FetchTile): (oldSize: number) => Promise<readonly Uint8Array[]> {
  return (oldSize) => proveConsistency(oldSize, size, tiles, fastSha256);
}
