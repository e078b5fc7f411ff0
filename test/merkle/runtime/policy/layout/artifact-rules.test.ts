import { describe, expect, it } from 'vitest';
import { applyRules, cleanName, parseRule } from '../../../../../merkle/runtime/policy/layout/artifact-rules.ts';
import { NamePattern } from '../../../../../merkle/runtime/policy/layout/name-pattern.ts';

const matches = (pattern: string, name: string) => new NamePattern(pattern).matches(name, { left: 1e6 });

describe('patterns of names', () => {
  it.each([
    ['*', ''],
    ['*', 'a/b/c'],
    ['src/*', 'src/a/b.c'],
    ['?', '/'],
    ['?', 'é'],
    ['[a-c]x', 'bx'],
    ['[!a]', 'b'],
    ['[^a]', '^'],
    ['[^a]', 'a'],
    ['\\*', '*'],
    ['[\\]]', ']'],
    ['[\\-a]', '-'],
    ['a*b*c', 'a--b--b--c'],
    ['*.o', 'a.o.o'],
    ['**a', 'ba'],
    ['[!/]', '\u{1f600}'],
    ['*??', '€'], // in-toto-golang works on bytes after a star
  ])('%s matches %s', (pattern, name) => expect(matches(pattern, name)).toBe(true));

  it.each([
    ['', 'a'],
    ['a', ''],
    ['A', 'a'],
    ['src/*', 'src'],
    ['?', ''],
    ['??', 'é'],
    ['[a-c]', 'd'],
    ['[!a]', 'a'],
    ['[', '['],
    ['[]', ']'],
    ['[]a]', 'a'],
    ['[a', 'a'],
    ['[a-]', 'a'],
    ['[-a]', 'a'],
    ['[c-a]', 'b'],
    ['\\', '\\'],
    ['*[', 'a'],
    ['a*b', 'a-b-c'],
    ['*a', 'ab'],
    ['*b*a', 'ab'],
  ])('%s does not match %s', (pattern, name) => expect(matches(pattern, name)).toBe(false));
});

describe('names', () => {
  it.each([
    ['./src//foo/', 'src/foo'],
    ['', '.'],
    ['./', '.'],
    ['a/..', '.'],
    ['../a/', '../a'],
    ['/../a', '/a'],
    ['//a', '/a'],
    ['/', '/'],
  ])('%s is %s', (name, clean) => expect(cleanName(name)).toBe(clean));
});

describe('rules', () => {
  const hash = (content: string) => ({ sha256: content });
  const artifacts = (contents: Record<string, string | Record<string, string>>) =>
    new Map(
      Object.entries(contents).map(([name, content]) => [name, typeof content === 'string' ? hash(content) : content]),
    );
  const step = (materials: Parameters<typeof artifacts>[0], products: Parameters<typeof artifacts>[0]) => ({
    materials: artifacts(materials),
    products: artifacts(products),
  });
  const apply = (
    rules: readonly string[],
    own: ReturnType<typeof step>,
    others: Record<string, ReturnType<typeof step>> = {},
  ) =>
    applyRules(
      rules.map((text) => parseRule(text.split(' '))!),
      'products',
      own,
      new Map(Object.entries({ ...others, own })),
      { left: 1e6 },
    )?.message;

  it('of every form are read, in any case, and nothing else', () => {
    for (const text of [
      'CREATE a',
      'delete a',
      'Modify a',
      'ALLOW *',
      'DISALLOW *',
      'REQUIRE a',
      'MATCH * WITH PRODUCTS FROM x',
      'match * in src with materials from x',
      'MATCH * WITH PRODUCTS IN dist FROM x',
      'MATCH * IN src WITH PRODUCTS IN dist FROM x',
      'MATCH IN WITH PRODUCTS FROM FROM',
    ]) {
      expect(parseRule(text.split(' ')), text).toBeDefined();
    }
    for (const text of [
      '',
      'ALLOW',
      'ALLOW a b',
      'PERMIT a',
      'MATCH *',
      'MATCH * WITH PRODUCTS',
      'MATCH * FROM x',
      'MATCH * WITH PRODUCTS FROM x y',
      'MATCH * WITH PRODUCTS IN FROM x',
      'MATCH * IN WITH PRODUCTS FROM x',
      'MATCH * WITH PRODUCTS FROM',
      'MATCH * WITH STUFF FROM x',
      'MATCH * WITH PRODUCTS FROM x IN y',
    ]) {
      expect(parseRule(text.split(' ')), text).toBeUndefined();
    }
  });

  it('consume in order, and REQUIRE and DISALLOW see what is left', () => {
    const own = step({ kept: '1', changed: '1', gone: '1' }, { kept: '1', changed: '2', made: '1' });
    expect(apply(['CREATE made', 'MODIFY changed', 'ALLOW kept', 'DISALLOW *'], own)).toBeUndefined();
    expect(apply(['CREATE *', 'DISALLOW *'], own)).toContain('"changed", "kept"');
    expect(apply(['MODIFY *', 'DISALLOW *'], own)).toContain('"kept", "made"');
    expect(apply(['DELETE *', 'DISALLOW made'], own)).toContain('"made"');
    expect(apply(['REQUIRE made', 'ALLOW *'], own)).toBeUndefined();
    expect(apply(['ALLOW *', 'REQUIRE made'], own)).toContain('nothing');
    expect(apply(['REQUIRE m*'], own)).toContain('"m*" is not left');
    expect(apply(['DISALLOW *'], step({}, {}))).toBeUndefined();
    expect(apply([], own)).toBeUndefined();
  });

  it('of MATCH compare all hashes, below prefixes, with a step that is there', () => {
    const own = () => step({}, { 'src/a': '1', b: '1' });
    const other = step({}, { 'dist/a': '1', a: '1', b: '2' });
    expect(
      apply(['MATCH a IN src WITH PRODUCTS IN dist FROM x', 'DISALLOW src/*'], own(), { x: other }),
    ).toBeUndefined();
    expect(apply(['MATCH a IN src/ WITH PRODUCTS FROM x', 'DISALLOW src/*'], own(), { x: other })).toBeUndefined();
    expect(apply(['MATCH src/a WITH PRODUCTS FROM x', 'DISALLOW src/*'], own(), { x: other })).toContain('"src/a"');
    expect(
      apply(['MATCH b IN src WITH PRODUCTS FROM x', 'DISALLOW b'], own(), { x: step({}, { b: '1' }) }),
    ).toBeUndefined();
    expect(apply(['MATCH * WITH PRODUCTS FROM x', 'DISALLOW b'], own(), { x: other })).toContain('"b"');
    expect(apply(['MATCH * WITH PRODUCTS FROM y', 'DISALLOW *'], own(), { x: other })).toContain('"b", "src/a"');
    expect(apply(['MATCH * WITH MATERIALS FROM x', 'DISALLOW *'], own(), { x: other })).toContain('"b", "src/a"');
    const more = step({}, { b: { sha256: '1', sha512: '1' } });
    expect(apply(['MATCH b WITH PRODUCTS FROM x', 'DISALLOW b'], own(), { x: more })).toContain('"b"');
  });

  it('see names as the link writes them until a MATCH has cleaned them', () => {
    const own = () => step({ './m': '1' }, { './m': '2' });
    expect(apply(['MODIFY m', 'DISALLOW *'], own())).toContain('"m"');
    expect(apply(['ALLOW m', 'DISALLOW *'], own())).toBeUndefined();
    expect(apply(['REQUIRE ./m'], own())).toContain('is not left; there is "m"');
  });
});
