/**
 * Other views of one log: copies of it, and witnesses, which serve the last checkpoint that they cosigned. Each view must
 * show a tree of the same history as the log itself. Two views can each be consistent, and only their comparison shows
 * the split.
 */
import { originHash } from '../../merkle/witness.ts';
import { ClientError } from '../errors.ts';
import { tilesOf } from '../tiles/tree-proofs.ts';
import type { OpenSource, TileSource, TreeHead } from '../tiles/types.ts';
import { compareTrees } from './consistency.ts';
import { sameTree } from './open-head.ts';
import { openHead } from './signed-head.ts';
import type { FollowedLog, PeerLook, PeerView, SignedHead, SplitView } from './types.ts';

/** All peers of one log, and what the feed knows of them. */
export class Peers {
  readonly #peers: readonly Peer[];
  #known = new Map<string, PeerView>();

  /** @throws ClientError `usage`: the location of a peer is neither a URL nor a directory */
  constructor(log: FollowedLog, open: OpenSource) {
    this.#peers = (log.peers ?? []).map((location) => new Peer(log, location, open));
  }

  /** By the location of the peer; a copy. */
  get known(): ReadonlyMap<string, PeerView> {
    return new Map(this.#known);
  }

  restore(known: ReadonlyMap<string, PeerView>): void {
    this.#known = new Map(known);
  }

  /** Compares every peer with `head`, all at once; `now` in ms since 1970. @throws ClientError `cancelled` */
  async look(head: SignedHead, source: TileSource, now: number, signal: AbortSignal): Promise<PeerLook[]> {
    const looks = await Promise.all(
      this.#peers.map((peer) => peer.look(head, source, this.#known.get(peer.location), now, signal)),
    );
    // After a split the feed does not accept the head, and so compares each peer with the next head anew.
    if (looks.every(({ split }) => split === undefined))
      for (const { peer, view } of looks) this.#known.set(peer, view);
    return looks;
  }

  /** The feed has accepted the head of the last look. */
  accepted(): void {
    for (const peer of this.#peers) peer.accepted();
  }

  async close(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.close()));
  }
}

class Peer {
  readonly location: string;
  readonly #log: FollowedLog;
  readonly #copy: TileSource;
  /** A witness serves the log's checkpoint under the hash of the log's origin. */
  readonly #witness: TileSource | undefined;
  /** The last tree of the peer that agreed with an accepted head. */
  #agreed: TreeHead | undefined;
  /** The last tree of the peer that the feed compared with any head. */
  #compared: TreeHead | undefined;

  constructor(log: FollowedLog, location: string, open: OpenSource) {
    this.location = location;
    this.#log = log;
    this.#copy = open(location);
    const url = /^https?:/i.test(location);
    this.#witness = url ? open(`${location.replace(/\/+$/, '')}/${originHash(log.origin)}`) : undefined;
  }

  /**
   * Compares the peer's checkpoint with `head`, a signed tree of the log.
   *
   * @param before what the feed knows of the peer; an unknown peer counts as in agreement since `now`
   * @throws ClientError `cancelled` alone
   */
  async look(
    head: SignedHead,
    source: TileSource,
    before: PeerView | undefined,
    now: number,
    signal: AbortSignal,
  ): Promise<PeerLook> {
    const peer = this.location;
    const known: PeerView = before ?? { agreed: now };
    let ahead = known.ahead;
    this.#compared = this.#agreed;
    try {
      if (ahead !== undefined && ahead.size <= head.size) {
        const split = await this.#compare(ahead, head, source, signal);
        if (split !== undefined) return { peer, view: known, split };
        ahead = undefined;
      }
      const seen = openHead(this.#log, await this.#checkpoint(signal));
      // The larger checkpoint stays until the log shows as much: the log may be late, or hide what it has signed.
      const waits = ahead !== undefined;
      if (!waits && seen.size > head.size) ahead = seen;
      if (this.#agreed === undefined || !sameTree(seen, this.#agreed)) {
        const split = await this.#compare(seen, head, source, signal);
        if (split !== undefined) return { peer, view: known, split };
        this.#compared = seen;
      }
      if (!waits) return { peer, view: { agreed: now, ...(ahead !== undefined && { ahead }) } };
      const trouble = `it has a checkpoint of size ${ahead!.size}, and the log shows ${head.size} here`;
      return { peer, view: known, trouble };
    } catch (error) {
      if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
      const { agreed } = known;
      return { peer, view: { agreed, ...(ahead !== undefined && { ahead }) }, trouble: error.message };
    }
  }

  /** The feed has accepted the head of the last look: what agrees with it agrees with all that continues it. */
  accepted(): void {
    this.#agreed = this.#compared;
  }

  async close(): Promise<void> {
    await Promise.all([this.#copy.close(), this.#witness?.close()]);
  }

  async #checkpoint(signal: AbortSignal): Promise<Uint8Array> {
    try {
      return await this.#copy.checkpoint(signal);
    } catch (error) {
      const gone = error instanceof ClientError && error.code === 'missing';
      if (!gone || this.#witness === undefined) throw error;
      return await this.#witness.checkpoint(signal);
    }
  }

  async #compare(
    seen: SignedHead,
    head: SignedHead,
    source: TileSource,
    signal: AbortSignal,
  ): Promise<SplitView | undefined> {
    const [older, newer] = seen.size <= head.size ? [seen, head] : [head, seen];
    // Only the side with the larger tree has its tiles. A witness has no tiles at all.
    const compare = (from: TileSource) => compareTrees(older, newer, tilesOf(from, signal));
    const evidence =
      newer === head
        ? await compare(source)
        : await compare(source).catch(async (error: unknown) => {
            if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
            return await compare(this.#copy);
          });
    return evidence && { type: 'split-view', proven: true, peer: this.location, head, seen, evidence };
  }
}
