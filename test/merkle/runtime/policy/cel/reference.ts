/** Runs expressions over the variables that the table of cel-go has, without the check of types or as one would load them. */
import { isCelError } from '@bufbuild/cel';
import { CONDITION_LIMITS, Meter } from '../../../../../merkle/runtime/policy/cel/cel-limits.ts';
import { parseExpression } from '../../../../../merkle/runtime/policy/cel/cel-parser.ts';
import { planExpression } from '../../../../../merkle/runtime/policy/cel/cel-plan.ts';
import { parseType } from '../../../../../merkle/runtime/policy/cel/cel-types.ts';
import { type CelSource, type CelValue, toCel } from '../../../../../merkle/runtime/policy/cel/cel-values.ts';
import { checkTypes } from '../../../../../merkle/runtime/policy/cel/check-types.ts';

const VARIABLES = {
  d: ['double', 1.5],
  i: ['int', 5n],
  l: ['list(int)', [1n, 2n, 3n]],
  m: ['map(string, dyn)', { a: 1n, n: null, l: [1n, 2n], s: 'x', nested: { k: true }, in: 9n, 'a-b': 10n }],
  s: ['string', 'héllo😀'],
  ts: ['timestamp', undefined],
  u: ['uint', undefined],
  x: ['dyn', 3n],
} as const satisfies Record<string, readonly [string, CelSource | undefined]>;
const TYPES = new Map(Object.entries(VARIABLES).map(([name, [type]]) => [name, parseType(type)]));

const meter = new Meter(CONDITION_LIMITS, () => 0);
const run = (text: string, given: Record<string, CelValue>): CelValue | Error => {
  try {
    meter.start();
    const value = planExpression(parseExpression(text, CONDITION_LIMITS), meter).run(given);
    return isCelError(value) ? new Error(value.message) : value;
  } catch (error) {
    return error as Error;
  }
};
const given: Record<string, CelValue> = {
  ...Object.fromEntries(
    Object.entries(VARIABLES).flatMap(([name, [, value]]) => (value === undefined ? [] : [[name, toCel(value)]])),
  ),
  ts: run("timestamp('2024-02-29T23:59:59.123456789Z')", {}) as CelValue,
  u: run('5u', {}) as CelValue,
};

/** What the expression gives, or the error that it is. */
export const evaluate = (text: string): CelValue | Error => run(text, given);

/** Whether a policy with it is refused. */
export const isRefused = (text: string): boolean => {
  try {
    checkTypes(parseExpression(text, CONDITION_LIMITS), TYPES);
    return false;
  } catch {
    return true;
  }
};
