/** Conditions that run long, allocate or fail, through a whole decision: each denies, whatever stands beside it. */
import { describe, expect, it } from 'vitest';
import { CONDITION_LIMITS, Meter } from '../../../../merkle/runtime/policy/cel/cel-limits.ts';
import { decide } from '../../../../merkle/runtime/policy/decide.ts';
import { APP, evidenceOf, NOW, oneRule, policyOf } from '../../../support/decision-policy.ts';

const decided = async (conditions: readonly string[], predicate: object, meter?: Meter, pieces = 1) => {
  const policy = await policyOf(oneRule(`conditions: ${JSON.stringify(conditions)}`));
  const evidence = Array.from({ length: pieces }, () => evidenceOf({}, predicate));
  return decide(policy, APP, evidence, NOW, meter);
};

const nested = (depth: number, macro: string, inner: string): string =>
  depth === 0 ? inner : `predicate.x.${macro}(v${depth}, ${nested(depth - 1, macro, inner)})`;
const tens = Array.from({ length: 10 }, (_, i) => BigInt(i));
const thousands = Array.from({ length: 10_000 }, (_, i) => BigInt(i));

describe('a decision under a hostile condition', () => {
  it.each<[string, string, object]>([
    ['loops', nested(10, 'all', 'true'), { x: tens }],
    ['loops over what is long', 'predicate.x.all(a, a in predicate.x)', { x: thousands }],
    ['makes much', `[predicate.x]${'.map(t, t + t)'.repeat(40)}[0] != ''`, { x: 'ab' }],
    ['makes lists of lists', 'predicate.x.map(a, predicate.x.map(b, a)) != []', { x: thousands }],
    ['has a slow pattern', "predicate.x.matches('(a?){20}b')", { x: 'a'.repeat(1_000_000) }],
  ])('that %s is deny, also where another side is true', async (_, text, predicate) => {
    for (const condition of [text, `${text} || true`, `!(${text})`, `!(${text}) || true`]) {
      const { verdict, rules } = await decided([condition], predicate);
      expect(verdict, condition).toBe('deny');
      expect(rules[0]!.evidence[0]!.reasons).toMatchObject([{ code: 'condition-error' }]);
      expect(rules[0]!.evidence[0]!.reasons[0]!.message).toContain('the condition is stopped: it ');
    }
    expect((await decided(['true'], predicate)).verdict).toBe('allow');
  });

  it.each<[string, string, object, string]>([
    ['is not there', 'predicate.y == 1', { x: 1n }, 'there is no "y"'],
    ['is outside 64 bits', 'predicate.x > 0', { x: 2n ** 64n }, 'an integer there is outside 64 bits'],
    ['is outside 64 bits, in a list', 'predicate.x[0] > 0', { x: [2n ** 64n] }, 'an integer there is outside 64 bits'],
    ['is of another type', "predicate.x.startsWith('a')", { x: 1n }, '`startsWith` does not take int and string'],
  ])('about a value that %s is deny', async (_, text, predicate, why) => {
    for (const condition of [text, `!(${text})`]) {
      const { verdict, rules } = await decided([condition], predicate);
      expect(verdict, condition).toBe('deny');
      expect(rules[0]!.evidence[0]!.reasons).toMatchObject([{ code: 'condition-error' }]);
      expect(rules[0]!.evidence[0]!.reasons[0]!.message).toContain(`could not be evaluated: ${why}`);
    }
  });
});

describe('the time of a decision', () => {
  /** Each look at it takes so many milliseconds. */
  const slow = (ms: number) => {
    let now = 0;
    return new Meter(CONDITION_LIMITS, () => (now += ms));
  };

  it('is bounded for all conditions together, and denies with the reason limit', async () => {
    const conditions = Array.from({ length: 32 }, () => 'size(predicate.x) == 10');
    expect((await decided(conditions, { x: tens }, slow(100))).verdict).toBe('allow');
    const late = await decided(conditions, { x: tens }, slow(500));
    expect(late).toMatchObject({ verdict: 'deny', rules: [], levels: [], reasons: [{ code: 'limit' }] });
    expect(late.reasons[0]!.message).toBe('the decision takes longer than 10 s');
  });

  it('is bounded for all pieces together, also where one of them holds', async () => {
    expect((await decided(['true'], {}, slow(100), 50)).verdict).toBe('allow');
    expect(await decided(['true'], {}, slow(500), 50)).toMatchObject({ verdict: 'deny', reasons: [{ code: 'limit' }] });
  });

  it('begins anew with each decision', async () => {
    const meter = slow(100);
    for (let i = 0; i < 10; i++) expect((await decided(['true'], {}, meter, 50)).verdict).toBe('allow');
  });

  it('ends a condition that runs', () => {
    let now = 0;
    const meter = new Meter({ ...CONDITION_LIMITS, time: 1_000_000 }, () => now);
    meter.startDecision();
    meter.start();
    meter.work(30_000);
    now = 10_001;
    expect(() => meter.work(30_000)).toThrow('the decision takes longer than 10000 ms');
    expect(meter.isLate).toBe(true);
    meter.endDecision();
    expect(meter.isLate).toBe(false);
  });
});
