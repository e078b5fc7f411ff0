/**
 * Conditions of access rules over the caller and the call. Apart from the loader, so that a policy without conditions does not load
 * the engine of expressions.
 */
import { printable } from '../../../printable.ts';
import type { Caller } from '../../identity/types.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { type CelSource, type CelValue, toCel } from '../cel/cel-values.ts';
import { type Condition, ConditionFailure, compileCondition } from '../cel/condition.ts';
import type { ReportMistake } from '../types.ts';
import type { AccessCall, AccessCondition } from './types.ts';

/** The names that conditions can read, and their types. */
export const ACCESS_VARIABLES: readonly string[] = [
  'caller: map(string, dyn)',
  'call: map(string, dyn)',
  'now: timestamp',
];

/** @param report gets what is wrong with an expression; `at` begins with its index */
export function compileAccessConditions(
  texts: readonly { readonly cel: string; readonly message?: string }[],
  report: ReportMistake,
): AccessCondition[] {
  return texts.flatMap(({ cel, message }, i) => {
    try {
      return [checkOf(compileCondition(cel, ACCESS_VARIABLES), message)];
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      report([i], error.message);
      return [];
    }
  });
}

function checkOf(condition: Condition, message: string | undefined): AccessCondition {
  const text = printable(condition.text);
  return (caller, call, now) => {
    const variables = { caller: callerValue(caller), call: toCel(callSource(call)), now: toCel(new Date(now)) };
    const result = condition.evaluate(variables);
    // An error is truthy.
    if (result === true) return undefined;
    if (result instanceof ConditionFailure) {
      return { code: 'condition-error', message: `${text} could not be evaluated: ${printable(result.message)}` };
    }
    return { code: 'condition', message: message === undefined ? `${text} is false` : printable(message) };
  };
}

/** A caller does not change, and its connection asks again and again. */
const known = new WeakMap<Caller, CelValue>();

function callerValue(caller: Caller): CelValue {
  let value = known.get(caller);
  if (value === undefined) {
    value = toCel(callerSource(caller));
    known.set(caller, value);
  }
  return value;
}

function callerSource({
  kind,
  id,
  spiffeId,
  issuer,
  subject,
  email,
  names,
  claims,
  fingerprint,
  expires,
}: Caller): CelSource {
  return {
    kind,
    id,
    spiffeId: spiffeId?.text,
    trustDomain: spiffeId?.trustDomain,
    path: spiffeId?.path,
    issuer,
    subject,
    email,
    names: names.map(({ type, value }) => ({ type, value })),
    claims: claims as CelSource | undefined,
    fingerprint,
    expires: new Date(expires),
  };
}

function callSource({ action, entries = [], origin }: AccessCall): CelSource {
  return { action, origin, entries: entries.map(({ kind, key, issuer }) => ({ kind, key, issuer })) };
}
