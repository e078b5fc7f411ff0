/** Small files that a service reads again and again, from the disk or over HTTP. */

import { printable } from '../../../merkle/printable.ts';
import { readBounded } from '../../../merkle/runtime/disk/bounded.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { fetchBounded } from '../../../merkle/runtime/service/fetch.ts';
import { ClientError, cancelled } from '../../errors.ts';
import { tlsAdvice } from '../../tls-advice.ts';

const TIMEOUT_MS = 30_000;

/**
 * The bytes at a path or an http(s) URL, at most `limit`.
 *
 * @throws ClientError `missing`: there is no such file; `file`, `network`, `cancelled`
 */
export async function readLocation(
  location: string,
  limit: number,
  signal?: AbortSignal,
  fetchWith?: typeof fetch,
): Promise<Uint8Array> {
  try {
    if (!/^https?:/i.test(location)) return await readBounded(location, limit);
    const { status, bytes } = await fetchBounded(location, { limit, timeoutMs: TIMEOUT_MS, signal, fetch: fetchWith });
    if (status === 200) return bytes;
    throw new ClientError(
      status === 404 ? 'missing' : 'network',
      `${printable(location)} answers with status ${status}`,
    );
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    if (signal?.aborted) throw cancelled(cause);
    const { code, message } = cause as NodeJS.ErrnoException;
    if (cause instanceof RuntimeError) {
      const advice = tlsAdvice(cause);
      const why = advice === undefined ? printable(message) : `${printable(location)} cannot be used: ${advice}`;
      throw new ClientError('network', why, { cause });
    }
    throw new ClientError(code === 'ENOENT' ? 'missing' : 'file', `${location} cannot be read: ${code ?? message}`, {
      cause,
    });
  }
}
