/** A mirror of a TUF repository over HTTP. Whatever it does, a request ends in time and within its limit. */
import { printable } from '../../../merkle/printable.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { type Fetched, fetchBounded } from '../../../merkle/runtime/service/fetch.ts';
import { ClientError, cancelled } from '../../errors.ts';
import { tlsAdvice } from '../../tls-advice.ts';

export interface Mirror {
  /** http or https, with a slash at its end. */
  readonly url: string;
  /**
   * The bytes at a path, or undefined where the mirror has no such file.
   *
   * @param limit most bytes
   * @throws ClientError `network`: no whole answer, or one of an error; `bad-reply`: a redirect; `tuf-mismatch`: more bytes
   *   than the limit; `cancelled`
   */
  get(path: string, limit: number): Promise<Uint8Array | undefined>;
}

interface MirrorOptions {
  readonly fetch?: typeof fetch | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds since 1970 by which all requests have ended. */
  readonly deadline: number;
}

const REQUEST_MS = 30_000;
/** Storage services answer so for a file that is not there, where the reader may not list them. go-tuf takes both too. */
const NOT_THERE = [403, 404];

/** @param url of `parseMirrorUrl` */
export function openMirror(url: string, { fetch, signal, deadline }: MirrorOptions): Mirror {
  return {
    url,
    async get(path, limit) {
      const at = `${url}${path}`;
      const timeoutMs = Math.min(REQUEST_MS, deadline - Date.now());
      if (timeoutMs <= 0) throw new ClientError('network', `${url} takes too long: the time for the update is over`);
      const headers = { 'user-agent': 'stele', 'cache-control': 'no-cache' };
      return content(at, await request(at, { limit, timeoutMs, headers, signal, fetch }));
    },
  };
}

async function request(url: string, options: Parameters<typeof fetchBounded>[1]): Promise<Fetched> {
  try {
    return await fetchBounded(url, options);
  } catch (cause) {
    if (!(cause instanceof RuntimeError)) throw cause;
    if (cause.code === 'aborted') throw cancelled();
    if (cause.code === 'too-long') throw new ClientError('tuf-mismatch', printable(cause.message), { cause });
    const advice = tlsAdvice(cause);
    const why = advice === undefined ? printable(cause.message) : `${url} cannot be used: ${advice}`;
    throw new ClientError('network', why, { cause });
  }
}

function content(url: string, { status, bytes }: Fetched): Uint8Array | undefined {
  if (status === 200) return bytes;
  if (NOT_THERE.includes(status)) return undefined;
  if (status >= 300 && status < 400) {
    const why = `${url} answers with a redirect (status ${status}), which is not followed`;
    throw new ClientError('bad-reply', `${why}: give the address that it leads to, if you trust it`);
  }
  throw new ClientError('network', `${url} answers with status ${status}`);
}
