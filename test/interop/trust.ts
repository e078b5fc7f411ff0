/** A Sigstore trusted root (JSON) for one log, and for the authorities around it; and sigstore-js made to read it. */
import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { type TrustMaterial, toTrustMaterial } from '@sigstore/verify';
import type { ServeProcess } from '../support/serve.ts';
import type { Authority } from './authority.ts';
import { publicKeyDer } from './tools.ts';

const validFor = { start: '2026-01-01T00:00:00Z' };

export async function trustedRoot(
  { url, origin, verifierKeys }: Pick<ServeProcess, 'url' | 'origin' | 'verifierKeys'>,
  authority?: Authority,
): Promise<object> {
  const key = publicKeyDer(verifierKeys[0]!);
  const isEd25519 = key.length === 44;
  // docs/wire.md says how a log ID is made.
  const named = isEd25519 ? Buffer.concat([Buffer.from(`${origin}\n\x01`), key.subarray(12)]) : key;
  const keyDetails = isEd25519 ? 'PKIX_ED25519' : 'PKIX_ECDSA_P256_SHA_256';
  return {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [
      {
        baseUrl: url,
        hashAlgorithm: 'SHA2_256',
        publicKey: { rawBytes: key.toString('base64'), keyDetails, validFor },
        logId: { keyId: createHash('sha256').update(named).digest('base64') },
      },
    ],
    certificateAuthorities: authority ? [await certificates(authority.caChain)] : [],
    timestampAuthorities: authority ? [await certificates(authority.tsaChain)] : [],
    ctlogs: [],
  };
}

async function certificates(pemFile: string): Promise<object> {
  const pem = await readFile(pemFile, 'utf8');
  const each = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const certificates = each.map((one) => ({ rawBytes: new X509Certificate(one).raw.toString('base64') }));
  return { subject: {}, uri: 'http://localhost', certChain: { certificates }, validFor };
}

interface TrustedRootMessage {
  fromJSON(json: object): Parameters<typeof toTrustMaterial>[0];
}

/** For `@sigstore/verify`; `keys`: public keys (SPKI, DER) by the hint that a bundle gives. */
export function trustMaterial(root: object, keys: Readonly<Record<string, Buffer>> = {}): TrustMaterial {
  // The messages' package is a dependency of @sigstore/verify, not of this project.
  const beside = createRequire(createRequire(import.meta.url).resolve('@sigstore/verify'));
  const { TrustedRoot } = beside('@sigstore/protobuf-specs') as { TrustedRoot: TrustedRootMessage };
  const rawBytes = Object.entries(keys).map(([hint, key]) => [hint, { rawBytes: key, keyDetails: 5 }]);
  return toTrustMaterial(TrustedRoot.fromJSON(root), Object.fromEntries(rawBytes));
}
