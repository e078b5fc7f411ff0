/** The settings of `stele trust serve`: one schema for the file, the flags and the `STELE_TRUST_SERVE_…` variables. */
import { type StaticDecode, Type } from 'typebox';
import {
  adminPort,
  checkPorts,
  connectionsPerAddress,
  logSettings,
  minFree,
  publicPort,
  sharedAddressDanger,
  trustProxy,
} from '../../../../merkle/runtime/config/groups.ts';
import { keySettings, keySpec } from '../../../../merkle/runtime/config/key.ts';
import {
  type DeepReadonly,
  failOn,
  freeze,
  type LoadOptions,
  readSettings,
} from '../../../../merkle/runtime/config/load.ts';
import { settingsOf } from '../../../../merkle/runtime/config/settings.ts';
import { certificateSource, tlsSettings } from '../../../../merkle/runtime/config/tls-settings.ts';
import { count, duration, path } from '../../../../merkle/runtime/config/values.ts';
import type { KeySpec } from '../../../../merkle/runtime/keys/types.ts';
import type { TlsSource } from '../../../../merkle/runtime/service/served-tls.ts';

const opt = Type.Optional;
const PREFIX = 'STELE_TRUST_SERVE_';
const DOCS = 'docs/configuration.md';

export const TrustServeSchema = Type.Object({
  directory: opt(
    path({
      description: 'Directory of the TUF repository (`stele trust init`), of which `public/` is served.',
      defaultText: 'the argument of the command',
    }),
  ),
  listen: publicPort(3200),
  admin: adminPort(3201, 'metrics and health', 'It needs no token, and shows when the repository expires.'),
  tls: tlsSettings('the public port'),
  key: keySettings(
    'The online key, which signs snapshot and timestamp',
    'none: the key must be named',
    'Anybody who reads it can keep clients on old targets, and cannot give them other ones.',
  ),
  secondKey: keySettings(
    'A second online key, where the root names one key for snapshot and another for timestamp',
    'none',
    'As that of `key.file`.',
  ),
  check: duration('1s', '1h', {
    description:
      'How often the service looks whether snapshot and timestamp need new signatures: they are renewed once half of their time has passed.',
    default: '1m',
  }),
  limits: Type.Object({
    connections: count('connections', 1, 1_000_000, {
      description: 'Open connections to the public port; more are closed at once.',
      default: 10_000,
    }),
    connectionsPerAddress: connectionsPerAddress(),
    requestTimeout: duration('1s', '10m', {
      description: 'A client must have sent its whole request in this time.',
      default: '30s',
    }),
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
  readiness: Type.Object({ minFree: minFree('64MiB') }),
  log: Type.Object(logSettings()),
});

type Decoded = StaticDecode<typeof TrustServeSchema>;

/** Durations in milliseconds, sizes in bytes, paths absolute. Frozen at every depth. */
export type TrustServeConfig = DeepReadonly<
  Omit<Decoded, 'key' | 'secondKey' | 'directory' | 'tls'> & {
    /** Undefined: plain HTTP. */
    tls?: TlsSource;
    directory: string;
    key: KeySpec;
    secondKey?: KeySpec;
  }
>;

/** What a reload replaces while the service runs: read it at each use. */
export type LiveTrustServe = { -readonly [Group in 'limits' | 'rateLimit']: TrustServeConfig[Group] };

export const TRUST_SERVE_SETTINGS = settingsOf(TrustServeSchema, PREFIX);

/** The configuration of one start. @throws RuntimeError `config` naming every setting that is unknown or wrong. */
export function loadTrustServe(options: LoadOptions = {}): TrustServeConfig {
  const { decoded } = readSettings<Decoded>({ schema: TrustServeSchema, prefix: PREFIX, docs: DOCS }, options);
  const { key: first, secondKey: second, directory = '', tls, ...rest } = decoded;
  const problems: string[] = [];
  const key = keySpec('key', first, problems);
  const other = keySpec('secondKey', second, problems);
  if (directory === '') problems.push('"directory" is not set: name the directory of the repository');
  if (key === undefined && problems.length === 0) {
    problems.push(
      '"key" is not set: name the online key of the repository, as a file (`key.file`), in a token or in an agent',
    );
  }
  const certificate = certificateSource('tls', tls, problems);
  checkPorts(rest.listen, rest.admin, problems);
  failOn(problems);
  return freeze({
    ...rest,
    directory,
    key: key!,
    ...(other && { secondKey: other }),
    ...(certificate && { tls: certificate }),
  });
}
