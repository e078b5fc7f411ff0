import { describe, expect, it } from 'vitest';
import { parseSpki } from '../../../merkle/rekor/spki.ts';
import { USAGE } from '../../../merkle/x509/certificate.ts';
import { NOW } from '../../support/instance.ts';
import { bundleCases } from '../../support/vectors.ts';
import { vectorBundle, vectorRoot } from './vectors.ts';

/** What differs between our own certificates and the published ones. */
const OURS = {
  issuer: 'CN=intermediate of sigstore.example',
  root: 'CN=root of sigstore.example',
  notBefore: Date.parse(NOW),
  signatureAlgorithm: '1.2.840.10045.4.3.2',
  authorityUsage: ['keyCertSign'],
};
const THEIRS = {
  issuer: 'CN=sigstore-intermediate,O=sigstore.dev',
  root: 'CN=sigstore,O=sigstore.dev',
  notBefore: Date.UTC(2024, 2, 19, 17, 26, 26),
  signatureAlgorithm: '1.2.840.10045.4.3.3',
  authorityUsage: ['keyCertSign', 'cRLSign'],
};
describe.each(bundleCases())('certificates: %s', (cases) => {
  const own = cases.source === 'our own';
  const expected = own ? OURS : THEIRS;
  const good = cases.named('happy-path-v0.3-new-mediaType');

  it('are read as they are', () => {
    const leaf = vectorBundle(good).certificates[0]!;
    expect(leaf).toMatchObject({
      serialNumber: own ? expect.stringMatching(/^[0-9a-f]{16}$/) : '68bfedb264131e4db59add54ba4fb0edabc3073e',
      issuer: expected.issuer,
      subject: '',
      notBefore: expected.notBefore,
      notAfter: expected.notBefore + 600_000,
      signatureAlgorithm: expected.signatureAlgorithm,
      isCa: false,
      keyUsage: ['digitalSignature'],
      extKeyUsage: [USAGE.codeSigning],
    });
    expect(leaf.names).toEqual([{ type: 'uri', value: good.identity }]);
    expect(leaf.extension('1.3.6.1.4.1.11129.2.4.2')?.critical).toBe(false);
    expect(leaf.extension('1.2.3')).toBeUndefined();
    expect(parseSpki(leaf.spki).kind).toBe('ecdsa-p256');
  });

  it('of authorities too', () => {
    const { authorities } = vectorRoot(good);
    const [intermediate, root] = authorities.at(-1)!.certificates;
    expect(intermediate).toMatchObject({ isCa: true, pathLen: 0, keyUsage: expected.authorityUsage });
    expect(root).toMatchObject({ isCa: true, subject: expected.root });
    expect(root).not.toHaveProperty('pathLen');
    expect(intermediate?.authorityKeyId).toEqual(root?.subjectKeyId);
  });
});
