/**
 * Patterns in rules for identities: RE2 (re2js), as in Sigstore's tools. A pattern must match the whole text.
 *
 * The time of a match is linear in the text and in the size of the pattern with its repetitions written out, so this file
 * limits that size. Measured on Node 20: 4 µs for a match of a workflow's URI; up to a second on a busy machine for the worst
 * accepted pattern on the longest text.
 */
import { RE2JS } from 're2js';
import { patternSteps } from '../pattern-steps.ts';
import { printable } from '../printable.ts';
import { badRule } from './identity-rule.ts';

const MAX_PATTERN = 1_024;
/** Size of a pattern with its repetitions written out. 40 times `\pL{0,1000}` would take minutes. */
const MAX_STEPS = 2_000;
/** A longer text matches no pattern. */
const MAX_TEXT = 4_096;

/** @throws MerkleError `bad-rule`: not RE2, not 1 to 1,024 characters, or more than 2,000 with its repetitions written out */
export function compilePattern(pattern: string, what: string): (text: string) => boolean {
  if (pattern === '' || pattern.length > MAX_PATTERN) {
    throw badRule(`the pattern for the ${what} has ${pattern.length} characters, not 1 to ${MAX_PATTERN}`);
  }
  if (patternSteps(pattern) > MAX_STEPS) {
    throw badRule(`the pattern for the ${what} repeats too much: ask for fewer with {n} and {n,m}`);
  }
  let re2: RE2JS;
  try {
    re2 = RE2JS.compile(pattern);
  } catch (cause) {
    throw badRule(`the pattern for the ${what} is not RE2: ${printable(String(cause))}`, cause);
  }
  return (text) => text.length <= MAX_TEXT && re2.testExact(text);
}
