/** Certificates, time stamps and keys out of the bundles of ours and the published ones. */
import { type KeyInfo, parseSpki } from '../../../merkle/rekor/spki.ts';
import { type Certificate, parseCertificate } from '../../../merkle/x509/certificate.ts';
import type { CtLog } from '../../../merkle/x509/sct.ts';
import type { Period } from '../../../merkle/x509/utc-time.ts';
import { bitString, sequence } from '../../support/der.ts';
import type { BundleCase } from '../../support/vectors.ts';

const base64 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const json = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString());

const validity = (period: { start: string; end?: string | null }): Period => ({
  start: Date.parse(period.start),
  ...(typeof period.end === 'string' && { end: Date.parse(period.end) }),
});

/** One old key stands there as a bare RSAPublicKey (RFC 8017 appendix A.1.1). */
function ctKey(bytes: Uint8Array): KeyInfo {
  try {
    return parseSpki(bytes);
  } catch {
    const algorithm = Buffer.from('300d06092a864886f70d0101010500', 'hex');
    return parseSpki(sequence(algorithm, bitString(bytes)));
  }
}

export interface VectorRoot {
  readonly authorities: readonly { certificates: Certificate[]; validFor: Period }[];
  readonly timestampAuthorities: readonly { certificates: Certificate[]; validFor: Period }[];
  readonly ctlogs: readonly CtLog[];
}

/** What the trusted root of a case holds. */
export function vectorRoot({ trustedRoot }: BundleCase): VectorRoot {
  const root = json(trustedRoot);
  const chains = (list: { certChain: { certificates: { rawBytes: string }[] }; validFor: { start: string } }[] = []) =>
    list.map(({ certChain, validFor }) => ({
      certificates: certChain.certificates.map(({ rawBytes }) => parseCertificate(base64(rawBytes))),
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
      key: ctKey(base64(publicKey.rawBytes)),
      validFor: validity(publicKey.validFor),
    })),
  };
}

export interface VectorBundle {
  /** Leaf first. */
  readonly certificates: readonly Certificate[];
  readonly timestamps: readonly Uint8Array[];
  /** Of the message or the envelope. */
  readonly signature: Uint8Array;
}

export function vectorBundle(its: BundleCase): VectorBundle {
  const bundle = json(its.bundle);
  const { verificationMaterial: material } = bundle;
  const certificates: { rawBytes: string }[] =
    material.x509CertificateChain?.certificates ?? (material.certificate ? [material.certificate] : []);
  const timestamps: { signedTimestamp: string }[] = material.timestampVerificationData?.rfc3161Timestamps ?? [];
  return {
    certificates: certificates.map(({ rawBytes }) => parseCertificate(base64(rawBytes))),
    timestamps: timestamps.map(({ signedTimestamp }) => base64(signedTimestamp)),
    signature: base64(bundle.messageSignature?.signature ?? bundle.dsseEnvelope.signatures[0].sig),
  };
}
