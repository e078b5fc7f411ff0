/**
 * Requests to a registry of images: bounded, with credentials for the registry alone, and with redirects only to where nothing inside
 * can be reached that outsiders cannot.
 *
 * - https, unless `insecure` lists the host; the answer to a request for https never leads to http.
 * - Addresses are public ones, and those in `allow`. A host that `insecure` lists may be anywhere.
 * - Where a redirect and the service of tokens lie comes from an answer. So a registry with a public address leads to public ones alone.
 */
import { Buffer } from 'node:buffer';
import { isIP } from 'node:net';
import { printable } from '../../merkle/printable.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { AddressGuard } from '../../merkle/runtime/service/address-guard.ts';
import { fetchGuarded } from '../../merkle/runtime/service/authority-fetch.ts';
import { backOffMs, parseRetryAfter, SYSTEM_CLOCK } from '../../merkle/runtime/service/back-off.ts';
import { type Fetched, fetchBounded } from '../../merkle/runtime/service/fetch.ts';
import { ClientError, cancelled, usage } from '../errors.ts';
import { tlsAdvice } from '../tls-advice.ts';
import { type Credentials, readCredentials } from './docker-config.ts';
import type { ImageName } from './image-name.ts';
import { MAX_TOKEN_REPLY, parseChallenge, parseToken, type Token } from './registry-auth.ts';
import { sharedLookup } from './shared-lookup.ts';
import type { EvidenceRoom } from './types.ts';

export interface RegistryOptions {
  /** Hosts, with their port where it is not 80, that are asked by http: `localhost:5000`. */
  readonly insecure?: readonly string[] | undefined;
  /** Certificates (PEM) of the authorities that certify registries, in the place of the system's. */
  readonly authorities?: readonly string[] | undefined;
  /** A file with credentials, as docker-config.ts describes it. It is read for each request that a registry refuses without. */
  readonly configFile?: string | undefined;
  /** Addresses beside the public ones: an address, a range, or `loopback` or `private` (`isAllowedRange`). */
  readonly allow?: readonly string[] | undefined;
  /** Milliseconds for one request. Default 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Further attempts where a registry is busy or cut off. Default 2. */
  readonly retries?: number | undefined;
  readonly userAgent?: string | undefined;
}

/** A request below `/v2/PATH/` of an image's registry. */
interface RegistryRequest {
  readonly image: ImageName;
  /** `manifests/latest`. Or a whole URL of that registry, as its pages are linked. */
  readonly what: string | URL;
  readonly accept: string;
  /** Most bytes of the answer. */
  readonly limit: number;
  readonly signal: AbortSignal;
  /** Counts the bytes of the answer as they come; the caller gives them back. */
  readonly room?: EvidenceRoom | undefined;
}

const HUB = 'docker.io';
const HUB_REGISTRY = 'registry-1.docker.io';
const MAX_REDIRECTS = 5;
const MAX_TOKENS = 1024;
/** The text of a refusal or a redirect may be longer than the bytes that are asked for. */
const MAX_REFUSAL = 64 * 1024;
const BACK_OFF = { firstMs: 200, longestMs: 1000, longestAskedMs: 2000 };
const REDIRECTS = [301, 302, 303, 307, 308];

