/**
 * Conditions beside cel-go (github.com/google/cel-go), which defines what the language means where its definition is silent: random
 * expressions of every operator, function and macro, and texts at the edges of numbers, times, durations, zones and patterns.
 */
import { spawnSync } from 'node:child_process';
import { isCelList, isCelMap, isCelType, isCelUint } from '@bufbuild/cel';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { textOfDouble, textOfInstant } from '../../merkle/runtime/policy/cel/cel-conversions.ts';
import { type CelValue, kindOf, nanosOf } from '../../merkle/runtime/policy/cel/cel-values.ts';
import { evaluate, isRefused } from '../merkle/runtime/policy/cel/reference.ts';
import { skips } from '../support/skip.ts';
import { buildJudge } from './go-judge.ts';

const base64 = (value: string | Uint8Array): string => Buffer.from(value as string).toString('base64');

/** A value as the judge writes it. */
function written(value: CelValue): string {
  if (isCelList(value)) return `list [${[...value].map(written).join(', ')}]`;
  if (isCelMap(value)) {
    const members = [...value.entries()].map(([key, member]) => `${written(key as CelValue)}: ${written(member)}`);
    return `map {${members.sort().join(', ')}}`;
  }
  const kind = kindOf(value);
  if (isCelUint(value)) return `uint ${value.value}`;
  if (kind === 'null') return 'null';
  if (kind === 'double') return `double ${textOfDouble(value as number)}`;
  if (kind === 'string' || kind === 'bytes') return `${kind} ${base64(value as string)}`;
  if (kind === 'timestamp') return `timestamp ${textOfInstant(nanosOf(value))}`;
  if (kind === 'duration') return `duration ${nanosOf(value)}`;
  return isCelType(value) ? `type ${value.name}` : `${kind} ${value}`;
}

function ours(text: string): string {
  const value = evaluate(text);
  return value instanceof Error ? 'error' : written(value);
}

const judge = buildJudge('cel');
const program = typeof judge === 'string' ? '' : judge.program;

/** Ours beside cel-go's, where they differ. */
function differences(texts: readonly string[]): { text: string; ours: string; theirs: string }[] {
  const { stdout, status } = spawnSync(program, { input: JSON.stringify(texts), encoding: 'utf8', maxBuffer: 1e9 });
  expect(status).toBe(0);
  const verdicts = JSON.parse(stdout) as { unchecked: string; checked: string }[];
  expect(verdicts.length).toBe(texts.length);
  return texts.flatMap((text, i) => {
    const { unchecked, checked } = verdicts[i]!;
    // What is refused when a policy is loaded is never evaluated.
    const refused = isRefused(text);
    if (refused && (checked === 'refused' || unchecked === 'error')) return [];
    const got = refused ? 'refused' : ours(text);
    return got === unchecked ? [] : [{ text, ours: got, theirs: unchecked }];
  });
}

/** Where Stele says no and cel-go gives a value, on purpose. */
const STRICTER: readonly string[] = [
  // Seconds in @bufbuild/cel, nanoseconds in cel-go, and not in the definition of the language.
  "int(duration('1h'))",
  // Commas after nothing, underscores in numbers of evidence, and what has() of has() means.
  '[,]',
  '{,}',
  "double('1_000')",
  'has(has(m.a))',
  // The zone of the machine, and offsets that no place has.
  "ts.getHours('Local')",
  "ts.getHours('+2:00')",
  "ts.getHours('24:00')",
  "ts.getHours('+99:99')",
  // Messages whose parts are out of their ranges, and those that a map says too.
  'google.protobuf.Struct{}',
  'google.protobuf.Timestamp{nanos: -5}',
  'google.protobuf.Timestamp{nanos: 1000000000}',
  'google.protobuf.Duration{seconds: 1, nanos: -5}',
  // Keys that the language does not have.
  '{dyn(1.0): 2} == {}',
  'dyn(m) in m',
];

