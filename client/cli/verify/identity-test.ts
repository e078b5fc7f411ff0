/** Compiles the rule of `--identity` and its related options. */
import { compileExact, hasPattern, type IdentityRule, type IdentityTest } from '../../trust/identity-rule.ts';

/** Loads the engine for patterns only for a rule with a pattern: loading it is slow. */
export async function testOf(rule: IdentityRule): Promise<IdentityTest> {
  if (!hasPattern(rule)) return compileExact(rule);
  return (await import('../../trust/identity.ts')).compileRule(rule);
}
