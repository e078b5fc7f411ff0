/** Patterns of `matches`: RE2, in time that is linear in the text and in the size of the pattern with its repetitions written out. */
import { RE2JS } from 're2js';
import { patternSteps } from '../../../pattern-steps.ts';

const MAX_PATTERN = 1_024;
const MAX_STEPS = 2_000;
/** Compiled patterns, since one in a loop is compiled for each member otherwise. */
const MAX_KEPT = 256;

interface CelPattern {
  readonly steps: number;
  test(text: string): boolean;
}

const kept = new Map<string, CelPattern>();

/** @throws Error for what is not RE2, or is too large */
export function patternOf(source: string): CelPattern {
  const known = kept.get(source);
  if (known !== undefined) return known;
  if (source.length > MAX_PATTERN) throw new Error(`a pattern has at most ${MAX_PATTERN} characters`);
  const steps = patternSteps(source);
  if (steps > MAX_STEPS) throw new Error('the pattern repeats too much: ask for fewer with {n} and {n,m}');
  const re2 = RE2JS.compile(source);
  const pattern = { steps, test: (text: string) => re2.test(text) };
  if (kept.size >= MAX_KEPT) kept.clear();
  kept.set(source, pattern);
  return pattern;
}
