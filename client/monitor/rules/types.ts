/**
 * A watch rule: the entries that it looks for, and the signers that may sign them.
 *
 * `watch` is a list of alternatives, each a set of conditions that must all hold. A rule without `expect` alerts about every
 * match (`match`). A rule with `expect` alerts about every match that no alternative of `expect` covers (`unexpected`).
 */
import type { Alert } from '../types.ts';

/** Exact text, or an RE2 pattern (github.com/google/re2 syntax) that must match the whole text. */
export type TextMatch = string | { readonly pattern: string };

/** All given conditions must hold. At least one is given. */
export interface RuleCondition {
  /**
   * A subject alternative name of the certificate. In `watch`, names of every kind count; in `expect`, those of a kind that
   * identifies a signer (merkle/x509/signer-names.ts).
   */
  readonly identity?: TextMatch;
  /** The OIDC issuer that the certificate names. */
  readonly issuer?: TextMatch;
  /** Other Fulcio extensions, by name (`sourceRepositoryURI`) or OID. */
  readonly extensions?: Readonly<Record<string, TextMatch>>;
  /** SHA-256 of the key's SubjectPublicKeyInfo: 64 lower-case hex digits. */
  readonly key?: string;
  /** The artifact's digest: lower-case hex, 64, 96 or 128 digits. */
  readonly digest?: string;
}

export interface Rule {
  /** Unique name, part of every alert. */
  readonly name: string;
  /** At least one. */
  readonly watch: readonly RuleCondition[];
  /** If absent, every match alerts. */
  readonly expect?: readonly RuleCondition[];
  readonly severity: Alert['severity'];
  /** Origins of the logs that the rule applies to; if absent, all logs. */
  readonly logs?: readonly string[];
}
