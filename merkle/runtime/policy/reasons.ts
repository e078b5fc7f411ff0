/** The closed list of reasons of a decision. Programs read the code; docs/policy.md lists all. */

/** Each code, and what it means. */
export const REASONS = {
  'not-covered': 'the policy has no rule for the artifact',
  'no-evidence': 'there is no evidence of the type of the rule',
  threshold: 'fewer different signers than the threshold have evidence that holds',
  signer: 'the signer is none of the signers of the rule',
  log: 'no log of the rule holds the signature',
  quorum: 'the quorum of witnesses did not cosign the log',
  age: 'the evidence is older than the rule allows, or has no verified time',
  'future-time': 'the evidence is dated after the present',
  predicate: 'the predicate is not what its type says',
  condition: 'a condition is not true',
  'condition-error': 'a condition could not be evaluated, such as where it refers to what the evidence does not have',
  limit: 'there is more evidence than a decision takes',
  internal: 'an unexpected error ended the check',
} as const;

export type ReasonCode = keyof typeof REASONS;

/** @param message for people; texts of others in it are printable */
export function reason(code: ReasonCode, message: string): { readonly code: ReasonCode; readonly message: string } {
  return { code, message };
}
