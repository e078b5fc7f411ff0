/** What is asked of the threads that verify many bundles, and what they answer. */
import type { ClientErrorCode } from '../../errors.ts';
import type { IdentityRule } from '../../trust/identity-rule.ts';
import type { ArtifactDigests, Outcome } from '../../verify.ts';

/** One bundle and its file. */
export interface ManyRequest {
  /** The bundle's bytes. */
  readonly bundle: Uint8Array;
  /** Of the file; see `requiredHashes`. */
  readonly artifact: ArtifactDigests;
  /** SubjectPublicKeyInfo of the signer, DER, where each bundle has its own; else `ManyOptions` says who must have signed. */
  readonly key?: Uint8Array;
}

/** Whom and what to trust, for all of them: see `VerifyRequest`. */
export interface ManyTrust {
  /** `trusted_root.json`. */
  readonly trustedRoot?: Uint8Array;
  /** A tlog-policy. */
  readonly policy?: Uint8Array;
  /** A verifier key. */
  readonly logKey?: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly key?: Uint8Array;
  readonly identity?: IdentityRule;
  readonly witnessTime?: boolean;
}

/** What `verifyBundle` gives or throws. */
export type ManyResult =
  | { readonly ok: true; readonly outcome: Outcome }
  | { readonly ok: false; readonly code: ClientErrorCode; readonly message: string };
