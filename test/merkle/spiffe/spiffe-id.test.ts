import { describe, expect, it } from 'vitest';
import { parseSpiffeId, parseTrustDomain } from '../../../merkle/spiffe/spiffe-id.ts';
import { codeOf } from '../helpers.ts';

describe('SPIFFE IDs', () => {
  it.each([
    ['spiffe://example.org', 'example.org', ''],
    ['spiffe://example.org/a', 'example.org', '/a'],
    ['spiffe://ci.example.org/build/main', 'ci.example.org', '/build/main'],
    ['spiffe://10.0.0.1/a', '10.0.0.1', '/a'],
    ['spiffe://a_b-c.d/A-Z_0.9/...', 'a_b-c.d', '/A-Z_0.9/...'],
    ['spiffe://..', '..', ''],
    [`spiffe://${'a'.repeat(255)}/b`, 'a'.repeat(255), '/b'],
    [`spiffe://a/${'b'.repeat(2037)}`, 'a', `/${'b'.repeat(2037)}`],
  ])('take %.60s', (text, trustDomain, path) => {
    expect(parseSpiffeId(text)).toEqual({ text, trustDomain, path });
  });

  it.each([
    ['nothing', ''],
    ['another scheme', 'https://example.org/a'],
    ['an upper-case scheme', 'SPIFFE://example.org/a'],
    ['one slash', 'spiffe:/example.org/a'],
    ['no trust domain', 'spiffe:///a'],
    ['nothing after the scheme', 'spiffe://'],
    ['an upper-case trust domain', 'spiffe://Example.org/a'],
    ['a port', 'spiffe://example.org:443/a'],
    ['a user', 'spiffe://me@example.org/a'],
    ['an IPv6 address', 'spiffe://[::1]/a'],
    ['a percent sign in the trust domain', 'spiffe://ex%61mple.org/a'],
    ['a letter beyond ASCII', 'spiffe://exämple.org/a'],
    ['a query', 'spiffe://example.org/a?b'],
    ['a fragment', 'spiffe://example.org/a#b'],
    ['a query of the trust domain', 'spiffe://example.org?b'],
    ['a slash at the end', 'spiffe://example.org/a/'],
    ['a slash alone', 'spiffe://example.org/'],
    ['an empty segment', 'spiffe://example.org/a//b'],
    ['traversal', 'spiffe://example.org/a/../b'],
    ['traversal at the end', 'spiffe://example.org/a/..'],
    ['a dot', 'spiffe://example.org/./a'],
    ['a percent sign in the path', 'spiffe://example.org/%2e%2e/b'],
    ['a backslash', 'spiffe://example.org/a\\b'],
    ['a wildcard', 'spiffe://example.org/*'],
    ['a wildcard domain', 'spiffe://*.example.org/a'],
    ['a space', 'spiffe://example.org/a b'],
    ['a line feed at the end', 'spiffe://example.org/a\n'],
    ['a line feed after the trust domain', 'spiffe://example.org\n/a'],
    ['a zero byte', 'spiffe://example.org/a\0'],
    ['a full-width letter', 'spiffe://example.org/ａ'],
    ['white space in front', ' spiffe://example.org/a'],
    ['a trust domain of 256 characters', `spiffe://${'a'.repeat(256)}/b`],
    ['2049 characters', `spiffe://a/${'b'.repeat(2038)}`],
  ])('refuse %s', (_, text) => {
    expect(codeOf(() => parseSpiffeId(text))).toBe('bad-spiffe-id');
  });

  it('print no control characters in errors', () => {
    expect(() => parseSpiffeId('spiffe://example.org/\x1b[31m')).toThrow(/^[\x20-\x7e]+$/);
  });
});

describe('trust domains', () => {
  it.each(['example.org', 'a', '10.0.0.1', 'a_b'])('take %s, and its ID', (name) => {
    expect(parseTrustDomain(name)).toBe(name);
    expect(parseTrustDomain(`spiffe://${name}`)).toBe(name);
  });

  it.each([
    '',
    'Example.org',
    'example.org/a',
    'spiffe://example.org/a',
    'spiffe://',
    'a:1',
    'a b',
    'a\n',
    'a'.repeat(256),
  ])('refuse %j', (text) => {
    expect(codeOf(() => parseTrustDomain(text))).toBe('bad-spiffe-id');
  });
});
