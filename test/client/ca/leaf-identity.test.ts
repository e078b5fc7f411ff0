import { expect, it } from 'vitest';
import { tokenIdentity } from '../../../client/ca/leaf-identity.ts';
import type { Caller } from '../../../merkle/runtime/identity/types.ts';

const ISSUER = 'https://token.example.com';
const rule = { issuer: ISSUER, name: 'spiffe', extensions: new Map() } as const;
const caller = (subject: string): Caller => ({
  kind: 'id-token',
  id: `${ISSUER} ${subject}`,
  issuer: ISSUER,
  subject,
  names: [],
  expires: Number.MAX_SAFE_INTEGER,
});

it('takes the subject for the SPIFFE ID of a workload', () => {
  const { name } = tokenIdentity(caller('spiffe://ci.example.com/build'), rule);
  expect(name).toEqual({ type: 'uri', value: 'spiffe://ci.example.com/build' });
});

it.each([
  'spiffe://ci.example.com',
  'spiffe://ci.example.com/',
  'spiffe://ci.example.com/../admin',
  'spiffe://ci.example.com/%2e%2e/admin',
  'spiffe://ci.example.com/*',
  'spiffe://CI.example.com/build',
  'spiffe://ci.example.com:443/build',
  'https://ci.example.com/build',
])('makes no name of the subject %s', (subject) => {
  expect(() => tokenIdentity(caller(subject), rule)).toThrow(expect.objectContaining({ code: 'name' }));
});
