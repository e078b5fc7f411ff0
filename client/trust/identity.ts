/**
 * Whether a certificate is for the expected identity: exact text, or RE2 patterns that must match the whole text.
 *
 * Patterns are RE2 (re2js), as in Sigstore's tools. The time of a match is linear in the text and in the size of the pattern
 * with its repetitions written out, so this file limits that size. Measured on Node 20: 4 µs for a match of a workflow's
 * URI; up to a second on a busy machine for the worst accepted pattern on the longest text.
 */
import { RE2JS } from 're2js';
import { printable } from '../../merkle/printable.ts';
import type { CertificateIdentity } from '../../merkle/x509/fulcio.ts';
import { ClientError, usage } from '../errors.ts';
import { compileWith, type IdentityRule, type IdentityTest } from './identity-rule.ts';

export type { IdentityRule, IdentityTest, TextRule } from './identity-rule.ts';

const MAX_PATTERN = 1_024;
/** Size of a pattern with its repetitions written out. 40 times `\pL{0,1000}` would take minutes. */
const MAX_STEPS = 2_000;
/** A longer text matches no pattern. */
const MAX_TEXT = 4_096;

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
    test = compileWith(rule, compilePattern);
    compiled.set(rule, test);
  }
  return test;
}

function compilePattern(pattern: string, what: string): (text: string) => boolean {
  if (pattern === '' || pattern.length > MAX_PATTERN) {
    throw usage(`the pattern for the ${what} has ${pattern.length} characters, not 1 to ${MAX_PATTERN}`);
  }
  if (steps(pattern) > MAX_STEPS) {
    throw usage(`the pattern for the ${what} repeats too much: ask for fewer with {n} and {n,m}`);
  }
  let re2: RE2JS;
  try {
    re2 = RE2JS.compile(pattern);
  } catch (cause) {
    throw new ClientError('usage', `the pattern for the ${what} is not RE2: ${printable(String(cause))}`, { cause });
  }
  return (text) => text.length <= MAX_TEXT && re2.testExact(text);
}

/** One element of a pattern: a quotation, an escape, a set, the start or end of a group, a counted repetition, a character. */
const ELEMENT = /\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\\.|\[:[^\]]*:\]|[^\]\\])*\]|\(|\)|\{(\d+)(?:,(\d*))?\}|./gsu;

/** Upper bound of the size of a pattern with its repetitions written out. */
function steps(pattern: string): number {
  const groups: { total: number; last: number }[] = [{ total: 0, last: 0 }];
  const add = (size: number): void => {
    const group = groups.at(-1)!;
    group.total += size;
    group.last = size;
  };
  for (const [element, least, most] of pattern.matchAll(ELEMENT)) {
    if (element === '(') {
      groups.push({ total: 1, last: 0 });
    } else if (element === ')' && groups.length > 1) {
      add(groups.pop()!.total);
    } else if (least !== undefined) {
      const group = groups.at(-1)!;
      const more = group.last * (Math.max(Number(least), Number(most ?? 0), 1) - 1);
      group.total += more;
      group.last += more;
    } else if (element !== '*' && element !== '+' && element !== '?') {
      add(element.startsWith('\\Q') ? element.length : 1);
    }
  }
  return groups.reduce((sum, { total }) => sum + total, 0);
}
