/** The descriptions of the routes of the plain index, for OpenAPI. */
import { type TObject, type TSchema, Type } from 'typebox';
import type { KeyKind } from '../../merkle/index/keys.ts';
import { MAX_PROOF } from '../../merkle/proof.ts';
import type { RouteDocs } from '../../merkle/runtime/service/openapi.ts';
import { TERM_NAMES } from './search-json.ts';
import { MAX_HITS, MAX_TERMS } from './terms.ts';
import type { SearchMatch } from './types.ts';

const opt = Type.Optional;
const Hash = Type.String({ description: '32 bytes', format: 'byte' });
const DECIMAL = '^(0|[1-9][0-9]{0,15})$';

const ErrorBody = Type.Object({
  code: Type.String({ description: 'One of a closed list: docs/search.md has it' }),
  message: Type.String(),
});

const Hit = Type.Object({
  index: Type.Integer(),
  body: Type.String({ description: 'The entry as the log serves it', format: 'byte' }),
  proof: Type.Array(Hash, { description: 'Inclusion proof (RFC 6962 section 2.1.1)', maxItems: MAX_PROOF }),
});

const Page = Type.Object({
  log: Type.String({ description: 'Origin of the log' }),
  size: Type.Integer({ description: 'Each entry below it was looked at' }),
  root: Hash,
  checkpoint: Type.String({ description: 'Signed note of this tree, with the cosignatures that it came with' }),
  hits: Type.Array(Hit, { maxItems: MAX_HITS }),
  next: opt(Type.String({ description: 'The parameter `page` of the next page; absent on the last one' })),
});

const Log = Type.Object({
  origin: Type.String(),
  size: opt(Type.Integer({ description: 'The tree that answers are about; absent before a whole tree was read' })),
  root: opt(Hash),
  checkpoint: opt(Type.String({ description: 'Signed note of this tree' })),
  completeThrough: Type.Integer({ description: 'The index has read every entry below it' }),
  accepted: Type.Integer({ description: 'Size of the last checkpoint that the index accepted' }),
  followed: opt(Type.String({ description: 'When the log was last followed without a fault', format: 'date-time' })),
  fault: opt(
    Type.Object({
      since: Type.String({ format: 'date-time' }),
      type: Type.String(),
      proven: Type.Boolean({ description: 'The log itself has shown that it lies' }),
    }),
  ),
});

const Description = Type.Object({
  extractor: Type.String({ description: 'The rules by which entries are read', examples: ['v1'] }),
  kinds: Type.Array(Type.String(), { description: 'Kinds of keys that are indexed' }),
  limits: Type.Object({ hits: Type.Integer(), terms: Type.Integer() }),
  logs: Type.Array(Log),
  parts: Type.Record(Type.String(), Type.Unknown(), {
    description: 'What this index has beside search: the verifiable index (`map`), the store of attestations (`store`)',
  }),
});

const WHAT: Readonly<Record<KeyKind, string>> = {
  digest: 'Digest of the artifact or payload: `sha256:HEX`, `sha384:HEX`, `sha512:HEX`',
  key: 'SHA-256 of the SubjectPublicKeyInfo of the signer, in hex',
  identity: 'A name in the certificate',
  issuer: 'The issuer of the identity, as Fulcio writes it',
  'issuer-identity': 'Both of one certificate: `N:ISSUER` and the name, with N the length of the issuer in bytes',
  extension: 'Another extension of Fulcio: `OID=TEXT`',
  kind: 'Kind of the entry: `hashedrekord`, `dsse`, …, `opaque`, `unreadable`',
};
const HOW: Readonly<Record<SearchMatch, string>> = {
  exact: '',
  prefix: ': what it begins with',
  re2: ': a pattern (RE2) that is found in it',
};

/** What every reply of an error says. */
export const problem = (description: string) => ({
  description,
  content: { 'application/json': { schema: ErrorBody } },
});
export const retryProblem = (description: string) => ({
  ...problem(description),
  headers: { 'Retry-After': { description: 'Seconds to wait', schema: Type.Integer() } },
});
const okJson = (description: string, schema: TSchema) => ({
  description,
  content: { 'application/json': { schema } },
});

const terms: Record<string, TSchema> = Object.fromEntries(
  [...TERM_NAMES].map(([name, { kind, match }]) => [
    name,
    opt(Type.Array(Type.String(), { description: `${WHAT[kind]}${HOW[match]}`, maxItems: MAX_TERMS })),
  ]),
);
const number = (description: string) => opt(Type.String({ description, pattern: DECIMAL }));

const SearchParameters: TObject = Type.Object({
  log: Type.String({ description: 'Origin of the log' }),
  ...terms,
  match: opt(
    Type.Enum(['exact', 'prefix', 're2'], { description: 'How names without an ending compare; `exact` by default' }),
  ),
  from: number('Only entries from this index on'),
  to: number('Only entries below this index'),
  after: number('Only entries whose time is at or after this: milliseconds since 1970'),
  before: number('Only entries whose time is before this: milliseconds since 1970'),
  order: opt(Type.Enum(['ascending', 'descending'], { description: 'By index; `ascending` by default' })),
  limit: number(`Hits in the page, 1 to ${MAX_HITS}; 100 by default`),
  page: opt(Type.String({ description: '`next` of the page before' })),
});

export const describeDocs: RouteDocs = {
  summary: 'What this index is, and how far it has come with each log',
  tags: ['index'],
  response: { 200: okJson('The index', Description) },
};

export const searchDocs: RouteDocs = {
  summary: 'Entries of one log that have what is searched for, each with a proof',
  description: `1 to ${MAX_TERMS} terms; an entry must have all of them. Later pages are about the checkpoint of the first one, however much the log has grown. A page may have fewer hits than its limit, or none, and still have a next one.`,
  tags: ['index'],
  query: SearchParameters,
  response: {
    200: okJson('One page', Page),
    400: problem('`bad-query`, `bad-pattern`, `bad-page`, `malformed`'),
    404: problem('`unknown-log`, `not-indexed`'),
    410: problem('`expired`: the tree of the page token is kept no longer'),
    429: retryProblem('`rate-limited`'),
    502: problem('`log-wrong`: the log serves other bytes than those in the tree that it signed'),
    503: retryProblem('`busy`, `too-slow`, `not-ready`, `log-away`, `store`, `closing`'),
  },
};

export const openapiDocs: RouteDocs = {
  summary: 'This description',
  tags: ['index'],
  response: { 200: okJson('OpenAPI 3.1', Type.Object({})) },
};
