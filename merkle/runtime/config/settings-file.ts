/** A file of settings as text and as YAML, with the line of each part. */
import { readFileSync, statSync } from 'node:fs';
import {
  Composer,
  type CST,
  isAlias,
  isMap,
  isScalar,
  Lexer,
  LineCounter,
  type Node,
  Parser,
  visit,
  type YAMLMap,
} from 'yaml';
import { printable } from '../../printable.ts';
import { RuntimeError } from '../runtime-errors.ts';

/** Where a value stands: names of settings and positions in lists. */
export type SettingPath = readonly (string | number)[];

interface ParsedYaml {
  /** The plain value; undefined where there are problems. */
  readonly value: unknown;
  /** Why the text is not taken, each with its line; empty where it is. */
  readonly problems: readonly string[];
  /** The line of the value, or of the mapping around it where the value is missing; from 1. */
  lineOf(at: SettingPath): number;
}

/**
 * The bytes of a regular file.
 * @param name how messages call the file
 * @throws RuntimeError `file`: it is not there, cannot be read, or has more than `limit` bytes
 */
export function readSmallFile(path: string, name: string, limit: number): Uint8Array {
  const unreadable = (why: string) => new RuntimeError('file', `${printable(name)} cannot be read: ${why}`);
  try {
    const stats = statSync(path);
    if (!stats.isFile()) throw unreadable('it is no regular file');
    if (stats.size > limit) throw unreadable(`it has ${stats.size} bytes, more than ${limit}`);
    return readFileSync(path);
  } catch (error) {
    if (error instanceof RuntimeError) throw error;
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw unreadable(code === 'ENOENT' ? 'there is no such file (ENOENT)' : code);
  }
}

/** As `readSmallFile`, for a file of UTF-8 text. */
export function readTextFile(path: string, name: string, limit: number): string {
  const bytes = readSmallFile(path, name, limit);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new RuntimeError('file', `${printable(name)} cannot be read: it is not UTF-8 text`);
  }
}

/** Levels of lists and mappings. The parser calls itself for each, and thousands of them end the process. */
const MAX_DEPTH = 100;

/** YAML 1.2 (core schema), one document without aliases; every key is text. */
export function parseYaml(text: string): ParsedYaml {
  const lines = new LineCounter();
  // The composer would compare each key with all keys before it. `repeatedKeys` reads each key once.
  const composer = new Composer({ version: '1.2', uniqueKeys: false, prettyErrors: false });
  const tokens = tokensOf(text, lines);
  if (tokens === undefined) {
    const problem = `lists and mappings are nested deeper than ${MAX_DEPTH} levels`;
    return { value: undefined, problems: [problem], lineOf: () => 1 };
  }
  const [document, second] = composer.compose(tokens, true, text.length);
  const problems: string[] = [];
  const problem = (offset: number | undefined, message: string) =>
    problems.push(`${offset === undefined ? '' : `line ${lines.linePos(offset).line}: `}${printable(message)}`);
  if (document === undefined) throw new Error('composing gives one document at least');
  for (const { message, pos } of [...document.errors, ...document.warnings]) problem(pos[0], message);
  if (second !== undefined) problem(second.range[0], 'the file may hold one document: remove what follows this line');
  visit(document, {
    Node(_, node) {
      // A short file of aliases to aliases can stand for gigabytes.
      if (isAlias(node)) problem(node.range?.[0], 'YAML aliases (*name) are not taken: write the value out');
      if (isMap(node)) for (const key of repeatedKeys(node)) problem(key.range?.[0], 'Map keys must be unique');
    },
    Pair(_, { key }) {
      const isText = isScalar(key) && typeof key.value === 'string';
      if (!isText) problem((key as Node | null)?.range?.[0], 'every key must be text');
    },
  });
  return {
    value: problems.length > 0 ? undefined : (document.toJS() as unknown),
    problems,
    lineOf(at) {
      for (let end = at.length; end >= 0; end--) {
        const node = keyOrNode(document.contents, at.slice(0, end), document);
        if (node?.range != null) return lines.linePos(node.range[0]).line;
      }
      return 1;
    },
  };
}

/** The keys of a mapping that stand there before. Keys that are not text are another problem. */
function repeatedKeys({ items }: YAMLMap): Node[] {
  const seen = new Set<unknown>();
  return items.flatMap(({ key }) => {
    if (!isScalar(key)) return [];
    if (seen.has(key.value)) return [key];
    seen.add(key.value);
    return [];
  });
}

/** Undefined where the text is nested too deep. */
function tokensOf(text: string, lines: LineCounter): CST.Token[] | undefined {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme));
    if (parser.stack.length > MAX_DEPTH) return undefined;
  }
  tokens.push(...parser.end());
  return tokens;
}

function keyOrNode(
  root: unknown,
  at: SettingPath,
  document: { getIn(path: SettingPath, keep: boolean): unknown },
): Node | undefined {
  const last = at.at(-1);
  const parent = at.length < 2 ? root : document.getIn(at.slice(0, -1), true);
  if (typeof last === 'string' && isMap(parent)) {
    return parent.items.find(({ key }) => isScalar(key) && key.value === last)?.key as Node | undefined;
  }
  return (at.length === 0 ? root : document.getIn(at, true)) as Node | undefined;
}
