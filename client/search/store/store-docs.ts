/** The descriptions of the routes of the attestation store, for OpenAPI. */
import { Type } from 'typebox';
import type { RouteDocs } from '../../../merkle/runtime/service/openapi.ts';

const opt = Type.Optional;
const Text = Type.String();
const Digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$' });
const Notice = Type.String({ description: 'What the store is, and is not' });

const DESCRIPTION = {
  mediaType: Text,
  predicateType: opt(Text),
  subjects: Type.Integer({ description: 'How many the statement names' }),
  signer: Type.Object({ key: Digest, identities: opt(Type.Array(Text)), issuer: opt(Text) }),
  entries: Type.Array(Type.Object({ log: Text, index: Type.Integer() })),
  materialsCut: opt(Type.Literal(true, { description: 'Not all materials are indexed' })),
};

const Piece = Type.Object({
  digest: Digest,
  url: Type.String({ description: 'Path of the bytes' }),
  size: Type.Integer(),
  kept: Type.String({ format: 'date-time' }),
  ...DESCRIPTION,
});

const List = Type.Object({
  attestations: Type.Array(Piece),
  next: opt(Type.String({ description: 'The parameter `page` of the next page. A page may be empty and have one.' })),
  notice: Notice,
});

const Taken = Type.Object({
  attestations: Type.Array(
    Type.Object({
      kept: Type.Boolean(),
      digest: opt(Digest),
      known: opt(Type.Boolean({ description: 'It was here before' })),
      url: opt(Text),
      error: opt(Type.Object({ code: Text, message: Text })),
      logEntry: opt(
        Type.Unknown({ description: 'Of an envelope: the TransparencyLogEntry of the log, with its proof' }),
      ),
    }),
  ),
  notice: Notice,
});

const StoreProblem = Type.Object({
  code: Type.String({ description: 'One of a closed list: docs/search.md has it' }),
  message: Text,
  because: opt(Type.String({ description: 'The code of the check that does not hold, such as `bad-signature`' })),
  notice: Notice,
});

const json = (description: string, schema: unknown) => ({
  description,
  content: { 'application/json': { schema } },
});
const refused = (description: string) => json(description, StoreProblem);

const TAGS = ['attestations'];

export const listDocs: RouteDocs = {
  summary: 'Attestations by what they are about, oldest first',
  description: 'All parameters that are given must hold. At least one besides `limit` and `page` is needed.',
  tags: TAGS,
  query: Type.Object({
    subject: opt(Type.String({ description: 'Digest of a subject: `ALGORITHM:VALUE`, such as `sha256:HEX`' })),
    name: opt(Type.String({ description: 'Name of a subject' })),
    predicateType: opt(Type.String({ description: 'URI of the predicate type' })),
    material: opt(Type.String({ description: 'Digest (`gitCommit:HEX`), URI or name of a material' })),
    signer: opt(Type.String({ description: '`sha256:HEX` of the key, or an identity in the certificate' })),
    issuer: opt(Type.String({ description: 'Issuer of the identity' })),
    entry: opt(Type.String({ description: 'Log entry: `ORIGIN#INDEX`' })),
    limit: opt(
      Type.String({ description: 'Attestations in the page, 1 to 256; 50 by default', pattern: '^[1-9][0-9]{0,2}$' }),
    ),
    page: opt(Type.String({ description: '`next` of the page before' })),
  }),
  response: {
    200: json('One page', List),
    400: refused('`bad-query`, `bad-page`'),
    429: refused('`rate-limited`'),
    503: refused('`storage`'),
  },
};

export const submitDocs: RouteDocs = {
  summary: 'Keeps an attestation that a trusted log holds',
  description:
    'A Sigstore bundle (v0.1 to v0.3) that is logged, or `{ "dsseRequestV002": { "envelope", "verifiers" } }` as the write API of Rekor v2 has it: the store then logs each signature of the envelope first. What does not verify is not kept.',
  tags: TAGS,
  body: { content: { 'application/json': { schema: Type.Object({}) } } },
  response: {
    200: json('It was here before, or what became of each signature of an envelope', Taken),
    201: json('It is kept', Taken),
    400: refused('`malformed`'),
    403: refused('`submissions-off`, `not-accepted`, `blocked`'),
    409: refused('`subject-full`, `signer-full`, `entry-full`'),
    413: refused('`too-large`'),
    422: refused('`unsupported`, `too-many-subjects`, `not-verified`, `log-refused`, `no-log`'),
    429: refused('`rate`'),
    503: refused('`busy`, `log-unavailable`, `storage`'),
    507: refused('`full`'),
  },
};

export const pieceDocs: RouteDocs = {
  summary: 'The bytes of an attestation',
  description: 'Exactly those whose SHA-256 is asked for. Verify them: that they are kept here says nothing.',
  tags: TAGS,
  params: Type.Object({ digest: Digest }),
  response: {
    200: { description: 'A Sigstore bundle', content: { 'application/vnd.dev.sigstore.bundle.v0.3+json': {} } },
    304: { description: 'The caller has these bytes' },
    400: refused('`bad-digest`'),
    404: refused('`not-found`'),
    429: refused('`rate-limited`'),
    500: refused('`damaged`'),
    503: refused('`storage`'),
  },
};
