import { describe, expect, it } from 'vitest';
import { type CelSource, toCel } from '../../../../../merkle/runtime/policy/cel/cel-values.ts';
import {
  type Condition,
  ConditionFailure,
  compileCondition,
} from '../../../../../merkle/runtime/policy/cel/condition.ts';

describe('a condition', () => {
  it('is true, false, or a failure that says why', () => {
    const condition: Condition = compileCondition('predicate.builder == "ci" && predicate.level > 2', ['predicate']);
    const predicate: CelSource = { builder: 'ci', level: 3n };
    expect(condition.evaluate({ predicate: toCel(predicate) })).toBe(true);
    expect(condition.evaluate({ predicate: toCel({ builder: 'ci', level: 2n }) })).toBe(false);
    const failure = condition.evaluate({ predicate: toCel({ builder: 'ci' }) });
    expect(failure).toBeInstanceOf(ConditionFailure);
    expect((failure as ConditionFailure).message).toContain('level');
  });

  it('is refused where it cannot be read', () => {
    expect(() => compileCondition('1 +', [])).toThrow(expect.objectContaining({ code: 'decision-policy' }));
  });
});
