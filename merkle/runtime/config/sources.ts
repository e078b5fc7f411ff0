/**
 * Where settings come from: the file, the environment and the flags. Each source gives a list of values with the place
 * where each stands, and what it names but the schema does not know becomes a problem.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { Setting } from './settings.ts';

/** One value of one setting. `base` is what a relative path in it is relative to. */
export interface Given {
  readonly setting: Setting;
  readonly value: unknown;
  readonly where: string;
  readonly base: string;
}

export interface Source {
  readonly given: readonly Given[];
  readonly problems: readonly string[];
}

/** The settings of one program, and how it calls what is none of them. */
export class SettingNames {
  readonly settings: readonly Setting[];
  /** How variables begin: `STELE_`. */
  readonly prefix: string;
  /** Where all settings are described. */
  readonly docs: string;
  readonly byName: ReadonlyMap<string, Setting>;
  readonly byEnv: ReadonlyMap<string, Setting>;
  readonly byFlag: ReadonlyMap<string, Setting>;
  readonly groups: ReadonlySet<string>;
  readonly #others: (name: string) => boolean;

  /** `others` knows the variables with that prefix which are no settings, and are left alone. */
  constructor(settings: readonly Setting[], prefix: string, docs: string, others: (name: string) => boolean) {
    this.settings = settings;
    this.prefix = prefix;
    this.docs = docs;
    this.byName = new Map(settings.map((setting) => [setting.name, setting]));
    this.byEnv = new Map(settings.map((setting) => [setting.env, setting]));
    this.byFlag = new Map(settings.map((setting) => [setting.flag, setting]));
    this.groups = new Set(
      settings.flatMap(({ path }) => path.slice(0, -1).map((_, at) => path.slice(0, at + 1).join('.'))),
    );
    this.#others = others;
  }

  isOther(name: string): boolean {
    return this.#others(name);
  }
}

/** `text` is the whole file; `name` is how messages call it; `base` is its directory. */
export function fromFile(names: SettingNames, text: string, name: string, base: string): Source {
  const given: Given[] = [];
  const problems: string[] = [];
  const lines = new LineCounter();
  const document = parseDocument(text, {
    strict: true,
    uniqueKeys: true,
    version: '1.2',
    schema: 'core',
    lineCounter: lines,
  });
  const at = (offset: number | undefined) =>
    offset === undefined ? name : `${name} line ${lines.linePos(offset).line}`;

  // The first line only: the library goes on with an excerpt of the file.
  for (const { message, pos } of [...document.errors, ...document.warnings]) {
    problems.push(`${at(pos[0])} is not valid YAML: ${(message.split('\n')[0] ?? '').replace(/ at line .*$/, '')}`);
  }
  if (problems.length > 0) return { given, problems };

  const plain = (node: unknown, where: string): unknown => {
    if (isScalar(node)) return node.value;
    if (isSeq(node)) return node.items.map((item) => plain(item, where));
    problems.push(`${where} holds ${isAlias(node) ? 'a YAML alias' : 'a mapping'}, where a plain value is needed`);
    return undefined;
  };
  const walk = (node: Node | null, path: string): void => {
    // `limits:` with nothing below it is a group of which nothing is set.
    if (node === null || (isScalar(node) && node.value === null)) return;
    if (!isMap(node)) {
      problems.push(
        `${path === '' ? 'the top level' : `"${path}"`} in ${at(node.range?.[0])} must be a mapping of settings, not a single value`,
      );
      return;
    }
    for (const { key, value } of node.items) {
      const where = at((key as Node | null)?.range?.[0]);
      const label = isScalar(key) ? String(key.value) : '?';
      const full = path === '' ? label : `${path}.${label}`;
      const setting = names.byName.get(full);
      if (setting !== undefined) given.push({ setting, value: plain(value, where), where, base });
      else if (names.groups.has(full)) walk(value as Node | null, full);
      else problems.push(unknown(names, `setting "${clip(full)}"`, where, full, names.byName, ''));
    }
  };
  walk(document.contents, '');
  return { given, problems };
}

/**
 * Variables that the settings of this very start name as the place of a secret (`key.pinEnv`) may have the prefix too:
 * `named` holds them.
 */
export function fromEnv(
  names: SettingNames,
  env: Readonly<Record<string, string | undefined>>,
  named: ReadonlySet<string>,
  base: string,
): Source {
  const given: Given[] = [];
  const problems: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(names.prefix) || value === undefined) continue;
    const setting = names.byEnv.get(name);
    if (setting !== undefined) {
      given.push({ setting, value: fromText(setting, value), where: `the environment variable ${name}`, base });
    } else if (!names.isOther(name) && !named.has(name)) {
      problems.push(unknown(names, `variable ${clip(name)}`, 'the environment', name, names.byEnv, ''));
    }
  }
  return { given, problems };
}

/** Flags by name without dashes; `true` is a flag that was given without a value. */
export function fromFlags(
  names: SettingNames,
  flags: Readonly<Record<string, string | boolean | undefined>>,
  base: string,
): Source {
  const given: Given[] = [];
  const problems: string[] = [];
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    const setting = names.byFlag.get(name);
    if (setting === undefined) {
      problems.push(unknown(names, `flag --${clip(name)}`, 'the command line', name, names.byFlag, '--'));
    } else {
      const typed = typeof value === 'string' ? fromText(setting, value) : value;
      given.push({ setting, value: typed, where: `the flag --${name}`, base });
    }
  }
  return { given, problems };
}

/** A flag or a variable is text. What does not read as the setting's type stays text, and fails the check with it. */
function fromText(setting: Setting, value: string): unknown {
  if (setting.kind === 'count') return /^(0|[1-9][0-9]{0,15})$/.test(value) ? Number(value) : value;
  if (setting.kind === 'switch') return value === 'true' ? true : value === 'false' ? false : value;
  if (setting.kind === 'list') return value === '' ? [] : value.split(',').map((item) => item.trim());
  return value;
}

function unknown(
  names: SettingNames,
  what: string,
  where: string,
  name: string,
  known: ReadonlyMap<string, Setting>,
  dashes: string,
): string {
  const best = nearest(name, [...known.keys()]);
  const hint = best === undefined ? `${names.docs} lists all settings` : `did you mean ${dashes}${best}?`;
  return `unknown ${what} in ${where}; ${hint}`;
}

/** The known name with the smallest edit distance, where that is small against the length. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > 100) return undefined;
  const last = (text: string) => text.split('.').at(-1);
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 4)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  // A setting that was put at the wrong level: `maxAge` for `batch.maxAge`.
  return best ?? known.find((candidate) => last(candidate) === last(name));
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + same));
    }
    row = next;
  }
  return row[b.length]!;
}

function clip(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters must not reach the terminal.
  const clean = text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?');
  return clean.length > 80 ? `${clean.slice(0, 80)}…` : clean;
}