export class RegistryRequests {
  readonly #options: RegistryOptions;
  readonly #insecure: ReadonlySet<string>;
  readonly #fetches: Readonly<Record<'allowed' | 'public' | 'anywhere', typeof fetch>>;
  readonly #public: AddressGuard;
  /** By registry and path of the image. */
  readonly #tokens = new Map<string, Token>();

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#insecure = new Set((options.insecure ?? []).map(hostOf));
    const resolve = sharedLookup();
    this.#public = new AddressGuard({ allow: [], resolve });
    const through = (allow: readonly string[]) =>
      fetchGuarded(new AddressGuard({ allow, resolve }), options.authorities);
    this.#fetches = {
      allowed: through(options.allow ?? []),
      public: through([]),
      anywhere: through(['0.0.0.0/0', '::/0']),
    };
  }

  /**
   * The answer with status 200 or 404, after redirects.
   *
   * @throws ClientError `network`, `unavailable`: another attempt may end in another way; `refused`: the registry refuses, or its address is
   *   not permitted; `bad-reply`: no answer of a registry; `evidence`: the answer is too long; `file`: the credentials cannot be used;
   *   `usage`: the domain is no host; `cancelled`
   */
  async get(request: RegistryRequest): Promise<Fetched> {
    const url = request.what instanceof URL ? request.what : new URL(request.what, this.urlOf(request.image));
    const headers = { accept: request.accept };
    const { domain, path } = request.image;
    const key = `${domain}/${path}`;
    const token = this.#tokens.get(key);
    const known = token !== undefined && token.until > Date.now() ? { authorization: `Bearer ${token.token}` } : {};
    let reply = await this.#follow(url, { ...headers, ...known }, request);
    if (reply.status === 401) {
      this.#tokens.delete(key);
      request.room?.give(reply.bytes.length);
      const authorization = await this.#authorize(url, reply, request);
      reply = await this.#follow(url, { ...headers, authorization }, request);
    }
    if (reply.status === 404) return reply;
    if (reply.status !== 200) throw refusedBy(url, reply.status);
    if (reply.bytes.length <= request.limit) return reply;
    throw new ClientError('evidence', `${withoutQuery(url)} answers with more than ${request.limit} bytes`);
  }

  /** `https://HOST/v2/PATH/` of an image. @throws ClientError `usage` */
  urlOf({ domain, path }: ImageName): URL {
    const host = domain === HUB ? HUB_REGISTRY : domain;
    const scheme = this.#insecure.has(hostOf(host)) ? 'http' : 'https';
    return new URL(`${scheme}://${host}/v2/${path}/`);
  }

  async #follow(first: URL, headers: Readonly<Record<string, string>>, request: RegistryRequest): Promise<Fetched> {
    const { authorization: _, ...open } = headers;
    let url = first;
    let sent = headers;
    for (let hops = 0; ; hops++) {
      // Credentials go to the registry alone: never to another host, and not after a way over one.
      if (url.origin !== first.origin) sent = open;
      const { limit, signal, room } = request;
      const reply = await this.#send(url, first, sent, Math.max(limit, MAX_REFUSAL), signal, room);
      // Another host could name a service that then gets the credentials.
      if (reply.status === 401 && url.origin !== first.origin) throw refusedBy(url, reply.status);
      if (!REDIRECTS.includes(reply.status)) return reply;
      if (hops === MAX_REDIRECTS) throw badReply(first, `leads to more than ${MAX_REDIRECTS} addresses in turn`);
      room?.give(reply.bytes.length);
      url = this.#target(url, reply.headers.get('location'));
    }
  }

  #target(from: URL, location: string | null): URL {
    if (location === null || !URL.canParse(location, from.href))
      throw badReply(from, 'answers with a redirect to no address');
    const to = new URL(location, from);
    const plain = to.protocol === 'http:' && from.protocol === 'http:' && this.#insecure.has(to.host);
    if ((to.protocol !== 'https:' && !plain) || to.username !== '' || to.password !== '') {
      throw badReply(from, `leads to ${withoutQuery(to)}, which is not followed: it must be https, without a user`);
    }
    return to;
  }

  async #authorize(url: URL, reply: Fetched, { image, signal }: RegistryRequest): Promise<string> {
    const challenge = parseChallenge(reply.headers.get('www-authenticate'), withoutQuery(url));
    const { configFile } = this.#options;
    const credentials = configFile === undefined ? undefined : await readCredentials(configFile, image);
    if (challenge.scheme === 'basic') {
      if (credentials !== undefined) return basic(credentials);
      const where = configFile === undefined ? 'give a file with them' : `${printable(configFile)} has none for it`;
      throw new ClientError('refused', `${withoutQuery(url)} asks for a name and a password: ${where}`);
    }
    const { realm, service } = challenge;
    if (realm.protocol !== 'https:' && !(realm.protocol === 'http:' && this.#insecure.has(realm.host))) {
      throw badReply(url, `wants a token from ${withoutQuery(realm)}, which is not https`);
    }
    if (realm.username !== '' || realm.password !== '') throw badReply(url, 'names a service of tokens with a user');
    if (service !== undefined) realm.searchParams.set('service', service);
    realm.searchParams.set('scope', `repository:${image.path}:pull`);
    const headers = credentials === undefined ? {} : { authorization: basic(credentials) };
    const answer = await this.#send(realm, url, headers, MAX_TOKEN_REPLY, signal);
    if (answer.status !== 200) throw refusedBy(realm, answer.status);
    const token = parseToken(answer.bytes, withoutQuery(realm), Date.now());
    if (this.#tokens.size >= MAX_TOKENS) this.#tokens.clear();
    this.#tokens.set(`${image.domain}/${image.path}`, token);
    return `Bearer ${token.token}`;
  }

  async #isPublic({ hostname }: URL): Promise<boolean> {
    return await new Promise((resolve) => {
      const literal = hostname.replace(/^\[(.*)\]$/, '$1');
      if (isIP(literal) > 0) return resolve(this.#public.permits(literal));
      this.#public.lookup(hostname, { all: true }, (error) => resolve(error === null));
    });
  }

  /** One address, asked again where it is busy. */
  async #send(
    url: URL,
    registry: URL,
    headers: Record<string, string>,
    limit: number,
    signal: AbortSignal,
    room?: EvidenceRoom,
  ): Promise<Fetched> {
    const { timeoutMs = 10_000, retries = 2, userAgent = 'stele' } = this.#options;
    const inside = url.host === registry.host || !(await this.#isPublic(registry));
    const send = this.#fetches[this.#insecure.has(url.host) ? 'anywhere' : inside ? 'allowed' : 'public'];
    // A digest is of the bytes as they are stored.
    const all = { 'user-agent': userAgent, 'accept-encoding': 'identity', ...headers };
    const ask = { limit, timeoutMs, signal, headers: all, read: 'all', fetch: send } as const;
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
      const outcome = await fetchBounded(url.href, { ...ask, onBytes }).catch((cause) => failure(url, cause));
      if (full !== undefined) throw full;
      const busy = outcome instanceof ClientError ? outcome.code === 'network' : isBusy(outcome.status);
      if (!busy && !(outcome instanceof ClientError)) return outcome;
      if (attempt > retries || !busy) {
        if (outcome instanceof ClientError) throw outcome;
        const tries = `asked ${attempt} ${attempt === 1 ? 'time' : 'times'}`;
        throw new ClientError('unavailable', `${withoutQuery(url)} answers with status ${outcome.status} (${tries})`);
      }
      room?.give(held);
      const asked = outcome instanceof ClientError ? undefined : parseRetryAfter(outcome.headers.get('retry-after'));
      await SYSTEM_CLOCK.sleep(backOffMs(BACK_OFF, attempt, asked), signal);
      if (signal.aborted) throw cancelled();
    }
  }
}

