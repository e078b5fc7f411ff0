/** For people and scripts: single entries with a proof, consistency proofs, and what this log is and takes. */
import type { FastifyInstance } from 'fastify';
import { MAX_ENTRY } from '../../merkle/bundle.ts';
import { parseDecimal } from '../../merkle/bytes.ts';
import { DIGEST_ALGORITHM } from '../../merkle/rekor/hashes.ts';
import { LOGGED_KEY_DETAILS } from '../../merkle/rekor/key-details.ts';
import { toBase64 } from '../../merkle/runtime/base64.ts';
import { requestError } from '../errors.ts';
import { sendJson } from './answers.ts';
import type { HttpContext } from './context.ts';
import { EntryEncoder, KIND_VERSION } from './entry.ts';
import { docs, NumberText } from './route-docs.ts';

/** What a client needs to choose a key. */
const KEY_TYPES = LOGGED_KEY_DETAILS.map(({ name, number, hash }) => ({
  keyDetails: name,
  number,
  digest: DIGEST_ALGORITHM[hash],
}));
const REQUESTS = { signed: ['hashedRekordRequestV002', 'dsseRequestV002'], raw: ['/add'] };

export function queryRoutes(app: FastifyInstance, { log, options: { limits, publicUrl } }: HttpContext): void {
  const encoder = new EntryEncoder(log.info);

  app.get<{ Params: { index: string } }>(
    '/stele/v1/entries/:index',
    {
      schema: { params: { type: 'object', required: ['index'], properties: { index: NumberText } } },
      config: { docs: docs.entry },
    },
    async (request, reply) => {
      const entry = await log.entry(decimal(request.params.index, 'index'));
      if (entry === undefined) throw requestError('not-found');
      return sendJson(reply.header('cache-control', 'no-cache'), encoder.json(entry));
    },
  );

  app.get<{ Querystring: { first: string; second: string } }>(
    '/stele/v1/proofs/consistency',
    {
      schema: {
        querystring: {
          type: 'object',
          required: ['first', 'second'],
          properties: { first: NumberText, second: NumberText },
          additionalProperties: false,
        },
      },
      config: { docs: docs.consistency },
    },
    async (request, reply) => {
      const first = decimal(request.query.first, 'first');
      const second = decimal(request.query.second, 'second');
      const hashes = (await log.consistencyProof(first, second)).map(toBase64);
      return sendJson(reply.header('cache-control', 'no-cache'), JSON.stringify({ first, second, hashes }));
    },
  );

  app.get('/stele/v1/log', { config: { docs: docs.log } }, (_request, reply) => {
    const { origin, verifierKeys, logId, status, entries } = log.info;
    const info = {
      origin,
      ...(publicUrl === undefined ? {} : { url: publicUrl }),
      verifierKeys,
      logId: toBase64(logId),
      status,
      size: log.publishedSize,
      limits: { bodyBytes: limits.bodyBytes, entryBytes: MAX_ENTRY, bulkItems: limits.bulkItems },
      kinds: [{ ...KIND_VERSION[entries], requests: REQUESTS[entries] }],
      keyTypes: entries === 'signed' ? KEY_TYPES : [],
    };
    sendJson(reply.header('cache-control', 'no-cache'), JSON.stringify(info));
  });
}

/** The schema has checked the form; the number may still be past 2^53. */
function decimal(text: string, name: string): number {
  try {
    return parseDecimal(text);
  } catch {
    throw requestError('invalid-argument', `the parameter ${name} is too large`);
  }
}
