/**
 * The operator's HTTP server, on a port of its own that is bound to loopback by default. It takes no calls of web pages. Reading
 * needs no token; what changes the log needs `Authorization: Bearer <admin token>`, or an identity that the access policy names for it
 * (merkle/runtime/service/operator-guard.ts).
 */
import type { IncomingMessage } from 'node:http';
import { isAbsolute } from 'node:path';
import type { Gate } from '../../merkle/runtime/identity/gate.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type App, type Route, RouteError, serveRoutes } from '../../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../merkle/runtime/service/http-server.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { guardReads, OperatorRefused, operatorGuard, pageGuard } from '../../merkle/runtime/service/operator-guard.ts';
import { OPERATOR_BODY_BYTES, OPERATOR_LIMITS } from '../../merkle/runtime/service/operator-limits.ts';
import { probeRoutes } from '../../merkle/runtime/service/probes.ts';
import { RequestBodies } from '../../merkle/runtime/service/request-bodies.ts';
import type { TlsPair } from '../../merkle/runtime/service/tls-files.ts';
import { RequestError, requestError, ServerError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { isShardOrder, type ShardOrder } from '../shards/shard-order.ts';
import { bodyError, errorAnswer, json, refusalAnswer, toRequestError } from './answers.ts';

const MIN_TOKEN = 16;
const RETRY = { retryAfter: 1000 };
const CODES = { 401: 'unauthorized', 403: 'forbidden', 429: 'caller-rate', 503: 'unavailable' } as const;

interface AdminOptions {
  /** Bearer token of the calls that change the log, at least 16 characters. Undefined: calls with the token are refused. */
  readonly token: string | undefined;
  /** Operators are known by their identity, too. */
  readonly gate?: Gate | undefined;
  /** Undefined: plain HTTP. */
  readonly tls?: TlsPair | undefined;
  /** Further names by which the port is called, in the header `Host`. */
  readonly hosts?: readonly string[];
  /** What needs the operator besides the log's own alarms, one sentence each. */
  readonly alarms?: () => readonly string[];
  /** Why the log is not ready, besides its own reasons. */
  readonly notReady?: () => readonly string[];
}

/** What the operator's calls act on: the shards of one log. `shard` is an origin; by default the newest shard that has begun. */
export interface Operated {
  notReady(): readonly string[];
  alarms(): readonly string[];
  freeze(shard?: string): Promise<{ readonly origin: string; readonly checkpoint: string }>;
  backup(dir: string): Promise<object>;
  export(dir: string, shard?: string): Promise<{ readonly size: number }>;
  list(): readonly object[];
  /** @throws ServerError `config` where the order cannot be followed */
  prepare(order: ShardOrder): Promise<object>;
  openShard(origin: string): Promise<object>;
  witnessesKnow(origin: string): Promise<object>;
}

/**
 * The probes, `POST /freeze`, which answers with the last checkpoint when that checkpoint is stored, and `POST /backup`
 * and `POST /export` with `{"dir": <absolute path>}`; and the calls of a rotation: `POST /shards`, `/shards/prepare`,
 * `/shards/open` and `/shards/witnesses`. A call about one shard takes its origin as the member `shard`.
 * @throws ServerError `config` where the token is shorter than 16 characters
 */
export function createAdminApp(log: Operated, options: AdminOptions, metrics: Metrics, logger: Logger): App {
  if (options.token !== undefined && options.token.length < MIN_TOKEN) {
    throw new ServerError('config', `the admin token is shorter than ${MIN_TOKEN} characters: make a longer one`);
  }
  const ofPages = pageGuard(options.hosts ?? [], 'admin.hosts');
  const guard = operatorGuard({ ofPages, token: options.token, gate: options.gate });
  const clients = new ClientAddresses([]);
  const bodies = new RequestBodies({ limits: () => OPERATOR_LIMITS, clients, refuse: bodyError });
  const refuse = (error: unknown) => {
    if (error instanceof OperatorRefused) {
      const { status, message, headers } = error.refusal;
      const answer = errorAnswer(new RequestError(CODES[status], message), RETRY);
      return { ...answer, headers: { ...answer.headers, ...headers } };
    }
    // Only the operator gets these messages, which are written for the operator.
    const shown = error instanceof ServerError || error instanceof RuntimeError;
    const known = shown ? new RequestError('internal', error.message) : toRequestError(error);
    if (!shown && known !== error && !(error instanceof RouteError))
      logger.error({ err: error }, 'an admin request failed');
    return errorAnswer(known, RETRY);
  };

  /** A call that needs the token; `act` returns what is told of it. */
  const operator = (path: string, act: (body: Buffer) => Promise<object>): Route => ({
    method: 'POST',
    path,
    answer: async (call) => {
      await guard(call.request, 'admin');
      const { bytes, release } = await call.body(OPERATOR_BODY_BYTES);
      release();
      return json(JSON.stringify(await act(bytes)));
    },
  });

  const routes = [
    ...probeRoutes({
      notReady: () => [...log.notReady(), ...(options.notReady?.() ?? [])],
      alarms: () => [...log.alarms(), ...(options.alarms?.() ?? [])],
      metrics,
      prefix: 'stele',
    }),
    operator('/freeze', async (body) => await log.freeze(optional(membersOf(body, ['shard']), 'shard'))),
    operator('/backup', async (body) => await log.backup(targetDir(membersOf(body, ['dir'])))),
    operator('/export', async (body) => {
      const members = membersOf(body, ['dir', 'shard']);
      return await log.export(targetDir(members), optional(members, 'shard'));
    }),
    operator('/shards', async () => ({ shards: log.list() })),
    operator('/shards/prepare', async (body) => await log.prepare(orderOf(body))),
    operator('/shards/open', async (body) => await log.openShard(required(membersOf(body, ['shard']), 'shard'))),
    operator(
      '/shards/witnesses',
      async (body) => await log.witnessesKnow(required(membersOf(body, ['shard']), 'shard')),
    ),
  ];
  /** The calls that change something refuse pages themselves, as they refuse a caller without the token. */
  const admit = (request: IncomingMessage) => {
    const refused = request.method === 'POST' ? undefined : ofPages(request);
    if (refused !== undefined) throw requestError('forbidden', refused);
  };
  const app = {
    routes: guardReads(routes, guard),
    admit,
    refuse,
    readBody: (request: IncomingMessage, limit: number) => bodies.read(request, limit),
  };
  return serveRoutes(app, (handler) =>
    createHttpServer({
      limits: () => OPERATOR_LIMITS,
      clients,
      bodies,
      handler,
      tls: options.tls,
      refuse: refusalAnswer,
    }),
  );
}

type Members = Readonly<Record<string, unknown>>;

/** The members of a body: an object of JSON with some of `names`, or nothing. */
function membersOf(body: Buffer, names: readonly string[]): Members {
  const shape = names.map((name) => `"${name}"`).join(', ');
  let value: unknown;
  try {
    value = body.length === 0 ? {} : JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw requestError('malformed', `the body must be JSON: an object with ${shape}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw requestError('malformed', `the body must be an object with ${shape}`);
  }
  const other = Object.keys(value).find((name) => !names.includes(name));
  if (other !== undefined) throw requestError('malformed', `the body may have the members ${shape} and no others`);
  return value as Members;
}

function optional(members: Members, name: string): string | undefined {
  const value = members[name];
  if (value === undefined || typeof value === 'string') return value;
  throw requestError('invalid-argument', `"${name}" must be text`);
}

function required(members: Members, name: string): string {
  const value = optional(members, name);
  if (value === undefined) throw requestError('malformed', `the body must have the member "${name}"`);
  return value;
}

function targetDir(members: Members): string {
  const { dir } = members;
  if (dir === undefined) throw requestError('malformed', 'the body must be JSON: {"dir": <absolute path>}');
  if (typeof dir !== 'string' || !isAbsolute(dir) || dir.includes('\0')) {
    throw requestError('invalid-argument', '"dir" must be an absolute path');
  }
  return dir;
}

function orderOf(body: Buffer): ShardOrder {
  const order = membersOf(body, ['origin', 'url', 'key', 'ed25519Key', 'mldsaKey']);
  if (isShardOrder(order)) return order;
  throw requestError(
    'invalid-argument',
    'the order of a shard needs "origin" and "url", and may name its keys by absolute paths',
  );
}
