/** The configuration of one start of a log: `readSettings` with the rules that hold between settings. */
import { availableParallelism } from 'node:os';
import { checkAdminAccess, checkPorts } from '../../merkle/runtime/config/groups.ts';
import { keySpec, ownKey } from '../../merkle/runtime/config/key.ts';
import { type DeepReadonly, failOn, freeze, type LoadOptions, readSettings } from '../../merkle/runtime/config/load.ts';
import { checkPublicUrl } from '../../merkle/runtime/config/public-url.ts';
import { settingsOf } from '../../merkle/runtime/config/settings.ts';
import { certificateSource, checkOutgoing } from '../../merkle/runtime/config/tls-settings.ts';
import type { KeySpec } from '../../merkle/runtime/keys/types.ts';
import type { TlsSource } from '../../merkle/runtime/service/served-tls.ts';
import { ConfigSchema, type Decoded } from './schema.ts';

/** Durations in milliseconds, sizes in bytes, paths absolute. Frozen at every depth. */
export type Config = DeepReadonly<
  Omit<Decoded, 'key' | 'ed25519Key' | 'tls' | 'ingest' | 'secondPlaceS3' | 'identity'> & {
    key: KeySpec;
    /** `key` is the default file: an Ed25519 key is made there at the first start. */
    createKey: boolean;
    ed25519Key?: KeySpec;
    /** Undefined: plain HTTP. */
    tls?: TlsSource;
    ingest: { threads: number; anyCertificate: boolean };
    /** Undefined where everybody may write. */
    identity?: Omit<Decoded['identity'], 'file' | 'access' | 'record'> & {
      file: string;
      access: string;
      record?: { file: string; retention: number };
    };
    secondPlaceS3?: { endpoint: string; bucket: string; prefix?: string; region?: string; credentialsFile?: string };
  }
>;

/** Variables of the command line, of a witness and of a server of a TUF repository begin with STELE_ too. */
const OTHER_VARIABLES = /^STELE_(DEBUG|TRUST|TRUST_SERVE_.*|WITNESS_.*)$/;
/** Kubernetes adds these to every pod beside a service called `stele`; they are not an operator's mistake. */
const KUBERNETES = /^STELE_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;
const PREFIX = 'STELE_';

export const SETTINGS = settingsOf(ConfigSchema, PREFIX);

/** The configuration of one start. @throws RuntimeError `config` naming every setting that is unknown or wrong. */
export function loadConfig(options: LoadOptions = {}): Config {
  const program = {
    schema: ConfigSchema,
    prefix: PREFIX,
    docs: 'docs/configuration.md',
    isOther: (name: string) => OTHER_VARIABLES.test(name) || KUBERNETES.test(name),
  };
  const { decoded, given } = readSettings<Decoded>(program, options);
  const problems: string[] = [];
  const config = assemble(decoded, given, problems);
  failOn(problems);
  return freeze(config);
}

/** The rules that hold between settings. */
function assemble(decoded: Decoded, given: (name: string) => string, problems: string[]): Config {
  const { key, ed25519Key, tls, ingest, secondPlaceS3, identity, ...rest } = decoded;
  const own = ownKey(rest.data, key, problems);
  const bucket = bucketOf(rest.secondPlace, secondPlaceS3, problems);
  const second = keySpec('ed25519Key', ed25519Key, problems);
  const certificate = certificateSource('tls', tls, problems);
  const whose = identityOf(identity, certificate !== undefined, problems);
  checkAdminAccess(rest.admin, { tls: certificate !== undefined, identity: whose !== undefined }, problems);
  checkOutgoing(rest.outgoing, problems);
  if (rest.limits.headersTimeout > rest.limits.requestTimeout) {
    problems.push(
      `"limits.headersTimeout" (${given('limits.headersTimeout')}) must not be longer than "limits.requestTimeout" (${given('limits.requestTimeout')})`,
    );
  }
  if (rest.limits.bodiesBytes < rest.limits.bodyBytes) {
    problems.push(
      '"limits.bodiesBytes" must not be smaller than "limits.bodyBytes": the longest body could never be taken',
    );
  }
  checkPorts(rest.listen, rest.admin, problems);
  checkPublicUrl(rest.publicUrl, ['origin', rest.origin], problems);
  return {
    ...rest,
    ...own,
    ...(second === undefined ? {} : { ed25519Key: second }),
    ...(certificate && { tls: certificate }),
    ...(bucket === undefined ? {} : { secondPlaceS3: bucket }),
    ...(whose === undefined ? {} : { identity: whose }),
    ingest: { ...ingest, threads: ingest.threads ?? availableParallelism() },
  };
}

/** The settings of identities are on where their file is named. */
function identityOf(identity: Decoded['identity'], hasTls: boolean, problems: string[]): Config['identity'] {
  const { file, access, record, ...rest } = identity;
  if (file === undefined || access === undefined) {
    if (file !== undefined)
      problems.push('"identity.file" also needs "identity.access", which says who may write what');
    if (access !== undefined)
      problems.push('"identity.access" also needs "identity.file", which says whose identities are taken');
    const alone = file === undefined && access === undefined;
    if (alone && rest.tokens) problems.push('"identity.tokens" needs "identity.file" and "identity.access"');
    if (alone && record.file !== undefined) {
      problems.push(
        '"identity.record.file" needs "identity.file" and "identity.access": without them nobody is known to write',
      );
    }
    return undefined;
  }
  if (!hasTls) {
    problems.push(
      '"identity.file" needs "tls.cert" and "tls.key", or "tls.workloadApi": a caller proves who it is in the TLS handshake with the log itself. Behind a proxy that ends TLS every caller would be the proxy: let the proxy pass TLS through',
    );
  }
  return { file, access, ...rest, ...(record.file === undefined ? {} : { record: { ...record, file: record.file } }) };
}

function bucketOf(
  directory: string | undefined,
  s3: Decoded['secondPlaceS3'],
  problems: string[],
): Config['secondPlaceS3'] {
  const { endpoint, bucket } = s3;
  if (Object.values(s3).every((value) => value === undefined)) return undefined;
  if (directory !== undefined) problems.push('"secondPlace" and "secondPlaceS3" are both set: keep one');
  const missing = ['endpoint', 'bucket'].filter((name) => s3[name as 'endpoint' | 'bucket'] === undefined);
  if (missing.length > 0) {
    problems.push(`"secondPlaceS3" also needs ${missing.map((name) => `"${name}"`).join(' and ')}`);
  }
  return endpoint === undefined || bucket === undefined ? undefined : { ...s3, endpoint, bucket };
}
