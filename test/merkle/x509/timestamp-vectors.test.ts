import { describe, expect, it } from 'vitest';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { parseTimestamp, verifyTimestamp } from '../../../merkle/x509/timestamp.ts';
import { STAMPED } from '../../support/own-cases.ts';
import { type BundleCases, bundleCases } from '../../support/vectors.ts';
import { vectorBundle, vectorRoot } from './vectors.ts';

function verifyCase(cases: BundleCases, name: string, rootName: string) {
  const { timestamps, signature } = vectorBundle(cases.named(name));
  const { timestampAuthorities } = vectorRoot(cases.named(rootName));
  return timestamps.map((der) => {
    const found = verifyTimestamp(der, signature, timestampAuthorities, noblePrimitives);
    return 'stranger' in found ? 'stranger' : found.time;
  });
}
const code = (expected: string) => expect.objectContaining({ name: 'MerkleError', code: expected });

describe.each(bundleCases())('time stamps of bundles: %s', (cases) => {
  const verify = (name: string, rootName = name) => verifyCase(cases, name, rootName);
  const bundle = (name: string) => vectorBundle(cases.named(name));

  it.each([
    ['rekor2-timestamp-with-embedded-cert', '2025-08-06T18:51:36.000Z'],
    ['rekor2-timestamp-without-embedded-cert', '2025-08-06T19:03:51.000Z'],
    ['managed-key-happy-path', '2025-12-18T17:04:39.000Z'],
    // The time is good; that the signer's certificate was not is for others to see.
    ['intoto-tsa-timestamp-outside-cert-validity_fail', '2023-02-02T00:00:00.000Z'],
  ])('%s: %s', (name, time) => {
    const own = cases.source === 'our own' && !name.endsWith('_fail');
    expect(verify(name)).toEqual([own ? STAMPED : Date.parse(time)]);
  });

  it('refuse a known authority outside of its time', () => {
    expect(() => verify('rekor2-timestamp-outside-trust-root-tsa-validity_fail')).toThrow(code('bad-timestamp'));
  });

  it.each<[string, string?]>([
    ['rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail'],
    ['rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail'],
    ['rekor2-timestamp-with-embedded-cert', 'happy-path-v0.3-new-mediaType'],
  ])('%s: gives no time, as its authority is unknown', (name, root) => {
    expect(verify(name, root)).toEqual(['stranger']);
  });

  it('refuse a time stamp of another signature', () => {
    const { timestamps } = bundle('rekor2-timestamp-with-embedded-cert');
    const { signature } = bundle('rekor2-timestamp-without-embedded-cert');
    const { timestampAuthorities } = vectorRoot(cases.named('rekor2-timestamp-with-embedded-cert'));
    for (const message of [signature, signature.subarray(1), new Uint8Array(0)]) {
      expect(() => verifyTimestamp(timestamps[0]!, message, timestampAuthorities, noblePrimitives)).toThrow(
        code('bad-timestamp'),
      );
    }
  });

  // The published one is large, with RSA and SHA-512.
  it('read one with two certificates', () => {
    const { timestamps } = bundle('rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail');
    const timestamp = parseTimestamp(timestamps[0]!);
    expect(timestamp.certificates).toHaveLength(2);
    expect(timestamp.imprint.hash).toBe('sha256');
  });
});
