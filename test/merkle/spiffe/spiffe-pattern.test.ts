/** Patterns of SPIFFE IDs, by whole segments. */
import { describe, expect, it } from 'vitest';
import { compileSpiffePattern } from '../../../merkle/spiffe/spiffe-pattern.ts';

const idOf = (text: string) => {
  const [, trustDomain = '', path = ''] = /^spiffe:\/\/([^/]*)(.*)$/.exec(text)!;
  return { trustDomain, path };
};

describe('compileSpiffePattern', () => {
  it.each([
    ['spiffe://example.org/build/linux', 'spiffe://example.org/build/linux'],
    ['spiffe://example.org/*', 'spiffe://example.org/build'],
    ['spiffe://example.org/build/*', 'spiffe://example.org/build/linux'],
    ['spiffe://example.org/*/linux', 'spiffe://example.org/build/linux'],
    ['spiffe://example.org/build/**', 'spiffe://example.org/build/linux'],
    ['spiffe://example.org/build/**', 'spiffe://example.org/build/linux/arm'],
    ['spiffe://example.org/*/linux/**', 'spiffe://example.org/build/linux/arm'],
    ['spiffe://example.org/**', 'spiffe://example.org/build'],
    ['spiffe://example.org/**', 'spiffe://example.org/build/linux/arm'],
  ])('%s takes %s', (pattern, id) => {
    expect(compileSpiffePattern(pattern)(idOf(id))).toBe(true);
  });

  it.each([
    ['spiffe://example.org/build/linux', 'spiffe://example.org/build/linux2'],
    ['spiffe://example.org/build/linux', 'spiffe://example.org/build/linux/arm'],
    ['spiffe://example.org/build/linux', 'spiffe://example.org/build/Linux'],
    ['spiffe://example.org/build/linux', 'spiffe://other.org/build/linux'],
    ['spiffe://example.org/build/*', 'spiffe://example.org/build'],
    ['spiffe://example.org/build/*', 'spiffe://example.org/build/'],
    ['spiffe://example.org/build/*', 'spiffe://example.org/build/linux/arm'],
    ['spiffe://example.org/build/*', 'spiffe://example.org/builds/linux'],
    ['spiffe://example.org/build/**', 'spiffe://example.org/build'],
    ['spiffe://example.org/build/**', 'spiffe://example.org/build2/linux'],
    ['spiffe://example.org/build/**', 'spiffe://example.org/build//linux'],
    ['spiffe://example.org/**', 'spiffe://example.org'],
    ['spiffe://example.org/**', 'spiffe://example.org/'],
    ['spiffe://example.org/**', 'spiffe://sub.example.org/build'],
    ['spiffe://example.org/**', 'spiffe://example.org.evil/build'],
  ])('%s does not take %s', (pattern, id) => {
    expect(compileSpiffePattern(pattern)(idOf(id))).toBe(false);
  });

  it.each([
    ['spiffe://example.org', 'write spiffe://example.org/** for all'],
    ['spiffe://example.org/', 'empty segment'],
    ['spiffe://example.org/build/', 'empty segment'],
    ['spiffe://example.org//linux', 'empty segment'],
    ['spiffe://*/build', 'must be named in full'],
    ['spiffe://*.example.org/build', 'must be named in full'],
    ['spiffe://Example.org/build', 'no trust domain'],
    ['spiffe:///build', 'no trust domain'],
    ['spiffe://example.org:443/build', 'no trust domain'],
    ['spiffe://user@example.org/build', 'no trust domain'],
    ['spiffe://example.org/build/../admin', 'a segment . or ..'],
    ['spiffe://example.org/./build', 'a segment . or ..'],
    ['spiffe://example.org/%2e%2e/build', 'other characters'],
    ['spiffe://example.org/a b', 'other characters'],
    ['spiffe://example.org/build?x', 'other characters'],
    ['spiffe://example.org/build-*', 'within a segment'],
    ['spiffe://example.org/***', 'within a segment'],
    ['spiffe://example.org/**/linux', '** before its end'],
    ['SPIFFE://example.org/build', 'does not begin with spiffe://'],
    ['https://example.org/build', 'does not begin with spiffe://'],
    ['', 'does not begin with spiffe://'],
    [`spiffe://example.org/${'a'.repeat(2100)}`, 'more than 2048'],
  ])('refuses %s', (pattern, why) => {
    expect(() => compileSpiffePattern(pattern)).toThrow(why);
  });
});
