/** Conditions that run long, allocate or recurse: each ends in a refusal or a failure, after a bounded count of operations. */
import { describe, expect, it } from 'vitest';
import { CONDITION_LIMITS, Meter } from '../../../../../merkle/runtime/policy/cel/cel-limits.ts';
import { type CelSource, toCel } from '../../../../../merkle/runtime/policy/cel/cel-values.ts';
import { ConditionFailure, compileCondition } from '../../../../../merkle/runtime/policy/cel/condition.ts';

const refusal = (text: string, declared: readonly string[] = ['x', 'l: list(int)']): string => {
  try {
    compileCondition(text, declared);
  } catch (error) {
    expect(error).toMatchObject({ name: 'RuntimeError', code: 'decision-policy' });
    return (error as Error).message;
  }
  return 'accepted';
};

/** Its clock stands still, so that the work decides on a busy machine too. */
const run = (text: string, x: CelSource, limits = CONDITION_LIMITS, clock = () => 0) => {
  const meter = new Meter(limits, clock);
  const value = compileCondition(text, ['x'], meter).evaluate({ x: toCel(x) });
  return { value, spent: meter.spent, message: value instanceof ConditionFailure ? value.message : undefined };
};

describe('the text of a condition', () => {
  it('has at most 100,000 characters, whatever their size', () => {
    const filled = (count: number, char = 'a') => `x == '${char.repeat(count - 7)}'`;
    expect(refusal(filled(100_000))).toBe('accepted');
    expect(refusal(filled(100_000, '😀'))).toBe('accepted');
    expect(refusal(filled(100_001))).toContain('at most 100000 characters');
    expect(refusal(filled(100_001, '😀'))).toContain('at most 100000 characters');
    expect(refusal(`true //${' '.repeat(1_000_000)}`)).toContain('at most 100000 characters');
  });

  it.each([
    ['parentheses', (n: number) => `${'('.repeat(n)}true${')'.repeat(n)}`, 249],
    ['lists', (n: number) => `x == ${'['.repeat(n)}1${']'.repeat(n)}`, 248],
    ['maps', (n: number) => `x == ${'{1: '.repeat(n)}1${'}'.repeat(n)}`, 248],
    ['members', (n: number) => `x${'.a'.repeat(n)}`, 249],
    ['indexes', (n: number) => `x${'[0]'.repeat(n)}`, 249],
    ['nested indexes', (n: number) => `${'x['.repeat(n)}0${']'.repeat(n)}`, 249],
    ['calls', (n: number) => `${'dyn('.repeat(n)}true${')'.repeat(n)}`, 249],
    ['macros after each other', (n: number) => `x${'.map(a, a)'.repeat(n)} == []`, 248],
    ['signs before parentheses', (n: number) => `${'!('.repeat(n)}true${')'.repeat(n)}`, 249],
    ['ternaries', (n: number) => `${'x ? true : '.repeat(n)}true`, 249],
    ['sums', (n: number) => `x == 1${' + 1'.repeat(n)}`, 248],
    ['comparisons', (n: number) => `true${' == true'.repeat(n)}`, 249],
    ['macros', (n: number) => `${'[1].all(x, '.repeat(n)}true${')'.repeat(n)}`, 248],
    ['messages', (n: number) => `${'google.protobuf.BoolValue{value: '.repeat(n)}true${'}'.repeat(n)}`, 249],
  ])('nests %s at most 250 levels deep', (_, text, most) => {
    expect(refusal(text(most))).toBe('accepted');
    for (const count of [most + 2, 10_000, 16_000]) {
      const deep = text(count);
      if (deep.length <= 100_000) expect(refusal(deep)).toContain('more than 250 levels deep');
    }
  });

  it.each([
    ['an opening alone', '('.repeat(99_000)],
    ['brackets alone', '['.repeat(99_000)],
    ['braces alone', '{'.repeat(99_000)],
    ['a message alone', 'a{b:'.repeat(20_000)],
    ['dots alone', `x${'.'.repeat(99_000)}`],
    ['a list of comprehensions without an end', '[1].all(x,'.repeat(9_000)],
    ['an open text', `'${'a'.repeat(99_000)}`],
    ['backslashes', `'${'\\'.repeat(99_000)}`],
    ['a number without an end', '9'.repeat(99_000)],
    ['a hexadecimal number without an end', `0x${'f'.repeat(99_000)}`],
    ['a double without an end', `1e${'9'.repeat(99_000)}`],
    ['question marks', `x${'?x'.repeat(40_000)}`],
  ])('is refused with %s', (_, text) => expect(refusal(text)).toMatch(/^the condition is wrong at column \d+: /));

  it('may be long where it is flat', () => {
    expect(refusal(`x${' || x'.repeat(19_000)}`)).toBe('accepted');
    expect(refusal(`x in [${'1,'.repeat(49_000)}]`)).toBe('accepted');
    expect(refusal(`${'!'.repeat(90_000)}true`)).toBe('accepted');
    expect(refusal(`x == ${'-'.repeat(90_000)}5`)).toBe('accepted');
  });

  it('is refused where it writes out more loops than an evaluation may take', () => {
    const ten = '[1,2,3,4,5,6,7,8,9,10]';
    const nested = (depth: number, macro: string) =>
      `${Array.from({ length: depth }, (_, i) => `${ten}.${macro}(v${i}, `).join('')}true${')'.repeat(depth)}`;
    for (const macro of ['all', 'exists', 'exists_one']) {
      expect(refusal(nested(4, macro))).toBe('accepted');
      expect(refusal(nested(10, macro))).toContain('this loop takes more than 5000000 units of work');
    }
    expect(refusal(`size(${nested(10, 'map')}) == 1`)).toContain('units of work');
    expect(refusal(`size(${ten}.filter(a, ${nested(9, 'all')})) == 1`)).toContain('units of work');
    const mapped = `{${Array.from({ length: 10 }, (_, i) => `${i}: 1`)}}`;
    expect(refusal(nested(10, 'all').replaceAll(ten, mapped))).toContain('units of work');
  });
});

describe('an evaluation', () => {
  const tens = Array.from({ length: 10 }, (_, i) => BigInt(i));
  const many = Array.from({ length: 10_000 }, (_, i) => BigInt(i));
  const nested = (depth: number, macro: string, inner: string) =>
    `${Array.from({ length: depth }, (_, i) => `x.${macro}(v${i}, `).join('')}${inner}${')'.repeat(depth)}`;

  it.each([
    ['all', 'true'],
    ['exists', 'false'],
    ['exists_one', 'true'],
  ])('ends after the work that it may take in nested loops of %s', (macro, inner) => {
    const { message, spent } = run(nested(10, macro, inner), tens);
    expect(message).toBe('the condition is stopped: it takes more than 5000000 units of work');
    expect(spent).toBeLessThan(5_100_000);
  });

  it('ends in nested loops of map and filter, at the work or at what it makes', () => {
    expect(run(`size(${nested(10, 'map', 'x')}) == 1`, tens).message).toContain('stopped');
    expect(run(`x.filter(a, ${nested(9, 'all', 'true')}) == x`, tens).message).toContain('stopped');
    expect(run('x.map(a, x.map(b, a)).size() == 1', many).message).toContain('stopped');
  });

  it('counts a range each time, also where the first member decides', () => {
    const { message, spent } = run('x.all(a, x.exists(b, true))', many);
    expect(message).toContain('units of work');
    expect(spent).toBeLessThan(5_100_000);
  });

  it('admits nothing that another side of || or ?: would save', () => {
    const loop = nested(10, 'all', 'true');
    for (const text of [
      `${loop} || true`,
      `true && (${loop} || true)`,
      `x.exists(a, ${loop} || true)`,
      `!(${loop}) || true`,
    ]) {
      expect(run(text, tens).message, text).toContain('stopped');
    }
    expect(run(`true || ${loop}`, tens).value).toBe(true);
  });

  it('bounds text that doubles', () => {
    const doubled = (times: number) => `[x]${'.map(t, t + t)'.repeat(times)}[0].size() > 0`;
    expect(run(doubled(10), 'ab').value).toBe(true);
    expect(run(doubled(40), 'ab').message).toBe(
      'the condition is stopped: it makes more than 4000000 characters and bytes, or a tenth of it elements',
    );
    expect(run(doubled(40), new Uint8Array(2)).message).toContain('it makes more than');
    expect(run(doubled(40), [1n]).message).toContain('it makes more than');
  });

  it('bounds what long texts take', () => {
    const long = 'a'.repeat(1_000_000);
    expect(run(`x.matches('(a?){20}b')`, long).message).toContain('units of work');
    expect(run(`x.matches('^a')`, long).value).toBe(true);
    expect(run(`x.matches('(a?){20}b')`, long.slice(0, 1_000)).value).toBe(false);
    const pair = { text: long, part: `b${'a'.repeat(100_000)}` };
    expect(run('x.text.contains(x.part)', pair).message).toContain('units of work');
    expect(run(`x.contains('b')`, long).value).toBe(false);
    const lists = { a: many.map(() => long), b: many.map(() => long) };
    expect(run('x.a == x.b', lists).message).toContain('units of work');
  });

  it('bounds lists that are searched in loops', () => {
    expect(run('x.all(a, a in x)', many).message).toContain('units of work');
    expect(run('x.all(a, a in x)', many.slice(0, 100)).value).toBe(true);
    const map = Object.fromEntries(many.map((n) => [`k${n}`, n]));
    expect(run('x.all(k, !(5 in x))', map).message).toContain('units of work');
    expect(run('x.all(k, k in x)', map).value).toBe(true);
  });

  it('makes no values of a long list before it reads them', () => {
    const empty = Array.from({ length: 3_000_000 }, () => ({}));
    expect(run('size(x) == 3000000 && x[2999999] == {}', empty).value).toBe(true);
    expect(run('x.all(a, a == {})', empty).message).toContain('units of work');
    expect(run('size(x + x) > 0', empty).message).toContain('it makes more than');
    let reads = 0;
    const list = Object.defineProperty([1n, 2n, 3n], 1, { get: () => ++reads && 2n });
    expect(run('size(x) == 3 && x[0] == 1 && x[2] == 3', list).value).toBe(true);
    expect(reads).toBe(0);
    expect(run('x[1] == 2', list).value).toBe(true);
    expect(reads).toBeGreaterThan(0);
  });

  it('ends where its time is over', () => {
    let now = 0;
    const clock = () => (now += 300);
    const { message } = run(nested(7, 'all', 'true'), tens, { ...CONDITION_LIMITS, work: 1e12 }, clock);
    expect(message).toBe('the condition is stopped: it takes longer than 2000 ms');
    expect(now).toBeLessThan(5_000);
  });

  it('starts anew each time', () => {
    const meter = new Meter({ ...CONDITION_LIMITS, work: 1_000 });
    const condition = compileCondition('x.all(a, a >= 0)', ['x'], meter);
    expect(condition.evaluate({ x: toCel(many) })).toBeInstanceOf(ConditionFailure);
    expect(condition.evaluate({ x: toCel(tens) })).toBe(true);
  });

  it('takes 10,000 errors of members that lack a field', () => {
    const packages = many.map((n) => (n === 9_999n ? { license: 'MIT' } : {}));
    expect(run(`x.exists(p, p.license == 'MIT')`, packages).value).toBe(true);
    expect(run(`x.all(p, p.license == 'MIT')`, packages).message).toContain('license');
  });

  it('makes a list of 10,000 members, and reads it again', () => {
    expect(run('x.map(a, a + 1).filter(a, a > 5).map(a, [a]).all(a, a[0] > 5)', many).value).toBe(true);
  });
});

describe('a pattern', () => {
  it.each([
    ['repeats a part 1,000 times a 1,000 times', '(a{1000}){1000}'],
    ['repeats within repeats', '((((a{30}){30}){30}){30})'],
    ['repeats a large class', '(\\\\pL{0,900}){3}'],
    ['is long', 'a'.repeat(1_025)],
    ['looks ahead', '(?=a)'],
    ['looks behind', '(?<=a)b'],
    ['refers back', '(a)\\\\1'],
    ['has no end', '('],
  ])('that %s is refused when the policy is loaded', (_, pattern) => {
    expect(refusal(`x.matches('${pattern}')`)).toContain('the condition is wrong at column 11');
  });

  it('from evidence is held to the same limits', () => {
    expect(run(`x.text.matches(x.pattern)`, { text: 'a', pattern: '(a{900}){900}' }).message).toContain('too much');
    expect(run(`x.text.matches(x.pattern)`, { text: 'a', pattern: '(' }).message).toContain('missing closing');
    for (let i = 0; i < 600; i++) expect(run(`x.matches('^a${i}$')`, `a${i}`).value).toBe(true);
  });
});
