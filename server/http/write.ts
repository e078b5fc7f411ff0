/**
 * The write API (docs/wire.md): one request, or a bulk call of many, in binary (`Content-Type: application/x-protobuf`) or
 * else in JSON. Errors are JSON in both. A log of opaque entries has `POST /add` instead: bytes in, the index in decimal
 * out.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { MAX_ENTRY } from '../../merkle/bundle.ts';
import type { Answer } from '../../merkle/runtime/service/http-server.ts';
import type { Body } from '../../merkle/runtime/service/request-bodies.ts';
import { REQUEST_ERRORS, type RequestError, requestError } from '../errors.ts';
import type { Encoding, Outcome } from '../types.ts';
import { JSON_TYPE, secondsOf, sendAnswer, sendJson } from './answers.ts';
import type { HttpContext } from './context.ts';
import { EntryEncoder } from './entry.ts';
import { docs } from './route-docs.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The body is protobuf, and so is the reply. */
    binary: boolean;
  }
}

const ENTRIES = '/api/v2/log/entries';
const PROTOBUF = 'application/x-protobuf';
const NO_BODY: Body = { bytes: Buffer.alloc(0), release: () => {} };

/** The routes for the kind of entries that this log takes: signed or opaque. */
export function writeRoutes(app: FastifyInstance, context: HttpContext): void {
  const { metrics, bodies } = context;
  const entry = entryCall(context);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request: FastifyRequest, payload: IncomingMessage) =>
    bodies.read(payload, entry.bodyBytes).catch((error: RequestError) => {
      metrics.refused(error.code);
      throw error;
    }),
  );
  if (context.log.info.entries === 'raw') rawRoutes(app, context, entry);
  else signedRoutes(app, context, entry);
}

/** The call that logs one entry, without the HTTP around it: direct-write.ts and Fastify's route below share it. */
interface EntryCall {
  readonly path: string;
  /** Bytes of a body, at most. */
  readonly bodyBytes: number;
  /** Logs the entry of a body and releases the body. Throws what `errorAnswer` takes. */
  readonly call: (body: Body, binary: boolean) => Promise<Answer>;
}

export function entryCall(context: HttpContext): EntryCall {
  return context.log.info.entries === 'raw'
    ? rawCall(context)
    : signedCall(context, new EntryEncoder(context.log.info));
}

/** `POST /add`: load tools written for tiled logs send it, and expect the index in decimal. */
function rawCall({ log, metrics }: HttpContext): EntryCall {
  const headers = { 'content-type': 'text/plain; charset=utf-8' };
  const call = async (body: Body): Promise<Answer> => {
    if (body.bytes.length === 0) {
      metrics.refused('invalid-entry');
      throw requestError('invalid-entry', 'the body is empty: send the bytes to be logged');
    }
    try {
      return { status: 200, headers, body: String(await log.add(body.bytes)) };
    } finally {
      body.release();
    }
  };
  return { path: '/add', bodyBytes: MAX_ENTRY, call };
}

function signedCall(context: HttpContext, encoder: EntryEncoder): EntryCall {
  const { options } = context;
  const json = { 'content-type': JSON_TYPE };
  const protobuf = { 'content-type': PROTOBUF };
  const call = async (body: Body, binary: boolean): Promise<Answer> => {
    const [first] = await submit(context, body, binary ? 'protobuf' : 'json');
    if (first === undefined) throw requestError('internal');
    const outcome = duplicatesAs(options.duplicates, first);
    if ('error' in outcome) throw outcome.error;
    const { entry } = outcome;
    const type = binary ? protobuf : json;
    return {
      status: 201,
      headers: entry.duplicate ? { ...type, 'x-log-index': String(entry.index) } : type,
      body: binary ? encoder.protobuf(entry) : encoder.json(entry),
    };
  };
  return { path: ENTRIES, bodyBytes: options.limits.bodyBytes, call };
}

/** Submits the body to the log, and releases it at the end. */
async function submit({ log }: HttpContext, body: Body, encoding: Encoding): Promise<readonly Outcome[]> {
  try {
    return await log.submit(body.bytes, encoding);
  } finally {
    body.release();
  }
}

function rawRoutes(app: FastifyInstance, context: HttpContext, { path, call }: EntryCall): void {
  app.post(path, { onRequest: gate(context), config: { docs: docs.add } }, async (request, reply) =>
    sendAnswer(reply, await call((request.body as Body | undefined) ?? NO_BODY, false)),
  );
}

function signedRoutes(app: FastifyInstance, context: HttpContext, { path, call }: EntryCall): void {
  const { log, options } = context;
  const encoder = new EntryEncoder(log.info);
  app.decorateRequest('binary', false);

  const open = gate(context);
  const before = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
    request.binary = isProtobuf(request.raw.headers['content-type']);
    open(request, reply, done);
  };

  app.post(path, { onRequest: before, config: { docs: docs.createEntry } }, async (request, reply) =>
    sendAnswer(reply, await call(request.body as Body, request.binary)),
  );

  // "::" is a colon in the router's patterns.
  app.post(
    `${path}::batch`,
    { onRequest: before, config: { docs: docs.createEntries } },
    async (request: FastifyRequest, reply: FastifyReply) => {
      const outcomes = (
        await submit(context, request.body as Body, request.binary ? 'protobuf-batch' : 'json-batch')
      ).map((outcome) => duplicatesAs(options.duplicates, outcome));
      if (outcomes.some((outcome) => 'error' in outcome && 'retry' in REQUEST_ERRORS[outcome.error.code])) {
        reply.header('retry-after', secondsOf(options.retryAfter));
      }
      return request.binary
        ? sendProtobuf(reply, encoder.batchProtobuf(outcomes))
        : sendJson(reply, encoder.batchJson(outcomes));
    },
  );
}

/** Lets a request through to its body only if the log takes entries now. */
function gate({ log, metrics, draining }: HttpContext) {
  return (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
    // Fastify answers 415 to a value that is no media type; here every body has the same parser.
    request.raw.headers['content-type'] = 'application/octet-stream';
    if (log.info.status !== 'open') {
      metrics.refused('frozen');
      done(requestError('frozen'));
    } else if (draining()) {
      metrics.refused('draining');
      done(requestError('draining'));
    } else {
      done();
    }
  };
}

export function isProtobuf(contentType: string | undefined): boolean {
  if (contentType === undefined || contentType === 'application/json') return false;
  return contentType.split(';', 1)[0]!.trim().toLowerCase() === PROTOBUF;
}

function duplicatesAs(mode: 'return' | 'conflict', outcome: Outcome): Outcome {
  if (mode === 'return' || 'error' in outcome || !outcome.entry.duplicate) return outcome;
  return { error: requestError('duplicate', outcome.entry.index) };
}

function sendProtobuf(reply: FastifyReply, bytes: Uint8Array): FastifyReply {
  return reply.header('content-type', PROTOBUF).send(bytes);
}
