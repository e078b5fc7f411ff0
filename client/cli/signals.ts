/** How a server that the command line runs is told to stop. */

/**
 * Resolves with the reason to stop: the first SIGINT or SIGTERM, or the end of the process that `stele up` is. A second
 * signal calls `atOnce`, which by default ends the process.
 */
export function stopSignals(atOnce: (status: number) => void = (status) => process.exit(status)): Promise<string> {
  return new Promise((resolve) => {
    let seen = false;
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        if (seen) return atOnce(signal === 'SIGINT' ? 130 : 143);
        seen = true;
        resolve(signal);
      });
    }
    // A server must not outlive the one that would restart it, and that may be killed without a word.
    process.once('disconnect', () => resolve('the process that started this one has ended'));
    // The channel alone must not keep a server alive that has closed.
    process.channel?.unref();
  });
}
