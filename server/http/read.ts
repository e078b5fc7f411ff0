/**
 * The read API of c2sp.org/tlog-tiles, at the root and, the same bytes, below `/api/v2`. Paths are read from the URL as
 * it was sent, not as the router decoded it: a cache in front must not hold one tile under many names.
 *
 * Full tiles and bundles that are in memory are answered at once, without a promise.
 */
import type { IncomingMessage } from 'node:http';
import { MerkleError } from '../../merkle/errors.ts';
import type { Answer } from '../../merkle/runtime/service/http-server.ts';
import type { DocumentedRoute } from '../../merkle/runtime/service/openapi.ts';
import { parseEntryBundlePath, parseTilePath } from '../../merkle/tile.ts';
import { requestError } from '../errors.ts';
import { ANY_ORIGIN } from './answers.ts';
import { acceptsGzip } from './compress.ts';
import type { HttpContext } from './context.ts';
import { docs } from './route-docs.ts';

/** A shared cache may take the load of many pollers, but no client should see an old tree for long. */
const FRESH = 'public, max-age=1';
const CHECKPOINT = { ...ANY_ORIGIN, 'content-type': 'text/plain; charset=utf-8', 'cache-control': FRESH };
const TILE = {
  ...ANY_ORIGIN,
  'content-type': 'application/octet-stream',
  'cache-control': 'public, max-age=31536000, immutable',
};
const BUNDLE = { ...TILE, vary: 'Accept-Encoding' };
const GZIPPED = { ...BUNDLE, 'content-encoding': 'gzip' };

/** The same files are below each prefix. */
const PREFIXES = ['', '/api/v2'] as const;

export function readRoutes(context: HttpContext): DocumentedRoute[] {
  return PREFIXES.flatMap((prefix) => routesBelow(prefix, context));
}

function routesBelow(prefix: string, { log, compressor }: HttpContext): DocumentedRoute[] {
  const readBundle = async (path: string, gzip: boolean): Promise<Answer> => {
    const { index, width } = strict(() => parseEntryBundlePath(path));
    const bytes = await log.entryBundle(index, width);
    if (bytes === undefined) throw requestError('not-found');
    const compressed = gzip ? await compressor.gzip(path, bytes) : undefined;
    return compressed === undefined ? immutable(BUNDLE, bytes) : immutable(GZIPPED, compressed);
  };
  const readTile = async (path: string): Promise<Answer> => {
    const { level, index, width } = strict(() => parseTilePath(path));
    const bytes = await log.tile(level, index, width);
    if (bytes === undefined) throw requestError('not-found');
    return immutable(TILE, bytes);
  };
  return [
    {
      method: 'GET',
      path: `${prefix}/checkpoint`,
      docs: docs.checkpoint,
      answer: () => ({ status: 200, headers: CHECKPOINT, body: log.checkpoint }),
    },
    {
      method: 'GET',
      path: `${prefix}/checkpoint.plain`,
      docs: docs.plainCheckpoint,
      answer: () => {
        const body = log.plainCheckpoint;
        if (body === undefined) throw requestError('not-found');
        return { status: 200, headers: CHECKPOINT, body };
      },
    },
    {
      method: 'GET',
      path: `${prefix}/tile/entries/*`,
      docs: docs.bundle,
      answer: ({ request }) => {
        const path = relativePath(request, prefix);
        const gzip = acceptsGzip(request.headers['accept-encoding']);
        const bytes = log.atHand(path);
        if (bytes !== undefined && !gzip) return immutable(BUNDLE, bytes);
        const compressed = bytes && compressor.held(path);
        return compressed === undefined ? readBundle(path, gzip) : immutable(GZIPPED, compressed);
      },
    },
    {
      method: 'GET',
      path: `${prefix}/tile/*`,
      docs: docs.tile,
      answer: ({ request }) => {
        const path = relativePath(request, prefix);
        const bytes = log.atHand(path);
        return bytes === undefined ? readTile(path) : immutable(TILE, bytes);
      },
    },
  ];
}

/** `tile/0/x001/234` of `/api/v2/tile/0/x001/234?x` */
function relativePath({ url = '' }: IncomingMessage, prefix: string): string {
  const query = url.indexOf('?');
  return url.slice(prefix.length + 1, query === -1 ? undefined : query);
}

/** A path in another spelling than the specification's is a path that the log does not have. */
function strict<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MerkleError) throw requestError('not-found');
    throw error;
  }
}

function immutable(headers: Answer['headers'], body: Uint8Array): Answer {
  return { status: 200, headers, body };
}
