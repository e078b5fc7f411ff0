/** What holds once verification succeeded, and what was not looked at. */

import type { HashName } from '../../merkle/rekor/hashes.ts';
import type { KeyInfo } from '../../merkle/rekor/spki.ts';
import type { CertificateIdentity } from '../../merkle/x509/fulcio.ts';
import type { Cosigned } from '../trust/quorum.ts';

export type CheckName =
  | 'artifact'
  | 'statement'
  | 'signature'
  | 'certificate'
  | 'sct'
  | 'identity'
  | 'timestamp'
  | 'promise'
  | 'entry'
  | 'inclusion'
  | 'checkpoint'
  | 'cosignature'
  | 'quorum'
  | 'witness-time';

/** One thing that was checked and holds. Texts are for people and fit for a terminal. */
export interface Check {
  readonly name: CheckName;
  readonly detail: string;
  /** The key or certificate that it was checked with, where there is one. */
  readonly by?: string;
}

/** A time by which the signature existed. */
export interface VerifiedTime {
  readonly kind: 'timestamp' | 'promise' | 'witness';
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Who vouches for it. */
  readonly by: string;
}

export type VerifiedSigner =
  | { readonly kind: 'key'; readonly key: KeyInfo; readonly fingerprint: string }
  | {
      readonly kind: 'certificate';
      readonly key: KeyInfo;
      /** Lower-case hex of SHA-256 over the SubjectPublicKeyInfo. */
      readonly fingerprint: string;
      readonly identity: CertificateIdentity;
    };

export interface VerifiedEntry {
  /** Origin line of the checkpoint; the address of the log where there is only a promise. */
  readonly origin: string;
  /** The key that signed, for people. */
  readonly log: string;
  readonly kind: string;
  readonly version: string;
  /** Index in the tree of the checkpoint; of a promise the index that the log promised. */
  readonly index: number;
  /** RFC 6962 leaf hash, 32 bytes. */
  readonly leafHash: Uint8Array;
  /** Absent where there is only a promise. */
  readonly tree?: {
    readonly size: number;
    /** 32 bytes. */
    readonly root: Uint8Array;
    readonly hashes: readonly Uint8Array[];
    /** The signed note. */
    readonly checkpoint: string;
  };
  readonly cosigned: readonly Cosigned[];
  /** Names of signature lines by keys that are not known here. Nothing is known about them. */
  readonly unverified: readonly string[];
}

export interface Outcome {
  /** In the order in which a reader wants them. */
  readonly checks: readonly Check[];
  /** What a reader might otherwise believe. */
  readonly notProven: readonly string[];
  readonly digest: { readonly algorithm: HashName; readonly value: Uint8Array };
  readonly signer: VerifiedSigner;
  /** Of an attestation. What its predicate says was not looked at. */
  readonly statement?: { readonly predicateType: string; readonly subject: string };
  /** The earliest is the one to go by. */
  readonly times: readonly VerifiedTime[];
  /** At least one. */
  readonly entries: readonly VerifiedEntry[];
}

/** Of `notProven`, where the rule for the identity leaves the issuer open. */
export const NO_ISSUER = 'who vouched for the identity: no issuer was asked for';
