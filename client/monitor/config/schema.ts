/**
 * The settings of `monitor.yaml`, each declared once: the reader, its messages and the tables in docs/monitor.md come
 * from here. Sinks are in alerts/sink-options.ts, presets in presets.ts.
 */
import { type TSchema, Type } from 'typebox';
import { host, hosts, port } from '../../../merkle/runtime/config/groups.ts';
import { choice, count, duration, list, path, size, text } from '../../../merkle/runtime/config/values.ts';
import { MAX_PATTERN } from '../rules/text.ts';

const opt = Type.Optional;

type OwnKind = 'match' | 'url' | 'vkey' | 'frozen' | 'conditions' | 'extensions';

/** A leaf with a reader of its own, because TypeBox could only say that the value is wrong. */
function own(kind: OwnKind, allowed: string, description: string): TSchema {
  return Type.Unknown({ kind, allowed, description });
}

export const MATCH_ALLOWED = `text, or { pattern: RE2 } with a pattern of at most ${MAX_PATTERN} characters that must match the whole text`;
const NAME = /^[A-Za-z0-9][A-Za-z0-9 ._:/@-]{0,99}$/;
const ORIGIN = /^[!-~]{1,255}$/;
export const MAX_CONDITIONS = 32;
const CONDITIONS = `a condition, or a list of 1 to ${MAX_CONDITIONS} of which one is enough`;
const MAX_LOGS = 64;
const MAX_RULES = 1000;
const MAX_KEYS = 16;
const MAX_PEERS = 16;

const many = (item: TSchema, minItems: number, maxItems: number, description: string) =>
  Type.Array(item, { minItems, maxItems, allowed: `a list of ${minItems} to ${maxItems}`, description });

const peers = opt(
  many(
    own('url', 'an http(s) URL, or the path of a directory', ''),
    0,
    MAX_PEERS,
    'Other views of the same log, compared at each round: URLs of copies or witnesses, or directories.',
  ),
);
const policy = opt(
  path({
    description: 'Witness policy (c2sp.org/tlog-policy): its log keys and the quorum that each checkpoint needs.',
    defaultText: 'none: no witness has to cosign the log',
  }),
);

const maxCheckpointAge = opt(
  duration('1m', '8760h', {
    description:
      'A checkpoint that the quorum of `policy` cosigned longer ago alerts as `stale`. For logs that have an unchanged checkpoint cosigned again.',
    defaultText: 'none: a checkpoint may be of any age',
  }),
);

const LogSchema = Type.Object({
  url: opt(
    own(
      'url',
      'an http(s) URL without user name, query and fragment',
      'Where the log is read. For a Rekor server its base URL: `/api/v2` below it is found.',
    ),
  ),
  dir: opt(
    path({
      description:
        "In place of `url`: a directory with the log's files, such as the storage directory of `rekor-server-posix`, which serves none of them.",
    }),
  ),
  keys: opt(
    many(
      own('vkey', "a verifier key, such as 'log.example.com+1a2b3c4d+AbCd…'", ''),
      1,
      MAX_KEYS,
      "The log's verifier keys, several for a log that changes them (one of Stele keeps its own); all have one name, which is the log's origin.",
    ),
  ),
  policy,
  maxCheckpointAge,
  frozen: opt(
    own(
      'frozen',
      'true, false or a tree size',
      'The log is frozen: growth past this size, or with `true` past the size that is seen first, alerts.',
    ),
  ),
  lastCheckpoint: opt(
    path({
      description:
        'The last checkpoint of a frozen log, as its operator pinned it (`ORIGIN.last-checkpoint` of its trust files): a later one and a different one alert.',
      defaultText: 'none: the log may grow',
    }),
  ),
  peers,
});

const ShardSchema = Type.Object({
  name: text(NAME, 'a name of at most 100 characters', { description: 'For messages.', default: 'shards' }),
  signingConfig: opt(
    own(
      'url',
      'a path, or an http(s) URL',
      "A Sigstore `signing_config.json`, read anew each minute: each of its logs of Rekor's API v2 is followed.",
    ),
  ),
  monitorConfig: opt(
    own(
      'url',
      'a path, or an http(s) URL',
      "In place of `signingConfig`: a Sigstore monitor configuration (`MonitorConfig`), which says where each log is read. Each of its `rekorLogs` of Rekor's API v2 is followed.",
    ),
  ),
  trustedRoot: own('url', 'a path, or an http(s) URL', 'The `trusted_root.json` with the keys of these logs.'),
  lastCheckpoints: opt(
    own(
      'url',
      'a path of a directory, or an http(s) URL',
      'Where the last checkpoints of those that are frozen lie, each as `ORIGIN.last-checkpoint`, read anew each minute. A log without one may grow.',
    ),
  ),
  policy,
  maxCheckpointAge,
  peers,
});

const TrustSchema = Type.Object({
  url: own('url', 'an http(s) URL without user name, query and fragment', 'A mirror of the repository.'),
  root: path({ description: 'The root that you trust, of any version: `root.json` or `N.root.json`.' }),
  directory: opt(
    path({
      description:
        "The operator's own repository: the monitor compares the mirror with what its `public` directory has.",
      defaultText: 'none: the mirror is checked as clients check it',
    }),
  ),
});

