/** Where the files of a log lie behind a URL, and what the status of an answer means. Runs on Node and in a browser. */
import { ClientError } from '../errors.ts';
import type { Files } from './types.ts';

const NOT_IMPLEMENTED = 501;
const API = '/api/v2';

/**
 * The files of a log by the URL that clients write to. They lie at that URL, as c2sp.org/tlog-tiles has them, or below its
 * `/api/v2`, as Rekor's API v2 has them. The place that has the checkpoint serves everything else.
 *
 * @param base without a slash at its end
 */
export function filesInEitherPlace(base: string, filesOf: (base: string) => Files): Files {
  const root = filesOf(base);
  if (base.endsWith(API)) return root;
  const api = filesOf(`${base}${API}`);
  let found: Files | undefined;
  return {
    ...root,
    async get(path, limit, signal, fresh) {
      if (found !== undefined) return await found.get(path, limit, signal, fresh);
      for (const files of [root, api]) {
        const bytes = await files.get(path, limit, signal, fresh);
        if (bytes === undefined) continue;
        if (path === 'checkpoint') found = files;
        return bytes;
      }
      return undefined;
    },
  };
}

/**
 * The bytes of an answer; undefined where the file is not there.
 *
 * @throws ClientError `bad-reply`, `refused`
 */
export function fetchedFile(
  url: string,
  { status, bytes }: { readonly status: number; readonly bytes: Uint8Array },
): Uint8Array | undefined {
  if (status === 200) return bytes;
  if (status === 404 || status === 410) return undefined;
  if (status >= 300 && status < 400) {
    const why = `${url} answers with a redirect (status ${status}), which is not followed`;
    throw new ClientError('bad-reply', `${why}: give the address that it leads to, if you trust it`);
  }
  if (status === NOT_IMPLEMENTED) {
    const what = 'this server does not serve the files of its log: give the URL or the directory where they are';
    throw new ClientError('refused', `${url} answers with status ${status}: ${what}`);
  }
  throw new ClientError('refused', `${url} answers with status ${status}`);
}

/** Whether another attempt may end in another way. */
export function isRetriable(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== NOT_IMPLEMENTED);
}