const quoted = (texts: readonly string[], before = '', after = '') => texts.map((text) => `${before}'${text}'${after}`);
const EDGES: readonly string[] = [
  ...quoted(
    ['', '-0', '+5', ' 5', '５', '1e3', '9223372036854775808', '-9223372036854775808', '0x1', '1_0'],
    'int(',
    ')',
  ),
  ...quoted(['', '-0', '+1', '18446744073709551615', '18446744073709551616', '5u'], 'uint(', ')'),
  ...quoted(
    ['', '1.', '.5', '.', '+5', 'nan', 'NaN', '-nan', 'inf', '-Inf', '+infinity', 'infinit', '1e400', '1e-400'],
    'double(',
    ')',
  ),
  ...quoted(['1', 't', 'T', 'TRUE', 'true', 'True', 'tRUE', '0', 'f', 'F', 'False', 'yes', ''], 'bool(', ')'),
  ...quoted(
    [
      '',
      '0',
      '-0',
      '+0',
      '1',
      '.5s',
      '5.s',
      '.s',
      '+1s',
      '1s1s',
      '1h1',
      '1.5.5s',
      '1H',
      ' 1h',
      '1d',
      '1µs',
      '1μs',
      '1ns',
    ],
    'duration(',
    ')',
  ),
  ...quoted(
    ['2562047h47m16.854775807s', '2562047h47m16.854775808s', '-2562047h47m16.854775808s', '1h-30m'],
    'duration(',
    ')',
  ),
  ...['.Z', ',5Z', '+24:00', '+23:59', '-00:00', ' Z', 'z', '', '.123456789Z', '.1234567899Z', '+0100'].map(
    (end) => `timestamp('2024-01-01T00:00:00${end}')`,
  ),
  ...quoted(
    ['2023-02-29T00:00:00Z', '2024-1-1T00:00:00Z', '+2024-01-01T00:00:00Z', '2024-12-31T23:59:60Z'],
    'timestamp(',
    ')',
  ),
  ...quoted(['0001-01-01T00:00:00+01:00', '9999-12-31T23:59:59-01:00', '0000-12-31T00:00:00Z'], 'timestamp(', ')'),
  ...['-62135596800', '-62135596801', '253402300799', '253402300800'].map((seconds) => `timestamp(${seconds})`),
  ...['1e-5', '123456.7', '1e6', '1e20', '1e21', '-1e-7', '0.1', '1e100', '5e-324', '-0.0'].map(
    (double) => `string(${double})`,
  ),
  ...["duration('9223372036s')", "duration('1ns')", "duration('-1.5s')", 'ts - ts', 'ts', '1u', "b'a'"].map(
    (one) => `string(${one})`,
  ),
  ...['9223372036854775807.0', '9223372036854774784.0', '-9223372036854775808.0', "double('NaN')"].map(
    (double) => `int(${double})`,
  ),
  ...['18446744073709551615.0', '18446744073709549568.0', '-0.5', '-1.0', "double('inf')"].map(
    (double) => `uint(${double})`,
  ),
  ...[
    'UTC',
    'utc',
    'europe/berlin',
    'Europe/Berlin',
    '',
    '+0200',
    '+02',
    'EST',
    'Etc/GMT+5',
    'US/Pacific',
    'Asia/Calcutta',
  ].map((zone) => `ts.getHours('${zone}')`),
  ...['Asia/Kolkata', 'America/Argentina/Buenos_Aires', '-23:59', 'Nowhere/City', '../UTC'].map(
    (zone) => `ts.getHours('${zone}')`,
  ),
  ...['getFullYear', 'getMonth', 'getDate', 'getDayOfMonth', 'getDayOfWeek', 'getDayOfYear', 'getMilliseconds'].flatMap(
    (name) => [
      `timestamp('1969-12-31T23:59:59.999999Z').${name}()`,
      `timestamp('0001-01-01T00:00:00Z').${name}('-08:00')`,
      `timestamp('1800-06-01T12:00:00Z').${name}('Europe/Berlin')`,
      `timestamp('9999-12-31T23:59:59Z').${name}('+01:00')`,
    ],
  ),
  ...[
    'a\\\\z',
    'a$',
    '(?i:A)',
    '^(?P<x>a)+$',
    '^(?<x>a)+$',
    '[[:alpha:]]',
    '\\\\pL',
    '\\\\C',
    '\\\\Qa\\\\E',
    '(?=a)',
    '(?<=a)',
    '(a)\\\\1',
    '[',
  ].map((pattern) => `'a'.matches('${pattern}')`),
  ...[
    "'ſ'.matches('(?i)s')",
    "'K'.matches('(?i)k')",
    "'é'.matches('^.$')",
    "'😀'.matches('^.$')",
    "'\\n'.matches('.')",
  ],
  ...[
    '9223372036854775808',
    '-9223372036854775808',
    '- 9223372036854775808',
    '--9223372036854775808',
    '0xFFFFFFFFFFFFFFFF',
    '-0u',
  ],
  ...[
    "'\\ud800'",
    "'\\U00110000'",
    "'\\x4'",
    "'\\400'",
    "b'\\u0041'",
    "'a\nb'",
    "'''a\nb'''",
    "r'\\'",
    "bR'\\x'",
    "rb'a'",
    "''''a'''",
  ],
  ...[
    '1.e3',
    '1e',
    '0x',
    '0XFF',
    '1uu',
    '007',
    '1.5u',
    '5..',
    'm.`in`',
    'm.``',
    '`m`.a',
    '[1,]',
    'dyn(1,)',
    'f()',
    'm.in',
  ],
  ...[
    'true ? false ? 1 : 2 : 3',
    'false ? 1 : false ? 2 : 3',
    '1 < 2 == true',
    '1 - -1',
    '2 -1',
    'l.map(i, i)',
    'l.exists(m, .m.a == m)',
  ],
  ...[
    '1 // c',
    '1 // c\n + 2',
    '// c\n1',
    '1 /* c */',
    '1 # c',
    '1;',
    "'//' // '",
    'has(l.a)',
    'has(ts.seconds)',
    'has((m.a))',
  ],
];

