/** Decisions as text for people, and as JSON. Texts in a decision may be of others, so all of them are made printable. */
import { printable } from '../../merkle/printable.ts';
import type { Decision, JudgedEvidence, JudgedRule, RefusedEvidence } from '../../merkle/runtime/policy/types.ts';

/** All of a decision: which rule, which piece of evidence, and what failed in each. */
export function decisionLines(name: string, decision: Decision): string[] {
  const { verdict, policy, rules, reasons, levels, refused } = decision;
  return [
    `${verdict === 'allow' ? 'ALLOW' : 'DENY'}: ${printable(name)}`,
    `  policy     ${printable(policy.name)}, ${policy.digest}`,
    ...nameLines(name, decision),
    ...digestLines(decision),
    ...(levels.length === 0 ? [] : [`  levels     ${levels.join(', ')}`]),
    ...reasons.map(reasonLine),
    ...rules.flatMap(ruleLines),
    ...(refused.length === 0 ? [] : ['', 'Refused evidence, which counts for nothing:', ...refused.map(refusedLine)]),
  ];
}

/** The verdict and the policy, without a reason. */
export function verdictSentence({ verdict, policy }: Decision): string {
  return `${verdict === 'allow' ? 'allowed' : 'denied'} by the policy "${printable(policy.name)}"`;
}

/** One line, for a list of many or for the person who is refused. */
export function decisionSentence(decision: Decision): string {
  const { verdict, rules, reasons } = decision;
  if (verdict === 'allow') return verdictSentence(decision);
  const failed = rules.filter(({ holds }) => !holds);
  const why = [
    ...reasons.map(({ message }) => message),
    ...failed.map(({ name: rule, reasons: [first], evidence }) => {
      const inner = evidence.flatMap((one) => one.reasons)[0];
      const more = inner === undefined ? '' : ` (${printable(inner.message)})`;
      return `rule "${printable(rule)}": ${printable(first?.message ?? 'does not hold')}${more}`;
    }),
  ];
  return `${verdictSentence(decision)}: ${why.join('; ') || 'no rule holds'}`;
}

/** Under which name the policy was asked, where the caller named the artifact in another way. */
function nameLines(given: string, { artifact: { name } }: Decision): string[] {
  return name === undefined || name === given ? [] : [`  name       ${printable(name)}`];
}

function digestLines({ artifact }: Decision): string[] {
  const digests = Object.entries(artifact.digest).map(([algorithm, hex]) => `${algorithm}:${hex}`);
  return digests.map((digest) => `  artifact   ${printable(digest)}`);
}

function ruleLines({ name, holds, evidence, reasons }: JudgedRule): string[] {
  return [
    '',
    `Rule "${printable(name)}" ${holds ? 'holds' : 'does not hold'}`,
    ...reasons.map(reasonLine),
    ...evidence.flatMap(evidenceLines),
  ];
}

function evidenceLines({ digest, source, signers, holds, levels, reasons }: JudgedEvidence): string[] {
  const by = signers.length === 0 ? '' : `, signed by ${printable(signers.join(', '))}`;
  const shows = levels.length === 0 ? '' : `, shows ${levels.join(', ')}`;
  return [
    `  ${holds ? 'holds' : 'fails'}      ${printable(source)}${by}${shows}`,
    `             ${digest}`,
    ...reasons.map(reasonLine),
  ];
}

/** Also of a reason about a layout, whose codes are others. */
export function reasonLine({ code, message }: { readonly code: string; readonly message: string }): string {
  return `  ${`[${code}]`.padEnd(10)} ${printable(message)}`;
}

function refusedLine({ source, digest, code, message }: RefusedEvidence): string {
  return `  ${printable(source)} (${digest}): [${code}] ${printable(message)}`;
}

/** Everything that a program needs. The texts are as they were written. */
export function decisionJson(decision: Decision): object {
  const { verdict, artifact, policy, time, rules, reasons, levels, refused } = decision;
  return { verdict, artifact, policy, time: new Date(time).toISOString(), reasons, rules, levels, refused };
}
