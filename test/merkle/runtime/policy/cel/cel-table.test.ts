/** 401 expressions with what cel-go 0.32 makes of them, with and without its type check. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isCelError, isCelList, isCelMap, isCelType, isCelUint } from '@bufbuild/cel';
import { describe, expect, it } from 'vitest';
import { textOfInstant } from '../../../../../merkle/runtime/policy/cel/cel-conversions.ts';
import { CONDITION_LIMITS, Meter } from '../../../../../merkle/runtime/policy/cel/cel-limits.ts';
import { parseExpression } from '../../../../../merkle/runtime/policy/cel/cel-parser.ts';
import { planExpression } from '../../../../../merkle/runtime/policy/cel/cel-plan.ts';
import { parseType } from '../../../../../merkle/runtime/policy/cel/cel-types.ts';
import {
  type CelSource,
  type CelValue,
  kindOf,
  nanosOf,
  toCel,
} from '../../../../../merkle/runtime/policy/cel/cel-values.ts';
import { checkTypes } from '../../../../../merkle/runtime/policy/cel/check-types.ts';
import { vectorFolder } from '../../../../support/vectors.ts';
import { DEVIATIONS } from './deviations.ts';

type Outcome = { readonly value: Record<string, unknown> } | { readonly error: string; readonly at: string };
interface Row {
  readonly id: number;
  readonly expr: string;
  readonly checked: Outcome;
  readonly unchecked: Outcome;
}

const folder = vectorFolder('../cel');
const rows: readonly Row[] =
  folder === undefined
    ? []
    : (JSON.parse(readFileSync(join(folder, 'cel-table.json'), 'utf8')) as { rows: Row[] }).rows;

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

const meter = new Meter(CONDITION_LIMITS);
const evaluate = (text: string, given: Record<string, CelValue>): CelValue | Error => {
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
  ts: evaluate("timestamp('2024-02-29T23:59:59.123456789Z')", {}) as CelValue,
  u: evaluate('5u', {}) as CelValue,
};

/** A value as the table writes it. */
function written(value: CelValue): Record<string, unknown> {
  if (typeof value === 'number') return { double: String(value) };
  if (isCelUint(value)) return { uint: String(value.value) };
  if (value === null) return { null: true };
  if (isCelList(value)) return { list: [...value].map(written) };
  if (isCelMap(value))
    return { map: [...value.entries()].map(([key, member]) => [written(key as CelValue), written(member)]) };
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') };
  const kind = kindOf(value);
  if (kind === 'timestamp') return { timestamp: textOfInstant(nanosOf(value)) };
  if (kind === 'duration') return { duration_ns: String(nanosOf(value)) };
  if (isCelType(value)) return { type: value.name };
  return { [kind]: typeof value === 'bigint' ? String(value) : value };
}

function outcome(value: CelValue | Error): string {
  return value instanceof Error ? 'error' : JSON.stringify(written(value));
}
const expected = (one: Outcome): string => ('value' in one ? JSON.stringify(one.value) : 'error');

const isRefused = (text: string): boolean => {
  try {
    checkTypes(parseExpression(text, CONDITION_LIMITS), TYPES);
    return false;
  } catch {
    return true;
  }
};

describe.skipIf(folder === undefined)('the table of cel-go (TEST_VECTORS)', () => {
  it('has its rows', () => expect(rows.length).toBe(401));

  it('agrees with each evaluation, but for the rows that are listed', () => {
    const differ = rows.filter(({ expr, unchecked }) => outcome(evaluate(expr, given)) !== expected(unchecked));
    const shown = differ.map(({ id, expr, unchecked }) => [
      id,
      expr,
      outcome(evaluate(expr, given)),
      expected(unchecked),
    ]);
    expect(shown.filter(([id]) => !DEVIATIONS.has(id as number))).toEqual([]);
    expect([...DEVIATIONS.keys()].sort((a, b) => a - b)).toEqual(differ.map(({ id }) => id));
  });

  it('turns no error into a value where it differs', () => {
    const loosened = rows.filter(
      ({ expr, unchecked }) => expected(unchecked) === 'error' && outcome(evaluate(expr, given)) !== 'error',
    );
    expect(loosened.map(({ id }) => id)).toEqual([]);
  });

  it('refuses at load each row that cel-go refuses before it evaluates', () => {
    const refused = rows.filter(({ checked }) => 'error' in checked && checked.at !== 'evaluation');
    expect(refused.length).toBeGreaterThan(50);
    expect(refused.filter(({ expr }) => !isRefused(expr)).map(({ id, expr }) => [id, expr])).toEqual([]);
  });

  it('refuses at load no row that has a value, but for the rows that are listed', () => {
    const refused = rows.filter(({ checked, expr }) => 'value' in checked && isRefused(expr));
    expect(refused.filter(({ id }) => !DEVIATIONS.has(id)).map(({ id, expr }) => [id, expr])).toEqual([]);
  });
});
