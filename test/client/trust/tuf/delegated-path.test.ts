/** Which names a delegation covers, and the file names of a mirror. */
import { describe, expect, it } from 'vitest';
import { isDelegatedTo, matchesPattern } from '../../../../client/trust/tuf/delegated-path.ts';
import { isDelegatedName, metadataFileName, targetFileName } from '../../../../client/trust/tuf/role.ts';
import { hexSha256 } from '../../../../client/trust/tuf/tuf-key.ts';

describe('a pattern of target names', () => {
  it.each([
    // The examples of TUF 1.0.34 section 4.5.
    ['targets/*.tgz', ['targets/foo.tgz', 'targets/bar.tgz'], ['targets/foo.txt', 'foo.tgz', 'targets/a/foo.tgz']],
    ['foo-version-?.tgz', ['foo-version-2.tgz', 'foo-version-a.tgz'], ['foo-version-alpha.tgz', 'foo-version-.tgz']],
    ['*.tgz', ['foo.tgz', '.tgz'], ['targets/foo.tgz', 'foo.tgzz']],
    ['foo.tgz', ['foo.tgz'], ['fooxtgz', 'foo.tg', 'foo.tgz/']],
    ['*', ['a', 'abc'], ['a/b']],
    ['a*b*c', ['abc', 'aXbYc', 'abbcc'], ['ab', 'acb', 'abcd']],
    ['[ab]', [], ['a', 'b']],
    ['{a,b}', [], ['a', 'b']],
    ['!a', [], ['b']],
    ['', [], ['a']],
  ])('%s', (pattern, those, others) => {
    for (const name of those) expect(matchesPattern(name, pattern), name).toBe(true);
    for (const name of others) expect(matchesPattern(name, pattern), name).toBe(false);
  });

  it('takes no exponential time', () => {
    expect(matchesPattern('a'.repeat(500), `${'*a'.repeat(200)}*b`)).toBe(false);
  });
});

describe('a delegation', () => {
  it('covers hash prefixes', () => {
    const prefix = hexSha256(Buffer.from('one')).slice(0, 4);
    expect(isDelegatedTo({ paths: undefined, pathHashPrefixes: ['ffff0', prefix] }, 'one')).toBe(true);
    expect(isDelegatedTo({ paths: undefined, pathHashPrefixes: ['ffff0'] }, 'one')).toBe(false);
  });

  it('covers nothing without paths', () => {
    expect(isDelegatedTo({ paths: undefined, pathHashPrefixes: undefined }, 'one')).toBe(false);
    expect(isDelegatedTo({ paths: [], pathHashPrefixes: undefined }, 'one')).toBe(false);
  });
});

describe('a file on a mirror', () => {
  it('has its version or its hash in its name', () => {
    expect(metadataFileName('root', 3)).toBe('3.root.json');
    expect(metadataFileName('team', 1)).toBe('1.team.json');
    expect(metadataFileName('timestamp', 9)).toBe('timestamp.json');
    expect(targetFileName('a.txt', 'ab')).toBe('ab.a.txt');
    expect(targetFileName('dir/sub/a.txt', 'ab')).toBe('dir/sub/ab.a.txt');
  });

  it.each([
    'root',
    'targets',
    'snapshot',
    'timestamp',
    'mirrors',
    '',
    '.',
    '..',
    '.a',
    'a/b',
    'a b',
    'é',
    'x'.repeat(129),
  ])('is of no delegated role called %j', (name) => expect(isDelegatedName(name)).toBe(false));
  it.each(['team', 'registry.npmjs.org', 'a@b_c-d', '0'])('may be of the delegated role %s', (name) =>
    expect(isDelegatedName(name)).toBe(true),
  );
});
