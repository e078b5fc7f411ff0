/**
 * `loadConfig` joins defaults, file, environment and flags, in this order, into one checked value.
 *
 * All mistakes are reported at once: each names the setting, where it stands, and what is allowed.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { keySpec, withPassphrase } from '../../merkle/runtime/config/key.ts';
import { type DeepReadonly, failOn, freeze, type LoadOptions, readSettings } from '../../merkle/runtime/config/load.ts';
import { SettingNames } from '../../merkle/runtime/config/sources.ts';
import type { KeySpec } from '../../merkle/runtime/keys/types.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { ServerError } from '../errors.ts';
import type { Decoded } from './schema.ts';
import { SETTINGS } from './settings.ts';

export type { LoadOptions } from '../../merkle/runtime/config/load.ts';

/** Durations in milliseconds, sizes in bytes, paths absolute. Frozen at every depth. */
export type Config = DeepReadonly<
  Omit<Decoded, 'key' | 'ed25519Key' | 'tls' | 'ingest'> & {
    key: KeySpec;
    /** The key file is the default one: an Ed25519 key is made there at the first start. */
    createKey: boolean;
    ed25519Key?: KeySpec;
    /** Certificate chain and private key, PEM files. */
    tls?: { cert: string; key: string };
    ingest: { threads: number };
  }
>;

/** Variables that start with STELE_ and are no settings of the log; those of a witness stand beside them. */
const OTHER_VARIABLES = /^STELE_(CONFIG|DEBUG|WITNESS_.*)$/;
/** Kubernetes puts these into every pod beside a service that is called `stele`; they are nobody's mistake. */
const KUBERNETES = /^STELE_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;
const NAMES = new SettingNames(
  SETTINGS,
  'STELE_',
  'docs/configuration.md',
  (name) => OTHER_VARIABLES.test(name) || KUBERNETES.test(name),
);

/**
 * The configuration of one start.
 *
 * @throws ServerError `config` naming every setting that is unknown or wrong.
 */
export function loadConfig(options: LoadOptions = {}): Config {
  try {
    const { decoded, given } = readSettings<Decoded>(NAMES, options);
    const problems: string[] = [];
    const config = assemble(decoded, given, problems);
    failOn(problems);
    return freeze(config);
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'config') throw new ServerError('config', error.message);
    throw error;
  }
}

/** The rules that hold between settings. */
function assemble(decoded: Decoded, given: (name: string) => string, problems: string[]): Config {
  const { key, ed25519Key, tls, ingest, ...rest } = decoded;
  const spec = keySpec('key', key, problems);
  const second = keySpec('ed25519Key', ed25519Key, problems);
  if (tls.cert === undefined && tls.key !== undefined)
    problems.push('"tls.key" is set, but not "tls.cert": TLS needs both');
  if (tls.cert !== undefined && tls.key === undefined)
    problems.push('"tls.cert" is set, but not "tls.key": TLS needs both');
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
  if (rest.listen.port !== 0 && rest.listen.port === rest.admin.port && rest.listen.host === rest.admin.host) {
    problems.push(
      `"listen" and "admin" are both ${rest.listen.host}:${rest.listen.port}: give the admin port another one`,
    );
  }
  return {
    ...rest,
    key: spec ?? withPassphrase(join(rest.data, 'key.pem'), key),
    createKey: spec === undefined,
    ...(second === undefined ? {} : { ed25519Key: second }),
    ...(tls.cert === undefined || tls.key === undefined ? {} : { tls: { cert: tls.cert, key: tls.key } }),
    ingest: { threads: ingest.threads ?? availableParallelism() },
  };
}
