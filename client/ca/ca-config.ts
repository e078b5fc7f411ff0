/**
 * The settings of `stele ca serve`, each declared once: the reader of `ca.yaml`, its messages and the tables in
 * docs/configuration.md come from here.
 */
import { dirname, resolve } from 'node:path';
import { type StaticDecode, type TSchema, Type } from 'typebox';
import { printable } from '../../merkle/printable.ts';
import {
  adminPort,
  bodyGrace,
  bodyRate,
  checkPorts,
  connectionsPerAddress,
  logSettings,
  minFree,
  publicPort,
  trustProxy,
} from '../../merkle/runtime/config/groups.ts';
import { keySettings, keySpec } from '../../merkle/runtime/config/key.ts';
import { type DeepReadonly, failOn, freeze } from '../../merkle/runtime/config/load.ts';
import { parseYaml, readTextFile, type SettingPath } from '../../merkle/runtime/config/settings-file.ts';
import { isMapping, type OwnReader, SettingsWalk, shown } from '../../merkle/runtime/config/settings-walk.ts';
import { certificateSource, tlsSettings } from '../../merkle/runtime/config/tls-settings.ts';
import { choice, count, duration, list, path, size, text } from '../../merkle/runtime/config/values.ts';
import {
  checkIdentitySettings,
  IDENTITY_SETTINGS,
  locateBundles,
} from '../../merkle/runtime/identity/identity-settings.ts';
import type { KeySpec } from '../../merkle/runtime/keys/types.ts';
import type { TlsSource } from '../../merkle/runtime/service/served-tls.ts';
import { parseTrustDomain } from '../../merkle/spiffe/spiffe-id.ts';
import { FULCIO_EXTENSIONS } from '../../merkle/x509/fulcio.ts';
import { CLAIM_PRESETS } from './claim-presets.ts';
import { type ClaimTemplate, parseClaimTemplate } from './claim-template.ts';
import type { IssuerRule, TeamConfig } from './types.ts';

