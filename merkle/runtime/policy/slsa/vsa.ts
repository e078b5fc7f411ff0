/**
 * Verification summaries (slsa.dev/spec/v1.2/verification_summary, predicate type https://slsa.dev/verification_summary/v1):
 * that a verifier judged an artifact under a policy, with what result, and from which evidence.
 */
import { printable } from '../../../printable.ts';
import type { VerificationSummary } from '../predicates/provenance-predicates.ts';
import { predicateError } from '../predicates/shape.ts';
import { typedPredicate } from '../typed-predicate.ts';
import type { VerifiedEvidence } from '../types.ts';
import { isAskedLevel, trackLevelOf } from './levels.ts';

export const VSA = 'https://slsa.dev/verification_summary/v1';

const MAX_LEVELS = 64;

/**
 * The summary in a piece of that type, whose result and levels agree: what passed has no level `FAILED` and at most one of each
 * track, and what failed has no other level.
 *
 * @throws RuntimeError `predicate`, MerkleError `bad-json`
 */
export function summaryOf({ statement }: VerifiedEvidence): VerificationSummary {
  const typed = statement && typedPredicate(statement);
  if (typed?.kind !== 'summary') throw predicateError('predicate', 'is no verification summary');
  const { verificationResult: result, verifiedLevels: levels } = typed.value;
  const bad = (why: string) => predicateError('predicate.verifiedLevels', why);
  if (levels.length > MAX_LEVELS) throw bad(`has more than ${MAX_LEVELS} levels`);
  if (result === 'FAILED') {
    if (levels.some((name) => name !== 'FAILED')) throw bad('has a level, and the result is FAILED');
    return typed.value;
  }
  const tracks = new Set<string>();
  for (const name of levels) {
    if (!isAskedLevel(name)) throw bad(`has "${printable(name)}", which is no level that can pass`);
    const track = trackLevelOf(name)?.track;
    if (track !== undefined && tracks.has(track)) throw bad(`has two levels of the track ${track}`);
    if (track !== undefined) tracks.add(track);
  }
  return typed.value;
}