const ATOMS = [
  ...[
    '1',
    '0',
    '-1',
    '2u',
    '1.5',
    '-0.0',
    '1e308',
    '9223372036854775807',
    '-9223372036854775808',
    '18446744073709551615u',
  ],
  ...[
    "'a'",
    "''",
    "'é😀'",
    "'\\uffff'",
    "'10'",
    "'true'",
    "'1h'",
    "'2024-02-29T00:00:00Z'",
    "'+05:30'",
    "b'a'",
    "b'\\xff'",
  ],
  ...[
    'true',
    'false',
    'null',
    '[]',
    '{}',
    '[1, 2]',
    '[1.0, 2u]',
    "{'a': 1}",
    "{1: 'x'}",
    '{2u: true}',
    '[null]',
    "{'k': null}",
  ],
  ...[
    'd',
    'i',
    'l',
    'm',
    's',
    'ts',
    'u',
    'x',
    'm.a',
    'm.n',
    'm.l',
    'm.missing',
    'm.nested.k',
    'm.`a-b`',
    '.m.a',
    'int',
    'type(1)',
  ],
  ...[
    "duration('1h30m')",
    "timestamp('2024-07-01T12:34:56.789Z')",
    'timestamp(-1)',
    "dyn('a')",
    'dyn(1.0)',
    'dyn(null)',
    'undeclared',
  ],
];
const OPERATORS = ['+', '-', '*', '/', '%', '<', '<=', '>', '>=', '==', '!=', 'in', '&&', '||'];
const FUNCTIONS = [
  'size',
  'int',
  'uint',
  'double',
  'string',
  'bytes',
  'bool',
  'dyn',
  'type',
  'timestamp',
  'duration',
  '-',
  '!',
];
const METHODS = [
  'size',
  'getFullYear',
  'getDate',
  'getDayOfWeek',
  'getDayOfYear',
  'getHours',
  'getSeconds',
  'getMilliseconds',
];
const WITH_ONE = ['contains', 'startsWith', 'endsWith', 'matches', 'getHours'];
const MACROS = ['all', 'exists', 'exists_one', 'map', 'filter'];

