/**
 * YAML against the schema: every mistake at once, each with its path, its line and what is allowed. What TypeBox can say
 * about a list of mappings is "not valid"; here the walk is by hand and the leaves are TypeBox's.
 */
import { resolve } from 'node:path';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { isAlias, isMap, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { nearest } from '../../../merkle/runtime/config/sources.ts';
import type { Leaf } from '../../../merkle/runtime/config/values.ts';
import { escaped } from '../rules/text.ts';

export type Path = readonly (string | number)[];

/** As `Leaf`, with the kinds that are read by hand. */
export type Facts = Partial<Omit<Leaf, 'kind'>> & { readonly kind?: string };

interface ObjectSchema {
  readonly properties: Readonly<Record<string, TSchema>>;
  readonly required?: readonly string[];
}

/** How a kind that TypeBox does not read is read: the value, or undefined with the problem told. */
export type OwnReader = (value: unknown, at: Path, walk: Walk) => unknown;

/** One reading of one file. */
export class Walk {
  readonly base: string;
  readonly problems: string[] = [];
  readonly #lineOf: (at: Path) => number | undefined;
  readonly #own: Readonly<Record<string, OwnReader>>;

  /** @param base directory that relative paths are relative to */
  constructor(base: string, lineOf: (at: Path) => number | undefined, own: Readonly<Record<string, OwnReader>>) {
    this.base = base;
    this.#lineOf = lineOf;
    this.#own = own;
  }

  problem(at: Path, text: string): undefined {
    const line = this.#lineOf(at);
    this.problems.push(`${at.length === 0 ? 'the file' : `"${pathText(at)}"`}${line ? ` (line ${line})` : ''} ${text}`);
  }

  /** The members of a mapping, with defaults; what is wrong is left out. */
  object(schema: TSchema, value: unknown, at: Path): Record<string, unknown> | undefined {
    const { properties, required = [] } = schema as unknown as ObjectSchema;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.problem(at, `must be a mapping with ${Object.keys(properties).join(', ')}`);
    }
    const given = value as Record<string, unknown>;
    const out: Record<string, unknown> = {};
    for (const name of Object.keys(given)) {
      if (Object.hasOwn(properties, name)) continue;
      const best = nearest(name, Object.keys(properties));
      const hint = best === undefined ? `known are ${Object.keys(properties).join(', ')}` : `did you mean "${best}"?`;
      this.problem([...at, name], `is unknown; ${hint}`);
    }
    for (const [name, property] of Object.entries(properties)) {
      const facts = property as unknown as Facts;
      const inner = given[name] ?? facts.default;
      if (inner !== undefined) {
        const read = this.value(property, inner, [...at, name]);
        if (read !== undefined) out[name] = read;
      } else if (Object.hasOwn(given, name)) {
        this.problem([...at, name], `is empty; allowed: ${facts.allowed ?? 'a value'}`);
      } else if (required.includes(name)) {
        this.problem([...at, name], `is missing: ${facts.allowed ?? 'a value'}`);
      }
    }
    return out;
  }

  value(schema: TSchema, value: unknown, at: Path): unknown {
    const facts = schema as unknown as Facts & { type?: string; items?: TSchema; maxItems?: number; minItems?: number };
    const own = facts.kind === undefined ? undefined : this.#own[facts.kind];
    if (own !== undefined) return own(value, at, this);
    if (facts.type === 'object') return this.object(schema, value, at);
    if (facts.type === 'array' && facts.kind === undefined) {
      const { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = facts;
      if (!Array.isArray(value) || value.length < minItems || value.length > maxItems) {
        return this.problem(at, `must be ${facts.allowed}`);
      }
      return value.map((item, i) => this.value(items!, item, [...at, i])).filter((item) => item !== undefined);
    }
    if (!Value.Check(schema, value)) {
      const is = facts.sensitive ? 'is not allowed' : `is ${show(value)}`;
      return this.problem(at, `${is}; allowed: ${facts.allowed ?? 'another value'}`);
    }
    const decoded = Value.Decode(schema, structuredClone(value));
    return facts.kind === 'path' ? resolve(this.base, decoded as string) : decoded;
  }
}

/** The plain value of a YAML text, and where its parts stand. */
export interface YamlText {
  readonly value: unknown;
  lineOf(at: Path): number | undefined;
}

/** @throws Error whose message says what is wrong with the text, and in which line */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, version: '1.2', uniqueKeys: true, prettyErrors: false });
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined) {
    throw new Error(`line ${lines.linePos(error.pos[0]).line}: ${escaped(error.message)}`);
  }
  visit(document, {
    Node(_, node) {
      // A short file of aliases to aliases can stand for gigabytes.
      if (isAlias(node)) throw new Error('aliases (*name) are not taken: write the value out');
    },
    Pair(_, { key }) {
      if (!isScalar(key) || typeof key.value !== 'string') throw new Error('every key must be text');
    },
  });
  return {
    value: document.toJS() as unknown,
    lineOf(at) {
      // A missing setting stands where its mapping does.
      for (let end = at.length; end >= 0; end--) {
        const node = keyOrNode(document.contents, at.slice(0, end), document);
        if (node?.range != null) return lines.linePos(node.range[0]).line;
      }
      return undefined;
    },
  };
}

function keyOrNode(root: unknown, at: Path, document: { getIn(path: Path, keep: boolean): unknown }): Node | undefined {
  const last = at.at(-1);
  const parent = at.length < 2 ? root : document.getIn(at.slice(0, -1), true);
  if (typeof last === 'string' && isMap(parent)) {
    return parent.items.find(({ key }) => isScalar(key) && key.value === last)?.key as Node | undefined;
  }
  return (at.length === 0 ? root : document.getIn(at, true)) as Node | undefined;
}

/** `rules[2].watch`. Names of unknown origin are shown escaped. */
export function pathText(at: Path): string {
  return at
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i === 0 ? '' : '.'}${escaped(part)}`))
    .join('');
}

export function show(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  const text = JSON.stringify(value);
  return escaped(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
