/**
 * Request bodies: as bytes, bounded each and all together, and read whatever the Content-Type says.
 *
 * Fastify's own reader answers a body that is too large while the client is still sending, and Node then closes the
 * connection. The bytes in flight make the kernel reset the connection, and the client never sees the 413. So this reader
 * goes on reading for a little while, and throws the bytes away.
 */
import type { IncomingMessage } from 'node:http';
import { type RequestError, requestError } from '../errors.ts';

/** A body that is too large is still read for so long, and up to so many times the limit. */
const LINGER_MS = 2000;
const LINGER_FACTOR = 2;

/** Counts the bytes of request bodies in memory, and keeps them within a limit. */
export class BodyBudget {
  readonly #limit: number;
  #held = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  take(bytes: number): boolean {
    if (this.#held + bytes > this.#limit) return false;
    this.#held += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#held -= bytes;
  }
}

/**
 * Reads a whole body of at most `limit` bytes. The caller gives the body's length back to `budget` when it is done with
 * the bytes.
 * @throws RequestError `too-large`, `pushback`, and `malformed` if the body stops before its end
 */
export function readBody(request: IncomingMessage, limit: number, budget: BodyBudget): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const declared = Number(request.headers['content-length'] ?? 0);
    // A client that waits for "100 Continue" has sent nothing yet, and will not send it.
    if (declared > limit && request.headers.expect !== undefined) {
      reject(requestError('too-large', limit));
      return;
    }
    let chunks: Buffer[] = [];
    let received = 0;
    let held = 0;
    let failure: RequestError | undefined;
    let linger: NodeJS.Timeout | undefined;

    const fail = (error: RequestError) => {
      failure = error;
      chunks = [];
      budget.release(held);
      held = 0;
      linger = setTimeout(finish, LINGER_MS);
    };
    const onData = (chunk: Buffer) => {
      received += chunk.length;
      if (failure !== undefined) {
        if (received > limit * LINGER_FACTOR) finish();
      } else if (received > limit) {
        fail(requestError('too-large', limit));
      } else if (budget.take(chunk.length)) {
        held += chunk.length;
        chunks.push(chunk);
      } else {
        fail(requestError('pushback'));
      }
    };
    const onGone = () => {
      failure ??= requestError('malformed', 'the request body stopped before its end');
      finish();
    };
    const finish = () => {
      clearTimeout(linger);
      request.off('data', onData).off('end', finish).off('error', onGone).off('close', onGone);
      if (failure === undefined) {
        // A copy: a chunk is a view of the socket's read buffer, which is many times larger.
        resolve(Buffer.concat(chunks, received));
      } else {
        budget.release(held);
        // The rest of the body may still fail, and an error without a listener would end the process.
        request.on('error', () => {});
        reject(failure);
      }
    };

    request.on('data', onData).on('end', finish).on('error', onGone).on('close', onGone);
    if (declared > limit) fail(requestError('too-large', limit));
  });
}
