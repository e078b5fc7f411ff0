/** The settings of `stele index`: the schema of `index.yaml`, and what reads it. */
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { type StaticDecode, Type } from 'typebox';
import { KEY_KINDS, type KeyKind } from '../../merkle/index/keys.ts';
import { printable } from '../../merkle/printable.ts';
import {
  adminPort,
  bodiesBytesPerAddress,
  bodyGrace,
  bodyRate,
  checkPorts,
  connectionsPerAddress,
  logSettings,
  minFree,
  publicPort,
  sharedAddressDanger,
  trustProxy,
} from '../../merkle/runtime/config/groups.ts';
import { type DeepReadonly, failOn, freeze } from '../../merkle/runtime/config/load.ts';
import { publicUrl } from '../../merkle/runtime/config/public-url.ts';
import { parseYaml, readTextFile } from '../../merkle/runtime/config/settings-file.ts';
import { SettingsWalk } from '../../merkle/runtime/config/settings-walk.ts';
import { certificateSource, tlsSettings } from '../../merkle/runtime/config/tls-settings.ts';
import { count, duration, list, path, size } from '../../merkle/runtime/config/values.ts';
import type { TlsSource } from '../../merkle/runtime/service/served-tls.ts';
import {
  FOLLOW_READING,
  FOLLOWED_LOGS,
  FOLLOWED_READERS,
  type FollowedDirs,
  followedLogs,
  type RawFollowed,
} from '../follow/config/followed-logs.ts';
import type { FollowedLog, ShardSource } from '../follow/types.ts';
import { MAP_SETTINGS, type MapConfig, mapsOf, type RawMap } from './map/map-config.ts';
import { STORE_SETTINGS } from './store/store-settings.ts';

const MAX_FILE = 1024 * 1024;
/** More threads than this only wait for the log. */
const MAX_THREADS = 4;

export const IndexSchema = Type.Object({
  listen: publicPort(3400),
  admin: adminPort(3401, 'metrics and health', 'It needs no token, and shows how far the index is behind and why.'),
  publicUrl: Type.Optional(
    publicUrl({
      description: 'The address by which others reach the index, without a slash at its end.',
      defaultText: 'none: it is not shown',
    }),
  ),
  data: path({
    description:
      'Directory of the index. All of it can be built again from the logs (`stele index rebuild`), except what callers have stored.',
    default: './index-data',
  }),
  tls: tlsSettings('the public port'),
  ...FOLLOWED_LOGS,
  poll: FOLLOW_READING.poll,
  retry: FOLLOW_READING.retry,
  parallel: FOLLOW_READING.parallel,
  chunk: FOLLOW_READING.chunk,
  threads: Type.Optional(
    count('threads', 0, 64, {
      description: 'Threads that read keys from entries; 0 takes the main thread, which then answers later.',
      defaultText: 'one less than the cores that the process may use, 1 at least and 4 at most',
    }),
  ),
  index: Type.Object({
    kinds: Type.Optional(
      list((kind) => (KEY_KINDS as readonly string[]).includes(kind), KEY_KINDS.join(', '), {
        description:
          'Kinds of keys that are indexed. Fewer take less time and room: `digest` and `key` alone need no certificate to be read. A query for another kind is refused.',
        defaultText: 'all',
      }),
    ),
  }),
  store: STORE_SETTINGS,
  ...MAP_SETTINGS,
  limits: Type.Object({
    queries: count('queries', 1, 10_000, {
      description: 'Queries at one time; further ones get 503. One address has a quarter of them at most.',
      default: 64,
    }),
    scans: count('queries', 1, 10_000, {
      description: 'Of these, queries with a prefix or a pattern, which compare many keys; further ones get 503.',
      default: 8,
    }),
    queryTime: duration('10ms', '10m', {
      description: 'The time for one query; a longer one gets 503 with `too-slow`.',
      default: '10s',
    }),
    urlBytes: size('1KiB', '64KiB', { description: 'Longest URL; a longer one gets 414.', default: '16KiB' }),
    headerBytes: size('16KiB', '1MiB', {
      description: 'Longest request headers, all together with the URL; longer ones get 431.',
      default: '32KiB',
    }),
    bodiesBytes: size('1MiB', '64GiB', {
      description: 'Request bodies held in memory at one time, all together; past it new ones get 503.',
      default: '64MiB',
    }),
    bodiesBytesPerAddress: bodiesBytesPerAddress('64KiB'),
    bodyRate: bodyRate(),
    bodyGrace: bodyGrace(),
    connections: count('connections', 1, 1_000_000, {
      description: 'Open connections to the public port; more are closed at once.',
      default: 10_000,
    }),
    connectionsPerAddress: connectionsPerAddress(),
    requestTimeout: duration('1s', '10m', {
      description: 'A client must have sent its whole request in this time.',
      default: '30s',
    }),
    headersTimeout: duration('1s', '10m', {
      description: 'A client must have sent its headers in this time.',
      default: '10s',
    }),
    keepAliveTimeout: duration('1s', '1h', {
      description: 'A connection without a request is closed after this time.',
      default: '65s',
    }),
    replyTimeout: duration('1s', '1h', {
      description: 'A client must have taken its reply in this time, and one second more for each 16 KiB.',
      default: '30s',
    }),
  }),
  rateLimit: Type.Object({
    max: count('requests', 0, 1_000_000, {
      description:
        'Requests that one address (an IPv6 address counts with its /64) may make in `rateLimit.window`; more get 429. 0 is no limit.',
      default: 600,
      danger: sharedAddressDanger,
    }),
    window: duration('1s', '24h', { description: 'The time over which `rateLimit.max` counts.', default: '1m' }),
  }),
  trustProxy: trustProxy(),
  readiness: Type.Object({
    maxLag: duration('1s', '720h', {
      description:
        '`/readyz` turns red when a log could not be followed for this long. Answers go on, and say through which size they are complete.',
      default: '10m',
    }),
    minFree: minFree('256MiB'),
  }),
  log: Type.Object(logSettings()),
});

