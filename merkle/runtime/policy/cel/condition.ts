/**
 * Conditions of decision policies: expressions of the Common Expression Language (google/cel-spec, doc/langdef.md), run by
 * @bufbuild/cel. An error in a condition is a value of the language. It is truthy, so only `=== true` admits.
 */
import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import { RuntimeError } from '../../runtime-errors.ts';
import type { CelValue } from './cel-values.ts';

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
 * @param declared the variables: `name`, of any type, or `name: type` with a type of the language, such as `now: timestamp`
 * @throws RuntimeError `decision-policy`: the expression is wrong; the message says what and where
 */
export function compileCondition(text: string, declared: readonly string[]): Condition {
  const names = declared.map((one) => one.replace(/:.*/s, ''));
  let run: ReturnType<typeof plan>;
  try {
    run = plan(celEnv(), parse(text));
  } catch (error) {
    throw new RuntimeError(
      'decision-policy',
      `the condition ${JSON.stringify(text)} is wrong: ${(error as Error).message}`,
    );
  }
  return {
    text,
    evaluate(variables) {
      const given = Object.create(null) as Record<string, CelValue>;
      for (const name of names) if (Object.hasOwn(variables, name)) given[name] = variables[name]!;
      const value = run(given);
      if (typeof value === 'boolean') return value;
      return new ConditionFailure(isCelError(value) ? value.message : 'the condition gives no boolean');
    },
  };
}
