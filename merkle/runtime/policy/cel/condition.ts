/**
 * Conditions of decision policies: expressions of the Common Expression Language (google/cel-spec, doc/langdef.md), run by
 * @bufbuild/cel. An error in a condition is a value of the language. It is truthy, so only `=== true` admits.
 */
import { isCelError } from '@bufbuild/cel';
import { RuntimeError } from '../../runtime-errors.ts';
import { CelSyntaxError } from './cel-lexer.ts';
import { METER } from './cel-limits.ts';
import { parseExpression } from './cel-parser.ts';
import { planExpression } from './cel-plan.ts';
import { type CelTypeOf, DYN, parseType, textOfType } from './cel-types.ts';
import { type CelValue, kindOf } from './cel-values.ts';
import { checkTypes } from './check-types.ts';

/** Why a condition gives neither true nor false. It never admits. */
export class ConditionFailure {
  /** For people: what could not be evaluated, and why. */
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export interface Condition {
  readonly text: string;
  /** Never throws. A variable that is declared and not given is an error where the condition reads it. */
  evaluate(variables: Readonly<Record<string, CelValue>>): boolean | ConditionFailure;
}

/**
 * Reads an expression once, for many evaluations.
 *
 * @param declared the variables: `name`, of any type, or `name: type` with a type of the language, such as `now: timestamp` or
 * `entries: list(map(string, dyn))`
 * @param meter counts the work of evaluations, and holds the limits
 * @throws RuntimeError `decision-policy`: the expression is wrong; the message says what and where
 */
export function compileCondition(text: string, declared: readonly string[], meter = METER): Condition {
  const types = new Map(declared.map(readDeclaration));
  const { run, read, placeOf } = placed(text, () => {
    const node = parseExpression(text, meter.limits);
    const type = checkTypes(node, types);
    if (type.name !== 'bool' && type.name !== 'dyn') {
      throw new CelSyntaxError(`the condition gives a ${textOfType(type)}, and must give a bool`, node.at);
    }
    return planExpression(node, meter);
  });
  // Names of types are read like variables, and nobody gives them.
  const names = read.filter((name) => types.has(name));
  const evaluate: Condition['evaluate'] = (variables) => {
    const given = Object.create(null) as Record<string, CelValue>;
    for (const name of names) if (Object.hasOwn(variables, name)) given[name] = variables[name]!;
    meter.start();
    const value = withoutStacks(() => run(given));
    if (meter.met !== undefined) return new ConditionFailure(`the condition is stopped: ${meter.met}`);
    if (isCelError(value)) return new ConditionFailure(failureOf(value.message, text, placeOf(value.exprId)));
    if (typeof value === 'boolean') return value;
    return new ConditionFailure(notBool(value));
  };
  return { text, evaluate };
}

function notBool(value: CelValue): string {
  try {
    return `the condition gives a ${kindOf(value)}, and must give a bool`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Errors of a condition are values that another side may make good, and where they arose takes most of their time. */
function withoutStacks<T>(run: () => T): T {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = before;
  }
}

function readDeclaration(declaration: string): [string, CelTypeOf] {
  const [name, type] = declaration.split(/:\s*/, 2) as [string, string?];
  return [name, type === undefined ? DYN : parseType(type)];
}

function placed<T>(text: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CelSyntaxError)) throw error;
    throw new RuntimeError('decision-policy', `the condition is wrong at ${placeIn(text, error.at)}: ${error.message}`);
  }
}

/** Line and column, both from 1; the column counts characters. */
function placeIn(text: string, at: number): string {
  const lines = text.slice(0, at).split('\n');
  const column = [...lines.at(-1)!].length + 1;
  return text.includes('\n') ? `line ${lines.length}, column ${column}` : `column ${column}`;
}

function failureOf(message: string, text: string, at: number | undefined): string {
  if (message !== 'unresolved attribute') return at === undefined ? message : `${message} (${placeIn(text, at)})`;
  const name = /^\w+/.exec(text.slice(at))?.[0];
  return `there is no \`${name}\` for this piece of evidence`;
}
