/** All other views of one log, and what is known of them. */

import type { Misbehaviour } from '../monitor/fact-alerts.ts';
import type { FollowedLog } from '../monitor/follow-settings.ts';
import type { View } from '../monitor/log-state.ts';
import type { TileSource } from '../tiles/types.ts';
import { type OpenSource, Peer } from './peer.ts';
import type { Head } from './signed-head.ts';

/** What a look at all of them has shown. */
export interface Looked {
  /** Views of another history. */
  readonly splits: readonly Misbehaviour[];
  /** Views that could not be compared now. */
  readonly troubles: readonly { readonly peer: string; readonly message: string }[];
  /** Those that could not be for too long. */
  readonly stale: readonly Misbehaviour[];
  /** Conditions that do not hold any more. */
  readonly over: readonly string[];
}

export class Views {
  readonly #log: FollowedLog;
  readonly #peers: readonly Peer[];
  #known = new Map<string, View>();

  /** @throws ClientError `usage`: a peer's location is none */
  constructor(log: FollowedLog, open: OpenSource) {
    this.#log = log;
    this.#peers = (log.peers ?? []).map((location) => new Peer(log, location, open));
  }

  /** By the peer's name; a copy. */
  get known(): ReadonlyMap<string, View> {
    return new Map(this.#known);
  }

  restore(known: ReadonlyMap<string, View>): void {
    this.#known = new Map(known);
  }

  /**
   * Compares every view with `head`, all at once. `now` and `staleMs` are in milliseconds.
   *
   * @throws ClientError `cancelled`
   */
  async look(head: Head, source: TileSource, now: number, staleMs: number, signal: AbortSignal): Promise<Looked> {
    const looks = await Promise.all(
      this.#peers.map(async (peer) => {
        const look = await peer.look(head, source, this.#known.get(peer.name), now, signal);
        return { peer: peer.name, ...look };
      }),
    );
    const splits = looks.flatMap(({ misbehaviour }) => misbehaviour ?? []);
    const troubled = looks.flatMap(({ peer, view, trouble }) =>
      trouble === undefined ? [] : [{ peer, view, message: trouble }],
    );
    // What was compared with a head that is not believed must be compared again.
    if (splits.length === 0) for (const { peer, view } of looks) this.#known.set(peer, view);
    return {
      splits,
      troubles: troubled,
      stale: troubled
        .filter(({ view }) => now - view.agreed >= staleMs)
        .map(({ peer, view, message }) => this.#stale(peer, view, message)),
      over: looks
        .filter(({ trouble, misbehaviour }) => trouble === undefined && misbehaviour === undefined)
        .map(({ peer }) => conditionOf(peer)),
    };
  }

  /** The head of the last look was believed. */
  believed(): void {
    for (const peer of this.#peers) peer.believed();
  }

  async close(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.close()));
  }

  #stale(peer: string, { agreed }: View, message: string): Misbehaviour {
    const since = new Date(agreed).toISOString();
    const summary = `"${this.#log.origin}" could not be compared with ${peer} since ${since}: ${message}`;
    return { kind: 'stale', condition: conditionOf(peer), detail: since, summary, proven: true };
  }
}

function conditionOf(peer: string): string {
  return `stale ${peer}`;
}
