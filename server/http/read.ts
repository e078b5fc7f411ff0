/**
 * The read API of c2sp.org/tlog-tiles, at the root and, the same bytes, below `/api/v2`. Paths are read from the URL as
 * it was sent, not as the router decoded it: a cache in front must not hold one tile under many names.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { MerkleError } from '../../merkle/errors.ts';
import { parseEntryBundlePath, parseTilePath } from '../../merkle/tile.ts';
import { requestError } from '../errors.ts';
import { acceptsGzip } from './compress.ts';
import type { HttpContext } from './context.ts';
import { pathOf } from './paths.ts';
import { docs } from './route-docs.ts';

export const IMMUTABLE = 'public, max-age=31536000, immutable';
/** A shared cache may take the load of many pollers, but no client should see an old tree for long. */
const FRESH = 'public, max-age=1';
export const BINARY = 'application/octet-stream';

/** The same files are below each prefix. */
export const PREFIXES = ['', '/api/v2'] as const;

export function readRoutes(app: FastifyInstance, { log, compressor }: HttpContext): void {
  for (const prefix of PREFIXES) {
    app.get(`${prefix}/checkpoint`, { config: { docs: docs.checkpoint } }, (_request, reply) => {
      reply.headers({ 'content-type': 'text/plain; charset=utf-8', 'cache-control': FRESH }).send(log.checkpoint);
    });

    app.get(`${prefix}/tile/entries/*`, { config: { docs: docs.bundle } }, async (request, reply) => {
      const path = relativePath(request, prefix);
      const { index, width } = strict(() => parseEntryBundlePath(path));
      const bytes = await log.entryBundle(index, width);
      if (bytes === undefined) throw requestError('not-found');
      const compressed = acceptsGzip(request.headers['accept-encoding'])
        ? await compressor.gzip(path, bytes)
        : undefined;
      if (compressed !== undefined) reply.header('content-encoding', 'gzip');
      return sendImmutable(reply.header('vary', 'Accept-Encoding'), compressed ?? bytes);
    });

    app.get(`${prefix}/tile/*`, { config: { docs: docs.tile } }, async (request, reply) => {
      const tile = strict(() => parseTilePath(relativePath(request, prefix)));
      const bytes = await log.tile(tile.level, tile.index, tile.width);
      if (bytes === undefined) throw requestError('not-found');
      return sendImmutable(reply, bytes);
    });
  }
}

/** `tile/0/x001/234` of `/api/v2/tile/0/x001/234?x` */
function relativePath(request: FastifyRequest, prefix: string): string {
  return pathOf(request.raw.url).slice(prefix.length + 1);
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

function sendImmutable(reply: FastifyReply, bytes: Uint8Array): FastifyReply {
  return reply.headers({ 'content-type': BINARY, 'cache-control': IMMUTABLE }).send(bytes);
}
