/** Entries that rekor-tiles itself logged: ingest must make the same bytes of what the client had sent. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { entriesOf, ingestHere } from './support.ts';

const DIR = new URL('../../../../shared/vectors/sigstore-bundles/', import.meta.url);
const bundles = existsSync(DIR)
  ? readdirSync(DIR)
      .filter((name) => name.startsWith('rekor2-') && existsSync(new URL(`${name}/bundle.sigstore.json`, DIR)))
      .map((name) => [name, JSON.parse(readFileSync(new URL(`${name}/bundle.sigstore.json`, DIR), 'utf8'))] as const)
  : [];

const CERTIFICATE_DETAILS = 'PKIX_ECDSA_P256_SHA_256';

describe.skipIf(bundles.length === 0)('published Rekor v2 bundles', () => {
  const messages = bundles.filter(([, bundle]) => bundle.messageSignature !== undefined);
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
