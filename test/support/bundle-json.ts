/** Bundles of a test instance (instance.ts) in JSON, from their parts. */
import * as crypto from 'node:crypto';
import type { newKeys } from '../merkle/x509/make.ts';
import { type Json, pem64, type Signer } from './instance.ts';

type Keys = ReturnType<typeof newKeys>;
export type Version = '0.1' | '0.2' | '0.3';

/** The file that the bundles are about. */
export const FILE = Buffer.from('an artifact of the tests\n');

const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64');
export const sha256 = (bytes: Uint8Array | string) => crypto.hash('sha256', bytes, 'buffer');
export const hash = (bytes: Uint8Array | string) => ({ algorithm: 'sha256', value: sha256(bytes).toString('hex') });

/** @param chain certificates above the signer's; only in v0.1 and v0.2 */
export function bundleJson(
  version: Version,
  signer: Signer | Keys,
  content: object,
  entries: readonly Json[],
  stamps: readonly Uint8Array[] = [],
  chain: readonly Uint8Array[] = [],
): Json {
  const raw = (der: Uint8Array) => ({ rawBytes: base64(der) });
  const held = !('certificate' in signer)
    ? { publicKey: { hint: '' } }
    : version === '0.3'
      ? { certificate: raw(signer.certificate) }
      : { x509CertificateChain: { certificates: [signer.certificate, ...chain].map(raw) } };
  return {
    mediaType:
      version === '0.3'
        ? 'application/vnd.dev.sigstore.bundle.v0.3+json'
        : `application/vnd.dev.sigstore.bundle+json;version=${version}`,
    verificationMaterial: {
      ...held,
      tlogEntries: entries,
      ...(stamps.length === 0
        ? {}
        : {
            timestampVerificationData: {
              rfc3161Timestamps: stamps.map((reply) => ({ signedTimestamp: base64(reply) })),
            },
          }),
    },
    ...content,
  };
}

export const messageOf = (signature: Uint8Array, file: Uint8Array = FILE) => ({
  messageSignature: {
    messageDigest: { algorithm: 'SHA2_256', digest: base64(sha256(file)) },
    signature: base64(signature),
  },
});

/** The `spec` of a hashedrekord 0.0.1. */
export const recordOf = (signer: Signer | Keys, signature: Uint8Array, file: Uint8Array = FILE) => ({
  data: { hash: hash(file) },
  signature: { content: base64(signature), publicKey: { content: pem64(signer) } },
});
