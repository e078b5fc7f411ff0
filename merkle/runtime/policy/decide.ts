/**
 * The decision: allow where every rule that is for the artifact holds, and at least one rule is; deny in every other case,
 * with the reasons. Pure and synchronous. An exception inside denies.
 */
import { printable } from '../../printable.ts';
import { matchesArtifact } from './artifact-pattern.ts';
import { METER, type Meter } from './cel/cel-limits.ts';
import { countSigners, type Holding } from './distinct-signers.ts';
import { judgeEvidence, namesOfSigner, SIGNATURE_TYPE } from './judge-evidence.ts';
import { reason } from './reasons.ts';
import { highestLevels } from './slsa/levels.ts';
import type {
  Artifact,
  CheckContext,
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

/**
 * @param now the present, in milliseconds since 1970
 * @param meter bounds the time that the decision takes. Never throws.
 */
export function decide(
  policy: DecisionPolicy,
  artifact: Artifact,
  evidence: readonly EvidenceItem[],
  now: number,
  meter = METER,
): Decision {
  try {
    meter.startDecision();
    return decideOn(policy, artifact, evidence, now, meter);
  } catch (error) {
    return deny(policy, artifact, now, [internal(error)]);
  } finally {
    meter.endDecision();
  }
}

function decideOn(
  policy: DecisionPolicy,
  artifact: Artifact,
  evidence: readonly EvidenceItem[],
  now: number,
  meter: Meter,
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
  // Whether such a rule is for the artifact is not known, and without the rule a decision could allow more.
  const unknown = artifact.name === undefined ? policy.rules.find((rule) => rule.artifacts !== undefined) : undefined;
  if (unknown !== undefined) {
    const why = `the rule "${printable(unknown.name)}" is for artifacts of some names, and this artifact has none: name it`;
    return deny(policy, artifact, now, [reason('not-covered', why)], refused);
  }
  const rules = isCovered(policy.artifacts, artifact)
    ? policy.rules.filter((rule) => isCovered(rule.artifacts, artifact))
    : [];
  if (rules.length === 0) return deny(policy, artifact, now, [notCovered(policy, artifact)], refused);
  const namesOf = (piece: VerifiedEvidence) => namesOfSigner(policy.signers, piece.signer);
  const judged = rules.map((rule) => judgeRule(rule, { artifact, all: distinct, namesOf, now }, refused, meter));
  // Some checks may have been left out.
  if (meter.isLate) {
    const why = `the decision takes longer than ${meter.limits.decision / 1000} s`;
    return deny(policy, artifact, now, [reason('limit', why)], refused);
  }
  const allowed = judged.every(({ holds }) => holds);
  return {
    verdict: allowed ? 'allow' : 'deny',
    artifact,
    policy: nameOf(policy),
    time: now,
    rules: judged,
    reasons: [],
    levels: allowed ? highestLevels(judged.flatMap((rule) => rule.evidence.flatMap(({ levels }) => levels))) : [],
    refused,
  };
}

function judgeRule(
  rule: DecisionRule,
  context: Omit<CheckContext, 'evidence'>,
  refused: readonly RefusedEvidence[],
  meter: Meter,
): JudgedRule {
  const { name, types, threshold } = rule;
  const evidence: JudgedEvidence[] = [];
  const holding: Holding[] = [];
  for (const piece of context.all) {
    if (!types.includes(typeOf(piece)) || !isAbout(piece, context.artifact)) continue;
    const { judged, marks } = judgeOne(rule, withEvidence(context, piece), meter);
    evidence.push(judged);
    if (judged.holds) holding.push({ piece, signers: judged.signers, marks });
  }
  const count = countSigners(holding);
  if (count >= threshold && threshold >= 1) return { name, holds: true, evidence, reasons: [] };
  return { name, holds: false, evidence, reasons: [missing(rule, evidence.length, refused.length, count)] };
}

/** Written out, since a copy of all members takes a microsecond, and a decision has many. */
function withEvidence(context: Omit<CheckContext, 'evidence'>, evidence: VerifiedEvidence): CheckContext {
  const { artifact, all, namesOf, now } = context;
  return { artifact, evidence, all, namesOf, now };
}

function typeOf({ git, statement }: VerifiedEvidence): string {
  return git?.kind ?? statement?.predicateType ?? SIGNATURE_TYPE;
}

/** Of git, also objects that other evidence is about are at hand. All other evidence was verified to be about the artifact. */
function isAbout({ git }: VerifiedEvidence, { digest }: Artifact): boolean {
  if (git === undefined) return true;
  if (git.kind === 'commit') return git.id === digest.gitCommit;
  const tagged = git.tag?.type === 'commit' && git.tag.object === digest.gitCommit;
  return digest.gitTag === undefined ? tagged : git.id === digest.gitTag;
}

function judgeOne(
  rule: DecisionRule,
  context: CheckContext,
  meter: Meter,
): { readonly judged: JudgedEvidence; readonly marks: readonly string[] } {
  const { digest, source } = context.evidence;
  try {
    const { signers, reasons } = judgeEvidence(rule, context, meter);
    const holds = reasons.length === 0 && signers.length > 0;
    const levels: string[] = [];
    const marks: string[] = [];
    for (const { facts } of holds ? rule.checks : []) {
      const found = facts?.(context);
      if (found === undefined) continue;
      levels.push(...(found.levels ?? []));
      marks.push(...(found.marks ?? []));
    }
    return { judged: { digest, source, signers, holds, levels, reasons }, marks };
  } catch (error) {
    const reasons = [internal(error)];
    return { judged: { digest, source, signers: [], holds: false, levels: [], reasons }, marks: [] };
  }
}

function missing({ types, threshold, signers }: DecisionRule, pieces: number, refused: number, count: number): Reason {
  const more = refused === 0 ? '' : `; ${refused} ${refused === 1 ? 'piece was' : 'pieces were'} refused`;
  if (pieces === 0) {
    const kinds = types.map((type) =>
      type === SIGNATURE_TYPE ? 'no signature over the artifact' : `no attestation of the type ${printable(type)}`,
    );
    return reason('no-evidence', `there is ${kinds.join(' and ')}${more}`);
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
  const what = name === undefined ? 'an artifact without a name: name it' : printable(name);
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

/** A deny apart from any rule. */
export function deny(
  policy: DecisionPolicy,
  artifact: Artifact,
  now: number,
  reasons: readonly Reason[],
  refused: readonly RefusedEvidence[] = [],
): Decision {
  return { verdict: 'deny', artifact, policy: nameOf(policy), time: now, rules: [], reasons, levels: [], refused };
}
