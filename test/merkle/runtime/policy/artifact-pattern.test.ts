import { expect, it } from 'vitest';
import { matchesArtifact } from '../../../../merkle/runtime/policy/artifact-pattern.ts';

/** By the words of the documentation alone, in time that grows with every star. */
function matches(parts: readonly string[], name: readonly string[]): boolean {
  const [part, ...others] = parts;
  const [character, ...rest] = name;
  if (part === undefined) return name.length === 0;
  if (part !== '*' && part !== '**') return part === character && matches(others, rest);
  const takes = character !== undefined && (part === '**' || character !== '/');
  return matches(others, name) || (takes && matches(parts, rest));
}

it.each([
  ['app', 'app', true],
  ['app', 'App', false],
  ['registry.example.com/team/*', 'registry.example.com/team/app', true],
  ['registry.example.com/team/*', 'registry.example.com/team/app/tool', false],
  ['registry.example.com/team/**', 'registry.example.com/team/app/tool', true],
  ['registry.example.com/team/**', 'registry.example.com/teams/app', false],
  ['*', '', true],
  ['', '', true],
  ['', 'a', false],
  ['a?[b].$', 'a?[b].$', true],
  ['a.c', 'abc', false],
  ['*\u{1f600}', 'a\u{1f600}', true],
])('%j and %j: %s', (pattern, name, expected) => {
  expect(matchesArtifact(pattern, name)).toBe(expected);
});

/** All texts of at most `most` of these letters. */
function texts(letters: string, most: number): string[] {
  if (most === 0) return [''];
  return ['', ...texts(letters, most - 1).flatMap((text) => [...letters].map((letter) => letter + text))];
}

it('does what its words say, for all short patterns and names', () => {
  const names = [...new Set(texts('ab/', 4))];
  let fitting = 0;
  for (const pattern of new Set(texts('a/*', 5))) {
    const parts = pattern.match(/\*\*|./gsu) ?? [];
    for (const name of names) {
      const expected = matches(parts, [...name]);
      if (expected) fitting++;
      if (matchesArtifact(pattern, name) !== expected) expect.fail(`${pattern} and ${name}: ${!expected}`);
    }
  }
  expect(fitting).toBeGreaterThan(1000);
});

it('takes no name of more than 4,096 characters', () => {
  expect(matchesArtifact('**', 'a'.repeat(4096))).toBe(true);
  expect(matchesArtifact('**', 'a'.repeat(4097))).toBe(false);
});