const opt = Type.Optional;
const MAX_FILE = 1024 * 1024;
const MAX_TEAMS = 64;
const MAX_ISSUERS = 64;
const NAME = /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/;
const ISSUER = /^https?:\/\/[^\s?#]{1,2000}$/;
const AUDIENCE = /^[!-~](?:[ -~]{0,253}[!-~])?$/;
const LOG_URL = /^https?:\/\/[^\s?#@]{1,2000}$/;

/** A leaf with a reader of its own, because TypeBox could only say that the value is wrong. */
function ownLeaf(kind: 'claimName' | 'claimTexts', allowed: string, description: string, defaultText: string): TSchema {
  return Type.Unknown({ kind, allowed, description, defaultText });
}

const TeamIssuer = Type.Object({
  issuer: text(ISSUER, 'the URL of an issuer of `identity.issuers`', {
    description: 'Callers with a token of this issuer get certificates of this team. An issuer stands in one team.',
  }),
  preset: opt(
    choice(Object.keys(CLAIM_PRESETS) as (keyof typeof CLAIM_PRESETS)[], {
      description: 'Name and extensions as Fulcio gives them to tokens of GitHub Actions or GitLab CI.',
    }),
  ),
  name: opt(
    ownLeaf(
      'claimName',
      'email, spiffe, or a URI with claims in braces, such as https://ci.example.com/{project}',
      "The name in the certificate: the verified address (`email`), the subject as a SPIFFE ID (`spiffe`), or a URI made from claims: `{claim}`, `{claim?}` for one that may be missing, `{claim:from=to,…}` for one of these words, `{/outer/inner}` for a claim inside another. `'{sub}'` is the subject itself.",
      'that of the preset',
    ),
  ),
  extensions: opt(
    ownLeaf(
      'claimTexts',
      'a mapping from the name of an extension (sourceRepositoryURI) to a text with claims in braces',
      "Extensions of Fulcio's certificates beside the issuer, as `name`. They replace those of the preset.",
      'those of the preset',
    ),
  ),
});

const TeamSchema = Type.Object({
  name: text(NAME, 'a name of at most 64 letters, digits, spaces and common marks', {
    description: 'For messages, metrics and the log.',
  }),
  certificate: path({
    description: "The team's certificate, and each one above it, the root last (PEM). `stele ca team` writes it.",
  }),
  key: keySettings(
    "The team's key",
    'none: the key must be named',
    'Anybody who reads it can certify whatever names the team may certify.',
  ),
  issuers: Type.Array(TeamIssuer, {
    description: 'Issuers of ID tokens whose subjects the team certifies.',
    allowed: `a list of at most ${MAX_ISSUERS}`,
    default: [],
    maxItems: MAX_ISSUERS,
  }),
  trustDomains: list(isTrustDomain, 'SPIFFE trust domains, such as ci.example.com', {
    description:
      'SPIFFE trust domains of `identity` whose workloads the team certifies, by an X.509-SVID or a JWT-SVID. A trust domain stands in one team.',
    default: [],
  }),
});

export const CaSchema = Type.Object({
  listen: publicPort(3300),
  admin: adminPort(3301, 'metrics and health', 'It needs no token, and shows what is not ready and why.'),
  data: path({
    description: 'Directory of the promises to log certificates, and of the tokens that were used.',
    danger: 'With an older copy of it, a token may be certified twice.',
  }),
  tls: tlsSettings('the public port', 'Without TLS, anybody on the way reads the tokens, and can use them first.'),
  teams: Type.Array(TeamSchema, {
    description: 'The teams that this authority issues for.',
    allowed: `a list of 1 to ${MAX_TEAMS} teams`,
    minItems: 1,
    maxItems: MAX_TEAMS,
  }),
  identity: IDENTITY_SETTINGS,
  tokens: Type.Object({
    audience: text(AUDIENCE, 'printable ASCII', {
      description:
        'The audience (`aud`) of tokens, where `identity.issuers` names no other. Clients of Sigstore ask for `sigstore`.',
      default: 'sigstore',
    }),
    maxLifetime: duration('1s', '24h', {
      description: 'A token that is valid for longer, from `iat` to `exp`, is refused.',
      default: '1h',
    }),
  }),
  access: opt(
    path({
      description: 'An access policy: who may get a certificate (the call `issue`).',
      defaultText: 'none: every caller that a team fits gets one',
    }),
  ),
  leaf: Type.Object({
    lifetime: duration('1m', '24h', { description: 'How long a certificate is valid.', default: '10m' }),
  }),
  ct: Type.Object({
    key: keySettings(
      'The key that signs the timestamps in certificates, ECDSA P-256, listed under `ctlogs` in the trusted root',
      'none: the key must be named',
      'Anybody who reads it can make timestamps for certificates that are in no log.',
    ),
  }),
  transparencyLog: Type.Object({
    url: text(LOG_URL, 'an http(s) URL without user name, query and fragment', {
      description: 'The log that gets each certificate before it leaves.',
    }),
    logKey: opt(
      path({ description: "A file with the log's verifier key.", defaultText: 'none: `quorumPolicy` names it' }),
    ),
    quorumPolicy: opt(
      path({
        description: 'A quorum policy (tlog-policy): its witnesses must have cosigned before a certificate leaves.',
        defaultText: 'none: the signature of the log is enough',
      }),
    ),
  }),
  limits: Type.Object({
    requestBytes: size('16KiB', '4MiB', { description: 'Longest request; a longer one gets 413.', default: '2MiB' }),
    bodiesBytes: size('1MiB', '4GiB', {
      description: 'Requests held in memory at one time, all together; past it new ones get 503.',
      default: '64MiB',
    }),
    bodyRate: bodyRate(),
    bodyGrace: bodyGrace(),
    headerBytes: size('16KiB', '1MiB', {
      description: 'Longest request headers, all together, with the token; longer ones get 401.',
      default: '64KiB',
    }),
    connections: count('connections', 1, 1_000_000, {
      description: 'Open connections to the public port; more are closed at once.',
      default: 10_000,
    }),
    connectionsPerAddress: connectionsPerAddress(),
    requests: count('requests', 1, 100_000, {
      description: 'Requests for a certificate at one time; further ones get 503 at once.',
      default: 1000,
    }),
    pending: count('certificates', 1, 1_000_000, {
      description: 'Certificates that are made and not yet in the log; past it, requests get 503.',
      default: 5000,
    }),
    perMinute: count('requests', 0, 1_000_000, {
      description: 'Requests of one caller (issuer and subject, or SPIFFE ID) in a minute; 0 is no limit.',
      default: 600,
    }),
    logTimeout: duration('1s', '2m', {
      description: 'How long a request waits until the log has its certificate before it gets 503, without one.',
      default: '20s',
    }),
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
      description: 'A client must have taken its reply in this time.',
      default: '30s',
    }),
  }),
  trustProxy: trustProxy(),
  readiness: Type.Object({ minFree: minFree('64MiB') }),
  log: Type.Object(logSettings()),
});