/** A host with its port, unless that is 80, as URLs have it. @throws ClientError `usage` */
function hostOf(text: string): string {
  const url = URL.canParse(`http://${text}`) ? new URL(`http://${text}`) : undefined;
  const name = text.toLowerCase().replace(/:[0-9]+$/, '');
  // A URL takes "1.2" for the address 1.0.0.2, where an engine looks the name "1.2" up.
  if (url === undefined || (!name.startsWith('[') && url.hostname !== name)) {
    throw usage(`"${printable(text)}" is no host of a registry, or not the same host for all clients`);
  }
  return url.host;
}

/** An address without its query, which may be a secret: that of a signed address, or of a session. */
export function withoutQuery(url: URL): string {
  return printable(`${url.origin}${url.pathname}`);
}

function isBusy(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function badReply(url: URL, why: string): ClientError {
  return new ClientError('bad-reply', `${withoutQuery(url)} ${why}`);
}

function refusedBy(url: URL, status: number): ClientError {
  const why = status === 401 || status === 403 ? ': it asks for other credentials, or gives them no right to read' : '';
  return new ClientError('refused', `${withoutQuery(url)} answers with status ${status}${why}`);
}

/** Without the cause, whose message may hold the query of the address. */
function failure(url: URL, cause: unknown): ClientError {
  const guarded = guardError(cause);
  if (guarded !== undefined)
    return new ClientError('refused', `${withoutQuery(url)} is not asked: ${printable(guarded)}`);
  if (!(cause instanceof RuntimeError)) throw cause;
  if (cause.code === 'aborted') return cancelled();
  if (cause.code === 'too-long')
    return new ClientError('evidence', printable(cause.message.replaceAll(url.href, withoutQuery(url))));
  const advice = tlsAdvice(cause);
  if (advice !== undefined) return new ClientError('refused', `${withoutQuery(url)} cannot be used: ${advice}`);
  return new ClientError('network', printable(cause.message.replaceAll(url.href, withoutQuery(url))));
}

function guardError(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && at.code === 'ADDRESS_REFUSED') return at.message;
  }
  return undefined;
}
