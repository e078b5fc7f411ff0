/** How a service ends: what it opened is closed last first, and a failure that it cannot go on after reaches its owner. */

/** Closes what was opened, last first. */
export class Closers {
  readonly #closers: (() => Promise<unknown>)[] = [];

  add(close: () => Promise<unknown>): void {
    this.#closers.push(close);
  }

  /**
   * May be called more than once. Stops at the first failure: what was opened before may be in use still, and the lock of
   * a data directory must not be released under an open store.
   */
  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

/** A promise that only ever rejects, and the function that rejects it. Nobody has to wait for the promise. */
export function failure(): { readonly failed: Promise<never>; readonly fail: (error: unknown) => void } {
  let fail: (error: unknown) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  return { failed, fail };
}

/** Resolves when the signal aborts, or at once where it has aborted. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
