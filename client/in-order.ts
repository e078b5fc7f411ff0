/** Many jobs at once, their results in the order of the jobs. */

/**
 * Runs the jobs that `next` gives until it gives none, at most `width()` at once; the results come in their order, and the
 * first job in that order that fails ends it. Jobs that run then go on, and nobody hears of them.
 */
export async function* inOrder<T>(next: () => (() => Promise<T>) | undefined, width: () => number): AsyncGenerator<T> {
  const running: Promise<T>[] = [];
  const fill = (): void => {
    while (running.length < width()) {
      const job = next();
      if (job === undefined) return;
      const result = job();
      // It is awaited when its turn comes, which may be after it failed, or never.
      result.catch(() => {});
      running.push(result);
    }
  };
  fill();
  for (let first = running.shift(); first !== undefined; first = running.shift()) {
    const result = await first;
    fill();
    yield result;
  }
}
