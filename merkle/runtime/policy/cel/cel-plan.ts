/**
 * From an expression to what runs: the syntax tree of @bufbuild/cel (google/cel-spec, proto/cel/expr/syntax.proto) with Stele's own
 * functions, and loops that are metered. The package plans and runs it.
 */
import { type CelEnv, type CelError, celError, celUint, isCelUint, plan } from '@bufbuild/cel';
import { standardFunctions } from './cel-functions.ts';
import { CelSyntaxError, type Literal } from './cel-lexer.ts';
import type { Meter } from './cel-limits.ts';
import { MESSAGES } from './cel-messages.ts';
import type { CelNode, MacroNode } from './cel-parser.ts';
import { type CelValue, DURATION, TIMESTAMP } from './cel-values.ts';

type Runnable = ReturnType<typeof plan>;
/** A node of syntax.proto. */
type Expr = NonNullable<Extract<Parameters<typeof plan>[1], { exprKind: unknown }>>;
type ExprKind = Expr['exprKind'];

/** What the operations of a loop's body cost at most, before they run. */
interface Planned {
  readonly expr: Expr;
  /** Operations of one evaluation, those of loops over data counted once. */
  readonly operations: number;
}

const environments = new WeakMap<Meter, CelEnv>();

/**
 * The environment of all expressions that count at `meter`. It has Stele's functions alone, and no type of protobuf.
 * `celEnv` of the package would also bring its own.
 */
function environmentOf(meter: Meter): CelEnv {
  let environment = environments.get(meter);
  if (environment === undefined) {
    const functions = standardFunctions(meter);
    const groups = new Map(Object.entries(functions).map(([name, run]) => [`@${name}`, { call: caller(run, meter) }]));
    const registry = { getMessage: () => undefined, getEnum: () => undefined };
    const funcs = { find: (name: string) => groups.get(name) };
    environment = { namespace: '', registry, funcs, variables: {} } as unknown as CelEnv;
    environments.set(meter, environment);
  }
  return environment;
}

/** What it takes to make an error. */
const ERROR_WORK = 100;

/** The function as the package calls it: an error is a value. */
function caller(run: (...args: CelValue[]) => CelValue, meter: Meter) {
  return (id: number, _target: undefined, args: CelValue[]): CelValue | CelError => {
    try {
      return run(...args);
    } catch (error) {
      // Where the limit is met, this throws, and ends the evaluation.
      meter.work(ERROR_WORK);
      return celError(error, id);
    }
  };
}

/**
 * Plans an expression.
 *
 * @returns the function that runs it, the names of the variables that it reads, and where in the text each node of it stands
 * @throws CelSyntaxError where its loops over lists that are written out take more work than an evaluation may
 */
export function planExpression(
  node: CelNode,
  meter: Meter,
): {
  readonly run: Runnable;
  readonly read: readonly string[];
  readonly placeOf: (id: bigint | undefined) => number | undefined;
} {
  const builder = new Builder(meter.limits.work);
  const { expr } = builder.build(node, new Map());
  const placeOf = (id: bigint | undefined) => builder.places[Number(id)];
  return { run: plan(environmentOf(meter), expr), read: [...builder.read], placeOf };
}

type Names = ReadonlyMap<string, string>;

class Builder {
  /** Offset in the text of each node, by ID. */
  readonly places: (number | undefined)[] = [undefined];
  /** Names of variables that are no macro's. */
  readonly read = new Set<string>();
  readonly #mostWork: number;
  #variables = 0;

  constructor(mostWork: number) {
    this.#mostWork = mostWork;
  }

