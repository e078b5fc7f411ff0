/**
 * The grammar of google/cel-spec, doc/langdef.md, "Syntax", with its macros. @bufbuild/cel has a parser too, that Stele does not
 * use: it takes numbers outside 64 bits, unknown escapes and `!(!x)` for any x, refuses comments at the end and back quotes,
 * and needs 60 ms for a text of 1,000 characters.
 */
import { CelSyntaxError, type Literal, numberOf, type Token, tokensOf } from './cel-lexer.ts';
import type { ConditionLimits } from './cel-limits.ts';

interface Placed {
  /** Offset in the text, in UTF-16 units. */
  readonly at: number;
  /** Levels of nodes below this one, with itself. */
  readonly depth: number;
}

export type CelNode = Placed &
  (
    | { readonly kind: 'literal'; readonly value: Literal }
    | { readonly kind: 'name'; readonly name: string; readonly global: boolean }
    | { readonly kind: 'select'; readonly operand: CelNode; readonly field: string; readonly test: boolean }
    /** An operator, a function, or a method, whose target is the first argument. */
    | { readonly kind: 'call'; readonly name: string; readonly method: boolean; readonly args: readonly CelNode[] }
    | { readonly kind: 'list'; readonly items: readonly CelNode[] }
    | { readonly kind: 'map'; readonly entries: readonly (readonly [CelNode, CelNode])[] }
    | { readonly kind: 'message'; readonly name: string; readonly fields: readonly (readonly [string, CelNode])[] }
    | MacroNode
  );

export interface MacroNode {
  readonly kind: 'macro';
  readonly name: MacroName;
  readonly range: CelNode;
  readonly variable: string;
  /** For `map` with three arguments and for `filter`: which members. */
  readonly filter?: CelNode;
  readonly body: CelNode;
}

const MACROS = { all: 2, exists: 2, exists_one: 2, map: 3, filter: 2 } as const;
type MacroName = 'all' | 'exists' | 'exists_one' | 'map';

const RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);
const KEYWORDS = new Set(['true', 'false', 'null', 'in']);
const CONSTANTS: ReadonlyMap<string, null | boolean> = new Map([
  ['true', true],
  ['false', false],
  ['null', null],
] as const);
/** Operators of two sides by how strongly they bind, the weakest first. `&&` and `||` join any number of sides. */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['<', '<=', '>=', '>', '==', '!=', 'in'],
  ['+', '-'],
  ['*', '/', '%'],
];

/** @throws CelSyntaxError */
export function parseExpression(text: string, limits: ConditionLimits): CelNode {
  if (text.length > 2 * limits.text || countCodePoints(text) > limits.text) {
    throw new CelSyntaxError(`a condition has at most ${limits.text} characters`, 0);
  }
  if (!text.isWellFormed()) throw new CelSyntaxError('a half of a character of Unicode stands in it', 0);
  return new Parser(tokensOf(text), limits.nesting).whole();
}

function countCodePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #most: number;
  #next = 0;
  #level = 0;

  constructor(tokens: readonly Token[], most: number) {
    this.#tokens = tokens;
    this.#most = most;
  }

  whole(): CelNode {
    const node = this.#expression();
    if (this.#token.kind !== 'end') throw this.#unexpected('an operator or the end');
    return node;
  }

  get #token(): Token {
    return this.#tokens[this.#next]!;
  }

  #is(symbol: string): boolean {
    return this.#token.kind === 'symbol' && this.#token.text === symbol;
  }

  #take(symbol: string): boolean {
    const is = this.#is(symbol);
    if (is) this.#next++;
    return is;
  }

  #expect(symbol: string): void {
    if (!this.#take(symbol)) throw this.#unexpected(`\`${symbol}\``);
  }

  #unexpected(wanted: string): CelSyntaxError {
    const { kind, text, at } = this.#token;
    const found = kind === 'end' ? 'the condition ends' : `\`${text.slice(0, 40)}\` stands`;
    return new CelSyntaxError(`${found} where ${wanted} is expected`, at);
  }

  /** Every node is made here, so that none is deeper than the limit. */
  #node<N extends object>(node: N, at: number, children: readonly CelNode[]): N & Placed {
    const depth = 1 + children.reduce((most, child) => Math.max(most, child.depth), 0);
    if (depth > this.#most) throw this.#tooDeep(at);
    return { ...node, at, depth };
  }

  #tooDeep(at: number): CelSyntaxError {
    return new CelSyntaxError(`it is nested more than ${this.#most} levels deep`, at);
  }

  #call(name: string, at: number, args: readonly CelNode[], method = false): CelNode {
    return this.#node({ kind: 'call', name, method, args } as const, at, args);
  }

  #expression(): CelNode {
    if (++this.#level > this.#most) throw this.#tooDeep(this.#token.at);
    const condition = this.#binary(0);
    const { at } = this.#token;
    let node = condition;
    if (this.#take('?')) {
      const yes = this.#binary(0);
      this.#expect(':');
      node = this.#call('?:', at, [condition, yes, this.#expression()]);
    }
    this.#level--;
    return node;
  }

  #binary(level: number): CelNode {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    const joins = level < 2;
    const sides = [left];
    let first: Token | undefined;
    for (;;) {
      const token = this.#token;
      const is = token.kind === 'symbol' || (token.kind === 'name' && token.text === 'in');
      if (!is || !operators.includes(token.text)) break;
      first ??= token;
      this.#next++;
      const right = this.#binary(level + 1);
      if (joins) sides.push(right);
      else left = this.#call(token.text, token.at, [left, right]);
    }
    return joins && first !== undefined ? this.#call(first.text, first.at, sides) : left;
  }

  #unary(): CelNode {
    const { at } = this.#token;
    const sign = (['!', '-'] as const).find((one) => this.#is(one));
    if (sign === undefined) return this.#member();
    let count = 0;
    while (this.#take(sign)) count++;
    // One sign before a number belongs to it.
    const negative = sign === '-' && count === 1 && this.#token.kind === 'number';
    const node = this.#member(negative);
    if (negative) return node;
    // Two signs give the value that was there, and still refuse what has none.
    const signs = 2 - (count % 2);
    return Array.from({ length: signs }).reduce<CelNode>((operand) => this.#call(`${sign}_`, at, [operand]), node);
  }

  #member(negative = false): CelNode {
    const bare = !this.#is('(');
    let node = this.#primary(negative);
    for (;;) {
      const { at } = this.#token;
      if (this.#take('.')) node = this.#selector(node, at);
      else if (this.#take('[')) {
        node = this.#call('[]', at, [node, this.#expression()]);
        this.#expect(']');
      } else if (bare && this.#is('{')) {
        const name = messageName(node);
        if (name === undefined) return node;
        node = this.#message(name, node.at);
      } else return node;
    }
  }

  #selector(operand: CelNode, at: number): CelNode {
    const token = this.#token;
    if (token.kind !== 'name' && token.kind !== 'quoted') throw this.#unexpected('a name');
    if (token.kind === 'name' && KEYWORDS.has(token.text))
      throw this.#unexpected('a name that is no word of the language');
    this.#next++;
    if (token.kind === 'quoted' || !this.#is('(')) {
      return this.#node({ kind: 'select', operand, field: token.text, test: false } as const, token.at, [operand]);
    }
    const args = this.#arguments(')');
    return this.#macro(token, operand, args) ?? this.#call(token.text, at, [operand, ...args], true);
  }

  #macro({ text, at }: Token, range: CelNode, args: readonly CelNode[]): CelNode | undefined {
    if (!Object.hasOwn(MACROS, text)) return undefined;
    const [variable, filter, last] = args;
    const most = MACROS[text as keyof typeof MACROS];
    if (variable === undefined || filter === undefined || args.length > most) return undefined;
    if (variable.kind !== 'name' || variable.global) {
      throw new CelSyntaxError(`the first argument of \`${text}\` is a name for the members`, variable.at);
    }
    const name: MacroName = text === 'filter' ? 'map' : (text as MacroName);
    const common = { kind: 'macro', name, range, variable: variable.name } as const;
    const children = [range, ...args];
    if (text === 'filter') return this.#node({ ...common, filter, body: variable }, at, children);
    if (last !== undefined) return this.#node({ ...common, filter, body: last }, at, children);
    return this.#node({ ...common, body: filter }, at, children);
  }

  /** What stands between an opening symbol and `close`. Lists, maps and messages may end in a comma. */
  #items<T>(close: string, item: () => T, mayEndInComma: boolean): T[] {
    const items: T[] = [];
    while (!this.#take(close)) {
      items.push(item());
      if (this.#take(close)) return items;
      this.#expect(',');
      if (!mayEndInComma && this.#is(close)) throw this.#unexpected('a value');
    }
    return items;
  }

  #arguments(close: string): CelNode[] {
    this.#next++;
    return this.#items(close, () => this.#expression(), false);
  }

  #message(name: string, at: number): CelNode {
    this.#next++;
    const field = (): readonly [string, CelNode] => {
      const token = this.#token;
      if (token.kind !== 'name' && token.kind !== 'quoted') throw this.#unexpected('the name of a field');
      this.#next++;
      this.#expect(':');
      return [token.text, this.#expression()];
    };
    const fields = this.#items('}', field, true);
    return this.#node(
      { kind: 'message', name, fields } as const,
      at,
      fields.map(([, value]) => value),
    );
  }

  #primary(negative: boolean): CelNode {
    const token = this.#token;
    const { kind, text, at } = token;
    this.#next++;
    if (kind === 'number') return this.#node({ kind: 'literal', value: numberOf(token, negative) } as const, at, []);
    if (kind === 'literal') return this.#node({ kind: 'literal', value: token.value! } as const, at, []);
    if (kind === 'symbol' && text === '(') {
      const node = this.#expression();
      this.#expect(')');
      return node;
    }
    if (kind === 'symbol' && text === '[') {
      const items = this.#items(']', () => this.#expression(), true);
      return this.#node({ kind: 'list', items } as const, at, items);
    }
    if (kind === 'symbol' && text === '{') {
      const entry = (): readonly [CelNode, CelNode] => {
        const key = this.#expression();
        this.#expect(':');
        return [key, this.#expression()];
      };
      const entries = this.#items('}', entry, true);
      return this.#node({ kind: 'map', entries } as const, at, entries.flat());
    }
    const global = kind === 'symbol' && text === '.' && this.#token.kind === 'name';
    if (kind === 'name' || global) return this.#named(global ? this.#tokens[this.#next++]! : token, global);
    this.#next--;
    throw this.#unexpected('a value');
  }

  #named({ text, at }: Token, global: boolean): CelNode {
    const constant = CONSTANTS.get(text);
    if (constant !== undefined && !global) return this.#node({ kind: 'literal', value: constant } as const, at, []);
    if (RESERVED.has(text)) throw new CelSyntaxError(`\`${text}\` is a word of the language, not a name`, at);
    if (!this.#is('(')) return this.#node({ kind: 'name', name: text, global } as const, at, []);
    const args = this.#arguments(')');
    if (text !== 'has' || global) return this.#call(text, at, args);
    const [tested] = args;
    if (args.length !== 1 || tested?.kind !== 'select' || tested.test) {
      throw new CelSyntaxError('`has` takes one field, as in has(predicate.name)', at);
    }
    return { ...tested, test: true };
  }
}

/** The name of the message that a `{` after `node` begins. */
function messageName(node: CelNode): string | undefined {
  if (node.kind === 'name') return node.name;
  if (node.kind !== 'select' || node.test) return undefined;
  const operand = messageName(node.operand);
  return operand === undefined ? undefined : `${operand}.${node.field}`;
}
