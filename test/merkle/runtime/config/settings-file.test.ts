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
