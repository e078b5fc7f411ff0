/** Whether a certificate is for the expected identity: exact text, or RE2 patterns that must match the whole text. */
import type { CertificateIdentity } from '../../merkle/x509/fulcio.ts';
import { compilePattern } from '../../merkle/x509/identity-pattern.ts';
import { compileWith, type IdentityRule, type IdentityTest } from '../../merkle/x509/identity-rule.ts';
import { withClientErrors } from '../merkle-errors.ts';

export type { IdentityRule, IdentityTest, TextRule } from '../../merkle/x509/identity-rule.ts';

// A caller matches a rule with many certificates, and compiling takes longer than matching.
const compiled = new WeakMap<IdentityRule, IdentityTest>();

/**
 * Whether `identity` matches `rule`. A caller must not change a rule after it used the rule.
 *
 * @throws ClientError `usage` as `compileRule`
 */
export function matchIdentity(rule: IdentityRule, identity: CertificateIdentity): boolean {
  return compileRule(rule)(identity) !== undefined;
}

/**
 * Compiles a rule once: a later call with the same rule returns the same test.
 *
 * @throws ClientError `usage`: an empty rule, a pattern that is not RE2, has more than 1,024 characters or more than 2,000
 * with its repetitions written out, an extension that is neither a name nor an OID
 */
export function compileRule(rule: IdentityRule): IdentityTest {
  let test = compiled.get(rule);
  if (test === undefined) {
    test = withClientErrors(() => compileWith(rule, compilePattern));
    compiled.set(rule, test);
  }
  return test;
}
