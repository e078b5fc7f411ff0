/**
 * `readSettings` joins defaults, file, environment and flags, in this order, into one checked value.
 *
 * All mistakes are reported at once: each names the setting, where it stands, and what is allowed.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { Value } from 'typebox/value';
import { RuntimeError } from '../runtime-errors.ts';
import type { Setting } from './settings.ts';
import { fromEnv, fromFile, fromFlags, type Given, type SettingNames, type Source } from './sources.ts';

export type DeepReadonly<T> = T extends readonly (infer U)[]
  ? readonly DeepReadonly<U>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

export interface LoadOptions {
  /** Path of the file; without it the variable of that name with the prefix and `CONFIG`, and without that no file is read. */
  readonly file?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Flags by name without dashes, such as `batch-max-age`. */
  readonly flags?: Readonly<Record<string, string | boolean | undefined>>;
  /** What relative paths in flags, variables and defaults are relative to: the working directory. */
  readonly cwd?: string;
}

const MAX_FILE_BYTES = 256 * 1024;

/** What the sources say: decoded, with absolute paths. */
export interface Read<T> {
  readonly decoded: T;
  /** A setting's text as it was given, or its default. */
  given(name: string): string;
}

/**
 * The settings of one start. `T` is what the schema of `names` decodes to.
 *
 * @throws RuntimeError `config` naming every setting that is unknown or wrong.
 */
export function readSettings<T>(names: SettingNames, options: LoadOptions = {}): Read<T> {
  const { env = {}, flags = {}, cwd = process.cwd() } = options;
  const file = options.file ?? env[`${names.prefix}CONFIG`];
  const inFile = file === undefined ? { given: [], problems: [] } : readFile(names, resolve(cwd, file), file);
  const named = namedVariables(names, env, flags, inFile.given);
  const sources = [inFile, fromEnv(names, env, named, cwd), fromFlags(names, flags, cwd)];
  const problems = sources.flatMap((source) => source.problems);

  // Every value is checked, those that a stronger source overrides too: a wrong line must not lie in wait.
  const effective = new Map<string, Given>();
  for (const given of sources.flatMap((source) => source.given)) {
    const problem = check(given);
    if (problem === undefined) effective.set(given.setting.name, given);
    else problems.push(problem);
  }
  failOn(problems);
  return {
    decoded: decode(names, effective, cwd) as T,
    given: (name) => String(effective.get(name)?.value ?? names.byName.get(name)?.default),
  };
}

function readFile(names: SettingNames, path: string, name: string): Source {
  let text: string;
  try {
    const stats = statSync(path);
    if (!stats.isFile()) throw unreadable(names, name, 'it is no regular file');
    if (stats.size > MAX_FILE_BYTES)
      throw unreadable(names, name, `it has ${stats.size} bytes, more than ${MAX_FILE_BYTES}`);
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    if (error instanceof RuntimeError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw unreadable(names, name, code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8 text' : code);
  }
  return fromFile(names, text, name, dirname(path));
}

function unreadable(names: SettingNames, name: string, why: string): RuntimeError {
  return new RuntimeError(
    'config',
    `the configuration file ${name} cannot be read (${why}); check --config or ${names.prefix}CONFIG`,
  );
}

/** The variables that settings such as `key.pkcs11.pinEnv` point to, whichever source they stand in. */
function namedVariables(
  names: SettingNames,
  env: NonNullable<LoadOptions['env']>,
  flags: NonNullable<LoadOptions['flags']>,
  inFile: readonly Given[],
): Set<string> {
  const pointers = names.settings.filter((setting) => setting.kind === 'variable');
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

function decode(names: SettingNames, effective: ReadonlyMap<string, Given>, cwd: string): unknown {
  const root: Record<string, unknown> = {};
  for (const setting of names.settings) {
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
  return root;
}

function absolute(setting: Setting, value: unknown, base: string): unknown {
  if (typeof value !== 'string') return value;
  if (setting.kind === 'path') return resolve(base, value);
  // A module without a slash is looked for where the system keeps such modules.
  const module = setting.path.at(-1) === 'module' && value.includes('/') && !isAbsolute(value);
  return module ? resolve(base, value) : value;
}

/** @throws RuntimeError `config` where there are problems: all of them */
export function failOn(problems: readonly string[]): void {
  if (problems.length === 0) return;
  const [first] = problems;
  if (problems.length === 1) throw new RuntimeError('config', `${first}`);
  const shown = problems.slice(0, 20).map((problem) => `\n  - ${problem}`);
  throw new RuntimeError('config', `${problems.length} settings are wrong:${shown.join('')}`);
}

/** Frozen at every depth. */
export function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
}
