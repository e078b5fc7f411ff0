/** RE2 for the check of a search by pattern. It is loaded only then. */
import { RE2JS } from 're2js';
import { usage } from '../../errors.ts';
import type { PatternMatcher } from '../../search/check-page.ts';

/** Each pattern is compiled once. */
export function re2Matcher(): PatternMatcher {
  const compiled = new Map<string, RE2JS>();
  return (pattern, text) => {
    let re2 = compiled.get(pattern);
    if (re2 === undefined) {
      try {
        re2 = RE2JS.compile(pattern);
      } catch (cause) {
        throw usage(`the pattern is not of RE2's syntax: ${cause instanceof Error ? cause.message : String(cause)}`);
      }
      compiled.set(pattern, re2);
    }
    return re2.matcher(text).find();
  };
}
