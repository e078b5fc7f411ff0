/** A log's requests that wait for their reply and entries that wait for their checkpoint. Outlives the open stores. */
import type { Metrics } from '../metrics.ts';
import type { OpenStore } from './open-store.ts';

export class Backlog {
  readonly #metrics: Metrics;
  #outstanding = 0;
  /** When the oldest entry that is not published was committed, at the earliest, as `performance.now()` counts. */
  #dueSince: number | undefined;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** Requests that are not answered yet. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** How long a checkpoint has been due, in milliseconds. */
  get delayMs(): number {
    return this.#dueSince === undefined ? 0 : performance.now() - this.#dueSince;
  }

  enter(): void {
    this.#metrics.outstanding.set(++this.#outstanding);
  }

  leave(): void {
    this.#metrics.outstanding.set(--this.#outstanding);
  }

  /** Entries were committed to `store`, or `store` came into service. */
  grew(store: OpenStore): void {
    if (store.publishedSize !== store.tree.state.size) this.#dueSince ??= performance.now();
    this.#measure(store);
  }

  /** A checkpoint became public, `tookMs` milliseconds after its publication began. */
  published(store: OpenStore, tookMs: number): void {
    // Entries that it does not cover came after it began: on a busy log there are always some.
    if (this.#dueSince !== undefined) this.#dueSince = performance.now() - tookMs;
    this.#metrics.checkpointPublished(store.publishedSize);
    this.#measure(store);
  }

  #measure(store: OpenStore): void {
    const committed = store.tree.state.size;
    this.#metrics.committed.set(committed);
    this.#metrics.unpublished.set(committed - store.publishedSize);
    if (store.publishedSize === committed) this.#dueSince = undefined;
  }
}