type Decoded = StaticDecode<typeof IndexSchema>;
type Settings = Omit<
  Decoded,
  'logs' | 'shards' | 'trust' | 'tls' | 'index' | 'maps' | 'threads' | keyof typeof FOLLOW_READING
>;

/** How the index reads its logs: milliseconds, bundles and bytes. */
export interface IndexReading {
  readonly pollMs: number;
  readonly partialMs: number;
  readonly retryMs: number;
  readonly parallel: number;
  readonly chunkBytes: number;
}

/** Durations in milliseconds, sizes in bytes, paths absolute. */
export interface IndexConfig extends DeepReadonly<Settings> {
  /** The absolute path of `index.yaml`. */
  readonly file: string;
  /** Undefined: plain HTTP. */
  readonly tls?: TlsSource;
  /** No two have the same origin. `logs` and `shards` are not both empty. */
  readonly logs: readonly FollowedLog[];
  readonly shards: readonly ShardSource[];
  /** The local directory of the followed repository, whose source is among the shards. */
  readonly trust?: string;
  readonly reading: IndexReading;
  /** That read keys from entries; 0: the main thread does. */
  readonly threads: number;
  readonly index: { readonly kinds: readonly KeyKind[] };
  /** No two are of one log, or go to one output log. */
  readonly maps: readonly MapConfig[];
}

/** What a reload replaces while the service runs: read it at each use. */
export type LiveIndex = { -readonly [Group in 'limits' | 'rateLimit' | 'store']: IndexConfig[Group] };

/** @throws RuntimeError `config` naming everything that is unknown or wrong, `file` */
export function loadIndexConfig(path: string, dirs: FollowedDirs = {}): IndexConfig {
  const file = resolve(path);
  const name = printable(path);
  const { value, problems, lineOf } = parseYaml(readTextFile(file, path, MAX_FILE));
  failOn(problems.map((problem) => `${name} is not valid YAML: ${problem}`));
  const where = (at: Parameters<typeof lineOf>[0]) => `${name} line ${lineOf(at)}`;
  const walk = new SettingsWalk({ base: dirname(file), where, own: FOLLOWED_READERS });
  const decoded = walk.object(IndexSchema, value ?? {}, []) as Decoded | undefined;
  const config = decoded && assembled(decoded, file, walk, dirs);
  failOn(walk.problems);
  return config!;
}

function assembled(decoded: Decoded, file: string, walk: SettingsWalk, dirs: FollowedDirs): IndexConfig {
  const { logs: _logs, shards: _shards, trust: _trust, tls, index, maps, ...others } = decoded;
  const { poll, retry, parallel, chunk, threads, ...rest } = others;
  const problems: string[] = [];
  const certificate = certificateSource('tls', tls, problems);
  checkPorts(rest.listen, rest.admin, problems);
  walk.problems.push(...problems);
  const followed = followedLogs(decoded as RawFollowed, walk, dirs);
  const { kinds = KEY_KINDS } = index as { readonly kinds?: readonly KeyKind[] };
  if (kinds.length === 0) walk.problem(['index', 'kinds'], 'is empty: nothing could be found');
  return {
    ...freeze(rest),
    file,
    ...followed,
    ...(certificate && { tls: certificate }),
    // An answer needs a checkpoint of exactly what was read, so no entry waits for others.
    reading: { pollMs: poll, partialMs: 0, retryMs: retry, parallel, chunkBytes: chunk },
    threads: threads ?? Math.max(1, Math.min(MAX_THREADS, availableParallelism() - 1)),
    index: { kinds },
    maps: mapsOf((maps ?? []) as readonly RawMap[], followed.logs, walk),
  };
}
