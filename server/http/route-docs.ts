/**
 * The routes' descriptions, for OpenAPI: the schemas of TypeBox are JSON Schema. Only the parameters of a query are checked
 * against theirs; ingest checks the bodies in its workers.
 */
import { Type } from 'typebox';
import type { RouteDocs } from '../../merkle/runtime/service/openapi.ts';

/** A whole number in decimal without leading zeroes, as text; its upper bound is for `parseDecimal`. */
const NumberText = Type.String({ pattern: '^(0|[1-9][0-9]{0,15})$' });

export const EntryParams = Type.Object({ index: NumberText });
export const SizesQuery = Type.Object({ first: NumberText, second: NumberText }, { additionalProperties: false });

const Bytes = Type.String({ format: 'byte' });
const Int64 = Type.String({ description: 'A 64-bit number, as proto3 JSON writes it', pattern: '^[0-9]+$' });
const Hash = Type.String({ description: '32 bytes', format: 'byte' });

const ErrorBody = Type.Object({
  code: Type.Integer({ description: 'google.rpc.Code' }),
  message: Type.String(),
  details: Type.Array(Type.Unknown(), { maxItems: 0 }),
  error: Type.Optional(Type.String({ description: 'Of a caller that is refused: why, for programs' })),
  reasons: Type.Optional(
    Type.Array(Type.Object({ code: Type.String(), message: Type.String(), rule: Type.Optional(Type.String()) }), {
      description: 'Why the access policy does not allow the call',
    }),
  ),
});

const Verifier = Type.Object({
  publicKey: Type.Optional(Type.Object({ rawBytes: Bytes })),
  x509Certificate: Type.Optional(Type.Object({ rawBytes: Bytes })),
  keyDetails: Type.String({ examples: ['PKIX_ECDSA_P256_SHA_256'] }),
});

const CreateEntryRequest = Type.Object({
  hashedRekordRequestV002: Type.Optional(
    Type.Object({ digest: Bytes, signature: Type.Object({ content: Bytes, verifier: Verifier }) }),
  ),
  dsseRequestV002: Type.Optional(
    Type.Object({
      envelope: Type.Object({
        payload: Bytes,
        payloadType: Type.String(),
        signatures: Type.Array(Type.Object({ sig: Bytes, keyid: Type.Optional(Type.String()) })),
      }),
      verifiers: Type.Array(Verifier),
    }),
  ),
});

const TransparencyLogEntry = Type.Object({
  logIndex: Int64,
  logId: Type.Object({ keyId: Hash }),
  kindVersion: Type.Object({ kind: Type.String(), version: Type.String() }),
  integratedTime: Int64,
  inclusionPromise: Type.Null(),
  inclusionProof: Type.Object({
    logIndex: Int64,
    rootHash: Hash,
    treeSize: Int64,
    hashes: Type.Array(Hash),
    checkpoint: Type.Object({ envelope: Type.String({ description: 'A signed note' }) }),
  }),
  canonicalizedBody: Bytes,
});

const Results = Type.Object({
  results: Type.Array(Type.Union([Type.Object({ entry: TransparencyLogEntry }), Type.Object({ error: ErrorBody })]), {
    description: 'One result a request, in the order of the requests',
  }),
});

const ShardName = Type.Object({
  origin: Type.String(),
  url: Type.Optional(Type.String()),
  verifierKeys: Type.Array(Type.String()),
  status: Type.Enum(['prepared', 'open', 'freezing', 'frozen']),
});

const LogDescription = Type.Object({
  origin: Type.String(),
  url: Type.Optional(Type.String({ description: 'Where others reach the log, if that is configured' })),
  verifierKeys: Type.Array(Type.String(), { description: "c2sp.org/signed-note verifier keys, the log's own first" }),
  logId: Hash,
  status: Type.Enum(['prepared', 'open', 'freezing', 'frozen']),
  size: Type.Integer(),
  limits: Type.Object({ bodyBytes: Type.Integer(), entryBytes: Type.Integer(), bulkItems: Type.Integer() }),
  kinds: Type.Array(Type.Object({ kind: Type.String(), version: Type.String(), requests: Type.Array(Type.String()) })),
  keyTypes: Type.Array(Type.Object({ keyDetails: Type.String(), number: Type.Integer(), digest: Type.String() })),
  writes: Type.Optional(
    Type.Object(
      { identity: Type.Array(Type.Enum(['x509-svid', 'certificate', 'jwt-svid', 'id-token'])) },
      { description: 'Where writes need an identity: what proves one' },
    ),
  ),
  successor: Type.Optional(ShardName),
  shards: Type.Optional(
    Type.Array(ShardName, { description: 'Where the log has several shards: all of them, the first one first' }),
  ),
});

const content = (schemas: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(schemas).map(([type, schema]) => [type, { schema }]));
const ok = (description: string, schemas: Readonly<Record<string, unknown>>) => ({
  description,
  content: content(schemas),
});
const problem = (description: string) => ok(description, { 'application/json': ErrorBody });
const retry = (description: string) => ({
  ...problem(description),
  headers: { 'Retry-After': { description: 'Seconds to wait', schema: Type.Integer() } },
});
const binary = Type.String({ format: 'binary' });
const text = Type.String();

