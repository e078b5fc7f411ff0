/**
 * `loadConfig` joins defaults, file, environment and flags, in this order, into one checked value.
 *
 * All mistakes are reported at once: each names the setting, where it stands, and what is allowed.
 */
import { readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { Value } from 'typebox/value';
import type { KeySpec } from '../../merkle/runtime/signer.ts';
import { ServerError } from '../errors.ts';
import type { Decoded } from './schema.ts';
import { SETTINGS, type Setting } from './settings.ts';
import { fromEnv, fromFile, fromFlags, type Given, type Source } from './sources.ts';

type DeepReadonly<T> = T extends readonly (infer U)[]
  ? readonly DeepReadonly<U>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

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

export interface LoadOptions {
  /** Path of the file; without it the variable STELE_CONFIG, and without that no file is read. */
  readonly file?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Flags by name without dashes, such as `batch-max-age`. */
  readonly flags?: Readonly<Record<string, string | boolean | undefined>>;
  /** What relative paths in flags, variables and defaults are relative to: the working directory. */
  readonly cwd?: string;
}

const MAX_FILE_BYTES = 256 * 1024;

/**
 * The configuration of one start.
 *
 * @throws ServerError `config` naming every setting that is unknown or wrong.
 */
export function loadConfig(options: LoadOptions = {}): Config {
  const { env = {}, flags = {}, cwd = process.cwd() } = options;
  const file = options.file ?? env.STELE_CONFIG;
  const inFile = file === undefined ? { given: [], problems: [] } : readFile(resolve(cwd, file), file);
  const sources = [inFile, fromEnv(env, namedVariables(env, flags, inFile.given), cwd), fromFlags(flags, cwd)];
  const problems = sources.flatMap((source) => source.problems);

  // Every value is checked, those that a stronger source overrides too: a wrong line must not lie in wait.
  const effective = new Map<string, Given>();
  for (const given of sources.flatMap((source) => source.given)) {
    const problem = check(given);
    if (problem === undefined) effective.set(given.setting.name, given);
    else problems.push(problem);
  }
  fail(problems);

  const decoded = decode(effective, cwd);
  const config = assemble(decoded, effective, problems);
  fail(problems);
  return freeze(config);
}

function readFile(path: string, name: string): Source {
  let text: string;
  try {
    const stats = statSync(path);
    if (!stats.isFile()) throw unreadable(name, 'it is no regular file');
    if (stats.size > MAX_FILE_BYTES) throw unreadable(name, `it has ${stats.size} bytes, more than ${MAX_FILE_BYTES}`);
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    if (error instanceof ServerError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw unreadable(name, code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8 text' : code);
  }
  return fromFile(text, name, dirname(path));
}

function unreadable(name: string, why: string): ServerError {
  return new ServerError(
    'config',
    `the configuration file ${name} cannot be read (${why}); check --config or STELE_CONFIG`,
  );
}

/** The variables that settings such as `key.pkcs11.pinEnv` point to, whichever source they stand in. */
function namedVariables(
  env: NonNullable<LoadOptions['env']>,
  flags: NonNullable<LoadOptions['flags']>,
  inFile: readonly Given[],
): Set<string> {
  const pointers = SETTINGS.filter((setting) => setting.kind === 'variable');
  const values = pointers.flatMap((setting) => [
    env[setting.env],
    flags[setting.flag],
    ...inFile.filter((given) => given.setting === setting).map((given) => given.value),
  ]);
  return new Set(values.filter((value) => typeof value === 'string'));
}

function check({ setting, value, where }: Given): string | undefined {
  if (Value.Check(setting.schema, value)) return undefined;
  const is = setting.sensitive ? 'is not allowed' : `is ${show(value)}`;
  return `"${setting.name}" in ${where} ${is}; allowed: ${setting.allowed}`;
}

function show(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function decode(effective: ReadonlyMap<string, Given>, cwd: string): Decoded {
  const root: Record<string, unknown> = {};
  for (const setting of SETTINGS) {
    let group = root;
    for (const part of setting.path.slice(0, -1)) {
      group[part] ??= {};
      group = group[part] as Record<string, unknown>;
    }
    const given = effective.get(setting.name);
    const value = given === undefined ? setting.default : given.value;
    if (value !== undefined) {
      const decoded = Value.Decode(setting.schema, structuredClone(value));
      group[setting.path.at(-1)!] = absolute(setting, decoded, given?.base ?? cwd);
    }
  }
  return root as Decoded;
}

function absolute(setting: Setting, value: unknown, base: string): unknown {
  if (typeof value !== 'string') return value;
  if (setting.kind === 'path') return resolve(base, value);
  // A module without a slash is looked for where the system keeps such modules.
  const module = setting.path.at(-1) === 'module' && value.includes('/') && !isAbsolute(value);
  return module ? resolve(base, value) : value;
}

/** The rules that hold between settings. */
function assemble(decoded: Decoded, effective: ReadonlyMap<string, Given>, problems: string[]): Config {
  const { key, ed25519Key, tls, ingest, ...rest } = decoded;
  const spec = keySpec('key', key, problems);
  const second = keySpec('ed25519Key', ed25519Key, problems);
  if (tls.cert === undefined && tls.key !== undefined)
    problems.push('"tls.key" is set, but not "tls.cert": TLS needs both');
  if (tls.cert !== undefined && tls.key === undefined)
    problems.push('"tls.cert" is set, but not "tls.key": TLS needs both');
  if (rest.limits.headersTimeout > rest.limits.requestTimeout) {
    problems.push(
      `"limits.headersTimeout" (${given(effective, 'limits.headersTimeout')}) must not be longer than "limits.requestTimeout" (${given(effective, 'limits.requestTimeout')})`,
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

function given(effective: ReadonlyMap<string, Given>, name: string): string {
  return String(effective.get(name)?.value ?? SETTINGS.find((setting) => setting.name === name)?.default);
}

/** The key that the settings name, or undefined where they name none. */
function keySpec(name: 'key' | 'ed25519Key', key: Decoded['key'], problems: string[]): KeySpec | undefined {
  const { module, token, label, pinFile, pinEnv } = key.pkcs11;
  const inToken = Object.values(key.pkcs11).some((value) => value !== undefined);
  const passphrase = key.passphraseFile ?? key.passphraseEnv;

  if (key.passphraseFile !== undefined && key.passphraseEnv !== undefined) {
    problems.push(`"${name}.passphraseFile" and "${name}.passphraseEnv" are both set: keep one`);
  }
  if (!inToken) {
    if (key.file !== undefined) return withPassphrase(key.file, key);
    if (passphrase !== undefined && name === 'ed25519Key') {
      problems.push(`"${name}" has a passphrase, but no "${name}.file"`);
    }
    return undefined;
  }
  if (key.file !== undefined || passphrase !== undefined) {
    problems.push(
      `"${name}.pkcs11" is set together with a key file or its passphrase: the key is in the token or in a file`,
    );
  }
  if (pinFile !== undefined && pinEnv !== undefined) {
    problems.push(`"${name}.pkcs11.pinFile" and "${name}.pkcs11.pinEnv" are both set: keep one`);
  }
  const missing = [
    ...(module === undefined ? ['module'] : []),
    ...(token === undefined ? ['token'] : []),
    ...(label === undefined ? ['label'] : []),
    ...(pinFile === undefined && pinEnv === undefined ? ['pinFile" or "pinEnv'] : []),
  ];
  if (missing.length > 0) {
    problems.push(`a key in a token also needs ${missing.map((part) => `"${part}"`).join(', ')} in "${name}.pkcs11"`);
  }
  if (module === undefined || token === undefined || label === undefined) return undefined;
  const pin = pinFile === undefined ? { env: pinEnv ?? '' } : { file: pinFile };
  return { pkcs11: { module, token, label, pin } };
}

function withPassphrase(file: string, key: Decoded['key']): KeySpec {
  if (key.passphraseFile !== undefined) return { file, passphrase: { file: key.passphraseFile } };
  if (key.passphraseEnv !== undefined) return { file, passphrase: { env: key.passphraseEnv } };
  return { file };
}

function fail(problems: readonly string[]): void {
  if (problems.length === 0) return;
  const [first] = problems;
  if (problems.length === 1) throw new ServerError('config', `${first}`);
  const shown = problems.slice(0, 20).map((problem) => `\n  - ${problem}`);
  throw new ServerError('config', `${problems.length} settings are wrong:${shown.join('')}`);
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
}
