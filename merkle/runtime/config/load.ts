/**
 * `readSettings` joins defaults, file, environment and flags, in this order, into one checked value.
 *
 * All mistakes are reported at once: each names the setting, where it stands, and what is allowed.
 */
import { dirname, resolve } from 'node:path';
import type { TSchema } from 'typebox';
import { printable } from '../../printable.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { nearest } from './nearest.ts';
import { type Setting, settingsOf } from './settings.ts';
import { parseYaml, readTextFile, type SettingPath } from './settings-file.ts';
import { nodeOf, problemText, SettingsWalk } from './settings-walk.ts';

export type DeepReadonly<T> = T extends readonly (infer U)[]
  ? readonly DeepReadonly<U>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/** The settings of one program. */
interface Program {
  readonly schema: TSchema;
  /** How its variables begin: `STELE_`. */
  readonly prefix: string;
  /** Where all settings are described. */
  readonly docs: string;
  /** Whether a variable with the prefix is no setting and is left alone. `<prefix>CONFIG` always is. */
  readonly isOther?: (variable: string) => boolean;
}

export interface LoadOptions {
  /**
   * Path of the file. By default the variable `<prefix>CONFIG` names the file; without that variable no file is read.
   */
  readonly file?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Flags by name without dashes, such as `batch-max-age`; `true` is a flag that was given without a value. */
  readonly flags?: Readonly<Record<string, string | boolean | undefined>>;
  /** What relative paths in flags, variables and defaults are relative to; by default the working directory. */
  readonly cwd?: string;
}

const MAX_FILE_BYTES = 256 * 1024;

type Tree = Record<string, unknown>;

/** What one source gives. */
interface Source {
  /** Values as they were given, in the levels of the schema. */
  readonly tree: unknown;
  readonly base: string;
  readonly where: (at: SettingPath) => string | undefined;
  readonly partial: boolean;
  /** What the source names and the program does not know. */
  readonly problems: readonly string[];
}

/**
 * The settings of one start. `T` is what the schema decodes to, with absolute paths. `given` is the text of a setting as
 * it was given, or its default.
 * @throws RuntimeError `config` naming every setting that is unknown or wrong.
 */
export function readSettings<T>(
  program: Program,
  options: LoadOptions = {},
): { readonly decoded: T; readonly given: (name: string) => string } {
  const { schema, prefix } = program;
  const { env = {}, flags = {}, cwd = process.cwd() } = options;
  const settings = settingsOf(schema, prefix);
  const file = options.file ?? env[`${prefix}CONFIG`];
  const inFile = file === undefined ? [] : [fromFile(program, resolve(cwd, file), file)];
  // A variable such as STELE_PIN may be no setting, but the place of a secret that `key.pinEnv` names in any source.
  const pointers = settings.filter(({ kind }) => kind === 'variable');
  const named = new Set(
    pointers.flatMap((setting) => [
      env[setting.env],
      flags[setting.flag],
      ...inFile.map(({ tree }) => at(tree, setting)),
    ]),
  );
  const sources: Source[] = [
    { tree: {}, base: cwd, where: () => undefined, partial: false, problems: [] },
    ...inFile,
    fromEnv(program, settings, env, named, cwd),
    fromFlags(program, settings, flags, cwd),
  ];
  // The check covers each source in full, also values that a stronger source overrides: a wrong line must not stay hidden.
  const names = settings.map(({ name }) => name);
  const read = sources.map(({ tree, problems, ...rest }) => {
    const walk = new SettingsWalk({ ...rest, names });
    const values = walk.object(schema, tree ?? {}, []) ?? {};
    return { values, problems: [...problems, ...walk.problems] };
  });
  failOn(read.flatMap(({ problems }) => problems));
  return {
    decoded: merged(
      schema,
      read.map(({ values }) => values),
    ) as T,
    given: (name) => {
      const setting = settings.find((one) => one.name === name)!;
      const given = sources.map(({ tree }) => at(tree, setting)).findLast((value) => value !== undefined);
      return String(given ?? setting.default);
    },
  };
}

