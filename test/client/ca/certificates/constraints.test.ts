/** The forms of names that an authority certifies: each reader reads them the same way, and none takes one for a pattern. */
import { expect, it } from 'vitest';
import { isPlainHost, notPermitted } from '../../../../client/ca/certificates/constraints.ts';
import { newTestRoot } from '../../../support/ca.ts';

const root = await newTestRoot();
const team = await root.team('ci', { uri: ['ci.example.com'], dns: ['example.com'], email: ['example.com'] });

it.each([
  ['uri', 'https://ci.example.com/app/%20/release.yml@refs/heads/main'],
  ['dns', 'a.example.com'],
  ['email', "o'neil+ci@example.com"],
] as const)('the %s %s is certified', (type, value) => {
  expect(notPermitted(team.certificate, { type, value })).toBeUndefined();
});

it.each([
  ['uri', 'https://ci.example.com/*'],
  ['uri', 'https://ci.example.com/app/%2A'],
  ['uri', 'https://*.ci.example.com/app'],
  ['uri', 'https://ci.example.com/a/../b'],
  ['uri', 'https://ci.example.com/a/%2e%2E/b'],
  ['uri', 'https://ci.example.com/a/%252e%252e/b'],
  ['uri', 'https://ci.example.com/a%2fb'],
  ['uri', 'https://ci.example.com//a'],
  ['uri', 'https://ci.example.com/a?b'],
  ['uri', 'https://ci.example.com/a#b'],
  ['uri', 'https://ci.example.com:443/a'],
  ['uri', 'https://user@ci.example.com/a'],
  ['uri', 'https://ci.example.com./a'],
  ['uri', 'https://CI.example.com/a'],
  ['uri', 'https://sub.ci.example.com/a'],
  ['uri', 'https://192.0.2.1/a'],
  ['uri', 'spiffe://0x7f000001/a'],
  ['dns', '192.0.2.1'],
  ['email', 'a@192.0.2.1'],
  ['dns', '*.example.com'],
  ['dns', 'a.example.com.'],
  ['email', '*@example.com'],
  ['email', 'a@b@example.com'],
  ['email', '"a@evil.example"@example.com'],
  ['email', 'a@EXAMPLE.com'],
  ['email', 'a@example.com.'],
  ['email', 'a@[192.0.2.1]'],
  ['email', 'a@sub.example.com'],
] as const)('the %s %s is not', (type, value) => {
  expect(notPermitted(team.certificate, { type, value })).toMatch(/^names /);
});

it.each([
  ['example.com', true],
  ['1.example.com', true],
  ['3com', true],
  ['0xample', true],
  ['10.0.0.1', false],
  ['10', false],
  ['example.1', false],
  ['0x7f.0x1', false],
])('that %s names a host, and no address, is %s', (text, isHost) => {
  expect(isPlainHost(text)).toBe(isHost);
});
