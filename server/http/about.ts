/** For who comes by: a page that says what this is, and the health check of Rekor v2. They are no part of the API. */
import { type Route, textAnswer } from '../../merkle/runtime/service/app.ts';
import { requestError } from '../errors.ts';
import { ANY_ORIGIN, json } from './answers.ts';
import type { HttpContext } from './context.ts';
import { toExplorer } from './explorer.ts';

const FRESH = { ...ANY_ORIGIN, 'cache-control': 'no-store' };

const TAKES = {
  signed: 'POST /api/v2/log/entries   logs a signature over a digest, as Rekor v2 does',
  raw: 'POST /add                  logs the bytes of the body',
} as const;

export function aboutRoutes({ log, options, draining }: HttpContext): Route[] {
  const { origin, entries } = log.info;
  const { writers } = options;
  const who = writers === undefined ? '' : `Writes need an identity:   ${writers.accepted.accepted}\n`;
  const page = options.page === undefined ? '' : 'GET  /explorer/            a page that checks the log in a browser\n';
  const about = `This is ${origin}, an append-only transparency log that runs Stele.

${TAKES[entries]}
GET  /checkpoint           the newest signed tree head; tiles below /tile/ (c2sp.org/tlog-tiles)
GET  /stele/v1/log         verifier keys, limits, and what the log takes
GET  /openapi.json         every call
${page}${who}`;
  return [
    {
      method: 'GET',
      path: '/',
      // A browser alone names HTML.
      answer: ({ request: { headers } }) =>
        options.page !== undefined && /\btext\/html\b/i.test(headers.accept ?? '')
          ? toExplorer()
          : textAnswer(200, about, { ...ANY_ORIGIN, 'cache-control': 'no-cache', vary: 'Accept' }),
    },
    {
      method: 'GET',
      path: '/healthz',
      // The reply of grpc-gateway's health endpoint, which rekor-tiles has (its internal/server/http.go).
      answer: () => {
        if (draining()) throw requestError('draining');
        return json('{"status":"SERVING"}\n', FRESH);
      },
    },
  ];
}
