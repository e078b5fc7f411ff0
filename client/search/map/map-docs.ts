/** The description of the lookup, for OpenAPI. */
import { Type } from 'typebox';
import { KEY_KINDS } from '../../../merkle/index/keys.ts';
import type { RouteDocs } from '../../../merkle/runtime/service/openapi.ts';
import { problem, retryProblem } from '../search-docs.ts';
import { MOST_POSTINGS } from './map-lookup.ts';

const opt = Type.Optional;
const DECIMAL = '^(0|[1-9][0-9]{0,15})$';

export const lookupDocs: RouteDocs = {
  summary: 'All postings of a key, or its absence, with a proof',
  description: 'The answer is in the form of docs/index.md, "Lookups".',
  tags: ['index'],
  query: Type.Object({
    log: Type.String({ description: 'Origin of the log' }),
    kind: Type.Enum([...KEY_KINDS], { description: 'Kind of the key' }),
    value: Type.String({ description: 'Value of the key' }),
    since: opt(
      Type.String({ description: 'Postings that the client has of the key from earlier lookups', pattern: DECIMAL }),
    ),
    limit: opt(
      Type.String({
        description: `Most postings of the answer, 1 to ${MOST_POSTINGS}, which is the default. Later ones come with a larger \`since\``,
        pattern: DECIMAL,
      }),
    ),
  }),
  response: {
    200: {
      description: 'The answer',
      content: { 'application/octet-stream': { schema: Type.String({ format: 'binary' }) } },
    },
    400: problem('`bad-query`, `malformed`'),
    404: problem('`unknown-log`: there is no map of this log here'),
    429: retryProblem('`rate-limited`'),
    503: retryProblem('`not-ready`: no version is published yet; `busy`, `too-slow`, `store`, `closing`'),
  },
};
