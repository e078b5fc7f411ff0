/** The public HTTP server: c2sp.org/tlog-witness (C2SP 95978ca, 2026-07-06), with one prefix for submission and monitoring. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gate } from '../merkle/runtime/identity/gate.ts';
import { type App, type AppOptions, type Route, serveRoutes, textAnswer } from '../merkle/runtime/service/app.ts';
import { ClientAddresses, MAX_REFUSALS } from '../merkle/runtime/service/client-address.ts';
import { type Answer, createHttpServer } from '../merkle/runtime/service/http-server.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { RequestBodies } from '../merkle/runtime/service/request-bodies.ts';
import type { TlsPair } from '../merkle/runtime/service/tls-files.ts';
import { Window } from '../merkle/runtime/service/window.ts';
import { formatTreeSize, peekOrigin, TREE_SIZE_TYPE } from '../merkle/witness.ts';
import { bodyError, refusalError, toRequestError } from './answers.ts';
import type { Config, LiveSettings } from './config.ts';
import { RequestError, requestError } from './errors.ts';
import type { Metrics } from './metrics.ts';
import type { Witness } from './witness.ts';

const LIMITS = {
  headerBytes: 16 * 1024,
  headersTimeout: 10_000,
  keepAliveTimeout: 65_000,
  replyTimeout: 30_000,
};
const RETRY_AFTER = 1;
const HASH = /^[0-9a-f]{64}$/;
const ABOUT = { 'cache-control': 'no-cache', 'access-control-allow-origin': '*' };
const CHECKPOINT = { 'cache-control': 'no-cache', 'access-control-allow-origin': '*' };

interface AppParts extends Pick<Config, 'name' | 'trustProxy'> {
  /** Undefined: plain HTTP. */
  readonly tls?: TlsPair | undefined;
  /** Undefined: everybody may ask for cosignatures. */
  readonly gate?: Gate | undefined;
}

export function createApp(
  witness: Witness,
  live: LiveSettings,
  { name, trustProxy, tls, gate }: AppParts,
  metrics: Metrics,
  logger: Logger,
): App {
  const clients = new ClientAddresses(trustProxy);
  const bodies = new RequestBodies({ limits: () => live.limits, clients, refuse: bodyError });
  metrics.port.bodyBytes = () => bodies.held;
  const requests = new Window(() => live.rateLimit.window);

  // The specification names no media type: any is taken, and none.
  const post = (path: string, answer: (bytes: Uint8Array, client: string) => Promise<string>): Route => ({
    method: 'POST',
    path,
    answer: async (call) => {
      // Who calls, before anything is read of the call.
      await gate?.identify(call.request);
      const { bytes, release } = await call.body(live.limits.bodyBytes);
      try {
        const origin = peekOrigin(bytes);
        await gate?.admit(call.request, { action: 'cosign', ...(origin !== undefined && { origin }) });
        return textAnswer(200, await answer(bytes, clients.of(call.request)));
      } catch (error) {
        // Without the body, which a refused request must not keep in memory meanwhile.
        release();
        const { pauseMs = 0 } = error instanceof RequestError ? error.data : {};
        if (pauseMs > 0) await sleep(pauseMs);
        throw error;
      } finally {
        release();
      }
    },
  });
  const app: AppOptions = {
    routes: [
      { method: 'GET', path: '/', answer: () => textAnswer(200, about(name ?? 'a witness'), ABOUT) },
      post('/add-checkpoint', (bytes) => witness.addCheckpoint(bytes)),
      post('/sign-subtree', (bytes, client) => witness.signSubtree(bytes, client)),
      {
        method: 'GET',
        path: '/:hash/checkpoint',
        answer: ({ params: { hash = '' } }) => {
          if (!HASH.test(hash))
            throw requestError('not-found', 'a log is named by the SHA-256 of its origin, in lower-case hex');
          return textAnswer(200, witness.checkpoint(hash), CHECKPOINT);
        },
      },
    ],
    admit: (request) => {
      const { perAddress } = live.rateLimit;
      if (perAddress === 0) return;
      const client = clients.of(request);
      const full = requests.isFull(client, perAddress);
      // A refusal costs about as much as a reply, so a client that goes on and on is not even refused.
      if (full && requests.isFull(client, perAddress + MAX_REFUSALS)) clients.cutOff(request);
      requests.count(client);
      if (full) throw requestError('address-limited', requests.retryAfter);
    },
    readBody: (request, limit) => bodies.read(request, limit),
    refuse: (error, { method, url }) => {
      const refused = gate?.refusalOf(error);
      if (refused !== undefined) {
        metrics.refused(refused.code);
        return textAnswer(refused.status, `${refused.code}: ${refused.message}\n`, refused.headers);
      }
      const known = toRequestError(error);
      if (known === undefined) {
        logger.error({ err: error, method, url }, 'a request failed');
        return textAnswer(500, 'internal error\n');
      }
      metrics.refused(known.code);
      return errorAnswer(known);
    },
    observerOf: (route, _method, status) => metrics.request(route, status),
  };
  return serveRoutes(app, (handler) =>
    createHttpServer({
      limits: () => ({ ...LIMITS, ...live.limits }),
      clients,
      bodies,
      handler,
      refuse: (refusal, why) => errorAnswer(refusalError(refusal, why)),
      tls,
      metrics: metrics.port,
    }),
  );
}

/** For who comes by. */
function about(name: string): string {
  return `This is ${name}, a witness of transparency logs (c2sp.org/tlog-witness) that runs Stele.

POST /add-checkpoint        cosigns a checkpoint that extends the one before
POST /sign-subtree          cosigns a subtree of a cosigned checkpoint, where the witness has an ML-DSA-44 key
GET  /<hash>/checkpoint     the newest checkpoint cosigned; <hash> is the SHA-256 of the log's origin in hex
`;
}

function errorAnswer({ message, row, data }: RequestError): Answer<string> {
  const headers = {
    'cache-control': 'no-store',
    ...(row.retry === true && { 'retry-after': String(data.retryAfter ?? RETRY_AFTER) }),
    ...(data.allow !== undefined && { allow: data.allow }),
  };
  if (data.size === undefined) return textAnswer(row.status, `${message}\n`, headers);
  return textAnswer(row.status, formatTreeSize(data.size), { ...headers, 'content-type': TREE_SIZE_TYPE });
}
