/** The options of the HTTP servers, with the defaults in one block. */
interface RateLimit {
  /** Requests that one address (one /64 for IPv6) may make in `windowMs`. */
  readonly max: number;
  readonly windowMs: number;
}

export interface HttpOptions {
  /** Largest request body, in bytes. */
  readonly bodyBytes: number;
  /** Request bodies held in memory at one time, all together, in bytes; past it new requests get 503. */
  readonly bodiesBytes?: number;
  /** Largest request head (request line and headers), in bytes. */
  readonly headerBytes: number;
  /** Longest request target, in bytes. */
  readonly urlBytes: number;
  /** Open connections; more are closed at once. */
  readonly connections: number;
  /** Time in which the whole request must arrive. */
  readonly requestTimeoutMs: number;
  /** Time in which the request head must arrive; for the first request it starts with the connection. */
  readonly headersTimeoutMs: number;
  /** Idle time after which a kept-alive connection is closed. */
  readonly keepAliveTimeoutMs: number;
  /** Time that a client has to read a reply, in addition to the time that `replyRate` gives for its length. */
  readonly replyTimeoutMs?: number;
  /** Rate at which the slowest client that is served reads its reply, in bytes a second. */
  readonly replyRate?: number;
  /** Requests in one bulk call. */
  readonly bulkItems: number;
  /** No limit if undefined. */
  readonly rateLimit: RateLimit | undefined;
  /** The peers whose `X-Forwarded-For` is trusted: none, all, or these addresses and CIDR blocks. */
  readonly trustProxy: boolean | readonly string[];
  /** The answer to a duplicate: 201 with the entry that is in the log, or 409. */
  readonly duplicates: 'return' | 'conflict';
  /** `Retry-After` of a 503, in seconds. */
  readonly retryAfterSeconds: number;
  /** PEM contents of the certificate chain and its key; plain HTTP if undefined. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Log each request. It costs more than the rest of the HTTP layer. */
  readonly requestLog: boolean;
  /** Compressed bundles kept in memory, in bytes. */
  readonly compressedBytes?: number;
}

/** `HttpOptions` with every default filled in. */
export type HttpSettings = Required<HttpOptions>;

export const HTTP_DEFAULTS: HttpSettings = {
  bodyBytes: 4 * 1024 * 1024,
  bodiesBytes: 256 * 1024 * 1024,
  headerBytes: 16 * 1024,
  urlBytes: 2048,
  connections: 10_000,
  requestTimeoutMs: 60_000,
  headersTimeoutMs: 10_000,
  keepAliveTimeoutMs: 65_000,
  replyTimeoutMs: 30_000,
  replyRate: 16 * 1024,
  bulkItems: 256,
  rateLimit: undefined,
  trustProxy: false,
  duplicates: 'return',
  retryAfterSeconds: 1,
  tls: undefined,
  requestLog: false,
  compressedBytes: 32 * 1024 * 1024,
};

export interface AdminOptions {
  /** Bearer token of the calls that change the log, at least 16 characters. */
  readonly token: string;
}
