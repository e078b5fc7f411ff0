/** The settings of a witness: one schema for the file, the flags and the `STELE_WITNESS_…` variables. */
import { isAbsolute, join } from 'node:path';
import { type StaticDecode, Type } from 'typebox';
import {
  bodiesBytesPerAddress,
  bodyGrace,
  bodyRate,
  checkAdminAccess,
  checkPorts,
  connectionsPerAddress,
  identifiedAdminPort,
  identityFiles,
  identityFilesOf,
  logSettings,
  minFree,
  publicPort,
  sharedAddressDanger,
  trustProxy,
} from '../merkle/runtime/config/groups.ts';
import { keySettings, ownKey } from '../merkle/runtime/config/key.ts';
import { type DeepReadonly, failOn, freeze, type LoadOptions, readSettings } from '../merkle/runtime/config/load.ts';
import { checkPublicUrl, publicUrl } from '../merkle/runtime/config/public-url.ts';
import { settingsOf } from '../merkle/runtime/config/settings.ts';
import {
  certificateSource,
  checkOutgoing,
  outgoingSettings,
  tlsSettings,
} from '../merkle/runtime/config/tls-settings.ts';
import { choice, count, duration, list, path, size, text } from '../merkle/runtime/config/values.ts';
import type { GateFiles } from '../merkle/runtime/identity/open-gate.ts';
import type { KeySpec } from '../merkle/runtime/keys/types.ts';
import type { TlsSource } from '../merkle/runtime/service/served-tls.ts';