type Decoded = StaticDecode<typeof CaSchema>;

/** Durations in milliseconds, sizes in bytes, paths absolute. Frozen at every depth. */
export type CaConfig = DeepReadonly<
  Omit<Decoded, 'teams' | 'ct' | 'tls'> & {
    ct: { key: KeySpec };
    tls?: TlsSource;
  }
> & { readonly teams: readonly TeamConfig[] };

/** What a reload replaces while the service runs: read it at each use. */
export type LiveCa = { -readonly [Group in 'limits' | 'leaf']: CaConfig[Group] };

/** @throws RuntimeError `config` naming everything that is unknown or wrong, `file` */
export function loadCa(file: string): CaConfig {
  const name = printable(file);
  const full = resolve(file);
  const { value, problems, lineOf } = parseYaml(readTextFile(full, file, MAX_FILE));
  failOn(problems.map((problem) => `${name} is not valid YAML: ${problem}`));
  const walk = new SettingsWalk({ base: dirname(full), where: (at) => `${name} line ${lineOf(at)}`, own: OWN });
  const decoded = walk.object(CaSchema, value ?? {}, []) as Decoded | undefined;
  const config = decoded && walk.problems.length === 0 ? assembled(decoded, walk) : undefined;
  failOn(walk.problems);
  return freeze(config!) as CaConfig;
}

function assembled(decoded: Decoded, walk: SettingsWalk): CaConfig {
  const { teams, ct, tls, identity, ...rest } = decoded;
  const problems: string[] = [];
  const certificate = certificateSource('tls', tls, problems);
  checkPorts(rest.listen, rest.admin, problems);
  checkIdentitySettings(identity, (at, why) => walk.problem(['identity', ...at], why));
  const { logKey, quorumPolicy } = rest.transparencyLog;
  if (logKey === undefined && quorumPolicy === undefined) {
    walk.problem(['transparencyLog'], 'needs "logKey" or "quorumPolicy", which say what signs for the log');
  }
  const ctKey = keySpec('ct.key', ct.key, problems);
  if (ctKey === undefined && problems.length === 0) walk.problem(['ct', 'key'], 'names no key');
  const issuers = new Set(identity.issuers.map(({ issuer }) => issuer));
  const domains = new Set(identity.trustDomains.map(({ name }) => name));
  // The names in these are known once they are read.
  const knowsMore = identity.bundleMap !== undefined || identity.workloadApi !== undefined;
  const seen = { names: new Set<string>(), issuers: new Set<string>(), trustDomains: new Set<string>() };
  const once = (set: Set<string>, item: string, at: SettingPath) => {
    if (set.has(item)) walk.problem(at, 'stands there before: exactly one team may fit a caller');
    set.add(item);
  };
  const made = teams.map((team, i): TeamConfig => {
    const at = ['teams', i] as const;
    once(seen.names, team.name, [...at, 'name']);
    for (const [j, one] of team.issuers.entries()) {
      once(seen.issuers, one.issuer, [...at, 'issuers', j]);
      if (!issuers.has(one.issuer)) walk.problem([...at, 'issuers', j, 'issuer'], 'is not one of "identity.issuers"');
    }
    for (const [j, domain] of team.trustDomains.entries()) {
      once(seen.trustDomains, domain, [...at, 'trustDomains', j]);
      if (!knowsMore && !domains.has(domain)) {
        walk.problem([...at, 'trustDomains', j], 'is not one of "identity.trustDomains"');
      }
    }
    if (team.issuers.length + team.trustDomains.length === 0) {
      walk.problem(at, 'names neither "issuers" nor "trustDomains": it would certify nobody');
    }
    const spec = keySpec(`teams[${i}].key`, team.key, problems);
    if (spec === undefined && problems.length === 0) walk.problem([...at, 'key'], 'names no key');
    const rules = team.issuers.flatMap((one, j) => ruleOf(one as RawIssuer, [...at, 'issuers', j], walk) ?? []);
    const { name, certificate, trustDomains } = team;
    return { name, certificate, trustDomains, key: spec!, issuers: rules };
  });
  walk.problems.push(...problems);
  return {
    ...rest,
    identity: locateBundles(identity, walk.base),
    teams: made,
    ct: { key: ctKey! },
    ...(certificate && { tls: certificate }),
  } as CaConfig;
}

