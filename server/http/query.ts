/** For people and scripts: single entries with a proof, consistency proofs, and what this log is and takes. */
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { MAX_ENTRY } from '../../merkle/bundle.ts';
import { parseDecimal } from '../../merkle/bytes.ts';
import { DIGEST_ALGORITHM } from '../../merkle/rekor/hashes.ts';
import { LOGGED_KEY_DETAILS } from '../../merkle/rekor/key-details.ts';
import { toBase64 } from '../../merkle/runtime/base64.ts';
import type { Call } from '../../merkle/runtime/service/app.ts';
import type { DocumentedRoute } from '../../merkle/runtime/service/openapi.ts';
import { requestError } from '../errors.ts';
import { ANY_ORIGIN, json } from './answers.ts';
import type { HttpContext } from './context.ts';
import { EntryEncoder, KIND_VERSION } from './entry.ts';
import { docs, EntryParams, SizesQuery } from './route-docs.ts';

/** What a client needs to choose a key. */
const KEY_TYPES = LOGGED_KEY_DETAILS.map(({ name, number, hash }) => ({
  keyDetails: name,
  number,
  digest: DIGEST_ALGORITHM[hash],
}));
const REQUESTS = { signed: ['hashedRekordRequestV002', 'dsseRequestV002'], raw: ['/add'] };
const HEADERS = { ...ANY_ORIGIN, 'cache-control': 'no-cache' };

export function queryRoutes({ log, options, publicUrl, relations }: HttpContext): DocumentedRoute[] {
  const encoder = new EntryEncoder(log.info);
  return [
    {
      method: 'GET',
      path: '/stele/v1/entries/:index',
      docs: docs.entry,
      answer: async ({ params }) => {
        const { index } = checked<'index'>(params, EntryParams, 'path');
        const entry = await log.entry(decimal(index, 'index'));
        if (entry === undefined) throw requestError('not-found');
        return json(encoder.json(entry), HEADERS);
      },
    },
    {
      method: 'GET',
      path: '/stele/v1/proofs/consistency',
      docs: docs.consistency,
      answer: async ({ query }) => {
        const sizes = checked<'first' | 'second'>(query, SizesQuery, 'query');
        const first = decimal(sizes.first, 'first');
        const second = decimal(sizes.second, 'second');
        const hashes = (await log.consistencyProof(first, second)).map(toBase64);
        return json(JSON.stringify({ first, second, hashes }), HEADERS);
      },
    },
    {
      method: 'GET',
      path: '/stele/v1/log',
      docs: docs.log,
      answer: () => {
        const { origin, verifierKeys, logId, status, entries } = log.info;
        const { successor, shards } = relations();
        const info = {
          origin,
          ...(publicUrl === undefined ? {} : { url: publicUrl }),
          verifierKeys,
          logId: toBase64(logId),
          status,
          size: log.publishedSize,
          limits: {
            bodyBytes: options.limits.bodyBytes,
            entryBytes: MAX_ENTRY,
            bulkItems: options.limits.bulkItems,
          },
          kinds: [{ ...KIND_VERSION[entries], requests: REQUESTS[entries] }],
          keyTypes: entries === 'signed' ? KEY_TYPES : [],
          ...(options.writers && { writes: { identity: options.writers.accepted.kinds } }),
          ...(successor && status === 'frozen' && { successor }),
          ...(shards && { shards }),
        };
        return json(JSON.stringify(info), HEADERS);
      },
    },
  ];
}

/** The parameters, if they fit `schema`. Names the one that does not; the message of TypeBox would name its own paths. */
function checked<Name extends string>(
  params: Call['params'] | Call['query'],
  schema: TSchema,
  where: 'path' | 'query',
): Record<Name, string> {
  if (Value.Check(schema, params)) return params as Record<Name, string>;
  const [first] = Value.Errors(schema, params);
  const { requiredProperties } = (first?.params ?? {}) as { readonly requiredProperties?: readonly string[] };
  const name = requiredProperties?.[0] ?? first?.instancePath.slice(1).split('/')[0];
  switch (first?.keyword) {
    case 'required':
      throw requestError('invalid-argument', `the ${where} parameter ${name} is missing`);
    case 'boolean': // the schema of every other parameter is `false`
    case 'additionalProperties':
      throw requestError('invalid-argument', 'the query has a parameter that is not known here');
    default:
      throw requestError('invalid-argument', `the ${where} parameter ${name} must be one whole number in decimal`);
  }
}

/** The schema has checked the form; the number may still be past 2^53. */
function decimal(text: string, name: string): number {
  try {
    return parseDecimal(text);
  } catch {
    throw requestError('invalid-argument', `the parameter ${name} is too large`);
  }
}
