/** The rule of `--identity` and its like, made ready. */
import { compileExact, hasPattern, type IdentityRule, type IdentityTest } from '../../trust/identity-rule.ts';

/** Exact text needs no engine for patterns, which is slow to load. */
export async function testOf(rule: IdentityRule): Promise<IdentityTest> {
  if (!hasPattern(rule)) return compileExact(rule);
  return (await import('../../trust/identity.ts')).compileRule(rule);
}
