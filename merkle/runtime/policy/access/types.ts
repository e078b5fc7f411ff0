/** Access policies: who may call a service, for what. */
import type { Caller } from '../../identity/types.ts';
import type { AccessReason } from './access-reasons.ts';

/** What a caller can ask of a service. */
export const ACCESS_ACTIONS = {
  write: 'log an entry',
  read: 'read what a service publishes',
  cosign: 'have a witness cosign a tree head, or sign a subtree',
  issue: 'get a certificate from the authority',
  admit: 'ask for the admission of an image',
  admin: "the operator's calls",
} as const;

export type AccessAction = keyof typeof ACCESS_ACTIONS;

/** `raw` is an opaque entry. */
export const ENTRY_KINDS = ['hashedrekord', 'dsse', 'raw'] as const;

export type AccessEntryKind = (typeof ENTRY_KINDS)[number];

/** An entry as its writer sent it. */
export interface AccessEntry {
  readonly kind: AccessEntryKind;
  /** `PublicKeyDetails` of its signature, such as `PKIX_ECDSA_P256_SHA_256`; absent for an opaque entry. */
  readonly key?: string;
  /**
   * Of its certificate: the identity provider that it names (Fulcio's extension), else its issuing authority (RFC 4514). It is what
   * the certificate says: a log verifies no chain. Absent without a certificate.
   */
  readonly issuer?: string;
}

export interface AccessCall {
  readonly action: AccessAction;
  /**
   * Of a `write`: what is written together, 1 to 64 entries. Absent before the entries are known: the answer then says whether any
   * rule may allow the caller to write.
   */
  readonly entries?: readonly AccessEntry[];
  /** Of a `cosign`: the origin of the log whose tree head is to be cosigned. */
  readonly origin?: string;
}

/** A caller of the policy, under its name. */
export interface AccessCaller {
  readonly name: string;
  readonly matches: (caller: Caller) => boolean;
}

/** Why a call does not hold under a rule, from its conditions. */
export type AccessCondition = (caller: Caller, call: AccessCall, now: number) => Omit<AccessReason, 'rule'> | undefined;

export interface AccessRule {
  readonly name: string;
  readonly callers: readonly AccessCaller[];
  readonly calls: readonly AccessAction[];
  /** Undefined: all kinds. */
  readonly kinds?: readonly AccessEntryKind[];
  /** Names of `PublicKeyDetails`; undefined: all. */
  readonly keys?: readonly string[];
  /** Undefined: all, and entries without a certificate. */
  readonly issuers?: (issuer: string) => boolean;
  /** Origins of the logs whose tree heads are cosigned; undefined: all that the witness knows. */
  readonly logs?: readonly string[];
  /** Entries of one caller in a minute, or calls of an action without entries. */
  readonly perMinute?: number;
  readonly conditions: readonly AccessCondition[];
}

/** A policy that was read. `loadAccessPolicy` makes it. */
export interface AccessPolicy {
  readonly name: string;
  /** `sha256:` and the digest of the file's bytes. */
  readonly digest: string;
  readonly allow: readonly AccessRule[];
}

export type AccessVerdict =
  | { readonly allowed: true; readonly rule: string }
  | {
      readonly allowed: false;
      readonly reasons: readonly AccessReason[];
      /** Only a rate stands in the way: seconds until another try may be allowed. */
      readonly retryAfter?: number;
    };
