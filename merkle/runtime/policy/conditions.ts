/**
 * Conditions of rules over what was verified. Apart from the loader, so that a policy without conditions does not load the
 * engine of expressions.
 */
import { printable } from '../../printable.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { type Condition, ConditionFailure, compileCondition } from './cel/condition.ts';
import { conditionVariables, DECLARED } from './condition-variables.ts';
import { reason } from './reasons.ts';
import type { EvidenceCheck, ReportMistake } from './types.ts';

/** @param report gets what is wrong with an expression; `at` begins with its index */
export function compileConditions(
  texts: readonly { readonly cel: string; readonly message?: string }[],
  report: ReportMistake,
): EvidenceCheck[] {
  return texts.flatMap(({ cel, message }, i) => {
    try {
      return [checkOf(compileCondition(cel, DECLARED), message)];
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      report([i], error.message);
      return [];
    }
  });
}

function checkOf(condition: Condition, message: string | undefined): EvidenceCheck {
  const text = printable(condition.text);
  return (context) => {
    const result = condition.evaluate(conditionVariables(context));
    // An error is truthy.
    if (result === true) return [];
    if (result instanceof ConditionFailure) {
      return [reason('condition-error', `${text} could not be evaluated: ${printable(result.message)}`)];
    }
    return [reason('condition', message === undefined ? `${text} is false` : printable(message))];
  };
}