const missing = problem('The published tree does not have it, or the path is not exactly right (code 5)');
const writeErrors = {
  400: problem('The request is malformed, or a check of it failed (code 3); the message says which'),
  401: problem('The log requires an identity of its writers, and none is proven (code 16); `error` says why'),
  403: problem('The access policy does not allow the caller to write this (code 7); `reasons` says why'),
  405: ok('The log is frozen', { 'text/plain': text }),
  413: problem('The body is larger than the limit (code 3)'),
  429: retry('Too many requests from this address, or entries of this caller (code 8)'),
  503: retry(
    'Try again (code 14): the message says why the log cannot serve the request now. If the entry is committed but not yet published, x-log-index has its index',
  ),
};
const index = { 'x-log-index': { description: 'Index of the entry that was there before', schema: Type.Integer() } };
const tags = { write: ['write'], read: ['tlog-tiles'], query: ['query'], trust: ['TUF'] };

export const docs = {
  createEntry: {
    summary: 'Log one signed entry and wait for its published proof',
    description:
      'The body is JSON whatever the Content-Type says, except for application/x-protobuf, which is answered in binary. Errors are always JSON.',
    tags: tags.write,
    body: { content: content({ 'application/json': CreateEntryRequest, 'application/x-protobuf': binary }) },
    response: {
      201: {
        ...ok('The entry is published, or was before', {
          'application/json': TransparencyLogEntry,
          'application/x-protobuf': binary,
        }),
        headers: index,
      },
      409: {
        ...problem('The entry is in the log (code 6), where duplicates are configured to conflict'),
        headers: index,
      },
      ...writeErrors,
    },
  },
  createEntries: {
    summary: 'Log many signed entries with one call',
    description:
      'Each request has a result of its own: one that is refused does not harm the others. In binary: BatchCreateEntriesRequest { repeated CreateEntryRequest requests = 1 }, BatchCreateEntriesResponse { repeated Result results = 1 }, Result { oneof { TransparencyLogEntry entry = 1; google.rpc.Status error = 2 } }.',
    tags: tags.write,
    body: {
      content: content({
        'application/json': Type.Object({ requests: Type.Array(CreateEntryRequest) }),
        'application/x-protobuf': binary,
      }),
    },
    response: {
      200: ok('One result a request', { 'application/json': Results, 'application/x-protobuf': binary }),
      ...writeErrors,
    },
  },
  add: {
    summary: 'Log opaque bytes and wait until they are durable',
    description:
      'Only a log with `entries: raw` has it. The body, 1 to 65,535 bytes, is the entry. It is in the next published checkpoint; its proof is at /stele/v1/entries/{index} then.',
    tags: tags.write,
    body: { content: content({ 'application/octet-stream': binary }) },
    response: { 200: ok('The index of the entry, in decimal', { 'text/plain': text }), ...writeErrors },
  },
  checkpoint: {
    summary: 'The published checkpoint',
    description: 'A signed note (c2sp.org/tlog-checkpoint) with every cosignature that the log has.',
    tags: tags.read,
    response: { 200: ok('Signed note', { 'text/plain': text }) },
  },
  plainCheckpoint: {
    summary: 'The plain checkpoint of a frozen log',
    description:
      'The checkpoint of the frozen tree with the quorum, and without the line that says that the log is frozen.',
    tags: tags.read,
    response: { 200: ok('Signed note', { 'text/plain': text }), 404: missing },
  },
  tile: {
    summary: 'A tile of hashes (c2sp.org/tlog-tiles): L/N or L/N.p/W',
    tags: tags.read,
    params: Type.Object({ tile: Type.String({ description: 'L/N or L/N.p/W, N in groups as x001/234' }) }),
    response: { 200: ok('Hashes of 32 bytes each', { 'application/octet-stream': binary }), 404: missing },
  },
  bundle: {
    summary: 'An entry bundle (c2sp.org/tlog-tiles): N or N.p/W',
    tags: tags.read,
    params: Type.Object({ bundle: Type.String({ description: 'N or N.p/W, N in groups as x001/234' }) }),
    response: {
      200: ok('Entries, each after its length in two bytes', { 'application/octet-stream': binary }),
      404: missing,
    },
  },
  entry: {
    summary: 'One entry with a proof to the present checkpoint',
    tags: tags.query,
    params: EntryParams,
    response: {
      200: ok('The entry', { 'application/json': TransparencyLogEntry }),
      400: problem('The index is no whole number (code 3)'),
      404: problem('The published tree has no such entry (code 5)'),
    },
  },
  consistency: {
    summary: 'The proof that the tree of size `second` extends the tree of size `first` (RFC 6962 section 2.1.2)',
    tags: tags.query,
    query: SizesQuery,
    response: {
      200: ok('The proof', {
        'application/json': Type.Object({ first: Type.Integer(), second: Type.Integer(), hashes: Type.Array(Hash) }),
      }),
      400: problem('Not 0 <= first <= second <= the published size (code 3)'),
    },
  },
  log: {
    summary: 'What this log is, and what it takes',
    tags: tags.query,
    response: { 200: ok('The log', { 'application/json': LogDescription }) },
  },
  trust: {
    summary:
      'A file of the TUF repository of this log: timestamp.json, N.root.json, N.snapshot.json, N.targets.json, N.ROLE.json or targets/HASH.NAME',
    description:
      'Metadata and targets of The Update Framework with consistent snapshots. Only timestamp.json changes. The root that a client begins with must come another way.',
    tags: tags.trust,
    params: Type.Object({ file: Type.String({ description: 'Path of the file below the repository' }) }),
    response: {
      200: ok('The file', { 'application/json': Type.Object({}), 'application/octet-stream': binary }),
      404: problem('The repository has no such file (code 5)'),
      503: retry('Too many large files are being sent, or the file cannot be read now (code 14)'),
    },
  },
  openapi: {
    summary: 'This description',
    tags: tags.query,
    response: { 200: ok('OpenAPI 3.1', { 'application/json': Type.Object({}) }) },
  },
} satisfies Record<string, RouteDocs>;
