/**
 * Finds out who calls: by the client certificate of the TLS connection, else by a bearer token where tokens are taken.
 *
 * Nothing but the connection itself and the header `Authorization` counts. A proxy that ends TLS in front of a service is the
 * caller itself: no header says who stands behind it.
 */
import type { IncomingMessage } from 'node:http';
import { checkCertificate, type Trust } from './check-certificate.ts';
import { type Connection, connectionOf } from './client-certificate.ts';
import { type Caller, IdentityError } from './types.ts';

/** A refusal of a certificate is repeated for this long without another check: an attempt costs signature checks. */
const REFUSED_MS = 1000;
/** RFC 6750 section 2.1: `b64token`. */
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*) *$/i;

/** Where the bundles of trust domains come from. */
interface Bundles {
  current(): NonNullable<Trust['bundles']>;
  readonly isAwaited?: Trust['isAwaited'];
  /** Returns what ends the calls. */
  onChange(listener: () => void): () => void;
}

/** Verifies a token on its connection. */
interface Tokens {
  readonly kinds: readonly ('jwt-svid' | 'id-token')[];
  /** @param connection what lives as long as the TLS connection @throws IdentityError */
  verify(token: string, connection: object): Promise<Caller>;
}

export interface IdentifierParts {
  /** X.509-SVIDs are taken, by these bundles. */
  readonly bundles?: Bundles | undefined;
  /** Other client certificates are taken, by these authorities. */
  readonly clientCa?: Trust['clientCa'];
  /** Bearer tokens are taken. */
  readonly tokens?: Tokens | undefined;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** What the last check of a connection's certificate found. */
interface Checked {
  readonly caller?: Caller;
  readonly refused?: IdentityError;
  /** Of the trust that it was checked by. */
  readonly generation: number;
  /** It holds from the one time to the other, milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
}

export class Identifier {
  readonly #bundles: Bundles | undefined;
  readonly #tokens: Tokens | undefined;
  readonly #now: () => number;
  readonly #checked = new WeakMap<Connection, Checked>();
  readonly #unsubscribe: () => void;
  #clientCa: Trust['clientCa'];
  #generation = 0;

  constructor({ bundles, clientCa, tokens, now = Date.now }: IdentifierParts) {
    this.#bundles = bundles;
    this.#clientCa = clientCa;
    this.#tokens = tokens;
    this.#now = now;
    this.#unsubscribe = bundles?.onChange(() => this.#generation++) ?? (() => {});
  }

  /** From now on these are the authorities of client certificates, for open connections too. */
  trustClients(clientCa: Trust['clientCa']): void {
    this.#clientCa = clientCa;
    this.#generation++;
  }

  /**
   * The value of `WWW-Authenticate` for a refusal: RFC 9110 section 15.5.2 wants one, and RFC 6750 section 3 says which where a token
   * is taken. A client certificate has no scheme of its own.
   */
  challengeFor({ code }: Pick<IdentityError, 'code'>): string {
    if (this.#tokens === undefined) return 'Certificate';
    return code.startsWith('token-') ? 'Bearer error="invalid_token"' : 'Bearer';
  }

  /** What a caller can show, for programs: the kinds of `Caller`. */
  get kinds(): readonly Caller['kind'][] {
    return [
      ...(this.#bundles === undefined ? [] : (['x509-svid'] as const)),
      ...(this.#clientCa === undefined ? [] : (['certificate'] as const)),
      ...(this.#tokens?.kinds ?? []),
    ];
  }

  /** What a caller can show, in words for people. */
  get accepted(): string {
    const ways = [
      ...(this.#bundles === undefined ? [] : ['an X.509-SVID in the TLS handshake']),
      ...(this.#clientCa === undefined ? [] : ['a client certificate in the TLS handshake']),
      ...(this.#tokens === undefined ? [] : ['a bearer token']),
    ];
    return ways.join(', or ');
  }

  /**
   * Who sent the request. Of one connection the certificate is checked once, and again when the trust changes, when the clock went
   * back, and when a certificate of its chain expires.
   * @throws IdentityError `no-identity` and others, also as a rejection
   */
  identify(request: IncomingMessage): Caller | Promise<Caller> {
    const connection = connectionOf(request);
    if (connection === undefined) {
      throw new IdentityError('no-identity', `this call needs TLS and ${this.accepted}: use https`);
    }
    const authorization = authorizationOf(request);
    const hasCertificate = connection.chain.length > 0 || connection.malformed !== undefined;
    const takesCertificates = this.#bundles !== undefined || this.#clientCa !== undefined;
    if (authorization === undefined || this.#tokens === undefined) {
      if (hasCertificate && takesCertificates) return this.#byCertificate(connection);
      throw this.#nobody(hasCertificate, authorization !== undefined);
    }
    if (hasCertificate && takesCertificates) {
      throw new IdentityError('no-identity', 'the request has a client certificate and a token: show one of them');
    }
    const [, token] = BEARER.exec(authorization) ?? [];
    if (token === undefined) {
      throw new IdentityError(
        'no-identity',
        'the header Authorization has no bearer token (Bearer, a space, the token), or stands there twice',
      );
    }
    return this.#tokens.verify(token, connection);
  }

  /** Ends the calls of the sources. The sources themselves are closed by what opened them. */
  close(): void {
    this.#unsubscribe();
  }

  #nobody(hasCertificate: boolean, hasToken: boolean): IdentityError {
    const but = hasCertificate
      ? '; a client certificate proves nothing here'
      : hasToken
        ? '; tokens are not taken here'
        : '';
    return new IdentityError('no-identity', `this call needs ${this.accepted}${but}`);
  }

  #byCertificate(connection: Connection): Caller {
    if (connection.malformed !== undefined) throw connection.malformed;
    const now = this.#now();
    const known = this.#checked.get(connection);
    let checked = known;
    if (
      checked === undefined ||
      checked.generation !== this.#generation ||
      !(checked.from <= now && now <= checked.until)
    ) {
      checked = this.#check(connection, now);
      this.#checked.set(connection, checked);
    }
    if (checked.caller !== undefined) return checked.caller;
    throw checked.refused!;
  }

  #check({ chain }: Connection, now: number): Checked {
    const generation = this.#generation;
    const trust = { bundles: this.#bundles?.current(), isAwaited: this.#bundles?.isAwaited, clientCa: this.#clientCa };
    try {
      const caller = checkCertificate(chain, trust, now);
      const roots = [
        ...(caller.spiffeId && trust.bundles
          ? (trust.bundles.get(caller.spiffeId.trustDomain)?.x509Authorities ?? [])
          : (trust.clientCa ?? [])),
      ];
      const ends = [...chain, ...roots].map(({ notAfter }) => notAfter).filter((end) => end >= now);
      return { caller, generation, from: now, until: Math.min(...ends) };
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      return { refused: error, generation, from: now, until: now + REFUSED_MS };
    }
  }
}

/** Undefined where there is none; no token at all where it stands twice, of which Node would show the first. */
function authorizationOf(request: IncomingMessage): string | undefined {
  const { authorization } = request.headers;
  if (authorization === undefined) return undefined;
  const { rawHeaders } = request;
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]!.toLowerCase() === 'authorization') count++;
  return count === 1 ? authorization : '';
}
