/** Requests to the threads that verify many bundles, and their results. */

import type { IdentityRule } from '../../../merkle/x509/identity-rule.ts';
import type { ClientErrorCode } from '../../errors.ts';
import type { SpiffeBundleFile } from '../../trust/spiffe-bundles.ts';
import type { ArtifactDigests, Outcome } from '../../verify.ts';
import type { RequiredClaim } from '../content.ts';

/** One bundle and its file. */
export interface ManyRequest {
  /** The bundle's bytes. */
  readonly bundle: Uint8Array;
  /** Of the file; see `requiredHashes`. */
  readonly artifact: ArtifactDigests;
  /** SubjectPublicKeyInfo of this bundle's signer, DER. If absent, `ManyOptions` names the signer. */
  readonly key?: Uint8Array;
}

/** The trust for all bundles, and what all must claim: see `VerifyRequest`. */
export interface ManyTrust extends RequiredClaim {
  /** `trusted_root.json`, or a file with several: each bundle must hold under one of them. */
  readonly trustedRoot?: Uint8Array;
  /** A tlog-policy. */
  readonly policy?: Uint8Array;
  /** A verifier key. */
  readonly logKey?: string;
  /** The last checkpoints of frozen logs, signed notes. */
  readonly lastCheckpoints?: readonly Uint8Array[];
  /** SubjectPublicKeyInfo, DER. */
  readonly key?: Uint8Array;
  readonly identity?: IdentityRule;
  /** Files of SPIFFE trust bundles; see `parseSpiffeBundles`. */
  readonly spiffeBundles?: readonly SpiffeBundleFile[];
  readonly requireSct?: boolean;
  readonly ignoreSct?: boolean;
  readonly witnessTime?: boolean;
  readonly requireLogs?: number;
  readonly requireTimestamps?: number;
  /** By default the machine's clock when a bundle is verified. */
  readonly now?: number;
}

/** The result or the error of `verifyBundle`. */
export type ManyResult =
  | { readonly ok: true; readonly outcome: Outcome }
  | { readonly ok: false; readonly code: ClientErrorCode; readonly message: string };
