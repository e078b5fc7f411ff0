/** The limits of every port that is for the operator: probes, scrapers and commands use it, few at a time. */

/** The largest body of a call. */
export const OPERATOR_BODY_BYTES = 16 * 1024;

export const OPERATOR_LIMITS = {
  headerBytes: 16 * 1024,
  connections: 64,
  bodiesBytes: 64 * OPERATOR_BODY_BYTES,
  bodyRate: 1024,
  bodyGrace: 5000,
  requestTimeout: 30_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 10_000,
  replyTimeout: 30_000,
};
