/**
 * Requests to an attestation store (`stele index`): bounded, without redirects, and nothing in an answer is trusted for more than to
 * be found. Bytes that come by a digest have that digest.
 */
import { createHash } from 'node:crypto';
import { printable } from '../../merkle/printable.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { backOffMs, parseRetryAfter, SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import { type Fetched, fetchBounded } from '../../merkle/runtime/service/fetch.ts';
import { ClientError, cancelled, usage } from '../errors.ts';
import { array, int64, knownMembers, malformed, parseJson, string } from '../formats/json.ts';
import { tlsAdvice } from '../tls-advice.ts';
import type { EvidenceRoom } from './types.ts';

export interface AttestationRequestOptions {
  /** http or https, without credentials, query and fragment. */
  readonly url: string;
  readonly fetch?: typeof fetch | undefined;
  /** Milliseconds for one request. Default 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Further attempts where the store is busy or cut off. Default 2. */
  readonly retries?: number | undefined;
}

/** What is looked for; all that is given must hold. */
export interface AttestationQuery {
  /** `ALGORITHM:VALUE` of a subject, such as `sha256:HEX`. */
  readonly subject?: string | undefined;
  /** Name of a subject. */
  readonly name?: string | undefined;
  /** URI. */
  readonly predicateType?: string | undefined;
  /** Digest, URI or name. */
  readonly material?: string | undefined;
  /** `sha256:HEX` of a key, or an identity. */
  readonly signer?: string | undefined;
  readonly issuer?: string | undefined;
}

/** A piece of a list. Nothing is known of it but where it is. */
export interface ListedPiece {
  /** `sha256:HEX` */
  readonly digest: string;
  /** Bytes; as the store says. */
  readonly size: number;
}

interface PieceLimits {
  /** Most pieces of all pages together. */
  readonly pieces: number;
  readonly signal?: AbortSignal | undefined;
  /** Counts the bytes of a list as they come; they are given back. */
  readonly room?: EvidenceRoom | undefined;
}

const PATH = '/stele/v1/attestations';
const PAGE = 256;
const MAX_PAGES = 64;
const MAX_LIST = 2 * 1024 * 1024;
const MAX_TAKEN = 4 * 1024 * 1024;
const MAX_PIECE = 16 * 1024 * 1024;
/** The text of an error may be longer than the piece that is asked for. */
const MAX_REFUSAL = 64 * 1024;
const MAX_TOKEN = 1000;
const DIGEST = /^sha256:([0-9a-f]{64})$/;
const BACK_OFF = { firstMs: 200, longestMs: 1000, longestAskedMs: 2000 };

export class AttestationRequests {
  /** For people. */
  readonly url: string;
  readonly #options: AttestationRequestOptions;

  /** @throws ClientError `usage` */
  constructor(options: AttestationRequestOptions) {
    this.url = baseUrl(options.url);
    this.#options = options;
  }

  /**
   * All pieces that the store lists, each once.
   *
   * @throws ClientError `network`, `unavailable`, `refused`, `cancelled`; `bad-reply`: no answer of a store; `evidence`: there are more
   *   than the limits allow
   */
  async list(query: AttestationQuery, limits: PieceLimits): Promise<readonly ListedPiece[]> {
    const found = new Map<string, ListedPiece>();
    const seen = new Set<string>();
    let page: string | undefined;
    for (let count = 1; ; count++) {
      if (count > MAX_PAGES) throw tooMuch(this.url, `lists attestations on more than ${MAX_PAGES} pages`);
      const { pieces, next } = await this.#page(query, page, limits);
      for (const piece of pieces) {
        if (found.has(piece.digest)) throw badReply(this.url, `lists ${piece.digest} twice`);
        found.set(piece.digest, piece);
      }
      if (found.size > limits.pieces) throw tooMuch(this.url, `lists more than ${limits.pieces} attestations`);
      if (next === undefined) return [...found.values()];
      if (seen.has(next)) throw badReply(this.url, 'gives pages that have no end');
      seen.add(next);
      page = next;
    }
  }

  /** @throws ClientError as `list`; `evidence`: the bytes have another digest or length than was listed */
  async piece({ digest, size }: ListedPiece, signal?: AbortSignal): Promise<Uint8Array> {
    const at = `${this.url}${PATH}/${digest}`;
    const { status, bytes } = await this.#get(at, Math.max(size, MAX_REFUSAL), signal);
    if (status === 404) throw badReply(at, 'is listed, and the store does not have it');
    if (status !== 200) throw refusedWith(at, status, bytes);
    const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    if (bytes.length !== size || found !== digest) {
      throw new ClientError('evidence', `${at}: the bytes have another digest or length than the store says`);
    }
    return bytes;
  }

  /** Submits a bundle. @returns the digest of what is kept. @throws ClientError as `list` */
  async submit(bundle: Uint8Array, signal?: AbortSignal): Promise<string> {
    const at = `${this.url}${PATH}`;
    const { status, bytes } = await this.#send(at, MAX_TAKEN, signal, undefined, bundle);
    if (status !== 200 && status !== 201) throw refusedWith(at, status, bytes);
    const own = `sha256:${createHash('sha256').update(bundle).digest('hex')}`;
    const kept = read(at, () => {
      const { attestations } = knownMembers(parseJson(bytes, 'the answer', MAX_TAKEN), 'the answer', ['attestations']);
      return array(attestations, 'attestations', 16).map((one, i) => {
        const { digest } = knownMembers(one, `attestations[${i}]`, ['digest']);
        return string(digest, `attestations[${i}].digest`);
      });
    });
    if (kept.length !== 1 || kept[0] !== own) throw badReply(at, 'does not say that it keeps these bytes');
    return own;
  }