interface RawIssuer {
  readonly issuer: string;
  readonly preset?: keyof typeof CLAIM_PRESETS;
  readonly name?: IssuerRule['name'];
  readonly extensions?: IssuerRule['extensions'];
}

function ruleOf(
  { issuer, preset, name, extensions }: RawIssuer,
  at: SettingPath,
  walk: SettingsWalk,
): IssuerRule | undefined {
  const standard = preset === undefined ? undefined : CLAIM_PRESETS[preset];
  const named = name ?? (standard && template(standard.name));
  if (named === undefined) {
    return walk.problem(at, 'has neither "name" nor "preset": say what the name in a certificate is made of');
  }
  const texts = new Map(
    Object.entries(standard?.extensions ?? {}).map(([key, value]) => [FULCIO_EXTENSIONS[key]!, template(value)]),
  );
  return { issuer, name: named, extensions: new Map([...texts, ...(extensions ?? [])]) };
}

/** Of a preset, whose templates are right. */
function template(given: string): ClaimTemplate {
  return parseClaimTemplate(given) as ClaimTemplate;
}

function isTrustDomain(item: string): boolean {
  try {
    return parseTrustDomain(item) === item;
  } catch {
    return false;
  }
}

const OWN: Readonly<Record<string, OwnReader>> = {
  claimName: (value, at, walk) => {
    if (value === 'email' || value === 'spiffe') return value;
    if (typeof value !== 'string' || !value.includes('{')) {
      return walk.problem(at, `is ${shown(value)}; allowed: email, spiffe, or a URI with claims in braces`);
    }
    return readTemplate(value, at, walk);
  },
  claimTexts: (value, at, walk) => {
    if (!isMapping(value)) return walk.problem(at, 'must be a mapping from names of extensions to texts');
    const texts = new Map<string, ClaimTemplate>();
    for (const [key, given] of Object.entries(value)) {
      const oid = Object.hasOwn(FULCIO_EXTENSIONS, key) && !ISSUERS.has(key) ? FULCIO_EXTENSIONS[key] : undefined;
      if (oid === undefined)
        walk.unknown(
          [...at, key],
          key,
          Object.keys(FULCIO_EXTENSIONS).filter((one) => !ISSUERS.has(one)),
        );
      else if (typeof given !== 'string') walk.problem([...at, key], 'must be text');
      else {
        const read = readTemplate(given, [...at, key], walk);
        if (read !== undefined) texts.set(oid, read);
      }
    }
    return texts;
  },
};

/** The authority writes these itself: they name what proved the identity. */
const ISSUERS: ReadonlySet<string> = new Set(['issuer', 'issuerV1']);

function readTemplate(value: string, at: SettingPath, walk: SettingsWalk): ClaimTemplate | undefined {
  const read = parseClaimTemplate(value);
  return typeof read === 'string' ? walk.problem(at, read) : read;
}