const opt = Type.Optional;
const PREFIX = 'STELE_WITNESS_';
const DOCS = 'docs/witness.md';
const LIST_URL = /^https:\/\/[^\s/?#@]+(\/[^\s#]*)?$/;
/** A signature line and an ML-DSA-44 cosignature hold a name of at most 255 bytes, hence ASCII. */
const KEY_NAME = /^[!-*,-~]{1,255}$/;

export const WitnessSchema = Type.Object({
  name: opt(
    text(KEY_NAME, '1 to 255 printable ASCII characters without spaces and "+", such as witness.example.com/w1', {
      description: "The witness's name in its signature lines: by custom a URL of its own without the scheme.",
      defaultText: 'that of the witness in the data directory; a new witness does not start without it',
      danger: 'Fixed once the witness has started: clients and logs know the witness by this name and its key.',
    }),
  ),
  publicUrl: opt(
    publicUrl({
      description:
        "Where logs reach the witness: the submission prefix in the line that the witness prints for logs' policies.",
      defaultText: 'none: the line has no URL',
      danger: 'Logs look for the witness there, also when it has moved.',
    }),
  ),
  data: path({
    description: 'Directory with all of the state. One process owns it at a time.',
    default: './witness-data',
    danger: 'Never start from an old copy: it has forgotten what it signed, and could sign another history.',
  }),
  listen: publicPort(3100),
  admin: identifiedAdminPort(
    3101,
    'metrics, health, and the list of logs',
    'Changing the list needs the token in `admin.token` in the data directory, which crosses in the clear.',
  ),
  tls: tlsSettings('the public port'),
  outgoing: outgoingSettings('the logs that are polled and the servers of lists'),
  identity: identityFiles('`add-checkpoint` and `sign-subtree`, and about the admin port with `admin.tls`'),
  cosignatures: choice(['ed25519', 'ml-dsa-44', 'both'], {
    description:
      'Which cosignatures are given. ML-DSA-44 is what the specification recommends and `sign-subtree` needs; Ed25519 is what all logs and clients take today.',
    default: 'ed25519',
    danger: 'An ML-DSA-44 cosignature has 2,420 bytes, which every proof of the log then carries, and takes 13 ms.',
  }),
  key: keySettings(
    'The Ed25519 key',
    '`key.pem` in the data directory, made at the first start',
    'Anybody who reads it can cosign as this witness. Use it for nothing else, and for no second witness.',
  ),
  mldsaKey: Type.Object({
    file: opt(
      path({
        description: 'The ML-DSA-44 key: a PKCS#8 PEM file with its seed, not encrypted.',
        defaultText: '`mldsa44.pem` in the data directory, made at the first start that needs it',
        danger: 'Anybody who reads it can cosign as this witness.',
      }),
    ),
    threads: count('threads', 1, 64, { description: 'Worker threads that sign with it.', default: 1 }),
  }),
  logs: opt(
    path({
      description:
        'File with the logs that are witnessed, in the form that is described above. `stele witness log` changes it.',
      defaultText: '`logs` in the data directory',
    }),
  ),
  poll: duration('0s', '24h', {
    description:
      'How often the witness reads the checkpoint of each log that has a URL; with 0s it never does, and the logs push.',
    default: '0s',
  }),
  lists: Type.Object({
    sources: list((item) => isAbsolute(item) || LIST_URL.test(item), 'https URLs or absolute paths of files', {
      description:
        'Lists of the witness network (witness-network.org/log-list-format), at most 1 MiB each. Logs that are new here are added; a list never changes or removes a log.',
      default: [],
      danger: 'Whoever writes such a list decides which logs are witnessed here.',
    }),
    refresh: duration('1m', '168h', { description: 'How often the lists are read.', default: '1h' }),
  }),
  clock: Type.Object({
    maxAhead: duration('24h', '87600h', {
      description:
        'How far the clock may be after the newest cosignature when the witness starts. Beyond it, and where the clock is before the newest cosignature, the start needs `--accept-clock`.',
      default: '2160h',
    }),
  }),
  limits: Type.Object({
    bodyBytes: size('16KiB', '1MiB', {
      description: 'Longest request body; a longer one gets 413.',
      default: '128KiB',
    }),
    connections: count('connections', 1, 1_000_000, {
      description: 'Open connections to the public port; more are closed at once.',
      default: 10_000,
    }),
    connectionsPerAddress: connectionsPerAddress(),
    bodiesBytes: size('1MiB', '64GiB', {
      description: 'Request bodies held in memory at one time, all together; past it new ones get 503.',
      default: '32MiB',
    }),
    bodiesBytesPerAddress: bodiesBytesPerAddress('16KiB'),
    bodyRate: bodyRate(),
    bodyGrace: bodyGrace(),
    waiting: count('requests', 1, 10_000, {
      description: 'Requests about one log that wait for each other; past it new ones get 503.',
      default: 64,
    }),
    signing: count('requests', 1, 100_000, {
      description:
        'Requests to `add-checkpoint` that are verified or signed at one time, all together; past it new ones get 503.',
      default: 4096,
    }),
    subtrees: count('requests', 4, 10_000, {
      description:
        'Requests to `sign-subtree` that wait for each other, all together; past it new ones get 503. One address may have a quarter of them waiting.',
      default: 64,
    }),
    evidence: count('files', 0, 10_000, {
      description: 'Files of evidence kept for one log; more are only counted.',
      default: 16,
    }),
    requestTimeout: duration('1s', '10m', {
      description: 'A client must have sent its whole request in this time.',
      default: '30s',
    }),
  }),
  rateLimit: Type.Object({
    window: duration('1s', '24h', { description: 'The time over which these limits count.', default: '10s' }),
    perAddress: count('requests', 0, 10_000_000, {
      description:
        'Requests that one address (an IPv6 address counts with its /64) may make in that time; 0 is no limit.',
      default: 10_000,
      danger: sharedAddressDanger,
    }),
    subtreesPerAddress: count('requests', 0, 10_000_000, {
      description: 'Requests to `sign-subtree` that one address may make in that time; 0 is no limit.',
      default: 600,
      danger: sharedAddressDanger,
    }),
    perOrigin: count('requests', 0, 10_000_000, {
      description: 'Checkpoints of one log that are cosigned in that time; 0 is no limit.',
      default: 5_000,
    }),
  }),
  trustProxy: trustProxy(),
  readiness: Type.Object({ minFree: minFree('64MiB') }),
  log: Type.Object(logSettings()),
});

/** What the schema decodes to. */
export type Decoded = StaticDecode<typeof WitnessSchema>;

/** Durations in milliseconds, sizes in bytes, paths absolute. Frozen at every depth. */
export type Config = DeepReadonly<
  Omit<Decoded, 'key' | 'mldsaKey' | 'logs' | 'tls' | 'identity'> & {
    /** Undefined: plain HTTP. */
    tls?: TlsSource;
    /** Undefined where everybody may call. */
    identity?: GateFiles;
    key: KeySpec;
    /** `key` is the default file: a key is made there at the first start. */
    createKey: boolean;
    mldsaKey: { file: string; create: boolean; threads: number };
    logs: string;
  }
>;

/** The settings that a reload replaces while the witness runs: read them at each use. */
export type LiveSettings = { -readonly [Group in 'limits' | 'rateLimit']: Config[Group] };

export const SETTINGS = settingsOf(WitnessSchema, PREFIX);

/** The configuration of one start. @throws RuntimeError `config` naming every setting that is unknown or wrong. */
export function loadConfig(options: LoadOptions = {}): Config {
  const { decoded } = readSettings<Decoded>({ schema: WitnessSchema, prefix: PREFIX, docs: DOCS }, options);
  return configOf(decoded);
}

/** Checks the rules between settings. @throws RuntimeError `config` */
export function configOf(decoded: Decoded): Config {
  const { key, mldsaKey, logs, tls, identity, ...rest } = decoded;
  const problems: string[] = [];
  const own = ownKey(rest.data, key, problems);
  const certificate = certificateSource('tls', tls, problems);
  const whose = identityFilesOf(identity, certificate !== undefined, problems);
  checkAdminAccess(rest.admin, { tls: certificate !== undefined, identity: whose !== undefined }, problems);
  checkOutgoing(rest.outgoing, problems);
  checkPorts(rest.listen, rest.admin, problems);
  checkPublicUrl(rest.publicUrl, ['name', rest.name], problems);
  failOn(problems);
  return freeze({
    ...rest,
    ...own,
    ...(certificate && { tls: certificate }),
    ...(whose && { identity: whose }),
    mldsaKey: {
      file: mldsaKey.file ?? join(rest.data, 'mldsa44.pem'),
      create: mldsaKey.file === undefined,
      threads: mldsaKey.threads,
    },
    logs: logs ?? join(rest.data, 'logs'),
  });
}
