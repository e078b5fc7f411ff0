/**
 * Full tiles and bundles in memory, answered before Fastify sees the request: 40 instead of 48 µs of processor time a
 * request, 29 instead of 36 for tiles alone (bench/peers/reads.ts, in turn with the same through Fastify). A `node:http`
 * server that does nothing but send the same bytes from a map takes 30, and 17 to 24 for tiles.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Observer } from '../../merkle/runtime/service/metric-set.ts';
import { acceptsGzip } from './compress.ts';
import type { HttpContext } from './context.ts';
import { BINARY, IMMUTABLE, PREFIXES } from './read.ts';

const TILE = ['access-control-allow-origin', '*', 'content-type', BINARY, 'cache-control', IMMUTABLE];
const BUNDLE = [...TILE, 'vary', 'Accept-Encoding'];
const GZIPPED = [...BUNDLE, 'content-encoding', 'gzip'];
const BUNDLES = 'tile/entries/';
const [ROOT, API] = PREFIXES;

/** Answers the requests for bytes in memory, and leaves every other request to `next`. */
export function answerDirectly(
  { log, options, metrics, compressor, draining }: HttpContext,
  next: RequestListener,
): RequestListener {
  // Fastify does both, for every request.
  if (options.rateLimit.max > 0 || options.log.requests) return next;
  // As in request-timing.ts, for the same routes.
  const observers = (prefix: string) => ({
    tile: metrics.httpRequest(`${prefix}/tile/*`, 'GET', 200),
    bundle: metrics.httpRequest(`${prefix}/tile/entries/*`, 'GET', 200),
  });
  const [atRoot, belowApi] = [observers(ROOT), observers(API)];

  /** False if the request is left to `next`. */
  const answer = (request: IncomingMessage, response: ServerResponse): boolean => {
    // While it closes, Fastify tells each client that this reply is the connection's last.
    if (request.method !== 'GET' || draining()) return false;
    const started = performance.now();
    const url = request.url!;
    const api = url.startsWith(API);
    const path = url.slice(api ? API.length + 1 : 1);
    // The paths in memory are exact: one with a query or another spelling is not among them.
    const bytes = log.atHand(path);
    if (bytes === undefined) return false;
    const { tile, bundle } = api ? belowApi : atRoot;
    if (!path.startsWith(BUNDLES)) {
      send(response, TILE, bytes, tile, started);
    } else if (!acceptsGzip(request.headers['accept-encoding'])) {
      send(response, BUNDLE, bytes, bundle, started);
    } else {
      const compressed = compressor.held(path, bytes);
      if (compressed === undefined) return false;
      send(response, GZIPPED, compressed, bundle, started);
    }
    return true;
  };
  return (request, response) => {
    if (!answer(request, response)) next(request, response);
  };
}

function send(
  response: ServerResponse,
  headers: readonly string[],
  bytes: Uint8Array,
  observer: Observer,
  started: number,
): void {
  response.writeHead(200, [...headers, 'content-length', String(bytes.length)]);
  response.end(bytes, () => observer.observe((performance.now() - started) / 1000));
}
