/** 401 expressions with what cel-go 0.32 makes of them, with and without its type check. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isCelList, isCelMap, isCelType, isCelUint } from '@bufbuild/cel';
import { describe, expect, it } from 'vitest';
import { textOfInstant } from '../../../../../merkle/runtime/policy/cel/cel-conversions.ts';
import { type CelValue, kindOf, nanosOf } from '../../../../../merkle/runtime/policy/cel/cel-values.ts';
import { skips } from '../../../../support/skip.ts';
import { vectorFolder } from '../../../../support/vectors.ts';
import { DEVIATIONS } from './deviations.ts';
import { evaluate, isRefused } from './reference.ts';

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

const absent = folder === undefined ? 'TEST_VECTORS names no folder' : undefined;

describe.skipIf(skips('the table of cel-go', absent))('the table of cel-go', () => {
  it('has its rows', () => expect(rows.length).toBe(401));

  it('agrees with each evaluation, but for the rows that are listed', () => {
    const differ = rows.filter(({ expr, unchecked }) => outcome(evaluate(expr)) !== expected(unchecked));
    const shown = differ.map(({ id, expr, unchecked }) => [id, expr, outcome(evaluate(expr)), expected(unchecked)]);
    expect(shown.filter(([id]) => !DEVIATIONS.has(id as number))).toEqual([]);
    expect([...DEVIATIONS.keys()].sort((a, b) => a - b)).toEqual(differ.map(({ id }) => id));
  });

  it('turns no error into a value where it differs', () => {
    const loosened = rows.filter(
      ({ expr, unchecked }) => expected(unchecked) === 'error' && outcome(evaluate(expr)) !== 'error',
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
