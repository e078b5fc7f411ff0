import { expect, it } from 'vitest';
import { parseYaml } from '../../../../merkle/runtime/config/settings-file.ts';

it('refuses what is nested too deep before it is parsed', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  expect(parseYaml(`a: ${nested(50)}`).problems).toEqual([]);
  for (const deep of [nested(101), '['.repeat(2000), '- '.repeat(2000), '{a: '.repeat(2000)]) {
    expect(parseYaml(deep)).toMatchObject({
      value: undefined,
      problems: ['lists and mappings are nested deeper than 100 levels'],
    });
  }
});

it('takes one document', () => {
  expect(parseYaml('a: 1\n---\nb: 2\n').problems).toEqual([
    'line 2: the file may hold one document: remove what follows this line',
  ]);
  expect(parseYaml('---\na: 1\n...\n')).toMatchObject({ value: { a: 1 }, problems: [] });
});

it('names the first line where there is nothing', () => {
  const { value, problems, lineOf } = parseYaml('');
  expect(value).toBeNull();
  expect(problems).toEqual([]);
  expect(lineOf(['a'])).toBe(1);
});

it('finds the one key of 50,000 that stands there twice', { timeout: 30_000 }, () => {
  const keys = Array.from({ length: 50_000 }, (_, i) => `  key-${i}: a\n`).join('');
  expect(parseYaml(`all:\n${keys}  "key-3": b\n`).problems).toEqual(['line 50002: Map keys must be unique']);
});

it('takes one key in two mappings, and none twice in a mapping within another one', () => {
  expect(parseYaml('a: { x: 1 }\nb: { x: 1 }\n').problems).toEqual([]);
  expect(parseYaml('a:\n  - { x: 1, y: 2, x: 3, x: 4 }\n').problems).toEqual([
    'line 2: Map keys must be unique',
    'line 2: Map keys must be unique',
  ]);
});
