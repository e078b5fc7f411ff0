/**
 * Plain values against a schema of settings: every mistake at once, each with its path, the place where it stands and
 * what is allowed. The walk through mappings and lists is by hand, because TypeBox can only say of a list of mappings
 * that it is not valid; TypeBox checks the leaves.
 */
import { isAbsolute, resolve } from 'node:path';
import { IsCodec, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { printable } from '../../printable.ts';
import { nearest } from './nearest.ts';
import type { SettingPath } from './settings-file.ts';
import type { Leaf } from './values.ts';

/** As `Leaf`, with the kinds that have an `OwnReader`. */
type Facts = Partial<Omit<Leaf, 'kind'>> & { readonly kind?: string };

/** A node of a schema: a mapping, a list, or a leaf. */
type SchemaNode = Facts & {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, TSchema>>;
  readonly required?: readonly string[];
  readonly items?: TSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly const?: unknown;
};

export function nodeOf(schema: TSchema): SchemaNode {
  return schema as unknown as SchemaNode;
}

/** Reads a kind of value that TypeBox does not: returns the value, or undefined with the problem reported. */
export type OwnReader = (value: unknown, at: SettingPath, walk: SettingsWalk) => unknown;

interface WalkOptions {
  /** The directory that relative paths are relative to. */
  readonly base: string;
  /** The place of a value for messages: `line 7`, `the flag --data`. */
  readonly where?: (at: SettingPath) => string | undefined;
  /** By the `kind` of a leaf. */
  readonly own?: Readonly<Record<string, OwnReader>>;
  /** The values are one of several sources: a missing value is no mistake, and gets no default. */
  readonly partial?: boolean;
  /** Full names of settings, to find one that stands at the wrong level. */
  readonly names?: readonly string[];
}

/** One reading of one source. */
export class SettingsWalk {
  readonly base: string;
  readonly problems: string[] = [];
  readonly #options: WalkOptions;

  constructor(options: WalkOptions) {
    this.base = options.base;
    this.#options = options;
  }

  problem(at: SettingPath, text: string): undefined {
    const where = this.#options.where?.(at);
    const what = at.length === 0 ? 'the file' : `"${pathText(at)}"`;
    this.problems.push(`${what}${where === undefined ? '' : ` (${where})`} ${text}`);
  }

  /** The members of a mapping, without the wrong ones. */
  object(schema: TSchema, value: unknown, at: SettingPath): Record<string, unknown> | undefined {
    const { properties = {}, required = [] } = nodeOf(schema);
    if (!isMapping(value)) return this.problem(at, `must be a mapping with ${Object.keys(properties).join(', ')}`);
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(properties, name)) this.unknown([...at, name], name, Object.keys(properties));
    }
    const out: Record<string, unknown> = {};
    for (const [name, property] of Object.entries(properties)) {
      const given = Object.hasOwn(value, name);
      const one = given ? value[name] : undefined;
      const read = this.#member(property, one, [...at, name], required.includes(name), given);
      if (read !== undefined) out[name] = read;
    }
    return out;
  }

  value(schema: TSchema, value: unknown, at: SettingPath): unknown {
    const node = nodeOf(schema);
    const own = node.kind === undefined ? undefined : this.#options.own?.[node.kind];
    if (own !== undefined) return own(value, at, this);
    if (node.type === 'object') return this.object(schema, value, at);
    if (node.type === 'array' && node.kind === undefined) {
      const { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = node;
      if (!Array.isArray(value) || value.length < minItems || value.length > maxItems) {
        return this.problem(at, `must be ${node.allowed}`);
      }
      return value.map((item, i) => this.value(items!, item, [...at, i])).filter((item) => item !== undefined);
    }
    if (!Value.Check(schema, value)) {
      const is = node.sensitive ? 'is not allowed' : `is ${shown(value)}`;
      return this.problem(at, `${is}; allowed: ${allowedOf(node)}`);
    }
    // Value.Decode would bring 140 KB, which a command that ends at once would load.
    const decoded: unknown = IsCodec(schema) ? schema['~codec'].decode(value) : structuredClone(value);
    return typeof decoded === 'string' ? this.#located(node, decoded) : decoded;
  }

  #member(schema: TSchema, value: unknown, at: SettingPath, required: boolean, isGiven: boolean): unknown {
    const { partial = false } = this.#options;
    const node = nodeOf(schema);
    // `limits:` with nothing below it, or no `limits` at all: nothing of the group is set.
    if (node.type === 'object' && required && (value === undefined || value === null)) {
      return this.value(schema, {}, at);
    }
    const inner = value ?? (partial ? undefined : node.default);
    if (inner !== undefined && inner !== null) return this.value(schema, inner, at);
    if (isGiven) return this.problem(at, `is empty; allowed: ${allowedOf(node)}`);
    if (required && !partial) return this.problem(at, `is missing: ${allowedOf(node)}`);
    return undefined;
  }

  unknown(at: SettingPath, name: string, siblings: readonly string[]): void {
    const best = nearest(name, siblings) ?? nearest(at.join('.'), this.#options.names ?? []);
    const hint = best === undefined ? `known are ${siblings.join(', ')}` : `did you mean "${best}"?`;
    this.problem(at, `is unknown; ${hint}`);
  }

  #located({ kind, bareName }: SchemaNode, text: string): string {
    if (kind === 'path') return resolve(this.base, text);
    return bareName === true && text.includes('/') && !isAbsolute(text) ? resolve(this.base, text) : text;
  }
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `rules[2].watch` */
function pathText(at: SettingPath): string {
  return at
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i === 0 ? '' : '.'}${printable(part)}`))
    .join('');
}

/** A value as messages repeat it: at most 80 characters. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (isMapping(value)) return 'a mapping';
  // A key in the place of its file must not come to a terminal or a journal.
  if (typeof value === 'string' && value.includes('PRIVATE KEY'))
    return 'a private key itself, which belongs into a file';
  const text = JSON.stringify(value);
  return printable(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function allowedOf({ allowed }: Facts): string {
  return allowed ?? 'another value';
}

/** All problems as one text, the first 20 of them in full. */
export function problemText(problems: readonly string[]): string {
  if (problems.length === 1) return problems[0]!;
  const more = problems.length > 20 ? [`and ${problems.length - 20} more`] : [];
  const list = [...problems.slice(0, 20), ...more].map((problem) => `\n  - ${problem}`);
  return `${problems.length} settings are wrong:${list.join('')}`;
}
