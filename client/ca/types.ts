/** What the certificate authority's parts share. */
import type { KeySpec } from '../../merkle/runtime/keys/types.ts';
import type { ClaimTemplate } from './claim-template.ts';

/** How tokens of one issuer are certified. */
export interface IssuerRule {
  /** `iss`. */
  readonly issuer: string;
  /** `email` is the verified address, `spiffe` the subject as a SPIFFE ID; else the template of a URI. */
  readonly name: 'email' | 'spiffe' | ClaimTemplate;
  /** Template by OID. */
  readonly extensions: ReadonlyMap<string, ClaimTemplate>;
}

/** A team as the configuration names it. */
export interface TeamConfig {
  readonly name: string;
  /** Path of the chain in PEM: the team's certificate first, the root last. */
  readonly certificate: string;
  readonly key: KeySpec;
  readonly issuers: readonly IssuerRule[];
  /** SPIFFE trust domains whose workloads the team certifies. */
  readonly trustDomains: readonly string[];
}

/** The name of a leaf. */
export interface LeafName {
  readonly type: 'email' | 'uri';
  readonly value: string;
}

/** What a leaf says of its caller. */
export interface LeafIdentity {
  readonly name: LeafName;
  /** Text by OID: Fulcio's extensions. */
  readonly extensions: ReadonlyMap<string, string>;
}

/** A certificate that is made, and the proof of possession that goes into the log with it. */
export interface CertificatePromise {
  /** Lower-case hex. */
  readonly serial: string;
  /** When it was made, in milliseconds since 1970. */
  readonly time: number;
  readonly team: string;
  /** DER. */
  readonly certificate: Uint8Array;
  /** Of the proven name, by the hash of the key. */
  readonly digest: Uint8Array;
  /** The proof of possession. */
  readonly signature: Uint8Array;
}