  async #page(
    query: AttestationQuery,
    page: string | undefined,
    { signal, room }: PieceLimits,
  ): Promise<{ readonly pieces: readonly ListedPiece[]; readonly next: string | undefined }> {
    const given = Object.entries({ ...query, limit: String(PAGE), page }).filter(([, value]) => value !== undefined);
    const at = `${this.url}${PATH}`;
    const search = new URLSearchParams(given as [string, string][]);
    const { status, bytes } = await this.#get(`${at}?${search}`, MAX_LIST, signal, room);
    try {
      if (status !== 200) throw refusedWith(at, status, bytes);
      return read(at, () => readPage(bytes));
    } finally {
      room?.give(bytes.length);
    }
  }

  async #get(url: string, limit: number, signal?: AbortSignal, room?: EvidenceRoom): Promise<Fetched> {
    return await this.#send(url, limit, signal, room);
  }

  async #send(
    url: string,
    limit: number,
    signal: AbortSignal | undefined,
    room?: EvidenceRoom,
    body?: Uint8Array,
  ): Promise<Fetched> {
    const { fetch, timeoutMs = 10_000, retries = 2 } = this.#options;
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    // A digest is of the bytes as they are stored.
    const headers = { accept: '*/*', 'accept-encoding': 'identity', ...type };
    const shown = url.split('?', 1)[0]!;
    for (let attempt = 1; ; attempt++) {
      let [held, full]: [number, unknown?] = [0];
      const onBytes = (bytes: number) => {
        try {
          room?.take(bytes);
          held += bytes;
        } catch (error) {
          full = error;
          throw error;
        }
      };
      const ask = { limit, timeoutMs, signal, headers, read: 'all', fetch, body, onBytes } as const;
      const outcome = await fetchBounded(url, ask).catch((cause: unknown) => failure(shown, url, cause));
      if (full !== undefined) throw full;
      const failed = outcome instanceof ClientError;
      const busy = failed ? outcome.code === 'network' : isBusy(outcome.status);
      if (!failed && !busy) {
        if (outcome.status >= 300 && outcome.status < 400) {
          throw badReply(
            shown,
            'leads to another address, which is not followed: give the address of the store itself',
          );
        }
        return outcome;
      }
      if (attempt > retries || !busy) {
        if (failed) throw outcome;
        throw new ClientError('unavailable', `${printable(shown)} answers with status ${outcome.status}`);
      }
      room?.give(held);
      const asked = failed ? undefined : parseRetryAfter(outcome.headers.get('retry-after'));
      await SYSTEM_CLOCK.sleep(backOffMs(BACK_OFF, attempt, asked), signal);
      if (signal?.aborted) throw cancelled();
    }
  }
}

function readPage(bytes: Uint8Array) {
  const answer = knownMembers(parseJson(bytes, 'the answer', MAX_LIST), 'the answer', ['attestations', 'next']);
  // An answer without a list says nothing; an empty list says that there is nothing.
  if (answer.attestations === undefined) throw malformed('attestations', 'is missing');
  const pieces = array(answer.attestations, 'attestations', PAGE).map((one, at): ListedPiece => {
    const path = `attestations[${at}]`;
    const { digest, size } = knownMembers(one, path, ['digest', 'size']);
    const named = string(digest, `${path}.digest`);
    if (!DIGEST.test(named)) throw malformed(`${path}.digest`, 'is not sha256: with 64 lower-case hexadecimal digits');
    const length = size === undefined ? 0 : int64(size, `${path}.size`);
    if (length < 1 || length > MAX_PIECE) throw malformed(`${path}.size`, `is not from 1 to ${MAX_PIECE}`);
    return { digest: named, size: length };
  });
  const next = answer.next === undefined ? undefined : string(answer.next, 'next');
  if (next !== undefined && (next === '' || next.length > MAX_TOKEN)) throw malformed('next', 'is no page');
  return { pieces, next };
}

function read<T>(at: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    throw new ClientError('bad-reply', `${printable(at)} gives no answer of an attestation store: ${cause.message}`, {
      cause,
    });
  }
}

function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw usage(`"${printable(text)}" is not the URL of an attestation store; it looks like https://index.example.com`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw usage('the URL of an attestation store has no user name, password, query or fragment: leave them out');
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

function isBusy(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 507);
}

/** With what the store says of it, where that can be read. */
function refusedWith(at: string, status: number, bytes: Uint8Array): ClientError {
  let why = '';
  try {
    const { code, message } = knownMembers(parseJson(bytes, 'the answer', MAX_REFUSAL), 'the answer', [
      'code',
      'message',
    ]);
    why = ` (${printable(string(code, 'code'))}: ${printable(string(message, 'message'))})`;
  } catch {
    // Another server, or a text for people.
  }
  if (status === 404) return badReply(at, `is not there${why}: is the store of this index on?`);
  return new ClientError('refused', `${printable(at)} answers with status ${status}${why}`);
}

function badReply(at: string, why: string): ClientError {
  return new ClientError('bad-reply', `${printable(at)} ${why}`);
}

function tooMuch(url: string, what: string): ClientError {
  return new ClientError('evidence', `the attestation store ${printable(url)} ${what}`);
}

/** Without the query, which may be about something that nobody else should read. */
function failure(shown: string, url: string, cause: unknown): ClientError {
  if (!(cause instanceof RuntimeError)) throw cause;
  if (cause.code === 'aborted') return cancelled();
  const text = printable(cause.message.replaceAll(url, shown));
  if (cause.code === 'too-long') return new ClientError('evidence', text);
  const advice = tlsAdvice(cause);
  if (advice !== undefined) return new ClientError('refused', `${printable(shown)} cannot be used: ${advice}`);
  return new ClientError('network', text);
}