function fromFile({ prefix }: Program, path: string, name: string): Source {
  let text: string;
  try {
    text = readTextFile(path, name, MAX_FILE_BYTES);
  } catch (cause) {
    const why = `the configuration file ${(cause as Error).message}; check --config or ${prefix}CONFIG`;
    throw new RuntimeError('config', why, { cause });
  }
  const { value, problems, lineOf } = parseYaml(text);
  const shownName = printable(name);
  return {
    tree: value,
    base: dirname(path),
    where: (at) => `${shownName} line ${lineOf(at)}`,
    partial: true,
    problems: problems.map((problem) => `${shownName} is not valid YAML: ${problem}`),
  };
}

function fromEnv(
  { prefix, docs, isOther = () => false }: Program,
  settings: readonly Setting[],
  env: NonNullable<LoadOptions['env']>,
  named: ReadonlySet<unknown>,
  cwd: string,
): Source {
  const given = Object.entries(env).filter(([name, value]) => name.startsWith(prefix) && value !== undefined);
  return fromNames(given, settings, cwd, {
    nameOf: ({ env }) => env,
    where: (name) => `the environment variable ${name}`,
    docs,
    isOther: (name) => name === `${prefix}CONFIG` || isOther(name) || named.has(name),
  });
}

function fromFlags(
  { docs }: Program,
  settings: readonly Setting[],
  flags: NonNullable<LoadOptions['flags']>,
  cwd: string,
): Source {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined);
  const dashed = given.map(([name, value]) => [`--${name}`, value] as const);
  return fromNames(dashed, settings, cwd, {
    nameOf: ({ flag }) => `--${flag}`,
    where: (name) => `the flag ${name}`,
    docs,
    isOther: () => false,
  });
}

/** Values by a name that stands for a path: variables and flags. */
function fromNames(
  given: readonly (readonly [string, string | boolean | undefined])[],
  settings: readonly Setting[],
  base: string,
  names: {
    readonly nameOf: (setting: Setting) => string;
    readonly where: (name: string) => string;
    readonly docs: string;
    readonly isOther: (name: string) => boolean;
  },
): Source {
  const known = new Map(settings.map((setting) => [names.nameOf(setting), setting]));
  const places = new Map(settings.map((setting) => [setting.name, names.where(names.nameOf(setting))]));
  const tree: Tree = {};
  const problems: string[] = [];
  for (const [name, value] of given) {
    const setting = known.get(name);
    if (setting !== undefined) put(tree, setting.path, typeof value === 'string' ? fromText(setting, value) : value);
    else if (!names.isOther(name)) {
      const best = nearest(name, [...known.keys()]);
      const hint = best === undefined ? `${names.docs} describes all settings` : `did you mean ${best}?`;
      problems.push(`${names.where(printable(name))} is unknown; ${hint}`);
    }
  }
  return { tree, base, where: (at) => places.get(at.join('.')), partial: true, problems };
}

/** A flag or a variable is text. Text that does not read as the setting's type stays text, and fails the check. */
function fromText(setting: Setting, value: string): unknown {
  if (setting.kind === 'count') return /^(0|[1-9][0-9]{0,15})$/.test(value) ? Number(value) : value;
  if (setting.kind === 'switch') return value === 'true' ? true : value === 'false' ? false : value;
  if (setting.kind === 'list') return value === '' ? [] : value.split(',').map((item) => item.trim());
  return value;
}

function put(tree: Tree, path: readonly string[], value: unknown): void {
  let group = tree;
  for (const part of path.slice(0, -1)) {
    group[part] ??= {};
    group = group[part] as Tree;
  }
  group[path.at(-1)!] = value;
}

function at(tree: unknown, { path }: Setting): unknown {
  return path.reduce<unknown>((group, part) => (group as Tree | null | undefined)?.[part], tree);
}

/** Of each leaf the value of the last source that has it. */
function merged(schema: TSchema, sources: readonly Tree[]): Tree {
  const out: Tree = {};
  for (const [name, child] of Object.entries(nodeOf(schema).properties ?? {})) {
    const values = sources.map((source) => source[name]).filter((value) => value !== undefined);
    if (nodeOf(child).type === 'object') out[name] = merged(child, values as Tree[]);
    else if (values.length > 0) out[name] = values.at(-1);
  }
  return out;
}

/** @throws RuntimeError `config` where there are problems: all of them */
export function failOn(problems: readonly string[]): void {
  if (problems.length > 0) throw new RuntimeError('config', problemText(problems));
}

/** Frozen at every depth. */
export function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
}
