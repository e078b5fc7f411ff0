/** The closed list of reasons of a decision. Programs read the code; docs/policy.md lists all. */

/** Each code, and what it means. */
export const REASONS = {
  'not-covered': 'the policy has no rule for the artifact, or needs its name to know',
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
  builder: 'the builder is none of the rule, or another signer spoke for it',
  'build-type': 'the build is of a type that the rule does not take',
  parameter: 'an external parameter of the build is not expected, or has another value',
  source: 'the source of the build is another one, or its signed commit is missing',
  dependency: 'a dependency of the build is not allowed, or one that the rule requires is missing',
  level: 'the level that was verified is lower than the rule requires',
  verifier: 'the verifier is none of the rule, or another signer spoke for it',
  summary: 'the verification summary is about another resource or policy, or did not pass',
  tag: 'the tag has another name than the rule takes',
  'sbom-artifact': 'the SBOM is about another artifact, or does not say which',
  'sbom-incomplete': 'the SBOM leaves something out, or names fewer packages than the rule asks for',
  'sbom-unknown': 'a package of the SBOM cannot be judged: it has no purl, or a version that cannot be compared',
  'forbidden-package': 'the artifact holds a package, a license or a digest that the rule forbids',
  license: 'a package has a license that the rule does not take, or none that is known',
  lock: 'the lock file does not fix the bytes of a package, or they come from elsewhere',
  trust: 'the followed trust is too old, or has expired',
  limit: 'there is more evidence than a decision takes, or it takes too long',
  internal: 'an unexpected error ended the check',
} as const;

export type ReasonCode = keyof typeof REASONS;

/** @param message for people; texts of others in it are printable */
export function reason(code: ReasonCode, message: string): { readonly code: ReasonCode; readonly message: string } {
  return { code, message };
}
