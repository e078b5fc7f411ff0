/**
 * The rebuild of a verifiable index by somebody who does not trust its operator. It follows the input log and the output log by
 * the verified feed, grows a map of its own to exactly the input size of each leaf of the output log, and compares.
 *
 * | step                                             | after a crash behind it                                        |
 * |--------------------------------------------------|----------------------------------------------------------------|
 * | the feed proves leaves of the output log         | nothing: the feed fetches them again                           |
 * | the store keeps the leaves and the cursor        | the leaves wait for their verdict                              |
 * | the map grows to the input size of the next leaf | the map is there, and the leaf is compared                     |
 * | the verdict is stored                            | the next leaf                                                  |
 *
 * The map never grows past a leaf without a verdict, as it has the root of no smaller tree.
 */
import { encodeBase64, equal } from '../../../merkle/bytes.ts';
import type { Evidence } from '../../../merkle/evidence.ts';
import { CompactRange } from '../../../merkle/range.ts';
import { EMPTY_ROOT, leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { ClientError } from '../../errors.ts';
import { compareTrees } from '../../follow/consistency.ts';
import { Feed } from '../../follow/follow.ts';
import { describeHead } from '../../follow/open-head.ts';
import type { Batch, Cursor, Fact, FeedSettings, FollowedLog, Look, SignedHead } from '../../follow/types.ts';
import { proveLeaf, tilesOf } from '../../tiles/tree-proofs.ts';
import type { OpenSource } from '../../tiles/types.ts';
import { type ReadLeaf, readLeaf, WrongLeafError } from './read-leaf.ts';
import type { RebuildStore } from './rebuild-store.ts';
import type { RebuildStatus, RebuiltMap, WrongLeaf } from './types.ts';

interface RebuildOptions {
  readonly input: FollowedLog;
  readonly output: FollowedLog;
  readonly map: RebuiltMap;
  readonly store: RebuildStore;
  readonly open: OpenSource;
  readonly settings: FeedSettings;
  /** Entries of the input log in the map, of those that the next leaf needs. */
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Two signed trees of one of the logs that cannot both be true. */
  readonly onEvidence?: (origin: string, evidence: Evidence) => Promise<void>;
}

export interface RebuildProgress {
  readonly entries: number;
  /** Input size of the next leaf. */
  readonly goal: number;
  readonly verified: number;
  readonly leaves: number;
}

/** Ends a reading of the input log at the input size of the last known leaf. */
class Reached extends Error {}

const REACHED = 'the map is at the last leaf';

export class Rebuild {
  readonly #options: RebuildOptions;
  readonly #input: Feed;
  readonly #output: Feed;
  /** The cursor of the map. */
  #at: Cursor | undefined;
  #outputRange = CompactRange.empty(fastSha256);
  #next: ReadLeaf | undefined;
  #waiting: string | undefined;

  /** @throws ClientError `usage`: a location is neither a URL nor a directory */
  constructor(options: RebuildOptions) {
    this.#options = options;
    const { input, output, open, settings, map } = options;
    const feed = { open, settings: { ...settings, partialMs: 0 }, start: 'start' } as const;
    const load = async () => {
      this.#at = await map.load();
      return this.#at;
    };
    this.#input = new Feed(input, { load, commit: (batch) => this.#grow(batch) }, feed);
    this.#output = new Feed(output, { load: () => this.#loadOutput(), commit: (batch) => this.#keep(batch) }, feed);
  }

  get status(): RebuildStatus {
    const { verified, inputSize } = this.#options.store.progress;
    const { halted } = this.#options.store;
    return {
      verified,
      inputSize,
      leaves: this.#outputRange.size,
      ...(this.#waiting !== undefined && { waiting: this.#waiting }),
      ...(halted !== undefined && { halted }),
    };
  }

  /** The last checkpoint of the output log that the feed accepted. */
  get outputHead(): SignedHead | undefined {
    return this.#output.cursor?.head;
  }

  /** The last checkpoint of the input log that the feed accepted. */
  get inputHead(): SignedHead | undefined {
    return this.#input.cursor?.head;
  }

  /** Reads both cursors. @throws ClientError `state`; RuntimeError `store` */
  async load(): Promise<void> {
    await this.#options.store.refresh();
    await this.#output.load();
    await this.#input.load();
  }

  /** Takes the state anew from what is durable, after a store failed. */
  reload(): void {
    this.#input.reload();
    this.#output.reload();
  }

  /**
   * Looks at both logs once, and verifies every leaf that can be verified now. Resolves with the first leaf that does not hold;
   * undefined where all hold that could be compared (`status` says which wait, and why).
   *
   * @throws ClientError of the feeds and `state`; RuntimeError `store`, `file`
   */
  async round(signal: AbortSignal): Promise<WrongLeaf | undefined> {
    const { store } = this.#options;
    if (store.halted !== undefined) return undefined;
    try {
      await this.load();
      const look = await this.#outputLook(signal);
      // A log with witnesses has no checkpoint before its first leaf.
      if (look === undefined) return undefined;
      await this.#accepted(this.#options.output, look);
      const { fact } = await this.#output.read(look, signal);
      if (fact !== undefined) throw refused(this.#options.output.origin, fact);
      this.#waiting = await this.#verifyAll(signal);
      return undefined;
    } catch (error) {
      if (!(error instanceof WrongLeafError)) throw error;
      return await this.#wrong(error, signal);
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#input.close(), this.#output.close()]);
  }

  /** Undefined where the output log is new. @throws ClientError of its source */
  async #outputLook(signal: AbortSignal): Promise<Look | undefined> {
    try {
      return await this.#output.look(signal);
    } catch (error) {
      const isMissing = error instanceof ClientError && error.code === 'missing';
      if (isMissing && (await this.#output.isNew(signal).catch(() => false))) return undefined;
      throw error;
    }
  }

  async #loadOutput(): Promise<Cursor | undefined> {
    const cursor = await this.#options.store.cursor();
    this.#outputRange = cursor?.range ?? CompactRange.empty(fastSha256);
    return cursor;
  }

  async #keep(batch: Batch): Promise<void> {
    await this.#options.store.keep(batch, this.#outputRange);
    this.#outputRange = batch.cursor.range;
  }

  /** Verifies the kept leaves in order. Resolves with the reason where some wait for the input log. */
  async #verifyAll(signal: AbortSignal): Promise<string | undefined> {
    for (;;) {
      await this.#judgeHere();
      const next = this.#next;
      if (next === undefined) return undefined;
      const look = await this.#input.look(signal);
      await this.#accepted(this.#options.input, look);
      const { size } = look.head;
      if (size < next.head.size && (this.#at?.range.size ?? 0) === size) return waitingFor(next, size);
      const stop = new AbortController();
      try {
        const { fact } = await this.#input.read(look, AbortSignal.any([signal, stop.signal]));
        if (fact !== undefined) throw refused(this.#options.input.origin, fact);
        if (size < next.head.size) return waitingFor(next, size);
      } catch (error) {
        if (!(error instanceof Reached)) throw error;
      } finally {
        // A chunk may be on its way.
        stop.abort();
      }
    }
  }

  /** The consumer of the input log: grows the map, and stops at the input size of each leaf to compare. */
  async #grow({ entries, cursor, first }: Batch): Promise<void> {
    let from = first;
    const range = (this.#at?.range ?? CompactRange.empty(fastSha256)).clone();
    // A checkpoint alone.
    if (entries.length === 0) await this.#commit({ first, entries, cursor });
    while (from < first + entries.length) {
      await this.#judgeHere();
      const next = this.#next;
      if (next === undefined) throw new Reached(REACHED);
      const end = Math.min(next.head.size, first + entries.length);
      const part = entries.slice(from - first, end - first);
      for (const { leafHash } of part) range.append(leafHash);
      const whole = end === first + entries.length;
      await this.#commit({ first: from, entries: part, cursor: whole ? cursor : { ...cursor, range: range.clone() } });
      from = end;
      const { verified } = this.#options.store.progress;
      const leaves = this.#outputRange.size;
      this.#options.onProgress?.({ entries: end, goal: next.head.size, verified, leaves });
    }
  }

  async #commit(batch: Batch): Promise<void> {
    await this.#options.map.commit(batch);
    this.#at = batch.cursor;
  }

  /** Compares every leaf whose input tree is that of the map, and reads the one after them. @throws WrongLeafError */
  async #judgeHere(): Promise<void> {
    const { store, map, input } = this.#options;
    this.#next = undefined;
    while (store.progress.verified < this.#outputRange.size) {
      const { verified: index, inputSize, inputRoot } = store.progress;
      const leaf = readLeaf(index, await store.leaf(index), input, { size: inputSize, root: inputRoot });
      const size = this.#at?.range.size ?? 0;
      if (leaf.head.size > size) {
        this.#next = leaf;
        return;
      }
      if (leaf.head.size < size) {
        const why = `the map has ${size} entries, and leaf ${index} of "${this.#options.output.origin}" is over ${leaf.head.size}`;
        throw new ClientError(
          'state',
          `${why}: one of the two is an old copy. Move both away, and the rebuild begins anew`,
        );
      }
      const root = this.#at?.range.root() ?? EMPTY_ROOT;
      if (!equal(root, leaf.head.root)) {
        const own = describeHead({ size, root });
        const why = 'its input checkpoint is of another tree than the one that the input log shows';
        throw new WrongLeafError(leaf, 'input', why, own, describeHead(leaf.head));
      }
      const rebuilt = await map.root();
      if (!equal(rebuilt.root, leaf.root)) {
        const why = `the map over ${size} entries has another root`;
        throw new WrongLeafError(leaf, 'root', why, encodeBase64(rebuilt.root), encodeBase64(leaf.root));
      }
      if (rebuilt.keys !== leaf.keys) {
        const why = `the map over ${size} entries has another number of keys`;
        throw new WrongLeafError(leaf, 'keys', why, String(rebuilt.keys), String(leaf.keys));
      }
      await store.verify(size, root);
    }
  }

  /** @throws ClientError where the look is not accepted; a fork of the output log halts the rebuild */
  async #accepted({ origin }: FollowedLog, { accepted, facts }: Look): Promise<void> {
    const [fact] = facts;
    if (accepted || fact === undefined) return;
    if ('evidence' in fact && fact.evidence !== undefined && !('served' in fact.evidence)) {
      await this.#options.onEvidence?.(origin, fact.evidence);
    }
    const error = refused(origin, fact);
    if (fact.proven && origin === this.#options.output.origin) await this.#options.store.halt(error.message);
    throw error;
  }

  /** Keeps the evidence, then halts. */
  async #wrong({ wrong, head }: WrongLeafError, signal: AbortSignal): Promise<WrongLeaf> {
    const shown = await this.#proofOf(wrong, signal);
    const full = { ...wrong, ...shown };
    if (wrong.claim === 'input' && head !== undefined) await this.#forkOf(head, signal);
    const file = await this.#options.store.keepEvidence(full);
    const { index, why } = full;
    const output = this.#options.output.origin;
    await this.#options.store.halt(`leaf ${index} of "${output}" is wrong: ${why} (evidence: ${file})`);
    return full;
  }

  /** The checkpoint of the output log and the proof of the leaf in it, as far as the log still serves its tiles. */
  async #proofOf({ index, leaf }: WrongLeaf, signal: AbortSignal): Promise<Pick<WrongLeaf, 'checkpoint' | 'proof'>> {
    const head = this.outputHead;
    if (head === undefined) return {};
    const { open, output } = this.#options;
    const source = open(output.location);
    try {
      const proof = await proveLeaf(head, index, leafHash(leaf, fastSha256), tilesOf(source, signal), fastSha256);
      return { checkpoint: head.own, proof };
    } catch {
      return { checkpoint: head.own };
    } finally {
      await source.close();
    }
  }

  /** Two trees of the input log: what the leaf names, and what the log shows. */
  async #forkOf(named: SignedHead, signal: AbortSignal): Promise<void> {
    const shown = this.inputHead;
    if (shown === undefined || shown.size < named.size) return;
    const { open, input, onEvidence } = this.#options;
    const source = open(input.location);
    try {
      const evidence = await compareTrees(named, shown, tilesOf(source, signal));
      if (evidence !== undefined) await onEvidence?.(input.origin, evidence);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
    } finally {
      await source.close();
    }
  }
}

function waitingFor({ index, head }: ReadLeaf, size: number): string {
  return `leaf ${index} is over ${head.size} entries, and the input log shows ${size}`;
}

function refused(origin: string, fact: Fact): ClientError {
  const code = fact.type === 'quorum-missing' ? 'quorum' : fact.type === 'rollback' ? 'stale' : 'corrupt';
  const what = {
    'empty-root': 'it signed a root for the empty tree that the empty tree does not have',
    fork: 'it signed two trees that are not of one history',
    rollback: 'it shows a smaller tree than before',
    'grew-after-freeze': 'it signed a larger tree after it was frozen',
    'quorum-missing': 'its checkpoint is without its quorum of witnesses',
    'old-checkpoint': 'its checkpoint is old',
    'split-view': 'another view of it shows another history',
    'bad-entry': 'it serves an entry that is not in its tree',
  }[fact.type];
  return new ClientError(code, `"${origin}" cannot be followed: ${what} (${describeHead(fact.head)})`);
}