export const ConditionSchema = Type.Object({
  identity: opt(
    own(
      'match',
      MATCH_ALLOWED,
      'A name in the certificate. In `watch`, names of every kind count; in `expect`, URIs (SPIFFE IDs), e-mail addresses, DNS names and user names of Fulcio.',
    ),
  ),
  issuer: opt(own('match', MATCH_ALLOWED, 'The OIDC issuer that the certificate names.')),
  extensions: opt(
    own(
      'extensions',
      `a mapping from a name (sourceRepositoryURI) or OID to ${MATCH_ALLOWED}`,
      "Other extensions of Fulcio's certificates, by name or OID.",
    ),
  ),
  key: opt(
    text(/^[0-9a-f]{64}$/, '64 lower-case hex digits', {
      description: 'SHA-256 of the public key (SubjectPublicKeyInfo, DER).',
    }),
  ),
  digest: opt(
    text(/^((sha256:)?[0-9a-f]{64}|(sha384:)?[0-9a-f]{96}|(sha512:)?[0-9a-f]{128})$/, 'a digest in lower-case hex', {
      description: "The artifact's digest.",
    }),
  ),
});

const RuleSchema = Type.Object({
  name: text(NAME, 'a name of at most 100 letters, digits, spaces and . _ : / @ -', {
    description: 'Stands in every alert; no two rules share one.',
  }),
  watch: own('conditions', CONDITIONS, 'What the rule looks for.'),
  expect: opt(
    own(
      'conditions',
      CONDITIONS,
      'Who may sign there: any other signer alerts as `unexpected`. Every name of a certificate must be as expected. Without `expect` each entry that is found alerts as `match`.',
    ),
  ),
  severity: choice(['info', 'alert', 'critical'], { description: 'Of its alerts.', default: 'alert' }),
  logs: opt(
    list((origin) => ORIGIN.test(origin), 'origins of logs', {
      description: 'Origins of the logs that it applies to.',
      defaultText: 'all',
    }),
  ),
});

export const MonitorSchema = Type.Object({
  state: path({
    description: 'Directory of the state: how far each log was read, alerts under way, evidence, acknowledgements.',
    default: './monitor-state',
    danger: 'Without it the monitor does not know what it has seen: it then needs --from-now or --from-start.',
  }),
  logs: opt(many(LogSchema, 0, MAX_LOGS, 'The logs. With `shards` at least one.')),
  shards: opt(
    many(ShardSchema, 0, MAX_LOGS, 'Configurations of Sigstore, whose logs are followed as they come and go.'),
  ),
  trust: opt(
    path({
      description:
        'Directory of a TUF repository that `stele trust use` follows: its logs, their keys and its policy count, and its news are fetched each minute.',
      defaultText: 'without `logs` and `shards`, the repository that the commands of this user follow; else none',
    }),
  ),
  repositories: opt(
    many(TrustSchema, 0, MAX_LOGS, 'TUF repositories that are watched: new versions, and what clients refuse, alert.'),
  ),
  rules: opt(many(RuleSchema, 0, MAX_RULES, 'What is watched in them.')),
  authorities: opt(
    path({
      description:
        'The issuers of the certificates in `expect`: a Sigstore `trusted_root.json`, or certificates in PEM. A certificate of another issuer is never as expected, whatever it says.',
      defaultText: 'none: every certificate is trusted as it stands',
    }),
  ),
  spiffeBundles: opt(
    path({
      description:
        'SPIFFE trust bundles, `{ "trust_domains": { "example.org": JWK set } }`: X.509-SVIDs of these trust domains are as expected too, where `expect` asks for a name alone. Other certificates then need `authorities`.',
      defaultText: 'none',
    }),
  ),
  sinks: opt(
    Type.Unknown({
      kind: 'sinks',
      allowed: 'a list of 1 to 32',
      description: 'Where alerts go; at least one.',
      defaultText: 'required',
    }),
  ),
  poll: duration('100ms', '24h', { description: 'From the end of one round to the next.', default: '10s' }),
  partialAfter: duration('0ms', '24h', {
    description: 'The entries of a bundle that is not full wait this long for more entries.',
    default: '10s',
  }),
  staleAfter: duration('1s', '720h', {
    description: 'A log that cannot be followed for this long alerts as `stale`.',
    default: '1h',
  }),
  retry: duration('10ms', '1h', {
    description: 'Pause after a failure; it doubles up to `poll`, or up to 60s where that is longer.',
    default: '1s',
  }),
  confirmations: count('looks', 1, 100, {
    description: 'A finding that may be a fault of the network alerts when this many rounds in a row have shown it.',
    default: 3,
  }),
  parallel: count('bundles', 1, 64, { description: 'Bundles fetched at once from one log.', default: 8 }),
  chunk: size('1MiB', '256MiB', { description: 'Bundles held in memory at once for one log.', default: '16MiB' }),
  threads: opt(
    count('threads', 0, 64, {
      description: 'Threads that compare entries with rules; 0 takes the main thread.',
      defaultText: 'one for each core that the process may use, 4 at most',
    }),
  ),
  metrics: opt(
    Type.Object({
      host: host({
        description:
          'Address where Prometheus metrics are served (`/metrics`), where `metrics` is given; `{}` is enough.',
        default: '127.0.0.1',
      }),
      port: port({ description: 'Its port; 0 takes a free one.', default: 9464 }),
      hosts: hosts('metrics'),
    }),
  ),
});