const expressions = fc.letrec<{ whole: string }>((tie) => {
  const part = tie('whole');
  return {
    whole: fc.oneof(
      { depthSize: 'medium', maxDepth: 4 },
      { weight: 2, arbitrary: fc.constantFrom(...ATOMS) },
      {
        weight: 6,
        arbitrary: fc.tuple(part, fc.constantFrom(...OPERATORS), part).map(([a, name, b]) => `(${a} ${name} ${b})`),
      },
      { weight: 3, arbitrary: fc.tuple(fc.constantFrom(...FUNCTIONS), part).map(([name, a]) => `${name}(${a})`) },
      { weight: 1, arbitrary: fc.tuple(part, fc.constantFrom(...METHODS)).map(([a, name]) => `(${a}).${name}()`) },
      {
        weight: 1,
        arbitrary: fc.tuple(part, fc.constantFrom(...WITH_ONE), part).map(([a, name, b]) => `(${a}).${name}(${b})`),
      },
      { weight: 1, arbitrary: fc.tuple(part, part).map(([a, b]) => `(${a})[${b}]`) },
      { weight: 1, arbitrary: fc.tuple(part, part, part).map(([a, b, c]) => `(${a} ? ${b} : ${c})`) },
      { weight: 1, arbitrary: fc.tuple(part, part).map(([a, b]) => `[${a}, ${b}]`) },
      { weight: 1, arbitrary: fc.tuple(fc.constantFrom("'a'", '1', 's'), part).map(([key, a]) => `{${key}: ${a}}`) },
      {
        weight: 1,
        arbitrary: fc.tuple(part, fc.constantFrom('a', 'n', 'missing')).map(([a, name]) => `(${a}).${name}`),
      },
      {
        weight: 1,
        arbitrary: fc.tuple(part, fc.constantFrom('a', 'n', 'missing')).map(([a, name]) => `has((${a}).${name})`),
      },
      {
        weight: 2,
        arbitrary: fc.tuple(part, fc.constantFrom(...MACROS), part).map(([a, name, b]) => `(${a}).${name}(v, ${b})`),
      },
      {
        weight: 1,
        arbitrary: fc.tuple(part, fc.constantFrom(...MACROS)).map(([a, name]) => `(${a}).${name}(x, x == 1 || v > 1)`),
      },
    ),
  };
}).whole;

describe.skipIf(skips('conditions beside cel-go', typeof judge === 'string' ? judge : undefined))(
  'beside cel-go',
  () => {
    afterAll(() => {
      if (typeof judge !== 'string') judge.remove();
    });

    it('the edges of texts and numbers mean the same', () => expect(differences(EDGES)).toEqual([]));

    it('what Stele alone refuses is listed, and is an error or refused', () => {
      const found = differences(STRICTER);
      expect(found.map(({ text }) => text)).toEqual(STRICTER);
      expect(found.filter(({ ours: got }) => got !== 'error' && got !== 'refused')).toEqual([]);
    });

    it.each([16, 17, 18])(
      'random expressions give the same, or an error where a key is of no type of keys (seed %d)',
      (seed) => {
        const texts = fc.sample(expressions, { numRuns: 4_000, seed });
        const found = differences(texts);
        // Maps have no bytes, lists and maps as keys, and durations become no int.
        const known = found.filter(
          ({ ours: got, theirs }) => (got === 'error' || got === 'refused') && theirs !== 'error',
        );
        expect(found.filter((one) => !known.includes(one))).toEqual([]);
        expect(known.filter(({ text }) => !/\bin\b|int\(|-\(/.test(text))).toEqual([]);
        expect(known.length).toBeLessThan(texts.length / 50);
        expect(texts.filter((text) => ours(text) !== 'error').length).toBeGreaterThan(400);
      },
    );
  },
);
