/** Which SPIFFE IDs a pattern takes, and which texts are no pattern. */
import { describe, expect, it } from 'vitest';
import { MerkleError } from '../../../merkle/errors.ts';
import { compileSpiffeIdPattern } from '../../../merkle/spiffe/spiffe-id-pattern.ts';

/** The ID as its reader would give it. The test gives valid IDs, and some that a reader refuses. */
function id(text: string): { trustDomain: string; path: string } {
  const rest = text.slice('spiffe://'.length);
  const slash = rest.indexOf('/');
  return slash < 0 ? { trustDomain: rest, path: '' } : { trustDomain: rest.slice(0, slash), path: rest.slice(slash) };
}

const TAKEN: readonly (readonly [string, string])[] = [
  ['spiffe://example.org', 'spiffe://example.org'],
  ['spiffe://example.org/build/one', 'spiffe://example.org/build/one'],
  ['spiffe://example.org/**', 'spiffe://example.org/build'],
  ['spiffe://example.org/**', 'spiffe://example.org/build/one/two'],
  ['spiffe://example.org/build/**', 'spiffe://example.org/build/one'],
  ['spiffe://example.org/build/**', 'spiffe://example.org/build/one/two/three'],
  ['spiffe://example.org/*', 'spiffe://example.org/build'],
  ['spiffe://example.org/*/release', 'spiffe://example.org/team/release'],
  ['spiffe://example.org/build/job-*', 'spiffe://example.org/build/job-7'],
  ['spiffe://example.org/build/job-*', 'spiffe://example.org/build/job-'],
  ['spiffe://example.org/a*b*c', 'spiffe://example.org/abc'],
  ['spiffe://example.org/a*b*c', 'spiffe://example.org/a-bc-b-c'],
  ['spiffe://example.org/*/**', 'spiffe://example.org/a/b'],
];

const REFUSED: readonly (readonly [string, string])[] = [
  ['spiffe://example.org', 'spiffe://example.org/build'],
  ['spiffe://example.org', 'spiffe://example.org.evil.example'],
  ['spiffe://example.org/**', 'spiffe://example.org'],
  ['spiffe://example.org/**', 'spiffe://sub.example.org/build'],
  ['spiffe://example.org/**', 'spiffe://other.org/build'],
  ['spiffe://example.org/build/**', 'spiffe://example.org/build'],
  ['spiffe://example.org/build/**', 'spiffe://example.org/builder/one'],
  ['spiffe://example.org/build/**', 'spiffe://example.org/Build/one'],
  ['spiffe://example.org/*', 'spiffe://example.org/a/b'],
  ['spiffe://example.org/*', 'spiffe://example.org'],
  ['spiffe://example.org/*/release', 'spiffe://example.org/a/b/release'],
  ['spiffe://example.org/build/job-*', 'spiffe://example.org/build/job'],
  ['spiffe://example.org/aba*aba', 'spiffe://example.org/aba'],
  ['spiffe://example.org/a*b*c', 'spiffe://example.org/ac'],
  ['spiffe://example.org/a*bb*b', 'spiffe://example.org/abb'],
];

describe('a pattern of SPIFFE IDs', () => {
  it.each(TAKEN)('%s takes %s', (pattern, text) => expect(compileSpiffeIdPattern(pattern)(id(text))).toBe(true));
  it.each(REFUSED)('%s refuses %s', (pattern, text) => expect(compileSpiffeIdPattern(pattern)(id(text))).toBe(false));

  it.each([
    '',
    'example.org/build',
    'https://example.org/build',
    'SPIFFE://example.org/build',
    'spiffe://',
    'spiffe:///build',
    'spiffe://*/build',
    'spiffe://*.example.org/build',
    'spiffe://Example.org/build',
    'spiffe://example.org:8080/build',
    'spiffe://user@example.org/build',
    'spiffe://example.org/',
    'spiffe://example.org/build/',
    'spiffe://example.org//build',
    'spiffe://example.org/../build',
    'spiffe://example.org/./build',
    'spiffe://example.org/%2e%2e/build',
    'spiffe://example.org/build?x',
    'spiffe://example.org/build#x',
    'spiffe://example.org/**/release',
    'spiffe://example.org/build**',
    'spiffe://example.org/***',
    'spiffe://example.org/b\u00fcild',
    'spiffe://example.org/build\n',
    `spiffe://example.org/${'a'.repeat(2048)}`,
  ])('%j is none', (text) => {
    expect(() => compileSpiffeIdPattern(text)).toThrow(MerkleError);
    expect(() => compileSpiffeIdPattern(text)).toThrow('is no pattern of SPIFFE IDs');
  });
});
