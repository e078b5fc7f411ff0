import { expect, it } from 'vitest';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { parseTimestamp, verifyTimestamp } from '../../../merkle/x509/timestamp.ts';
import { describeVectors, vectorBundle, vectorRoot } from './vectors.ts';

const verify = (name: string, rootName = name) => {
  const { timestamps, signature } = vectorBundle(name);
  return timestamps.map(
    (der) => verifyTimestamp(der, signature, vectorRoot(rootName).timestampAuthorities, noblePrimitives).time,
  );
};
const code = (expected: string) => expect.objectContaining({ name: 'MerkleError', code: expected });

describeVectors('time stamps of published bundles', () => {
  it.each([
    ['rekor2-timestamp-with-embedded-cert', '2025-08-06T18:51:36.000Z'],
    ['rekor2-timestamp-without-embedded-cert', '2025-08-06T19:03:51.000Z'],
    ['managed-key-happy-path', '2025-12-18T17:04:39.000Z'],
    // The time is good; that the signer's certificate was not is for others to see.
    ['intoto-tsa-timestamp-outside-cert-validity_fail', '2023-02-02T00:00:00.000Z'],
  ])('%s: %s', (name, time) => expect(verify(name)).toEqual([Date.parse(time)]));

  it.each([
    ['rekor2-timestamp-outside-trust-root-tsa-validity_fail'],
    ['rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail'],
    ['rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail'],
  ])('%s: refused', (name) => expect(() => verify(name)).toThrow(code('bad-timestamp')));

  it('refuse the authority of another instance', () => {
    expect(() => verify('rekor2-timestamp-with-embedded-cert', 'happy-path-v0.3-new-mediaType')).toThrow(
      code('bad-timestamp'),
    );
  });

  it('refuse a time stamp of another signature', () => {
    const { timestamps } = vectorBundle('rekor2-timestamp-with-embedded-cert');
    const { signature } = vectorBundle('rekor2-timestamp-without-embedded-cert');
    const { timestampAuthorities } = vectorRoot('rekor2-timestamp-with-embedded-cert');
    for (const message of [signature, signature.subarray(1), new Uint8Array(0)]) {
      expect(() => verifyTimestamp(timestamps[0]!, message, timestampAuthorities, noblePrimitives)).toThrow(
        code('bad-timestamp'),
      );
    }
  });

  it('read a large one with RSA, SHA-512 and two certificates', () => {
    const { timestamps } = vectorBundle('rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail');
    const timestamp = parseTimestamp(timestamps[0]!);
    expect(timestamp.certificates).toHaveLength(2);
    expect(timestamp.imprint.hash).toBe('sha256');
  });
});