  #expr(at: number, exprKind: unknown): Expr {
    const id = BigInt(this.places.push(at) - 1);
    return { $typeName: 'cel.expr.Expr', id, exprKind: exprKind as ExprKind };
  }

  #constant(at: number, value: Literal): Expr {
    return this.#expr(at, {
      case: 'constExpr',
      value: { $typeName: 'cel.expr.Constant', constantKind: constantOf(value) },
    });
  }

  #name(at: number, name: string): Expr {
    return this.#expr(at, { case: 'identExpr', value: { $typeName: 'cel.expr.Expr.Ident', name } });
  }

  #call(at: number, name: string, args: readonly Expr[]): Expr {
    return this.#expr(at, { case: 'callExpr', value: { $typeName: 'cel.expr.Expr.Call', function: name, args } });
  }

  #own(at: number, name: string, args: readonly Expr[]): Expr {
    return this.#call(at, `@${name}/${args.length}`, args);
  }

  /** @param names the variables of the macros around the node, and what they are called in the tree */
  build(node: CelNode, names: Names): Planned {
    const { at } = node;
    switch (node.kind) {
      case 'literal':
        return { expr: this.#constant(at, node.value), operations: 1 };
      case 'name': {
        const own = node.global ? undefined : names.get(node.name);
        if (own === undefined) this.read.add(node.name);
        return { expr: this.#name(at, own ?? node.name), operations: 1 };
      }
      case 'select': {
        const type = node.test ? undefined : typeNamed(node, names);
        if (type !== undefined) return { expr: this.#own(at, 'typeNamed', [this.#constant(at, type)]), operations: 1 };
        const { expr, operations } = this.build(node.operand, names);
        const name = node.test ? 'has' : 'select';
        return { expr: this.#own(at, name, [expr, this.#constant(at, node.field)]), operations: operations + 1 };
      }
      case 'call':
        return this.#built(node.args, names, (args) => {
          const logic = LOGIC.get(node.name);
          return logic === undefined || node.method ? this.#own(at, node.name, args) : this.#call(at, logic, args);
        });
      case 'list':
        return this.#built(node.items, names, (elements) =>
          this.#expr(at, {
            case: 'listExpr',
            value: { $typeName: 'cel.expr.Expr.CreateList', elements, optionalIndices: [] },
          }),
        );
      case 'map':
        return this.#built(node.entries.flat(), names, (parts) => this.#map(at, parts));
      case 'message':
        return this.#message(node, names);
      case 'macro':
        return this.#macro(node, names);
    }
  }

  #built(nodes: readonly CelNode[], names: Names, make: (parts: readonly Expr[]) => Expr): Planned {
    const parts = nodes.map((node) => this.build(node, names));
    const operations = parts.reduce((sum, part) => sum + part.operations, 1);
    return { expr: make(parts.map(({ expr }) => expr)), operations };
  }

  #map(at: number, parts: readonly Expr[]): Expr {
    const entries = parts.flatMap((key, i) => {
      if (i % 2 === 1) return [];
      const id = BigInt(this.places.push(at) - 1);
      const keyKind = { case: 'mapKey', value: this.#own(at, 'key', [key]) };
      return [
        { $typeName: 'cel.expr.Expr.CreateStruct.Entry', id, keyKind, value: parts[i + 1], optionalEntry: false },
      ];
    });
    return this.#expr(at, {
      case: 'structExpr',
      value: { $typeName: 'cel.expr.Expr.CreateStruct', messageName: '', entries },
    });
  }

  #message({ at, name, fields }: Extract<CelNode, { kind: 'message' }>, names: Names): Planned {
    const types = Object.entries(MESSAGES.get(name) ?? {});
    const values = types.map(([field, type]): CelNode => {
      const given = fields.find(([other]) => other === field)?.[1];
      return given ?? { kind: 'literal', value: ZEROS[type as keyof typeof ZEROS], at, depth: 1 };
    });
    return this.#built(values, names, (args) => this.#own(at, name, args));
  }

  #macro(node: MacroNode & CelNode, names: Names): Planned {
    const { at } = node;
    const variable = `@member${++this.#variables}`;
    const result = `@result${this.#variables}`;
    const within = new Map([...names, [node.variable, variable]]);
    const range = this.build(node.range, names);
    const filter = node.filter && this.build(node.filter, within);
    const body = this.build(node.body, within);
    const operations = 4 + body.operations + (filter?.operations ?? 0);
    const members =
      node.range.kind === 'list' ? node.range.items.length : node.range.kind === 'map' ? node.range.entries.length : 1;
    const all = range.operations + members * operations;
    if (all > this.#mostWork) throw new CelSyntaxError(`this loop takes more than ${this.#mostWork} units of work`, at);
    const accu = () => this.#name(at, result);
    const parts = this.#parts(node, accu, body.expr, filter?.expr);
    const loop = {
      $typeName: 'cel.expr.Expr.Comprehension',
      iterVar: variable,
      iterVar2: '',
      iterRange: this.#own(at, 'range', [range.expr]),
      accuVar: result,
      accuInit: parts.start,
      loopCondition: this.#own(at, 'step', [parts.goOn, this.#constant(at, operations)]),
      loopStep: parts.step,
      result: parts.end ?? accu(),
    };
    return { expr: this.#expr(at, { case: 'comprehensionExpr', value: loop }), operations: all };
  }

  /** google/cel-spec, doc/langdef.md, "Macros". */
  #parts({ at, name }: MacroNode & CelNode, accu: () => Expr, body: Expr, filter: Expr | undefined) {
    const yes = () => this.#constant(at, true);
    // An error goes on to the next member: that may decide.
    const unless = (value: Expr) => this.#call(at, '@not_strictly_false', [value]);
    switch (name) {
      case 'all':
        return { start: yes(), goOn: unless(accu()), step: this.#call(at, '_&&_', [accu(), body]) };
      case 'exists': {
        const goOn = unless(this.#own(at, '!_', [accu()]));
        return { start: this.#constant(at, false), goOn, step: this.#call(at, '_||_', [accu(), body]) };
      }
      case 'exists_one': {
        const more = this.#own(at, 'oneMore', [accu()]);
        const step = this.#call(at, '_?_:_', [body, more, accu()]);
        return { start: this.#constant(at, 0n), goOn: yes(), step, end: this.#own(at, 'isOne', [accu()]) };
      }
      case 'map': {
        const append = this.#own(at, 'append', [accu(), body]);
        const step = filter === undefined ? append : this.#call(at, '_?_:_', [filter, append, accu()]);
        return { start: this.#own(at, 'fresh', []), goOn: yes(), step };
      }
    }
  }
}

/** What the package evaluates itself, since it does not need all arguments. */
const LOGIC: ReadonlyMap<string, string> = new Map([
  ['&&', '_&&_'],
  ['||', '_||_'],
  ['?:', '_?_:_'],
]);

const ZEROS = { bool: false, bytes: new Uint8Array(), double: 0, int: 0n, string: '', uint: celUint(0n) };

function constantOf(value: Literal) {
  if (value === null) return { case: 'nullValue', value: 0 };
  if (typeof value === 'boolean') return { case: 'boolValue', value };
  if (typeof value === 'bigint') return { case: 'int64Value', value };
  if (typeof value === 'number') return { case: 'doubleValue', value };
  if (typeof value === 'string') return { case: 'stringValue', value };
  return isCelUint(value) ? { case: 'uint64Value', value: value.value } : { case: 'bytesValue', value };
}

const NAMED_TYPES = [TIMESTAMP.name, DURATION.name];

/** The type that the names of a chain of members make together, such as google.protobuf.Timestamp. */
export function typeNamed(node: CelNode, names: { has(name: string): boolean }): string | undefined {
  const parts: string[] = [];
  let at = node;
  while (at.kind === 'select' && !at.test) {
    parts.unshift(at.field);
    at = at.operand;
  }
  if (at.kind !== 'name' || names.has(at.name)) return undefined;
  const name = [at.name, ...parts].join('.');
  return NAMED_TYPES.includes(name) ? name : undefined;
}
