/** The settings of `stele admission`: one schema for the file, the flags and the `STELE_ADMISSION_…` variables. */
import { type StaticDecode, Type } from 'typebox';
import {
  adminPort,
  checkPorts,
  connectionsPerAddress,
  identityFiles,
  identityFilesOf,
  logSettings,
  publicPort,
} from '../../merkle/runtime/config/groups.ts';
import { type DeepReadonly, failOn, freeze, type LoadOptions, readSettings } from '../../merkle/runtime/config/load.ts';
import { settingsOf } from '../../merkle/runtime/config/settings.ts';
import {
  certificateSource,
  checkOutgoing,
  outgoingSettings,
  svidId,
  workloadApi,
} from '../../merkle/runtime/config/tls-settings.ts';
import { count, duration, list, onOff, path, size, text } from '../../merkle/runtime/config/values.ts';
import type { GateFiles } from '../../merkle/runtime/identity/open-gate.ts';
import type { TlsSource } from '../../merkle/runtime/service/served-tls.ts';

const opt = Type.Optional;
const PREFIX = 'STELE_ADMISSION_';
const DOCS = 'docs/configuration.md';
const STORE_URL = /^https?:\/\/[^\s?#@]{1,250}$/;
const REGISTRY_HOST = /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?$/;

export const AdmissionSchema = Type.Object({
  policy: opt(
    path({
      description: 'The decision policy (docs/policy.md): which images may run, and what evidence they need.',
      defaultText: 'none: a policy must be named',
    }),
  ),
  listen: publicPort(8443),
  tls: Type.Object({
    cert: opt(
      path({
        description: 'Certificate chain of the public port (PEM). It is read again when the file changes.',
        defaultText: 'none: API servers call webhooks by TLS alone',
      }),
    ),
    key: opt(
      path({
        description: 'Private key of the certificate (PEM, without a passphrase).',
        defaultText: 'none',
        danger: 'Anybody who reads it can stand between the API server and this webhook, and admit everything.',
      }),
    ),
    workloadApi: workloadApi(
      'In the place of `tls.cert` and `tls.key`: the SPIFFE Workload API whose X.509-SVID the public port shows. API servers check host names, so the SVID must have one beside its SPIFFE ID.',
    ),
    svidId: svidId('tls'),
    clientCa: opt(
      path({
        description:
          'Authorities (PEM) of which each client must have a certificate, for API servers that show one (`--admission-control-config-file`).',
        defaultText: 'none: clients need no certificate',
        danger: 'Without it, everybody who reaches the port can ask what the policy says about an image.',
      }),
    ),
  }),
  identity: identityFiles('reviews: the action `admit`, and any other caller gets a denial'),
  admin: adminPort(8444, 'metrics and health', 'It needs no token, and shows what is denied and why it is not ready.'),
  trust: Type.Object({
    directory: opt(
      path({
        description: 'The followed repository of trust (`stele trust use`).',
        defaultText: 'none: the other settings of this group say what is trusted',
      }),
    ),
    maxAge: opt(
      duration('1s', '8760h', {
        description: 'Nothing is admitted once the newest timestamp of the followed repository came longer ago.',
        defaultText: 'none',
      }),
    ),
    trustedRoot: opt(
      path({ description: 'A `trusted_root.json`: keys of logs and authorities.', defaultText: 'none' }),
    ),
    logKey: opt(path({ description: "A file with a log's verifier key.", defaultText: 'none' })),
    spiffeBundles: opt(
      path({
        description:
          'SPIFFE trust bundles, `{ "trust_domains": { "example.org": JWK set } }`: signatures by X.509-SVIDs of these trust domains count.',
        defaultText: 'none: no SVID counts',
      }),
    ),
    quorumPolicy: opt(
      path({
        description: 'A quorum policy (tlog-policy): its log and its quorum of witnesses must have signed.',
        defaultText: 'none',
      }),
    ),
  }),
  evidence: Type.Object({
    directory: opt(path({ description: 'A file of evidence, or a directory of such files.', defaultText: 'none' })),
    store: opt(
      text(STORE_URL, 'an http(s) URL without user name, query and fragment', {
        description:
          'The index (`stele index`) whose attestation store has evidence, besides the other sources. While it does not answer, images are denied. `outgoing` says how it is reached.',
        defaultText: 'none',
        danger:
          'With plain HTTP, anybody on the way can hide evidence. Evidence itself is verified, and cannot be made up there.',
      }),
    ),
    registry: onOff({
      description: 'Look for evidence in the registry of each image (OCI referrers).',
      default: true,
    }),
    credentials: opt(
      path({
        description:
          'Credentials for registries, in the form of `config.json` of Docker and of pull secrets. Programs that it names are not run.',
        defaultText: 'none',
      }),
    ),
    registryCa: opt(
      path({
        description: 'Authorities (PEM) that certify registries, in the place of those of the system.',
        defaultText: 'those of the system',
      }),
    ),
    insecureRegistries: list((item) => REGISTRY_HOST.test(item), 'hosts with an optional port', {
      description: 'Registries that are asked by plain HTTP.',
      default: [],
      danger: 'Whoever is on the way can hide evidence. Evidence itself is verified, and cannot be made up there.',
    }),
    allow: list((item) => item !== '', 'addresses, ranges (10.0.0.0/8), or loopback, private', {
      description: 'Addresses of registries that are not public: without it, a name that leads there is refused.',
      default: [],
      danger: 'Images are named by the people who make pods: they choose which of these addresses is asked.',
    }),
    timeout: duration('100ms', '30s', {
      description:
        'The time for one request to a registry or the store. All of them together end within the time-out of the review.',
      default: '5s',
    }),
  }),
  outgoing: outgoingSettings('the attestation store'),
  cache: Type.Object({
    allow: duration('0s', '1h', {
      description:
        'How long an image stays allowed without another look. It ends when policy or trust change. An allow that a rule about age, or the time in a condition, would end before is not kept.',
      default: '1m',
    }),
    deny: duration('0s', '10s', {
      description: 'How long a denial is repeated without another look for evidence.',
      default: '5s',
    }),
    entries: count('verdicts', 1, 1_000_000, { description: 'Verdicts that are kept.', default: 10_000 }),
  }),
  limits: Type.Object({
    reviewBytes: size('64KiB', '32MiB', {
      description:
        'The longest review; a longer one is denied. An API server takes objects of at most 3 MiB, and etcd stores half of that.',
      default: '3328KiB',
    }),
    images: count('images', 1, 10_000, {
      description: 'Images of one object; an object with more is denied.',
      default: 500,
    }),
    reviews: count('reviews', 1, 100_000, {
      description: 'Reviews at one time; further ones are denied at once. One namespace has a quarter of them at most.',
      default: 1000,
    }),
    lookups: count('lookups', 1, 1000, {
      description:
        'Images that are looked up at one time; further ones wait. One registry, and one namespace, has a quarter of them at most.',
      default: 32,
    }),
    evidenceBytes: size('1MiB', '64GiB', {
      description:
        'Evidence that is held in memory at one time, with lists and manifests of registries; an image that needs more than is left is denied.',
      default: '128MiB',
    }),
    deadline: duration('100ms', '30s', {
      description: 'The time for a review that names no time-out itself (`?timeout=`), and the longest for each.',
      default: '10s',
    }),
    connections: count('connections', 1, 1_000_000, {
      description: 'Open connections to the public port; more are closed at once.',
      default: 1000,
    }),
    connectionsPerAddress: connectionsPerAddress(false),
    bodiesBytes: size('1MiB', '64GiB', {
      description: 'Reviews that are held in memory at one time; further ones are denied.',
      default: '128MiB',
    }),
  }),
  log: Type.Object(logSettings()),
});

type Decoded = StaticDecode<typeof AdmissionSchema>;

/** Durations in milliseconds, sizes in bytes, paths absolute. Frozen at every depth. */
export type AdmissionConfig = DeepReadonly<
  Omit<Decoded, 'policy' | 'tls' | 'identity'> & {
    policy: string;
    tls: TlsSource;
    /** Undefined where everybody who reaches the port may ask. */
    identity?: GateFiles;
  }
>;

/** What a reload replaces while the service runs: read it at each use. */
export type LiveAdmission = { -readonly [Group in 'cache' | 'limits']: AdmissionConfig[Group] };

export const ADMISSION_SETTINGS = settingsOf(AdmissionSchema, PREFIX);

/** The configuration of one start. @throws RuntimeError `config` naming every setting that is unknown or wrong. */
export function loadAdmission(options: LoadOptions = {}): AdmissionConfig {
  const { decoded } = readSettings<Decoded>({ schema: AdmissionSchema, prefix: PREFIX, docs: DOCS }, options);
  const problems: string[] = [];
  const { identity, ...rest } = decoded;
  const { evidence, outgoing, trust, limits, policy = '', tls } = rest;
  const { clientCa, ...shown } = tls;
  const certificate = certificateSource('tls', shown, problems);
  if (policy === '') problems.push('"policy" is not set: name the decision policy, which says what may run');
  if (certificate === undefined && problems.length === 0) {
    problems.push('"tls.cert" and "tls.key" are not both set: API servers call webhooks by TLS alone');
  }
  if (certificate?.workloadApi !== undefined && clientCa !== undefined) {
    problems.push('"tls.clientCa" is about a certificate in files: with "tls.workloadApi" set "identity.file"');
  }
  const whose = identityFilesOf(identity, certificate !== undefined, problems);
  checkPorts(decoded.listen, decoded.admin, problems);
  if (!evidence.registry && evidence.directory === undefined && evidence.store === undefined) {
    problems.push(
      'there is no source of evidence: set "evidence.directory" or "evidence.store", or "evidence.registry" to true',
    );
  }
  checkOutgoing(outgoing, problems);
  if (evidence.store === undefined && hasAny(outgoing)) {
    problems.push('"outgoing" is about the attestation store: set "evidence.store", or leave it out');
  }
  const files = [trust.trustedRoot, trust.logKey, trust.quorumPolicy].filter((path) => path !== undefined);
  if ((trust.directory === undefined) === (files.length === 0)) {
    problems.push(
      'say which logs you trust: by "trust.directory" with a followed repository, or by files ("trust.trustedRoot", "trust.logKey", "trust.quorumPolicy"), and not by both',
    );
  }
  if (trust.maxAge !== undefined && trust.directory === undefined) {
    problems.push('"trust.maxAge" is about a followed repository: set "trust.directory"');
  }
  if (limits.bodiesBytes < 2 * limits.reviewBytes) {
    problems.push('"limits.bodiesBytes" must be twice "limits.reviewBytes" at least');
  }
  failOn(problems);
  const served = { ...certificate!, ...(clientCa !== undefined && { clientCa }) };
  return freeze({ ...rest, policy, tls: served, ...(whose && { identity: whose }) });
}

function hasAny({ spiffeIds, ...others }: Decoded['outgoing']): boolean {
  return spiffeIds.length > 0 || Object.values(others).some((value) => value !== undefined);
}
