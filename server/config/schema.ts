/**
 * Every setting of the log: one schema for `stele.yaml`, the flags (`--batch-max-age` for `batch.maxAge`) and the
 * variables (`STELE_BATCH_MAX_AGE`). docs/configuration.md is generated from this file (`npm run docs`).
 */
import { type StaticDecode, Type } from 'typebox';
import {
  bodiesBytesPerAddress,
  bodyGrace,
  bodyRate,
  connectionsPerAddress,
  identifiedAdminPort,
  logSettings,
  minFree,
  publicPort,
  sharedAddressDanger,
  trustProxy,
} from '../../merkle/runtime/config/groups.ts';
import { keySettings } from '../../merkle/runtime/config/key.ts';
import { publicUrl } from '../../merkle/runtime/config/public-url.ts';
import { outgoingToWitnesses, tlsSettings } from '../../merkle/runtime/config/tls-settings.ts';
import { choice, count, duration, onOff, path, size, text } from '../../merkle/runtime/config/values.ts';

const opt = Type.Optional;

/** Lower-case DNS name without scheme, port or path. */
export const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** No part is `.` or `..`, which a URL does not keep. */
const PREFIX = /^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/;

export const ConfigSchema = Type.Object({
  origin: opt(
    text(HOST_NAME, 'a bare host name in lower case, such as log.example.com, without scheme, port or path', {
      description:
        "The log's name: first line of every checkpoint and key name of every signature. Use the host name in the URL that clients use.",
      defaultText: 'that of the log in the data directory; a new log does not start without it',
      danger: 'Fixed once the log has started: another origin is another log, and the start is refused.',
    }),
  ),
  publicUrl: opt(
    publicUrl({
      description:
        'Where others reach the log: the address in what it prints, in `GET /stele/v1/log`, in its OpenAPI document and in the files of `stele trust files`.',
      defaultText: 'none: the log prints the address that it listens on',
      danger: 'Others look for the log there, also when it has moved.',
    }),
  ),
  data: path({
    description: 'Directory with all of the state. One process owns it at a time.',
    default: './data',
    danger: 'An old copy of this directory signs a second history: bring copies back with `stele log restore` only.',
  }),
  listen: publicPort(3000),
  admin: identifiedAdminPort(
    3001,
    'metrics, health and freeze',
    'Metrics and health need no token. Freeze and backup need the one in `admin.token` in the data directory, which crosses the network in the clear.',
  ),
  tls: tlsSettings('the public port'),
  outgoing: outgoingToWitnesses(),
  key: keySettings(
    "The log's signing key",
    '`key.pem` in the data directory, an Ed25519 key made at the first start',
    'Anybody who reads it can sign as this log. Without it the log can never sign again: keep a copy elsewhere.',
  ),
  ed25519Key: keySettings(
    'A second signing key, Ed25519, for a log whose own key is ECDSA: witnesses want an Ed25519 signature',
    'none',
    'Anybody who reads it can sign as this log.',
  ),
  mldsaKey: opt(
    path({
      description:
        'A further signing key, ML-DSA-44, which quantum computers do not break: a file that `stele keygen --algorithm ml-dsa-44` made. Each checkpoint is then signed with it too, as c2sp.org/tlog-checkpoint recommends.',
      defaultText: 'none',
      danger: 'Anybody who reads it can sign as this log. Its signature adds 3.3 kB to every proof.',
    }),
  ),
  policy: opt(
    path({
      description:
        'Witness policy (c2sp.org/tlog-policy): which witnesses must cosign a checkpoint before it is published. Each needs the URL of its submission prefix in its line.',
      defaultText: 'no witnesses',
      danger: 'When its quorum cannot be reached, nothing is published.',
    }),
  ),
  secondPlace: opt(
    path({
      description:
        'A directory on another disk, which must be there: the size and the root of each tree are recorded in it before they are signed, so that an old copy of `data` does not start.',
      defaultText: 'none',
      danger: 'While it cannot be reached, nothing is signed. Keep it out of the copies of `data`.',
    }),
  ),
  secondPlaceS3: Type.Object({
    endpoint: opt(
      publicUrl({
        description:
          'In the place of `secondPlace`: the URL of an S3 server that keeps these records as objects. Needs the package aws4fetch (`npm install aws4fetch`), and a server that honors `If-None-Match: *`.',
        danger:
          'While it cannot be reached, nothing is signed. With http, anybody on the way can hide records from the log.',
      }),
    ),
    bucket: opt(
      text(BUCKET, 'a name of 3 to 63 lower-case letters, digits, dots and hyphens', {
        description:
          'The bucket, which must be there. The credentials must allow ListBucket, GetObject, PutObject and DeleteObject.',
      }),
    ),
    prefix: opt(
      text(PREFIX, 'names of letters, digits and . _ -, joined by single slashes', {
        description: 'The names of the objects begin with it and a slash. Only the log may write below it.',
        defaultText: 'the origin',
        danger: 'With another prefix or bucket the log starts without its records.',
      }),
    ),
    region: opt(
      text(/^[a-z0-9-]{1,64}$/, 'lower-case letters, digits and hyphens', {
        description: 'The region that requests are signed for.',
        defaultText: '`us-east-1`',
      }),
    ),
    credentialsFile: opt(
      path({
        description:
          'File with the access key ID in its first line and the secret access key in its second, closed to others (0600).',
        defaultText: 'none: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if it is set, `AWS_SESSION_TOKEN`',
      }),
    ),
  }),
  trust: Type.Object({
    directory: opt(
      path({
        description:
          'Directory of a TUF repository (`stele trust init`): what it has published is served below `/trust/`. `stele trust serve --refresh-only` renews what expires.',
        defaultText: 'none: there is no `/trust/`',
      }),
    ),
  }),
  explorer: Type.Object({
    directory: opt(
      path({
        description:
          'Directory with the explorer and its `explorer.json` (`stele explorer`): a page that checks the log in a browser, served at `/explorer/`. A browser that asks for `/` is led there.',
        defaultText: 'none: there is no `/explorer/`',
      }),
    ),
  }),
  publish: Type.Object({
    minInterval: opt(
      duration('0ms', '1h', {
        description: 'Least time from one checkpoint to the next, to keep the pace that witnesses can take.',
        defaultText: '`1s` where a witness is on another machine; else `0ms`, and `200ms` where entries are `raw`',
        danger: 'A short interval is a burden to the witnesses of others, and they may refuse requests.',
      }),
    ),
    witnessTimeout: duration('100ms', '5m', {
      description: 'A witness that does not answer within this time has failed. The log asks it again later.',
      default: '5s',
    }),
    refreshInterval: duration('1s', '24h', {
      description: 'The checkpoint of a log without new entries is cosigned again at this age of its cosignatures.',
      default: '10m',
    }),
    witnessClockSkew: duration('1s', '8760h', {
      description:
        "How far the time of a cosignature may be from this machine's clock, before or after. Beyond it a cosignature is neither counted nor published, and `/readyz` names the witness.",
      default: '24h',
      danger: 'Clients refuse cosignatures from the future, and may refuse old ones.',
    }),
    failOpen: onOff({
      description:
        'Publish without the quorum when the witnesses cannot be reached. Each use is logged and counted in `stele_published_without_quorum_total`.',
      default: false,
      danger:
        'Anybody who can cut the witnesses off can have checkpoints published that no witness saw. Clients that check the policy refuse these.',
    }),
  }),
  batch: Type.Object({
    maxSize: count('entries', 1, 65_536, {
      description: 'Most entries that are committed in one batch.',
      default: 1024,
    }),
    maxAge: duration('0ms', '10s', {
      description:
        'How long the oldest entry of a batch waits until 64 are together; not at all where the batch before held a single entry.',
      // With 10ms in place of 5ms and 64 clients, half as many commits are synced, which saves a tenth of the CPU time of an entry.
      default: '10ms',
      danger: 'A longer time delays requests that come together, and saves work only on a busy log.',
    }),
  }),
  limits: Type.Object({
    bodyBytes: size('64KiB', '64MiB', { description: 'Longest request body; a longer one gets 413.', default: '4MiB' }),
    bodiesBytes: size('1MiB', '64GiB', {
      description: 'Request bodies held in memory at one time, all together; past it new ones get 503.',
      default: '256MiB',
      danger: 'Anybody who can reach the port can fill this much memory.',
    }),
    bodiesBytesPerAddress: bodiesBytesPerAddress('64KiB'),
    bodyRate: bodyRate(),
    bodyGrace: bodyGrace(),
    cachedBytes: size('0B', '64GiB', {
      description: 'Full tiles and entry bundles kept in memory, each for as long as its file stays as it is.',
      // Holds 85 % of the reads of a million entries of 500 bytes in a Zipf mix that favors new ones; 64 MiB hold 76 %.
      default: '128MiB',
    }),
    checksumBytes: size('0B', '1GiB', {
      description:
        'Checksums of tiles and bundles that were verified against the tree since the start: 4 bytes each. Files beyond it are verified anew when they are read again.',
      default: '32MiB',
    }),
    compressedBytes: size('0B', '64GiB', { description: 'Compressed entry bundles kept in memory.', default: '32MiB' }),
    filterBytes: size('0B', '1GiB', {
      description:
        'Most memory of the filter that tells new entries from duplicates: one to two bytes an entry, three while a larger one is made. Once the log has more entries than this many bytes, more of the new ones are looked up in the store; with 0 all are.',
      default: '256MiB',
    }),
    headerBytes: size('2KiB', '1MiB', {
      description: 'Longest request headers, all together; longer ones get 431, or 401 where the log takes tokens.',
      default: '16KiB',
    }),
    urlBytes: size('256B', '64KiB', { description: 'Longest request URL; a longer one gets 414.', default: '2KiB' }),
    connections: count('connections', 1, 1_000_000, {
      description: 'Open connections to the public port; more are closed at once.',
      default: 10_000,
    }),
    connectionsPerAddress: connectionsPerAddress(),
    outstanding: count('entries', 1, 1_000_000, {
      description: 'Entries taken and not yet answered. Past it, new ones get 503 with Retry-After.',
      default: 16_384,
      danger: 'Each holds its body in memory until it is answered.',
    }),
    unpublished: count('entries', 1, 10_000_000, {
      description: 'Entries committed and not yet published. Past it, new ones get 503 with Retry-After.',
      default: 65_536,
      danger: 'Too large a value lets an outage of the witnesses pile up entries without proof.',
    }),
    bulkItems: count('requests', 1, 4096, { description: 'Requests in one bulk call.', default: 256 }),
    requestTimeout: duration('1s', '10m', {
      description: 'A client must have sent its whole request in this time.',
      default: '60s',
    }),
    headersTimeout: duration('1s', '10m', {
      description: 'A client must have sent its headers in this time. At most `limits.requestTimeout`.',
      default: '10s',
    }),
    keepAliveTimeout: duration('1s', '1h', {
      description: 'A connection without a request is closed after this time. Keep it above that of a proxy in front.',
      default: '65s',
    }),
    replyTimeout: duration('1s', '1h', {
      description: 'A client must have taken a reply in this time, with one second more for each 16 KiB of it.',
      default: '30s',
    }),
    publishTimeout: duration('100ms', '10m', {
      description:
        'How long a request waits for a published checkpoint before it gets 503. Its entry stays in the log.',
      default: '10s',
    }),
  }),
  ingest: Type.Object({
    threads: opt(
      count('threads', 1, 256, {
        description: 'Worker threads that check signatures.',
        defaultText: 'one for each core that the process may use',
      }),
    ),
    anyCertificate: onOff({
      description:
        "Take certificates that Go's crypto/x509 does not read, and that Rekor refuses: those with an object identifier made from a UUID, a negative serial number, an extension twice, a malformed time or URI, and others.",
      default: false,
      danger: 'Users of cosign and sigstore-go cannot verify what was signed with such a certificate.',
    }),
  }),
  entries: choice(['signed', 'raw'], {
    description:
      'What the log takes: `signed` is the write API of Rekor v2, with every signature checked; `raw` is opaque bytes at `POST /add`, with nothing checked, and no signed entries.',
    default: 'signed',
    danger: 'Fixed once the log has started. Anybody who can reach the port of a `raw` log can log whatever they like.',
  }),
  duplicates: choice(['return', 'conflict'], {
    description:
      'The answer for an entry that is already in the log: `return` is 201 with that entry and its proof, `conflict` is 409 as in rekor-tiles.',
    default: 'return',
    danger: 'With `conflict` a client that retries after a time-out gets an error for an entry that was logged.',
  }),
  rateLimit: Type.Object({
    max: count('requests', 0, 1_000_000, {
      description:
        'Requests that one address (an IPv6 address counts with its /64) may make in `rateLimit.window`; 0 is no limit.',
      default: 0,
      danger: sharedAddressDanger,
    }),
    window: duration('1s', '24h', { description: 'The time over which `rateLimit.max` counts.', default: '1m' }),
  }),
  trustProxy: trustProxy(),
  identity: Type.Object({
    file: opt(
      path({
        description:
          'Requires an identity of everybody who writes: a file that says whose identities are taken (docs/identity.md). Needs `identity.access` and `tls`.',
        defaultText: 'none: everybody who reaches the port may write',
      }),
    ),
    access: opt(
      path({
        description: 'Access policy: who may write what, and how much (docs/identity.md). A reload reads it again.',
        defaultText: 'none',
        danger: 'What no rule allows is refused.',
      }),
    ),
    tokens: onOff({
      description:
        'Take bearer tokens (JWT-SVIDs, ID tokens) too. One works on the TLS connection that first showed it, and on no other.',
      default: false,
      danger: 'Everybody who sees a token can use it before its owner does. A certificate cannot be used so.',
    }),
    tokenLifetime: duration('1s', '10m', {
      description: 'The longest time from `iat` to `exp` of a bearer token.',
      default: '10m',
    }),
    audience: opt(
      text(/^[!-~]{1,255}$/, 'printable ASCII without spaces', {
        description: 'What a bearer token must be for (`aud`).',
        defaultText: 'the origin of the log',
        danger: 'A token that another service also takes can be used by that service here.',
      }),
    ),
    record: Type.Object({
      file: opt(
        path({
          description:
            'A file of JSON lines that keeps who wrote each entry, for the operator alone (0600). It begins anew each day.',
          defaultText: 'none: the log does not keep who wrote',
          danger: 'While it cannot be written, such as on a full disk, the log takes no entries.',
        }),
      ),
      retention: duration('1s', '87600h', {
        description: 'How long a file of records is kept after its day.',
        default: '2160h',
      }),
    }),
  }),
  retryAfter: duration('1s', '1h', {
    description: 'What `Retry-After` says in a 503, in whole seconds (rounded up).',
    default: '1s',
  }),
  log: Type.Object({
    ...logSettings(),
    requests: onOff({
      description: 'Log each request.',
      default: false,
      danger: "Logs clients' addresses, and halves what a core can serve.",
    }),
  }),
  scrub: Type.Object({
    interval: duration('0ms', '8760h', {
      description:
        'Within this time the log reads every tile and bundle and compares it with the tree, in the background, with one hundredth of a core at most; `0ms` turns that off.',
      default: '168h',
      danger:
        'Without it damage is found only when a file is read through Stele, and a web server in front sends files unchecked.',
    }),
  }),
  readiness: Type.Object({
    maxCheckpointDelay: duration('1s', '24h', {
      description: '`/readyz` turns red when a committed entry has waited this long for a published checkpoint.',
      default: '30s',
    }),
    minFree: minFree('256MiB'),
  }),
});

/** What the schema decodes to: durations in milliseconds, sizes in bytes. */
export type Decoded = StaticDecode<typeof ConfigSchema>;
