/**
 * The settings of `monitor.yaml`, each declared once: the reader, its messages and the tables in docs/monitor.md come
 * from here. Sinks are in alerts/sink-options.ts, presets in presets.ts.
 */
import { type TSchema, Type } from 'typebox';
import { host, hosts, port } from '../../../merkle/runtime/config/groups.ts';
import { choice, count, duration, list, path, text } from '../../../merkle/runtime/config/values.ts';
import {
  FOLLOW_READING,
  FOLLOWED_LOGS,
  followedLeaf,
  LogSchema,
  listOf,
  SETTING_NAME,
} from '../../follow/config/followed-logs.ts';
import { MAX_PATTERN } from '../rules/text.ts';

const opt = Type.Optional;

type OwnKind = 'match' | 'conditions' | 'extensions';

/** A leaf with a reader of its own, because TypeBox could only say that the value is wrong. */
function own(kind: OwnKind, allowed: string, description: string): TSchema {
  return Type.Unknown({ kind, allowed, description });
}

export const MATCH_ALLOWED = `text, or { pattern: RE2 } with a pattern of at most ${MAX_PATTERN} characters that must match the whole text`;
const ORIGIN = /^[!-~]{1,255}$/;
export const MAX_CONDITIONS = 32;
const CONDITIONS = `a condition, or a list of 1 to ${MAX_CONDITIONS} of which one is enough`;
const MAX_LOGS = 64;
const MAX_RULES = 1000;

const TrustSchema = Type.Object({
  url: followedLeaf('url', 'an http(s) URL without user name, query and fragment', 'A mirror of the repository.'),
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
  name: text(SETTING_NAME, 'a name of at most 100 letters, digits, spaces and . _ : / @ -', {
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

const IndexSchema = Type.Object({
  log: text(ORIGIN, 'the origin of a log', { description: 'The log: the origin of one of `logs`.' }),
  url: followedLeaf('url', 'an http(s) URL without user name, query and fragment', 'The index: its base URL.'),
  outputLog: LogSchema,
  rebuilders: opt(
    path({
      description:
        'Policy (c2sp.org/tlog-policy) whose witnesses are the rebuilders of the index, and whose quorum must have rebuilt it.',
      defaultText: 'none: the operator of the index is believed',
    }),
  ),
});

export const MonitorSchema = Type.Object({
  state: path({
    description: 'Directory of the state: how far each log was read, alerts under way, evidence, acknowledgements.',
    default: './monitor-state',
    danger: 'Without it the monitor does not know what it has seen: it then needs --from-now or --from-start.',
  }),
  ...FOLLOWED_LOGS,
  repositories: opt(
    listOf(
      TrustSchema,
      0,
      MAX_LOGS,
      'TUF repositories that are watched: new versions, and what clients refuse, alert.',
    ),
  ),
  indexes: opt(
    listOf(
      IndexSchema,
      0,
      MAX_LOGS,
      'Verifiable indexes (docs/index.md) by which logs are watched: each round asks for what is new under the keys of the rules, in the place of a scan. Rules with patterns alone need a scan, and are refused for such a log.',
    ),
  ),
  rules: opt(listOf(RuleSchema, 0, MAX_RULES, 'What is watched in them.')),
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
  poll: FOLLOW_READING.poll,
  partialAfter: FOLLOW_READING.partialAfter,
  staleAfter: duration('1s', '720h', {
    description: 'A log that cannot be followed for this long alerts as `stale`.',
    default: '1h',
  }),
  retry: FOLLOW_READING.retry,
  confirmations: count('looks', 1, 100, {
    description: 'A finding that may be a fault of the network alerts when this many rounds in a row have shown it.',
    default: 3,
  }),
  parallel: FOLLOW_READING.parallel,
  chunk: FOLLOW_READING.chunk,
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
