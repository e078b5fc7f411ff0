import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fastSha256 } from '../../../../merkle/runtime/crypto/hash.ts';

it('is SHA-256, in fresh bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      expect(Buffer.from(fastSha256(data))).toEqual(createHash('sha256').update(data).digest());
    }),
  );
  const first = fastSha256(new Uint8Array(65));
  const second = fastSha256(new Uint8Array(65));
  first.fill(0);
  expect(second).not.toEqual(first);
  expect(second.constructor).toBe(Uint8Array);
});

it('hashes only the bytes that a view shows', () => {
  const view = new Uint8Array([9, 1, 2, 9]).subarray(1, 3);
  expect(fastSha256(view)).toEqual(fastSha256(new Uint8Array([1, 2])));
});
