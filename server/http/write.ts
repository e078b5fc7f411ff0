/**
 * The write API (WIRE.md, "POST /api/v2/log/entries"): one request, or a bulk call of many, in JSON and in binary.
 *
 * The body goes to the log as bytes. `Content-Type: application/x-protobuf` alone means binary; anything else, also
 * nothing, is JSON. Errors are JSON in both.
 *
 * A log of opaque entries has `POST /add` in their place: bytes in, the index in decimal out.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { MAX_ENTRY } from '../../merkle/bundle.ts';
import { REQUEST_ERRORS, RequestError } from '../errors.ts';
import type { LogService, Outcome } from '../types.ts';
import type { HttpContext } from './app.ts';
import { readBody } from './body.ts';
import { docs } from './docs.ts';
import { duplicateError, EntryEncoder } from './entry.ts';
import { FROZEN_TEXT, sendJson } from './errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The body is protobuf, and so is the reply. */
    binary: boolean;
  }
}

const PROTOBUF = 'application/x-protobuf';

/** The routes for what this log takes: signed entries, or opaque ones. */
export function writeRoutes(app: FastifyInstance, context: HttpContext): void {
  const { log, options, metrics, budget } = context;
  const raw = log.info.entries === 'raw';
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request: FastifyRequest, payload: IncomingMessage) =>
    readBody(payload, raw ? MAX_ENTRY : options.bodyBytes, budget).catch((error: RequestError) => {
      metrics.refused(error.code);
      throw error;
    }),
  );
  if (raw) rawRoutes(app, context);
  else signedRoutes(app, context);
}

/** `POST /add`: what load tools written for tiled logs send, and the index in decimal that they expect. */
function rawRoutes(app: FastifyInstance, context: HttpContext): void {
  const { log, metrics, budget } = context;
  app.post('/add', { onRequest: gate(context), config: { docs: docs.add } }, async (request, reply) => {
    const body = request.body as Buffer | undefined;
    if (body === undefined || body.length === 0) {
      metrics.refused('invalid-entry');
      throw new RequestError('invalid-entry', 'the body is empty: send the bytes to be logged');
    }
    try {
      const index = await log.add(body);
      return reply.type('text/plain; charset=utf-8').send(String(index));
    } finally {
      budget.release(body.length);
    }
  });
}

function signedRoutes(app: FastifyInstance, context: HttpContext): void {
  const { log, options, budget } = context;
  const encoder = new EntryEncoder(log.info);
  app.decorateRequest('binary', false);

  /** Runs `work` with the body, and gives its bytes back to the budget at the end. */
  const withBody = async (request: FastifyRequest, encoding: Parameters<LogService['submit']>[1]) => {
    const body = request.body as Buffer;
    try {
      return await log.submit(body, encoding);
    } finally {
      budget.release(body.length);
    }
  };

  const open = gate(context);
  const before = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
    request.binary = isProtobuf(request.raw.headers['content-type']);
    open(request, reply, done);
  };

  app.post(
    '/api/v2/log/entries',
    { onRequest: before, config: { docs: docs.createEntry } },
    async (request: FastifyRequest, reply: FastifyReply) => {
      const [first] = await withBody(request, request.binary ? 'protobuf' : 'json');
      if (first === undefined) throw new RequestError('internal', 'internal error');
      const outcome = duplicatesAs(options.duplicates, first);
      if ('error' in outcome) throw outcome.error;
      const { entry } = outcome;
      if (entry.duplicate) reply.header('x-log-index', String(entry.index));
      reply.code(201);
      return request.binary ? sendProtobuf(reply, encoder.protobuf(entry)) : sendJson(reply, encoder.json(entry));
    },
  );

  // "::" is a colon in the router's patterns.
  app.post(
    '/api/v2/log/entries::batch',
    { onRequest: before, config: { docs: docs.createEntries } },
    async (request: FastifyRequest, reply: FastifyReply) => {
      const outcomes = (await withBody(request, request.binary ? 'protobuf-batch' : 'json-batch')).map((outcome) =>
        duplicatesAs(options.duplicates, outcome),
      );
      if (outcomes.some((outcome) => 'error' in outcome && 'retry' in REQUEST_ERRORS[outcome.error.code])) {
        reply.header('retry-after', String(options.retryAfterSeconds));
      }
      return request.binary
        ? sendProtobuf(reply, encoder.batchProtobuf(outcomes))
        : sendJson(reply, encoder.batchJson(outcomes));
    },
  );
}

/** Lets a request through to its body where the log takes entries now. */
function gate({ log, metrics, draining }: HttpContext) {
  return (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
    // Fastify answers 415 to what is not a media type; here every body has the same parser.
    request.raw.headers['content-type'] = 'application/octet-stream';
    if (log.info.status !== 'open') {
      metrics.refused('frozen');
      done(new RequestError('frozen', FROZEN_TEXT));
    } else if (draining()) {
      metrics.refused('draining');
      done(new RequestError('draining', 'the log is stopping; retry'));
    } else {
      done();
    }
  };
}

function isProtobuf(contentType: string | undefined): boolean {
  if (contentType === undefined || contentType === 'application/json') return false;
  return contentType.split(';', 1)[0]!.trim().toLowerCase() === PROTOBUF;
}

function duplicatesAs(mode: 'return' | 'conflict', outcome: Outcome): Outcome {
  if (mode === 'return' || 'error' in outcome || !outcome.entry.duplicate) return outcome;
  return { error: duplicateError(outcome.entry.index) };
}

function sendProtobuf(reply: FastifyReply, bytes: Uint8Array): FastifyReply {
  return reply.header('content-type', PROTOBUF).send(bytes);
}
