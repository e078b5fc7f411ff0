/** The HTTP calls of the attestation store: for everybody, and for its operator. */
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { decodeBase64 } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { type Call, jsonAnswer, type Route } from '../../../merkle/runtime/service/app.ts';
import type { Answer } from '../../../merkle/runtime/service/http-server.ts';
import type { DocumentedRoute } from '../../../merkle/runtime/service/openapi.ts';
import { Window } from '../../../merkle/runtime/service/window.ts';
import { ClientError } from '../../errors.ts';
import { parseJson, record } from '../../formats/json.ts';
import type { Term, TermKind } from './piece-facts.ts';
import type { KeptPiece, PieceStore } from './piece-store.ts';
import { listDocs, pieceDocs, submitDocs } from './store-docs.ts';
import { STORE_ERRORS, StoreError } from './store-errors.ts';
import type { StoreIntake, TakenPiece } from './store-intake.ts';
import type { StoreMetrics } from './store-metrics.ts';
import { LOG_KEEPS, STORE_NOTICE } from './store-notice.ts';
import { type StoreSettings, takesSubmissions } from './store-settings.ts';

export const STORE_PATH = '/stele/v1/attestations';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 256;
const MAX_VALUE = 16 * 1024;
const MINUTE_MS = 60_000;
/** The longest body of an order of the operator. */
const MAX_ORDER = 1024;
const DIGEST = /^sha256:([0-9a-f]{64})$/;
const HEX_LENGTH: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };
const OPEN = { 'access-control-allow-origin': '*' };
/** Names and claims of strangers: no browser is to take them for a page. */
const SAFE = { 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'; sandbox" };
const FRESH = { 'cache-control': 'no-store' };

const PARAMETERS: Readonly<Record<string, TermKind>> = {
  subject: 'subject',
  name: 'name',
  predicateType: 'type',
  material: 'material',
  signer: 'signer',
  issuer: 'issuer',
  entry: 'entry',
};

interface StoreRoutesOptions {
  readonly store: PieceStore;
  readonly intake: StoreIntake;
  readonly settings: () => StoreSettings;
  readonly metrics: StoreMetrics;
  /** The address of the client, as the service counts it. */
  readonly addressOf: (request: IncomingMessage) => string;
  /** Told of what must not happen. */
  readonly onError: (error: unknown) => void;
}

/** The routes of the public port. */
export function storeRoutes(options: StoreRoutesOptions): readonly DocumentedRoute[] {
  const { settings, addressOf } = options;
  const window = new Window(() => MINUTE_MS);
  let underWay = 0;
  const submit = async (call: Call): Promise<Answer> => {
    const { perMinute, underWay: most } = settings();
    if (!takesSubmissions(settings()))
      throw new StoreError('submissions-off', 'this store takes only what its operator imports');
    const address = addressOf(call.request);
    if (window.isFull(address, perMinute)) {
      const retryAfter = window.retryAfter;
      throw new StoreError('rate', `more than ${perMinute} submissions in a minute: wait`, { retryAfter });
    }
    window.count(address);
    if (underWay >= most) throw new StoreError('busy', `${underWay} submissions are under way: try again later`);
    underWay += 1;
    try {
      return await submitted(options, call);
    } finally {
      underWay -= 1;
    }
  };
  return guarded(options, [
    { method: 'GET', path: STORE_PATH, docs: listDocs, answer: (call) => list(options, call) },
    { method: 'POST', path: STORE_PATH, docs: submitDocs, answer: submit },
    { method: 'GET', path: `${STORE_PATH}/:digest`, docs: pieceDocs, answer: (call) => piece(options, call) },
  ]);
}

/** The routes of the operator's port. The service lets the operator alone call them. */
export function storeAdminRoutes(options: StoreRoutesOptions): readonly Route[] {
  const { store, intake, metrics } = options;
  const forget = async (digest: string, block: boolean): Promise<Answer> => {
    const forgotten = await store.forget(digest, { block });
    if (forgotten) metrics.forgotten.inc({ why: 'operator' });
    if (!forgotten && !block) throw notFound();
    return jsonAnswer(200, {
      digest: `sha256:${digest}`,
      forgotten,
      blocked: block,
      note: LOG_KEEPS,
      notice: STORE_NOTICE,
    });
  };
  return guarded(options, [
    {
      // A piece in base64: `{ "piece": … }`.
      method: 'POST',
      path: STORE_PATH,
      answer: async (call) => {
        const { piece } = await bodyOf(call, Math.ceil((intake.limit * 4) / 3) + 1024, ['piece']);
        if (typeof piece !== 'string') throw new StoreError('malformed', 'the body is { "piece": base64 }');
        return await take(options, decodePiece(piece), 'import', 200);
      },
    },
    {
      method: 'DELETE',
      path: `${STORE_PATH}/:digest`,
      answer: (call) => forget(digestOf(call), flagOf(call, 'block')),
    },
    {
      method: 'POST',
      path: `${STORE_PATH}/:digest/forget`,
      answer: async (call) => {
        const { block = false } = await bodyOf(call, MAX_ORDER, ['block']);
        if (typeof block !== 'boolean') throw new StoreError('malformed', '"block" is true or false');
        return await forget(digestOf(call), block);
      },
    },
    {
      method: 'POST',
      path: `${STORE_PATH}/:digest/unblock`,
      answer: async (call) => {
        const digest = digestOf(call);
        const unblocked = await store.unblock(digest);
        if (!unblocked) throw new StoreError('not-found', 'this digest is not kept out');
        return jsonAnswer(200, { digest: `sha256:${digest}`, unblocked, notice: STORE_NOTICE });
      },
    },
  ]);
}

/** A JSON object with some of these members; an empty body is an empty object. */
async function bodyOf(call: Call, limit: number, names: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const body = await call.body(limit);
  try {
    if (body.bytes.length === 0) return {};
    return record(parseJson(body.bytes, 'the body', limit), 'the body', names);
  } catch (error) {
    if (error instanceof ClientError) throw new StoreError('malformed', error.message);
    throw error;
  } finally {
    body.release();
  }
}

function decodePiece(text: string): Uint8Array {
  try {
    return decodeBase64(text);
  } catch {
    throw new StoreError('malformed', '"piece" is not base64');
  }
}

async function submitted(options: StoreRoutesOptions, call: Call): Promise<Answer> {
  const body = await call.body(options.intake.limit);
  try {
    return await take(options, body.bytes, 'submission');
  } finally {
    body.release();
  }
}

/** @param status where a caller wants only one of success */
async function take(
  { intake, metrics }: StoreRoutesOptions,
  bytes: Uint8Array,
  by: 'submission' | 'import',
  status?: number,
): Promise<Answer> {
  const taken = await intake.take(bytes, by);
  for (const one of taken) {
    if (!one.kept) metrics.refused.inc({ error: one.error.code });
    else if (!one.known) metrics.kept.inc({ by });
  }
  const isNew = taken.some((one) => one.kept && !one.known);
  const answer = { attestations: taken.map(takenJson), notice: STORE_NOTICE };
  return jsonAnswer(status ?? (isNew ? 201 : 200), answer, FRESH);
}

function takenJson(taken: TakenPiece): object {
  const { logEntry } = taken;
  const entry = logEntry === undefined ? {} : { logEntry };
  if (!taken.kept) {
    const { code, message } = taken.error;
    return { kept: false, error: { code, message: printable(message) }, ...entry };
  }
  const { digest, known, facts } = taken;
  return {
    kept: true,
    digest: `sha256:${digest}`,
    known,
    url: `${STORE_PATH}/sha256:${digest}`,
    ...facts.description,
    ...entry,
  };
}

async function list({ store, metrics }: StoreRoutesOptions, call: Call): Promise<Answer> {
  const { terms, limit, page } = readQuery(call.query);
  const [after, until] = page ?? [0, store.totals.sequence];
  const { pieces, next } = await store.find({ terms, after, until, limit });
  metrics.queries.inc();
  const answer = {
    attestations: pieces.map(pieceJson),
    ...(next !== undefined && { next: pageText(terms, next, until) }),
    notice: STORE_NOTICE,
  };
  return jsonAnswer(200, answer, { ...OPEN, ...SAFE, ...FRESH });
}

function pieceJson({ digest, record }: KeptPiece): object {
  const { sequence: _, content: __, counted: ___, time, size, ...description } = record;
  return {
    digest: `sha256:${digest}`,
    url: `${STORE_PATH}/sha256:${digest}`,
    size,
    kept: new Date(time).toISOString(),
    ...description,
  };
}

async function piece({ store, metrics }: StoreRoutesOptions, call: Call): Promise<Answer> {
  const digest = digestOf(call);
  const etag = `"sha256:${digest}"`;
  const headers = { ...OPEN, ...SAFE, etag, 'cache-control': 'public, max-age=86400, immutable' };
  const known = call.request.headers['if-none-match'];
  if (known?.split(',').some((one) => one.trim().replace(/^W\//, '') === etag)) {
    if ((await store.record(digest)) === undefined) throw notFound();
    return { status: 304, headers, body: '' };
  }
  const found = await store.read(digest);
  if (found === undefined) throw notFound();
  metrics.reads.inc();
  const { mediaType } = found.record;
  const disposition = `attachment; filename="sha256-${digest}.sigstore.json"`;
  return {
    status: 200,
    headers: {
      ...headers,
      'content-type': mediaType,
      'content-disposition': disposition,
      'stele-notice': STORE_NOTICE,
    },
    body: found.bytes,
  };
}

type Query = Call['query'];

function readQuery(query: Query): {
  readonly terms: readonly Term[];
  readonly limit: number;
  readonly page: readonly [number, number] | undefined;
} {
  const terms: Term[] = [];
  for (const [name, value] of Object.entries(query)) {
    if (typeof value !== 'string') throw badQuery(`"${printable(name)}" is given twice`);
    if (value.length > MAX_VALUE) throw badQuery(`"${printable(name)}" has more than ${MAX_VALUE} characters`);
    const kind = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : undefined;
    if (kind !== undefined) terms.push({ kind, value: checkedValue(name, value) });
    else if (name !== 'limit' && name !== 'page') throw badQuery(`"${printable(name)}" is no parameter`);
  }
  if (terms.length === 0) throw badQuery(`say what is looked for: ${Object.keys(PARAMETERS).join(', ')}`);
  const { limit, page } = query;
  return { terms, limit: limitOf(limit as string | undefined), page: pageOf(terms, page as string | undefined) };
}

function checkedValue(name: string, value: string): string {
  if (value === '') throw badQuery(`"${name}" is empty`);
  const [algorithm = '', ...rest] = value.split(':');
  if (name === 'subject' && (rest.length === 0 || algorithm === '' || rest.join(':') === '')) {
    throw badQuery('"subject" is a digest, such as sha256:HEX');
  }
  const length = HEX_LENGTH[algorithm];
  const isDigest = (name === 'subject' || name === 'material' || name === 'signer') && length !== undefined;
  if (isDigest && !(rest.length === 1 && rest[0]!.length === length && /^[0-9a-f]+$/.test(rest[0]!))) {
    throw badQuery(`"${name}" has not the ${length} lower-case hexadecimal digits of ${algorithm}`);
  }
  return value;
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = /^[1-9][0-9]{0,2}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw badQuery(`"limit" is a whole number from 1 to ${MAX_LIMIT}`);
}

/** Where a page begins, where the last one ends, and what the query was: a page of another query would leave pieces out. */
function pageText(terms: readonly Term[], after: number, until: number): string {
  return `${after}-${until}-${queryHash(terms)}`;
}

function pageOf(terms: readonly Term[], text: string | undefined): readonly [number, number] | undefined {
  if (text === undefined) return undefined;
  const [, after, until, hash] = /^(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})-([0-9a-f]{16})$/.exec(text) ?? [];
  const [from, to] = [Number(after), Number(until)];
  if (hash === queryHash(terms) && Number.isSafeInteger(from) && Number.isSafeInteger(to)) return [from, to];
  throw new StoreError('bad-page', '"page" is no page of this query: take it from "next" of the page before');
}

function queryHash(terms: readonly Term[]): string {
  const sorted = terms.map(({ kind, value }) => [kind, value]).sort();
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16);
}

function digestOf({ params }: Call): string {
  const hex = DIGEST.exec(params.digest ?? '')?.[1];
  if (hex !== undefined) return hex;
  throw new StoreError('bad-digest', 'a piece is named by sha256: and 64 lower-case hexadecimal digits');
}

function flagOf({ query }: Call, name: string): boolean {
  const other = Object.keys(query).find((one) => one !== name);
  if (other !== undefined) throw badQuery(`"${printable(other)}" is no parameter`);
  const value = query[name];
  if (value === undefined || value === 'false') return false;
  if (value === 'true') return true;
  throw badQuery(`"${name}" is true or false`);
}

function badQuery(message: string): StoreError {
  return new StoreError('bad-query', message);
}

function notFound(): StoreError {
  return new StoreError('not-found', 'this store has no such piece');
}

/** The routes, with answers for the errors of the store. Other errors are for the service. */
function guarded<R extends Route>({ metrics, onError }: StoreRoutesOptions, routes: readonly R[]): readonly R[] {
  return routes.map((route) => ({
    ...route,
    answer: async (call: Call) => {
      try {
        return await route.answer(call);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        if (route.method === 'POST') metrics.refused.inc({ error: error.code });
        if (STORE_ERRORS[error.code] === 500) onError(error);
        return errorAnswer(error);
      }
    },
  }));
}

function errorAnswer({ code, message, data }: StoreError): Answer {
  const status = STORE_ERRORS[code];
  const wait = data.retryAfter ?? (status === 503 ? 2 : undefined);
  const because = data.because === undefined ? {} : { because: data.because };
  return jsonAnswer(
    status,
    { code, message: printable(message), ...because, notice: STORE_NOTICE },
    { ...OPEN, ...SAFE, ...FRESH, ...(wait !== undefined && { 'retry-after': String(wait) }) },
  );
}
