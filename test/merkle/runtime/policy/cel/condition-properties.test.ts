/** Properties of conditions over texts and values that nobody wrote by hand. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CelSource, toCel } from '../../../../../merkle/runtime/policy/cel/cel-values.ts';
import { ConditionFailure, compileCondition } from '../../../../../merkle/runtime/policy/cel/condition.ts';
import { skips } from '../../../../support/skip.ts';
import { vectorFolder } from '../../../../support/vectors.ts';
import { evaluate } from './reference.ts';

const PIECES = [
  ...[
    'predicate',
    'now',
    '.a',
    '.`a-b`',
    "['a']",
    '[0]',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '?',
    '!',
    '-',
    '+',
    '*',
    '/',
    '%',
  ],
  ...[
    '==',
    '!=',
    '<',
    '<=',
    '&&',
    '||',
    ' in ',
    'has(',
    '.all(x, ',
    '.map(x, ',
    '.exists(',
    'size(',
    '.matches(',
    'timestamp(',
  ],
  ...[
    "'a'",
    '"',
    "'''",
    "b'\\xff'",
    "'\\",
    "r'\\'",
    '1',
    '-9223372036854775808',
    '18446744073709551615u',
    '1.5',
    '1e',
    '0x',
    '//',
  ],
  ...[
    '\n',
    ' ',
    'true',
    'null',
    '__proto__',
    'x',
    '@result',
    '\u0000',
    '😀',
    '\ud800',
    'google.protobuf.Duration{',
    'as',
    '`',
  ],
];
/** Texts that are read, and mostly fail over values of any kind. */
const expressions = fc.letrec<{ whole: string }>((tie) => ({
  whole: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(
      'predicate',
      'predicate.a',
      'predicate.`a-b`',
      'predicate.__proto__',
      'predicate[0]',
      "predicate['constructor']",
    ),
    fc.constantFrom(
      'null',
      'true',
      'dyn(1)',
      "dyn('a')",
      'dyn(1.5)',
      "dyn(b'a')",
      '[dyn(1)]',
      "{'a': dyn(1)}",
      'dyn(now)',
    ),
    fc
      .tuple(tie('whole'), fc.constantFrom('==', '!=', '<', '>=', 'in', '&&', '||', '+', '-', '%'), tie('whole'))
      .map(([left, operator, right]) => `dyn(dyn(${left}) ${operator} dyn(${right}))`),
    fc
      .tuple(
        fc.constantFrom('size', 'int', 'double', 'string', 'bytes', 'bool', 'type', 'timestamp', 'duration', '!'),
        tie('whole'),
      )
      .map(([name, argument]) => `dyn(${name}(dyn(${argument})))`),
    fc
      .tuple(tie('whole'), fc.constantFrom('all', 'exists', 'exists_one', 'filter', 'map'), tie('whole'))
      .map(([range, macro, body]) => `dyn(dyn(${range}).${macro}(x, dyn(${body})))`),
    tie('whole').map((operand) => `dyn(has(dyn(${operand}).a))`),
  ),
})).whole;
const texts = fc.oneof(
  expressions,
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.array(fc.constantFrom(...PIECES), { maxLength: 14 }).map((pieces) => pieces.join('')),
);
const values: fc.Arbitrary<CelSource> = fc.letrec<{ value: CelSource }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<CelSource>(
      null,
      true,
      1n,
      2n ** 70n,
      1.5,
      Number.NaN,
      'a',
      new Date(0),
      new Date(Number.NaN),
      new Uint8Array(2),
    ),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'a-b', '__proto__', 'constructor'), tie('value'), { maxKeys: 3 }),
  ),
})).value;

describe('a condition', () => {
  it('of any text is refused with `decision-policy`, or gives true, false or a failure for any value', () => {
    let accepted = 0;
    fc.assert(
      fc.property(texts, values, (text, value) => {
        let condition: ReturnType<typeof compileCondition>;
        try {
          condition = compileCondition(text, ['predicate', 'now: timestamp']);
        } catch (error) {
          expect(error).toMatchObject({ name: 'RuntimeError', code: 'decision-policy' });
          return;
        }
        accepted++;
        const given = condition.evaluate({ predicate: toCel(value), now: toCel(new Date()) });
        expect(typeof given === 'boolean' || given instanceof ConditionFailure).toBe(true);
      }),
      { numRuns: 5_000, seed: 16 },
    );
    expect(accepted).toBeGreaterThan(1_000);
  });

  it('gives the same for the same evidence', () => {
    const text = 'predicate.a == predicate.a || has(predicate.b) || size(predicate) > 1 || predicate in [1, null]';
    const condition = compileCondition(text, ['predicate']);
    fc.assert(
      fc.property(values, (value) => {
        const given = { predicate: toCel(value) };
        expect(condition.evaluate(given)).toEqual(condition.evaluate({ predicate: toCel(value) }));
      }),
      { numRuns: 500, seed: 16 },
    );
  });
});

const folder = vectorFolder('../cel');
const absent = folder === undefined ? 'TEST_VECTORS names no folder' : undefined;

describe.skipIf(skips('errors of the table of cel-go', absent))('an error of the table of cel-go', () => {
  const FRAMES = [
    'E',
    '!(E)',
    '!(!(E))',
    '(E) == (E)',
    '(E) != (E)',
    '(E) || false',
    'true && (E)',
    '(E) ? true : true',
    '[E] == [E]',
  ];
  const OTHERS = [
    '(E) in [E]',
    'size([E]) == 1',
    '{1: E} == {1: E}',
    '[1].exists(y, E)',
    '[1].all(y, E)',
    'type(E) == type(E)',
  ];

  it('admits in no frame', () => {
    type Row = { readonly expr: string; readonly unchecked: { readonly error?: string } };
    const { rows } = JSON.parse(readFileSync(join(folder!, 'cel-table.json'), 'utf8')) as { rows: Row[] };
    const wrong = rows.filter(({ expr, unchecked }) => unchecked.error !== undefined && !expr.includes('//'));
    expect(wrong.length).toBeGreaterThan(100);
    for (const { expr } of wrong) {
      for (const frame of [...FRAMES, ...OTHERS]) {
        const text = frame.replaceAll('E', () => expr);
        // A text that is open, or a dangling operator, becomes another expression in a frame.
        expect(evaluate(text), text).not.toBe(true);
      }
    }
  });
});
