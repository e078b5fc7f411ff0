/**
 * Other views of one log: copies of it, and witnesses, which give the last checkpoint that they cosigned. Each must be a
 * tree of one history with what the log shows here; each view may be consistent in itself, and only this shows the split.
 */

import { printable } from '../../merkle/printable.ts';
import { originHash } from '../../merkle/witness.ts';
import { ClientError } from '../errors.ts';
import type { Misbehaviour } from '../monitor/fact-alerts.ts';
import type { FollowedLog } from '../monitor/follow-settings.ts';
import type { View } from '../monitor/log-state.ts';
import type { TileSource } from '../tiles/types.ts';
import { compareTrees, tilesOf } from './consistency.ts';
import { describeHead, type Head, openHead, sameTree } from './signed-head.ts';

export type OpenSource = (location: string) => TileSource;

/** What a look at a peer has shown. */
export interface Look {
  readonly view: View;
  /** Why it could not be compared now: it is away, or serves something else. */
  readonly trouble?: string;
  readonly misbehaviour?: Misbehaviour;
}

export class Peer {
  readonly name: string;
  readonly #log: FollowedLog;
  /** A witness has the log's checkpoint under the hash of its origin, a copy has it as the log has it. */
  readonly #witness: TileSource | undefined;
  readonly #copy: TileSource;
  /** The last tree that was found to agree with one that was believed, and the last that was compared at all. */
  #agreed: Pick<Head, 'size' | 'root'> | undefined;
  #compared: Pick<Head, 'size' | 'root'> | undefined;

  constructor(log: FollowedLog, location: string, open: OpenSource) {
    this.name = location;
    this.#log = log;
    this.#copy = open(location);
    const url = /^https?:/i.test(location);
    this.#witness = url ? open(`${location.replace(/\/+$/, '')}/${originHash(log.origin)}`) : undefined;
  }

  /**
   * Compares the peer's checkpoint with `head`, a tree of the log that holds in itself.
   *
   * @param before what is known of the peer; where it is not, it counts as agreed since `now`
   * @throws ClientError `cancelled` alone
   */
  async look(
    head: Head,
    source: TileSource,
    before: View | undefined,
    now: number,
    signal: AbortSignal,
  ): Promise<Look> {
    const known: View = before ?? { agreed: now };
    let ahead = known.ahead;
    this.#compared = this.#agreed;
    try {
      if (ahead !== undefined && ahead.size <= head.size) {
        const split = await this.#compare(ahead, head, source, signal);
        if (split !== undefined) return { view: known, misbehaviour: split };
        ahead = undefined;
      }
      const seen = openHead(this.#log, await this.#checkpoint(signal));
      // What is larger is kept until the log shows as much here: it may be late, or hide what it has signed.
      const waits = ahead !== undefined;
      if (!waits && seen.size > head.size) ahead = seen;
      if (this.#agreed === undefined || !sameTree(seen, this.#agreed)) {
        const split = await this.#compare(seen, head, source, signal);
        if (split !== undefined) return { view: known, misbehaviour: split };
        this.#compared = seen;
      }
      if (!waits) return { view: { agreed: now, ...(ahead !== undefined && { ahead }) } };
      return {
        view: known,
        trouble: `it has a checkpoint of size ${ahead!.size}, and the log shows ${head.size} here`,
      };
    } catch (error) {
      if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
      const { agreed } = known;
      return { view: { agreed, ...(ahead !== undefined && { ahead }) }, trouble: error.message };
    }
  }

  /** The head of the last look was believed: what agrees with it need not be compared with what continues it. */
  believed(): void {
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

  async #compare(seen: Head, head: Head, source: TileSource, signal: AbortSignal): Promise<Misbehaviour | undefined> {
    const [older, newer] = seen.size <= head.size ? [seen, head] : [head, seen];
    // Only who has the larger tree has its tiles; a witness has none at all.
    const compare = (from: TileSource) => compareTrees(older, newer, tilesOf(from, signal));
    const evidence =
      newer === head
        ? await compare(source)
        : await compare(source).catch(async (error: unknown) => {
            if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
            return await compare(this.#copy);
          });
    if (evidence === undefined) return undefined;
    return {
      kind: 'split-view',
      condition: `split-view ${this.name}`,
      detail: [describeHead(older), describeHead(newer)].join('; '),
      summary: `the log shows two histories: here ${describeHead(head)}, and ${describeHead(seen)} at ${printable(this.name)}`,
      proven: true,
      evidence,
    };
  }
}
