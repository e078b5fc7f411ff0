/** The closed list of reasons why an access policy does not allow a call. Programs read the code; docs/identity.md lists all. */

/** Each code, and what it means. */
export const ACCESS_REASONS = {
  caller: 'no rule for this action is for the caller',
  kind: 'the rule does not take entries of this kind',
  key: 'the rule does not take signatures by keys of this type',
  issuer: 'the rule does not take certificates of this issuer, or the entry has no certificate',
  log: 'the rule does not name this log',
  condition: 'a condition is not true',
  'condition-error': 'a condition could not be evaluated',
  rate: 'the caller has written as many entries as the rule allows in a minute',
  expired: 'the proof of the identity has ended',
  'access-internal': 'an unexpected error ended the check',
} as const;

type AccessReasonCode = keyof typeof ACCESS_REASONS;

export interface AccessReason {
  readonly code: AccessReasonCode;
  /** For people; texts of others in it are printable. */
  readonly message: string;
  /** The rule that did not hold; absent where no rule is for the caller. */
  readonly rule?: string;
}
