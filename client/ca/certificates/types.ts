/** Contracts of the making of certificates. */
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import type { Certificate } from '../../../merkle/x509/certificate.ts';

/** An extension as a certificate gets it. */
export interface NewExtension {
  /** Dotted decimal. */
  readonly oid: string;
  readonly critical: boolean;
  /** What goes into the OCTET STRING: DER, but raw text in Fulcio's extensions .1 to .6. */
  readonly value: Uint8Array;
}

/** The names that the authority of a team may certify. A kind with an empty list is never certified. */
export interface NameSubtrees {
  /** Host names, such as the trust domain `build.example.com`. Only that host itself, since OpenSSL reads it so. */
  readonly uri: readonly string[];
  /** Domains: the host `example.com` and all hosts below it. */
  readonly dns: readonly string[];
  /** Mail domains, such as `example.com` (that domain itself alone), and whole addresses. */
  readonly email: readonly string[];
}

/** Who certifies: an authority with its certificate; without one the new certificate is a root, which signs itself. */
export interface Issuer {
  readonly certificate?: Certificate;
  /** The key of the certificate, or of the new root. */
  readonly signer: Signer;
}

export interface NewCertificate {
  /** Empty for a leaf, which is known by its alternative name. */
  readonly subject: { readonly organization?: string; readonly commonName?: string };
  /** SubjectPublicKeyInfo, DER: ECDSA on P-256, P-384 or P-521, Ed25519, or RSA of 2048, 3072 or 4096 bits. */
  readonly publicKey: Uint8Array;
  readonly issuer: Issuer;
  /** 1 to 20 bytes of a positive number (`newSerial`). */
  readonly serial: Uint8Array;
  /** Milliseconds since 1970, whole seconds; the validity includes both ends, and lies within the issuer's. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** A profile (extensions.ts) and what a caller adds. The identifiers of the two keys are added to them. */
  readonly extensions: readonly NewExtension[];
  /**
   * Gives one more extension, over all that the certificate signs without it: the list of signed certificate timestamps (RFC
   * 6962 section 3.3) is about these bytes. The extension is the last one, and not critical.
   */
  readonly timestamps?: (precertificate: Uint8Array) => Promise<{ readonly oid: string; readonly value: Uint8Array }>;
}
