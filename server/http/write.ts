/**
 * The write API (docs/wire.md): one request, or a bulk call of many, in binary (`Content-Type: application/x-protobuf`) or
 * else in JSON. Errors are JSON in both. A log of opaque entries has `POST /add` instead: bytes in, the index in decimal
 * out.
 */
import { MAX_ENTRY } from '../../merkle/bundle.ts';
import type { Call } from '../../merkle/runtime/service/app.ts';
import type { Answer } from '../../merkle/runtime/service/http-server.ts';
import type { DocumentedRoute } from '../../merkle/runtime/service/openapi.ts';
import { REQUEST_ERRORS, requestError } from '../errors.ts';
import type { Encoding, Outcome, Writer } from '../types.ts';
import { json, secondsOf } from './answers.ts';
import type { HttpContext } from './context.ts';
import { EntryEncoder } from './entry.ts';
import { docs } from './route-docs.ts';

const ENTRIES = '/api/v2/log/entries';
const PROTOBUF = 'application/x-protobuf';

/** The routes for the kind of entries that this log takes: signed or opaque. */
export function writeRoutes(context: HttpContext): DocumentedRoute[] {
  return context.log.info.entries === 'raw' ? rawRoutes(context) : signedRoutes(context);
}

/** `POST /add`: load tools written for tiled logs send it, and expect the index in decimal. */
function rawRoutes(context: HttpContext): DocumentedRoute[] {
  const { log, metrics } = context;
  const headers = { 'content-type': 'text/plain; charset=utf-8' };
  const answer = async (call: Call): Promise<Answer> => {
    checkNoPage(context, call);
    checkOpen(context);
    const admitted = writerOf(call, context);
    // Without a wait, Node hands the body over as it comes, and need not keep it.
    const writer = admitted instanceof Promise ? await admitted : admitted;
    const body = await call.body(MAX_ENTRY);
    if (body.bytes.length === 0) {
      metrics.refused('invalid-entry');
      throw requestError('invalid-entry', 'the body is empty: send the bytes to be logged');
    }
    try {
      return { status: 200, headers, body: String(await log.add(body.bytes, writer)) };
    } finally {
      body.release();
    }
  };
  return [{ method: 'POST', path: '/add', docs: docs.add, answer }];
}

function signedRoutes(context: HttpContext): DocumentedRoute[] {
  const { options } = context;
  const encoder = new EntryEncoder(context.log.info);

  const createEntry = async (call: Call): Promise<Answer> => {
    const binary = isProtobuf(call.request.headers['content-type']);
    const [first] = await submit(context, call, binary ? 'protobuf' : 'json');
    if (first === undefined) throw requestError('internal');
    const outcome = duplicatesAs(options.duplicates, first);
    if ('error' in outcome) throw outcome.error;
    const { entry } = outcome;
    const headers = entry.duplicate ? { 'x-log-index': String(entry.index) } : {};
    return binary ? protobuf(encoder.protobuf(entry), headers, 201) : json(encoder.json(entry), headers, 201);
  };

  const createEntries = async (call: Call): Promise<Answer> => {
    const binary = isProtobuf(call.request.headers['content-type']);
    const outcomes = (await submit(context, call, binary ? 'protobuf-batch' : 'json-batch')).map((outcome) =>
      duplicatesAs(options.duplicates, outcome),
    );
    const retry = outcomes.some((outcome) => 'error' in outcome && 'retry' in REQUEST_ERRORS[outcome.error.code]);
    const headers = retry ? { 'retry-after': secondsOf(options.retryAfter) } : {};
    return binary ? protobuf(encoder.batchProtobuf(outcomes), headers) : json(encoder.batchJson(outcomes), headers);
  };

  return [
    { method: 'POST', path: ENTRIES, docs: docs.createEntry, answer: createEntry },
    // "::" is a colon in the router's patterns.
    { method: 'POST', path: `${ENTRIES}::batch`, docs: docs.createEntries, answer: createEntries },
  ];
}

/** Submits the body to the log, and releases it at the end. */
async function submit(context: HttpContext, call: Call, encoding: Encoding): Promise<readonly Outcome[]> {
  const { log, options } = context;
  checkOpen(context);
  const admitted = writerOf(call, context);
  // Without a wait, Node hands the body over as it comes, and need not keep it.
  const writer = admitted instanceof Promise ? await admitted : admitted;
  const body = await call.body(options.limits.bodyBytes);
  try {
    return await log.submit(body.bytes, encoding, writer);
  } finally {
    body.release();
  }
}

/**
 * Refuses the request of a web page. A page of anybody reaches the loopback ports of the machine with its browser, and needs no
 * permission to send text there. Nothing else in an opaque entry says who it is from, and one foreign entry ends the output log of
 * an index. Browsers name the page in `Origin` with every POST.
 *
 * @throws RequestError `forbidden`
 */
function checkNoPage({ metrics }: HttpContext, { request }: Call): void {
  const { origin, 'sec-fetch-site': site = 'none' } = request.headers;
  if (origin === undefined && site === 'none') return;
  metrics.refused('forbidden');
  throw requestError('forbidden', 'a web page sent this request, and no page writes to this log');
}

/** Who writes, before the body is read: a stranger cannot make the log read or parse anything. Undefined where everybody may write. */
function writerOf(call: Call, { options, log, metrics }: HttpContext): Writer | Promise<Writer> | undefined {
  return options.writers?.admit(call.request, log.info.origin, metrics);
}

/** @throws RequestError where the log takes no entries now: then the body is not read */
function checkOpen({ log, metrics, draining }: HttpContext): void {
  const { status } = log.info;
  const closed = status === 'prepared' ? 'waiting' : status === 'open' ? undefined : 'frozen';
  const code = closed ?? (draining() ? 'draining' : undefined);
  if (code === undefined) return;
  metrics.refused(code);
  throw requestError(code);
}

function isProtobuf(contentType: string | undefined): boolean {
  if (contentType === undefined || contentType === 'application/json') return false;
  return contentType.split(';', 1)[0]!.trim().toLowerCase() === PROTOBUF;
}

function duplicatesAs(mode: 'return' | 'conflict', outcome: Outcome): Outcome {
  if (mode === 'return' || 'error' in outcome || !outcome.entry.duplicate) return outcome;
  return { error: requestError('duplicate', outcome.entry.index) };
}

function protobuf(body: Uint8Array, headers: Answer['headers'], status = 200): Answer {
  return { status, headers: { ...headers, 'content-type': PROTOBUF }, body };
}
