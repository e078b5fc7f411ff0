import { expect, it } from 'vitest';
import { parseSpki } from '../../../merkle/rekor/spki.ts';
import { USAGE } from '../../../merkle/x509/certificate.ts';
import { describeVectors, vectorBundle, vectorRoot } from './vectors.ts';

describeVectors('published certificates', () => {
  it('are read as they are', () => {
    const leaf = vectorBundle('happy-path-v0.3-new-mediaType').certificates[0]!;
    expect(leaf).toMatchObject({
      serialNumber: '68bfedb264131e4db59add54ba4fb0edabc3073e',
      issuer: 'CN=sigstore-intermediate,O=sigstore.dev',
      subject: '',
      notBefore: Date.UTC(2024, 2, 19, 17, 26, 26),
      notAfter: Date.UTC(2024, 2, 19, 17, 36, 26),
      signatureAlgorithm: '1.2.840.10045.4.3.3',
      isCa: false,
      keyUsage: ['digitalSignature'],
      extKeyUsage: [USAGE.codeSigning],
    });
    expect(leaf.names).toEqual([
      {
        type: 'uri',
        value:
          'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main',
      },
    ]);
    expect(leaf.extension('1.3.6.1.4.1.11129.2.4.2')?.critical).toBe(false);
    expect(leaf.extension('1.2.3')).toBeUndefined();
    expect(parseSpki(leaf.spki).kind).toBe('ecdsa-p256');
  });

  it('of authorities too', () => {
    const { authorities } = vectorRoot();
    const [intermediate, root] = authorities.at(-1)!.certificates;
    expect(intermediate).toMatchObject({ isCa: true, pathLen: 0, keyUsage: ['keyCertSign', 'cRLSign'] });
    expect(root).toMatchObject({ isCa: true, subject: 'CN=sigstore,O=sigstore.dev' });
    expect(root).not.toHaveProperty('pathLen');
    expect(intermediate?.authorityKeyId).toEqual(root?.subjectKeyId);
  });
});
