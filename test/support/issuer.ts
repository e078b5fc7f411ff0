/**
 * A small OpenID Connect issuer over HTTP or HTTPS: its discovery document, its keys, which can change while it runs, and tokens
 * of any header, claims and algorithm, right or wrong. It stands in for the identity providers of people and of build systems.
 *
 * Tokens are signed with Node's own primitives: the verifier, which uses a library, is checked against another implementation.
 */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { type Authority, issue } from '../merkle/x509/make.ts';
import { der } from './der.ts';
import { keyPem, pemOf } from './tls-server.ts';

export type TokenAlgorithm =
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'ES256'
  | 'ES384'
  | 'ES512'
  | 'EdDSA'
  | 'Ed25519';

export interface IssuerKey {
  readonly algorithm: TokenAlgorithm;
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** The public key as it stands in a JWK set. */
  readonly jwk: Readonly<Record<string, unknown>>;
}

interface KeyWish {
  readonly kid?: string;
  /** Of an RSA key. */
  readonly bits?: number;
  /** More members of the JWK, or others: `{ use: 'jwt-svid', alg: undefined }`. */
  readonly jwk?: Readonly<Record<string, unknown>>;
}

let made = 0;

export function newIssuerKey(algorithm: TokenAlgorithm = 'ES256', { kid, bits = 2048, jwk }: KeyWish = {}): IssuerKey {
  const { privateKey, publicKey } = pairOf(algorithm, bits);
  made += 1;
  const name = kid ?? `key-${made}`;
  const exported = publicKey.export({ format: 'jwk' });
  const members = { ...exported, kid: name, use: 'sig', alg: algorithm, ...jwk };
  return { algorithm, kid: name, privateKey, publicKey, jwk: JSON.parse(JSON.stringify(members)) };
}

function pairOf(algorithm: TokenAlgorithm, modulusLength: number) {
  if (algorithm.startsWith('ES')) {
    const namedCurve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[algorithm as string]!;
    return generateKeyPairSync('ec', { namedCurve });
  }
  return algorithm.startsWith('E')
    ? generateKeyPairSync('ed25519')
    : generateKeyPairSync('rsa', { modulusLength, publicExponent: 65537 });
}

/** JSON that is to be made, or a text that is taken as it is. */
type Part = Readonly<Record<string, unknown>> | string;

const base64url = (text: string | Uint8Array) => Buffer.from(text).toString('base64url');

/** The token with this header and these claims, signed with `key` by the algorithm of the key. Nothing is added to either. */
export function signToken(key: IssuerKey, header: Part, claims: Part): string {
  const input = signingInput(header, claims);
  return `${input}.${base64url(rawSignature(key, input))}`;
}

