/** The facts that verification found, and what it did not look at. The command line makes sentences of them. */
import type { HashName } from '../../merkle/rekor/hashes.ts';
import type { KeyInfo } from '../../merkle/rekor/spki.ts';
import type { AlternativeName } from '../../merkle/x509/certificate-names.ts';
import type { CertificateIdentity } from '../../merkle/x509/fulcio.ts';
import type { Cosigned } from '../trust/quorum.ts';
import type { ChosenRoot } from './types.ts';

/**
 * One fact that was checked and holds.
 *
 * Times are in milliseconds since 1970. `by` is the key or the certificate that a check used.
 */
export type Check =
  /** The file has this digest; `subject` is what an attestation calls the file. */
  | { readonly name: 'artifact'; readonly algorithm: HashName; readonly digest: Uint8Array; readonly subject?: string }
  /** The attestation's statement is about `subjects` files. What its predicate says was not judged. */
  | { readonly name: 'statement'; readonly predicateType: string; readonly subjects: number }
  /** `fingerprint`: lower-case hex of SHA-256 over the SubjectPublicKeyInfo. `by`: the kind of key. */
  | { readonly name: 'signature'; readonly fingerprint: string; readonly by: string }
  /** The certificate names the expected identity. `matched`: the name that is the expected one; absent if none was asked for. */
  | { readonly name: 'identity'; readonly identity: CertificateIdentity; readonly matched?: AlternativeName }
  /**
   * The certificate was valid at `times`, and leads to the certificate authority `by` of the trusted root; where
   * `trustDomain` is given, to an authority in the SPIFFE bundle of that trust domain, whose ID is `by`.
   */
  | {
      readonly name: 'certificate';
      readonly serialNumber: string;
      readonly times: readonly number[];
      readonly by: string;
      readonly trustDomain?: string;
    }
  /** A certificate-transparency log promised at `time` to publish the certificate. */
  | { readonly name: 'sct'; readonly time: number; readonly logId: Uint8Array }
  /** The time-stamp authority `by` saw the signature at `time`. */
  | { readonly name: 'timestamp'; readonly time: number; readonly by: string }
  /** The log took the entry at `time`. */
  | { readonly name: 'promise'; readonly time: number; readonly by: string }
  /** The logged entry is about exactly this file, signature and key. */
  | { readonly name: 'entry'; readonly kind: string; readonly version: string }
  /** The entry is in the tree: `hashes` is the number of hashes in the proof from `leafHash` to `root`. */
  | {
      readonly name: 'inclusion';
      readonly index: number;
      readonly treeSize: number;
      readonly hashes: number;
      readonly leafHash: Uint8Array;
      readonly root: Uint8Array;
    }
  /** The log signed the tree. */
  | { readonly name: 'checkpoint'; readonly by: string }
  /** A witness of the policy cosigned the tree. */
  | { readonly name: 'cosignature'; readonly cosignature: Cosigned }
  /** The quorum of this name in the policy is met. */
  | { readonly name: 'quorum'; readonly quorum: string }
  /** Enough witnesses for the quorum had seen the tree at `time`. */
  | { readonly name: 'witness-time'; readonly time: number };

export type CheckName = Check['name'];

/**
 * What a reader might otherwise believe:
 *
 * - `file`: that a file has the digest; the caller was given the digest alone. Only the command line says this.
 * - `key-holder`: who holds the signer's key.
 * - `issuer`: who vouched for the identity; the rule has no issuer.
 * - `certificate-names`: the names in the signer's certificate; only its key was compared.
 * - `certificate-transparency`: that the certificate was made public. `no-log`: the trusted root names no
 *   certificate-transparency log; `ignored`: the caller does not ask for one; `svid`: it is an X.509-SVID, which is in none.
 * - `time`: when the file was signed.
 * - `log-key-period`: that the log's key still counted; the trusted root ends its time, and the entry has no time.
 * - `timestamps`: what `count` time stamps of the bundle say; the trusted root has no authority for them. `by` names their
 *   signers; it is absent if the trusted root has no authority at all, so that no time stamp was read.
 * - `entries`: what further entries of the bundle say; they are in logs with these IDs, which are not trusted.
 * - `inclusion`: that the entry is in the log's tree; there is only the log's promise.
 * - `witnesses`: that the log shows everybody the same tree.
 */
export type NotProven =
  | {
      readonly name:
        | 'file'
        | 'key-holder'
        | 'issuer'
        | 'certificate-names'
        | 'time'
        | 'log-key-period'
        | 'inclusion'
        | 'witnesses';
    }
  | { readonly name: 'certificate-transparency'; readonly because: 'no-log' | 'ignored' | 'svid' }
  | { readonly name: 'timestamps'; readonly count: number; readonly by?: readonly string[] }
  | { readonly name: 'entries'; readonly logIds: readonly Uint8Array[] };

/** A time by which the signature existed. */
export interface VerifiedTime {
  readonly kind: 'timestamp' | 'promise' | 'witness';
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Who vouches for it: the authority's certificate, the log's key, or the name of the policy's quorum. */
  readonly by: string;
}

export type VerifiedSigner = {
  readonly key: KeyInfo;
  /** Lower-case hex of SHA-256 over the SubjectPublicKeyInfo. */
  readonly fingerprint: string;
} & ({ readonly kind: 'key' } | { readonly kind: 'certificate'; readonly identity: CertificateIdentity });

export interface VerifiedEntry {
  /** Origin line of the checkpoint; the address of the log if there is only a promise. */
  readonly origin: string;
  /** The key that signed, for people. */
  readonly log: string;
  readonly kind: string;
  readonly version: string;
  /** Index in the tree of the checkpoint; of a promise the index that the log promised. */
  readonly index: number;
  /** RFC 6962 leaf hash, 32 bytes. */
  readonly leafHash: Uint8Array;
  /** Absent if there is only a promise. */
  readonly tree?: {
    readonly size: number;
    /** 32 bytes. */
    readonly root: Uint8Array;
    readonly hashes: readonly Uint8Array[];
    /** The signed note. */
    readonly checkpoint: string;
  };
  readonly cosigned: readonly Cosigned[];
  /** Names of signature lines by keys that the verifier does not know. Nothing is known about them. */
  readonly unverified: readonly string[];
}

/** What holds of a bundle. Texts of the signer, of certificates and of logs stand here as they were written. */
export interface Outcome {
  /** The trusted root under which all of it holds, where the caller gave several. */
  readonly trustedRoot?: ChosenRoot;
  /** In the order in which a reader wants them. */
  readonly checks: readonly Check[];
  readonly notProven: readonly NotProven[];
  readonly digest: { readonly algorithm: HashName; readonly value: Uint8Array };
  readonly signer: VerifiedSigner;
  /** Of an attestation. What its predicate says was not judged. */
  readonly statement?: { readonly predicateType: string; readonly subject: string };
  /** The earliest is the one to go by. */
  readonly times: readonly VerifiedTime[];
  /** At least one. */
  readonly entries: readonly VerifiedEntry[];
}
