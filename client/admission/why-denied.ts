/** A decision against an image in one sentence, for the person who runs `kubectl`. */
import { printable } from '../../merkle/printable.ts';
import type { Decision, JudgedRule, Reason } from '../../merkle/runtime/policy/types.ts';

/** Without a period at the end. */
export function whyDenied(decision: Decision): string {
  const { policy, reasons, rules, refused } = decision;
  const failed = rules.filter(({ holds }) => !holds);
  const first = failed[0];
  const parts = [
    ...reasons.slice(0, 1).map(said),
    ...(first === undefined ? [] : [ruleText(first)]),
    ...(failed.length > 1
      ? [`${failed.length - 1} further ${failed.length === 2 ? 'rule does' : 'rules do'} not hold`]
      : []),
    ...(first !== undefined && first.evidence.length === 0 && refused[0] !== undefined
      ? [`${printable(refused[0].source)}: ${printable(refused[0].message)}`]
      : []),
  ];
  return `the policy "${printable(policy.name)}" denies it: ${parts.join('; ') || 'no rule of it holds'}`;
}

function ruleText({ name, reasons, evidence }: JudgedRule): string {
  const missing = reasons.slice(0, 1).map(said);
  const failed = evidence.find(({ holds, reasons: own }) => !holds && own.length > 0);
  const found = failed === undefined ? [] : [`${printable(failed.source)}: ${said(failed.reasons[0]!)}`];
  return `rule "${printable(name)}": ${[...missing, ...found].join('; ')}`;
}

function said({ message }: Reason): string {
  return printable(message);
}
