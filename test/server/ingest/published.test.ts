/** Entries of Rekor v2 in bundles: ingest must make the same bytes of what the client had sent. */
import { describe, expect, it } from 'vitest';
import { bundleCases } from '../../support/vectors.ts';
import { entriesOf, ingestHere } from './support.ts';

const CERTIFICATE_DETAILS = 'PKIX_ECDSA_P256_SHA_256';

describe.each(bundleCases())('bundles of Rekor v2: %s', (cases) => {
  const messages = cases.all
    .filter(({ name }) => name.startsWith('rekor2-'))
    .map(({ name, bundle }) => [name, JSON.parse(Buffer.from(bundle).toString())] as const)
    .filter(([, bundle]) => bundle.messageSignature !== undefined);
  it.each(messages)('%s: a message signature', (_, bundle) => {
    const { messageSignature, verificationMaterial } = bundle;
    const request = {
      hashedRekordRequestV002: {
        digest: messageSignature.messageDigest.digest,
        signature: {
          content: messageSignature.signature,
          verifier: { x509Certificate: verificationMaterial.certificate, keyDetails: CERTIFICATE_DETAILS },
        },
      },
    };
    const logged = Buffer.from(verificationMaterial.tlogEntries[0].canonicalizedBody, 'base64').toString();
    expect(entriesOf(ingestHere(JSON.stringify(request)))).toEqual([logged]);
  });

  it('has some', () => {
    expect(messages.length).toBeGreaterThan(3);
  });
});
