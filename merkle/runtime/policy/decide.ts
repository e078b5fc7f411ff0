/**
 * The decision: allow where every rule that is for the artifact holds, and at least one rule is; deny in every other case,
 * with the reasons. Pure and synchronous. An exception inside denies.
 */
import { printable } from '../../printable.ts';
import { matchesArtifact } from './artifact-pattern.ts';
import { countSigners } from './distinct-signers.ts';
import { judgeEvidence } from './judge-evidence.ts';
import { reason } from './reasons.ts';
import type {
  Artifact,
  Decision,
  DecisionPolicy,
  DecisionRule,
  EvidenceItem,
  JudgedEvidence,
  JudgedRule,
  Reason,
  RefusedEvidence,
  VerifiedEvidence,
} from './types.ts';

/** Most pieces of evidence of one decision. */
export const MAX_PIECES = 1000;

/** @param now the present, in milliseconds since 1970. Never throws. */
export function decide(
  policy: DecisionPolicy,
  artifact: Artifact,
  evidence: readonly EvidenceItem[],
  now: number,
): Decision {
  try {
    return decideOn(policy, artifact, evidence, now);
  } catch (error) {
    return deny(policy, artifact, now, [internal(error)]);
  }
}

function decideOn(
  policy: DecisionPolicy,
  artifact: Artifact,
  evidence: readonly EvidenceItem[],
  now: number,
): Decision {
  if (!Number.isFinite(now)) return deny(policy, artifact, now, [reason('internal', 'the present time is no number')]);
  if (evidence.length > MAX_PIECES) {
    const why = `there are ${evidence.length} pieces of evidence, more than ${MAX_PIECES}`;
    return deny(policy, artifact, now, [reason('limit', why)]);
  }
  const pieces = evidence.filter(isVerified);
  const refused = evidence.filter((one): one is RefusedEvidence => !isVerified(one));
  // The same piece from two places is one piece.
  const distinct = [...new Map(pieces.map((one) => [one.digest, one])).values()];
  const rules = isCovered(policy.artifacts, artifact)
    ? policy.rules.filter((rule) => isCovered(rule.artifacts, artifact))
    : [];
  if (rules.length === 0) return deny(policy, artifact, now, [notCovered(policy, artifact)], refused);
  const judged = rules.map((rule) => judgeRule(rule, artifact, distinct, refused, now));
  return {
    verdict: judged.every(({ holds }) => holds) ? 'allow' : 'deny',
    artifact,
    policy: nameOf(policy),
    time: now,
    rules: judged,
    reasons: [],
    refused,
  };
}

function judgeRule(
  rule: DecisionRule,
  artifact: Artifact,
  all: readonly VerifiedEvidence[],
  refused: readonly RefusedEvidence[],
  now: number,
): JudgedRule {
  const { name, type, threshold } = rule;
  const ofType = all.filter(({ statement }) => (statement?.predicateType ?? 'signature') === type);
  const evidence: JudgedEvidence[] = [];
  const holding: { readonly piece: VerifiedEvidence; readonly signers: readonly string[] }[] = [];
  for (const piece of ofType) {
    const judged = judgeOne(rule, { artifact, evidence: piece, all, now });
    evidence.push(judged);
    if (judged.holds) holding.push({ piece, signers: judged.signers });
  }
  const count = countSigners(holding);
  if (count >= threshold && threshold >= 1) return { name, holds: true, evidence, reasons: [] };
  return { name, holds: false, evidence, reasons: [missing(rule, ofType.length, refused.length, count)] };
}

function judgeOne(rule: DecisionRule, context: Parameters<typeof judgeEvidence>[1]): JudgedEvidence {
  const { digest, source } = context.evidence;
  try {
    const { signers, reasons } = judgeEvidence(rule, context);
    return { digest, source, signers, holds: reasons.length === 0 && signers.length > 0, reasons };
  } catch (error) {
    return { digest, source, signers: [], holds: false, reasons: [internal(error)] };
  }
}

function missing({ type, threshold, signers }: DecisionRule, pieces: number, refused: number, count: number): Reason {
  const more = refused === 0 ? '' : `; ${refused} ${refused === 1 ? 'piece was' : 'pieces were'} refused`;
  if (pieces === 0) {
    const what =
      type === 'signature' ? 'no signature over the artifact' : `no attestation of the type ${printable(type)}`;
    return reason('no-evidence', `there is ${what}${more}`);
  }
  const names = signers.map(({ name }) => name).join(', ');
  return reason(
    'threshold',
    `${threshold} of the signers ${names} must have evidence that holds, and there ${count === 1 ? 'is' : 'are'} ${count}${more}`,
  );
}

function isCovered(patterns: readonly string[] | undefined, { name }: Artifact): boolean {
  if (patterns === undefined) return true;
  return name !== undefined && patterns.some((pattern) => matchesArtifact(pattern, name));
}

function notCovered({ name: policy }: DecisionPolicy, { name }: Artifact): Reason {
  const what = name === undefined ? 'an artifact without a name' : printable(name);
  return reason('not-covered', `the policy "${printable(policy)}" has no rule for ${what}`);
}

function isVerified(one: EvidenceItem): one is VerifiedEvidence {
  return !('code' in one);
}

function internal(error: unknown): Reason {
  return reason('internal', `an unexpected error ended the check: ${printable(String(error))}`);
}

function nameOf({ name, digest }: DecisionPolicy): Decision['policy'] {
  return { name, digest };
}

function deny(
  policy: DecisionPolicy,
  artifact: Artifact,
  now: number,
  reasons: readonly Reason[],
  refused: readonly RefusedEvidence[] = [],
): Decision {
  return { verdict: 'deny', artifact, policy: nameOf(policy), time: now, rules: [], reasons, refused };
}