/** A token with an HMAC over it: `secret` may be a public key, as attackers take it. */
export function macToken(secret: string | Uint8Array, header: Part, claims: Part): string {
  const input = signingInput(header, claims);
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

export function signingInput(header: Part, claims: Part): string {
  return [header, claims].map((part) => base64url(typeof part === 'string' ? part : JSON.stringify(part))).join('.');
}

function rawSignature({ algorithm, privateKey }: IssuerKey, input: string): Buffer {
  const bytes = Buffer.from(input);
  if (algorithm === 'EdDSA' || algorithm === 'Ed25519') return sign(null, bytes, privateKey);
  const hash = `sha${algorithm.slice(2)}`;
  if (algorithm.startsWith('ES')) return sign(hash, bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  if (algorithm.startsWith('RS')) return sign(hash, bytes, privateKey);
  // RSASSA-PSS, with a salt as long as the hash (RFC 7518 section 3.5).
  return sign(hash, bytes, { key: privateKey, padding: 6, saltLength: Number(algorithm.slice(2)) / 8 });
}

/** What the issuer answers in the place of its own answer. `hang` never answers; `cut` ends in the middle of the body. */
export interface IssuerAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly how?: 'hang' | 'cut' | 'destroy';
}

interface IssuerWish {
  /** One key for each; default one of ES256. */
  readonly algorithms?: readonly TokenAlgorithm[];
  /** HTTPS, with a certificate for localhost by this authority. Default HTTP. */
  readonly by?: Authority;
  /** Follows the host in the issuer's URL: `/realms/a`. Default nothing. */
  readonly path?: string;
  /** `aud` of tokens. Default `log.example.com`. */
  readonly audience?: string;
  /** Milliseconds since 1970. Default the clock of this machine. */
  readonly now?: () => number;
}

export interface TokenWish {
  /** Default: the newest key. */
  readonly key?: IssuerKey;
  /** More members of the header, or others; undefined takes one away. */
  readonly header?: Readonly<Record<string, unknown>>;
}

export interface TestIssuer {
  /** `iss`: http://localhost:PORT or https://localhost:PORT, and the path */
  readonly url: string;
  readonly jwksUrl: string;
  readonly discoveryUrl: string;
  /** The keys that are published, the newest last. */
  readonly keys: IssuerKey[];
  /** Paths that were asked for. */
  readonly requests: string[];
  /** In the place of its own answers, by path; undefined answers as usual. */
  answer: ((path: string) => IssuerAnswer | undefined) | undefined;
  /** More members of the discovery document, or others. */
  discovery: Readonly<Record<string, unknown>>;
  /** Headers of the key set, such as cache-control. */
  headers: Readonly<Record<string, string>>;
  /**
   * A token by this issuer that is right: `sub` release@example.com, its `email` verified, valid from now for five minutes.
   * @param claims more claims, or others; undefined takes one away
   */
  token(claims?: Readonly<Record<string, unknown>>, wish?: TokenWish): string;
  /** Publishes a new key in the place of all that were there, or with them. */
  rotate(algorithm?: TokenAlgorithm, keep?: 'keep'): IssuerKey;
  /** Nothing listens until `start`. */
  stop(): Promise<void>;
  /** Listens again, on the same port. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function startIssuer(wish: IssuerWish = {}): Promise<TestIssuer> {
  const { algorithms = ['ES256'], by, path = '', audience = 'log.example.com', now = Date.now } = wish;
  const keys = algorithms.map((algorithm) => newIssuerKey(algorithm));
  const requests: string[] = [];
  const serve: http.RequestListener = (request, reply) => {
    const asked = request.url ?? '/';
    requests.push(asked);
    const { status = 200, headers = {}, body = '', how } = issuer.answer?.(asked) ?? usual(asked);
    if (how === 'hang') return;
    if (how === 'destroy') return void request.socket.destroy();
    reply.writeHead(status, { 'content-type': 'application/json', ...headers });
    if (how !== 'cut') return void reply.end(body);
    reply.write(Buffer.from(body).subarray(0, body.length / 2), () => request.socket.destroy());
  };
  const usual = (asked: string): IssuerAnswer => {
    if (asked === `${path}/.well-known/openid-configuration`) {
      const { url, jwksUrl, discovery } = issuer;
      return { body: JSON.stringify({ issuer: url, jwks_uri: jwksUrl, ...discovery }) };
    }
    if (asked !== `${path}/keys`) return { status: 404, body: '{}' };
    return { headers: issuer.headers, body: JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }) };
  };
  const server = by === undefined ? http.createServer(serve) : https.createServer(certified(by), serve);
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const url = `${by === undefined ? 'http' : 'https'}://localhost:${port}${path}`;
  const issuer: TestIssuer = {
    url,
    jwksUrl: `${url}/keys`,
    discoveryUrl: `${url}/.well-known/openid-configuration`,
    keys,
    requests,
    answer: undefined,
    discovery: {},
    headers: {},
    token: (claims = {}, { key = keys.at(-1)!, header = {} } = {}) => {
      const seconds = Math.floor(now() / 1000);
      const person = { sub: 'release@example.com', email: 'release@example.com', email_verified: true };
      const times = { iat: seconds, nbf: seconds, exp: seconds + 300 };
      return signToken(
        key,
        { alg: key.algorithm, kid: key.kid, typ: 'JWT', ...header },
        { iss: url, aud: audience, ...person, ...times, ...claims },
      );
    },
    rotate: (algorithm = 'ES256', keep) => {
      const key = newIssuerKey(algorithm);
      keys.splice(0, keep === undefined ? keys.length : 0);
      keys.push(key);
      return key;
    },
    stop,
    start: () => listen(port),
    close: stop,
  };
  return issuer;
}

function certified(by: Authority): https.ServerOptions {
  const names = [der(0x82, Buffer.from('localhost'))];
  const leaf = issue({ name: 'localhost', by, keyUsage: 0x80, usages: ['1.3.6.1.5.5.7.3.1'], names });
  return { key: keyPem(leaf), cert: pemOf(leaf) };
}
