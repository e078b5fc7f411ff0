/** How a service that the command line runs ends. */
import { closeSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { Logger } from '../../merkle/runtime/service/logger.ts';

/**
 * Resolves with the reason to stop: the first SIGINT or SIGTERM, or the end of the process that started this one and
 * holds a channel to it. A second signal calls `atOnce`, which by default ends the process.
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
    // A service must not outlive the process that would restart it, and a killed process says nothing.
    process.once('disconnect', () => resolve('the process that started this one has ended'));
    // The channel alone must not keep a closed service alive.
    process.channel?.unref();
  });
}

let early = false;
let reloading: (() => void) | undefined;

function hangUp(): void {
  if (reloading === undefined) early = true;
  else reloading();
}

/**
 * From now on SIGHUP does not end this process, also when a terminal closes. A signal that comes before `onHangUp` is kept.
 * Call it first of all in a process that will be a service.
 */
export function holdHangUps(): void {
  if (process.listeners('SIGHUP').includes(hangUp)) return;
  process.on('SIGHUP', hangUp);
  const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
  // Node sets the terminal back when it ends, and aborts where the terminal is gone, unless the descriptor is closed.
  process.once('exit', () => {
    for (const descriptor of terminals) if (!isatty(descriptor)) closeSync(descriptor);
  });
}

/** What SIGHUP does from now on, once the service can do it. */
export function onHangUp(reload: () => void): void {
  holdHangUps();
  reloading = reload;
  if (early) reload();
  early = false;
}

/** A service of log or witness, with what the command line needs to end it. */
interface RunningService {
  /** Rejects where the service cannot go on. */
  readonly failed: Promise<never>;
  readonly logger: Logger;
  close(): Promise<void>;
}

/** Waits for a reason to stop, and closes the service in order. Rejects where the service cannot go on. */
export async function untilStopped(service: RunningService, stopping: Promise<string>): Promise<void> {
  const { failed, close, logger } = service;
  try {
    const why = await Promise.race([stopping, failed]);
    logger.info({}, `${why}: answering the requests under way, then closing`);
  } finally {
    await close();
  }
}
