/** Cuts connections whose client does not take its reply. */
import type { Socket } from 'node:net';

/** A reply that its client has not read yet: how many bytes must be out, and by when. */
export interface Unread {
  readonly drained: number;
  readonly until: number;
}

/**
 * Uses public counters alone. Node reports the bytes that it handed to the kernel one whole write at a time, so the time
 * allowed grows with the bytes that wait, and progress is the bytes that have gone.
 * @param replyTimeout milliseconds
 * @param replyRate bytes a second
 */
export function cutSlowReaders(
  sockets: Map<Socket, Unread | undefined>,
  replyTimeout: number,
  replyRate: number,
): void {
  const now = performance.now();
  for (const [socket, unread] of sockets) {
    const waiting = socket.writableLength;
    const drained = socket.bytesWritten - waiting;
    if (waiting === 0) {
      if (unread !== undefined) sockets.set(socket, undefined);
    } else if (unread === undefined || drained >= unread.drained) {
      const until = now + replyTimeout + (waiting / replyRate) * 1000;
      sockets.set(socket, { drained: drained + waiting, until });
    } else if (now > unread.until) {
      socket.destroy();
    }
  }
}
