/** The public port: Fulcio's HTTP API (sigstore/fulcio, fulcio.proto), as its gRPC gateway serves it. */
import { IdentityError } from '../../merkle/runtime/identity/types.ts';
import {
  type App,
  type Call,
  jsonAnswer,
  type Route,
  RouteError,
  serveRoutes,
} from '../../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import { type Answer, createHttpServer, type Refusal } from '../../merkle/runtime/service/http-server.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { BODY_PROBLEMS, type BodyRefusal, RequestBodies } from '../../merkle/runtime/service/request-bodies.ts';
import type { TlsPair } from '../../merkle/runtime/service/tls-files.ts';
import type { LiveCa } from './ca-config.ts';
import { CaError, caErrorCode, errorAnswer } from './ca-errors.ts';
import type { CaMetrics } from './ca-metrics.ts';
import type { Issuance } from './issuance.ts';
import type { Team } from './issuing-teams.ts';

interface CaAppOptions {
  readonly issuance: Issuance;
  readonly teams: () => readonly Team[];
  /** What `GET /api/v2/configuration` says. */
  readonly issuers: () => readonly { readonly issuer: string; readonly audience: string; readonly challenge: string }[];
  readonly live: LiveCa;
  readonly tls: TlsPair | undefined;
  readonly metrics: CaMetrics;
  readonly logger: Logger;
  readonly trustProxy: readonly string[];
}

/** cosign posts to `//api/v2` where the URL of its signing configuration ends in a slash. */
const BASES = ['/api/v2', '//api/v2'];

export function createCaApp(options: CaAppOptions): App {
  const { issuance, teams, issuers, live, tls, metrics, logger } = options;
  const clients = new ClientAddresses(options.trustProxy);
  const bodies = new RequestBodies({
    limits: () => live.limits,
    clients,
    refuse: (why, limit) => bodyError(why, limit),
  });
  metrics.port.bodyBytes = () => bodies.held;
  let underWay = 0;
  metrics.underWay = () => underWay;

  const issue = async (call: Call): Promise<Answer> => {
    if (underWay >= live.limits.requests) {
      throw new CaError('busy', `${underWay} requests are under way already: try again later`);
    }
    underWay++;
    try {
      const body = await call.body(live.limits.requestBytes);
      try {
        return jsonAnswer(200, await issuance.issue(call.request, body.bytes));
      } finally {
        body.release();
      }
    } finally {
      underWay--;
    }
  };

  const routes = BASES.flatMap((base): Route[] => [
    { method: 'POST', path: `${base}/signingCert`, answer: issue },
    { method: 'GET', path: `${base}/trustBundle`, answer: () => jsonAnswer(200, trustBundle(teams())) },
    { method: 'GET', path: `${base}/configuration`, answer: () => jsonAnswer(200, configuration(issuers())) },
  ]);

  return serveRoutes(
    {
      routes,
      readBody: (request, limit) => bodies.read(request, limit),
      refuse: (error) => {
        if (error instanceof RouteError) return errorAnswer(routeError(error));
        metrics.refused.inc({ error: caErrorCode(error) });
        const answer = errorAnswer(error);
        if (answer.status === 500) logger.error({ err: error }, 'a request failed');
        else logRefusal(logger, error, answer.status);
        return answer;
      },
      observerOf: (route, _method, status) => metrics.request(route, status),
    },
    (handler) =>
      createHttpServer({
        limits: () => live.limits,
        clients,
        bodies,
        handler,
        refuse: (why, text) => errorAnswer(refusalError(why, text, live.limits.headerBytes)),
        tls,
        metrics: metrics.port,
      }),
  );
}

function logRefusal(logger: Logger, error: unknown, status: number): void {
  const { message, cause } = error as Error;
  const why = cause instanceof Error && !(error instanceof IdentityError) ? { because: cause.message } : {};
  const facts = { error: caErrorCode(error), reason: message, ...why };
  if (status >= 500) logger.warn(facts, 'no certificate: the authority cannot issue');
  else logger.info(facts, 'no certificate: the request was refused');
}

/** `TrustBundle`: the chains of the teams, the root last. */
function trustBundle(teams: readonly Team[]): object {
  return {
    chains: teams.map(({ chainPem }) => ({ certificates: chainPem })),
  };
}

/** `Configuration`. */
function configuration(issuers: ReturnType<CaAppOptions['issuers']>): object {
  return {
    issuers: issuers.map(({ issuer, audience, challenge }) => ({
      issuerUrl: issuer,
      audience,
      challengeClaim: challenge,
      spiffeTrustDomain: '',
    })),
  };
}

function bodyError(why: BodyRefusal, limit: number): CaError {
  switch (why) {
    case 'too-large':
      return new CaError(
        'too-large',
        `the request has more than ${limit} bytes, which is the most that this authority reads`,
      );
    case 'too-slow':
      return new CaError('timeout', 'the request came too slowly');
    case 'client-room':
    case 'room':
      return new CaError('busy', 'too many requests are under way: try again later');
    default:
      return new CaError('malformed', BODY_PROBLEMS[why]);
  }
}

/** A header that is too long is one of a token: no other header of a request is long. */
function refusalError(why: Refusal, text: string | undefined, headerBytes: number): CaError | IdentityError {
  if (why === 'headers-too-large') {
    return new IdentityError('token-too-long', `the headers have more than ${headerBytes} bytes: no token is so long`);
  }
  return why === 'timeout'
    ? new CaError('timeout', 'the request came too slowly')
    : new CaError('malformed', text ?? 'the request is malformed');
}

function routeError({ code, data }: RouteError): CaError {
  if (code !== 'method-not-allowed') {
    return new CaError('not-found', 'there is no such path: certificates are asked for by POST /api/v2/signingCert');
  }
  return new CaError('method', `the method ${data.method} is not allowed here`, { allow: data.allow ?? '' });
}
