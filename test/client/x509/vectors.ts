/** Certificates, time stamps and keys out of the published bundles, where those are there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';

const ROOT = join(import.meta.dirname, '../../../../shared/vectors/sigstore-bundles');
export const hasVectors = existsSync(join(ROOT, 'trusted_root.json'));
/** `describe` that says that it skipped where the vectors are absent. */
export const describeVectors = describe.skipIf(!hasVectors);

const base64 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const json = (...path: string[]) => JSON.parse(readFileSync(join(ROOT, ...path), 'utf8'));

interface Validity {
  readonly start: number;
  readonly end: number;
}
const validity = (period: { start: string; end?: string }): Validity => ({
  start: Date.parse(period.start),
  end: period.end === undefined ? Number.POSITIVE_INFINITY : Date.parse(period.end),
});

export interface VectorRoot {
  readonly authorities: readonly { chain: Uint8Array[]; validFor: Validity }[];
  readonly timestampAuthorities: readonly { chain: Uint8Array[]; validFor: Validity }[];
  readonly ctlogs: readonly { logId: Uint8Array; spki: Uint8Array; validFor: Validity }[];
}

export const CASES: readonly string[] = hasVectors
  ? readdirSync(ROOT).filter((name) => existsSync(join(ROOT, name, 'bundle.sigstore.json')))
  : [];

/** The trusted root of a case, or the one of those without their own. */
export function vectorRoot(name = ''): VectorRoot {
  const root = existsSync(join(ROOT, name, 'trusted_root.json'))
    ? json(name, 'trusted_root.json')
    : json('trusted_root.json');
  const chains = (list: { certChain: { certificates: { rawBytes: string }[] }; validFor: { start: string } }[] = []) =>
    list.map(({ certChain, validFor }) => ({
      chain: certChain.certificates.map(({ rawBytes }) => base64(rawBytes)),
      validFor: validity(validFor),
    }));
  const ctlogs = (root.ctlogs ?? []) as {
    logId: { keyId: string };
    publicKey: { rawBytes: string; validFor: { start: string } };
  }[];
  return {
    authorities: chains(root.certificateAuthorities),
    timestampAuthorities: chains(root.timestampAuthorities),
    ctlogs: ctlogs.map(({ logId, publicKey }) => ({
      logId: base64(logId.keyId),
      spki: base64(publicKey.rawBytes),
      validFor: validity(publicKey.validFor),
    })),
  };
}

export interface VectorBundle {
  /** Leaf first. */
  readonly certificates: readonly Uint8Array[];
  readonly timestamps: readonly Uint8Array[];
  /** Of the message or the envelope. */
  readonly signature: Uint8Array;
}

export function vectorBundle(name: string): VectorBundle {
  const bundle = json(name, 'bundle.sigstore.json');
  const { verificationMaterial: material } = bundle;
  const certificates: { rawBytes: string }[] =
    material.x509CertificateChain?.certificates ?? (material.certificate ? [material.certificate] : []);
  const timestamps: { signedTimestamp: string }[] = material.timestampVerificationData?.rfc3161Timestamps ?? [];
  return {
    certificates: certificates.map(({ rawBytes }) => base64(rawBytes)),
    timestamps: timestamps.map(({ signedTimestamp }) => base64(signedTimestamp)),
    signature: base64(bundle.messageSignature?.signature ?? bundle.dsseEnvelope.signatures[0].sig),
  };
}
