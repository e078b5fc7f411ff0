/**
 * Judges calls by an access policy. A call is allowed by one rule, which allows all of it. Whatever ends early is a deny: an error
 * in a condition, a limit, an exception.
 */
import { printable } from '../../../printable.ts';
import type { Caller } from '../../identity/types.ts';
import { Window } from '../../service/window.ts';
import { ACCESS_REASONS, type AccessReason } from './access-reasons.ts';
import { ACCESS_ACTIONS, type AccessCall, type AccessPolicy, type AccessRule, type AccessVerdict } from './types.ts';

const MINUTE_MS = 60_000;

/**
 * What each caller did under each rule with a rate in this minute. The counts outlive a policy: a reload gives nobody a new minute.
 * Memory is bounded: of 100,000 callers, the one that was first seen longest ago is forgotten for a new one.
 */
export class AccessRates {
  readonly #window: Window;

  /** @param now returns milliseconds that never go back */
  constructor(now?: () => number) {
    this.#window = new Window(() => MINUTE_MS, now);
  }

  /** Whether `count` more fit. */
  hasRoom({ name, perMinute }: AccessRule, caller: Caller, count: number): boolean {
    return perMinute === undefined || !this.#window.isFull(keyOf(name, caller), perMinute - count + 1);
  }

  take({ name, perMinute }: AccessRule, caller: Caller, count: number): void {
    if (perMinute !== undefined) this.#window.count(keyOf(name, caller), count);
  }

  get retryAfter(): number {
    return this.#window.retryAfter;
  }
}

/**
 * Whether `policy` allows `call` by `caller`. Never throws.
 *
 * A `write` without entries is allowed where some rule lets the caller write anything at all; no condition is asked then and
 * nothing is counted.
 * @param now milliseconds since 1970
 * @param rates what was counted before; an allowed call is counted in it
 */
export function judgeAccess(
  policy: AccessPolicy,
  caller: Caller,
  call: AccessCall,
  now: number,
  rates: AccessRates = new AccessRates(),
): AccessVerdict {
  try {
    return judged(policy, caller, call, now, rates);
  } catch {
    return { allowed: false, reasons: [{ code: 'access-internal', message: ACCESS_REASONS['access-internal'] }] };
  }
}

function judged(
  policy: AccessPolicy,
  caller: Caller,
  call: AccessCall,
  now: number,
  rates: AccessRates,
): AccessVerdict {
  if (!(now < caller.expires))
    return { allowed: false, reasons: [{ code: 'expired', message: ACCESS_REASONS.expired }] };
  const reasons: AccessReason[] = [];
  let isRate = false;
  for (const rule of policy.allow) {
    if (!rule.calls.includes(call.action) || !rule.callers.some(({ matches }) => matches(caller) === true)) continue;
    const found = reasonIn(rule, caller, call, now, rates);
    if (found === undefined) {
      if (!isPreview(call)) rates.take(rule, caller, countOf(call));
      return { allowed: true, rule: rule.name };
    }
    reasons.push({ ...found, rule: rule.name });
    // A rate is judged last, so it alone stands in the way under this rule. More than the rate in one call never fits.
    if (found.code === 'rate' && countOf(call) <= rule.perMinute!) isRate = true;
  }
  if (reasons.length === 0) {
    const what = `no rule lets ${printable(caller.id)} ${ACCESS_ACTIONS[call.action]}`;
    return { allowed: false, reasons: [{ code: 'caller', message: what }] };
  }
  return { allowed: false, reasons, ...(isRate && { retryAfter: rates.retryAfter }) };
}

function isPreview({ action, entries }: AccessCall): boolean {
  return action === 'write' && entries === undefined;
}

/** What a call counts as. */
function countOf({ entries }: AccessCall): number {
  return entries === undefined ? 1 : entries.length;
}

function reasonIn(
  rule: AccessRule,
  caller: Caller,
  call: AccessCall,
  now: number,
  rates: AccessRates,
): Omit<AccessReason, 'rule'> | undefined {
  const { entries, origin } = call;
  if (rule.logs !== undefined && (origin === undefined || !rule.logs.includes(origin))) {
    const what = origin === undefined ? 'a call without a log' : `the log ${printable(origin)}`;
    return { code: 'log', message: `${what} is not among those of the rule: ${rule.logs.join(', ')}` };
  }
  if (entries !== undefined) {
    for (const entry of entries) {
      const { kind, key, issuer } = entry;
      if (rule.kinds !== undefined && !rule.kinds.includes(kind)) {
        return {
          code: 'kind',
          message: `entries of the kind ${kind} are not among those of the rule: ${rule.kinds.join(', ')}`,
        };
      }
      if (rule.keys !== undefined && (key === undefined || !rule.keys.includes(key))) {
        const what = key === undefined ? 'an entry without a key is' : `keys of the type ${printable(key)} are`;
        return { code: 'key', message: `${what} not among those of the rule: ${rule.keys.join(', ')}` };
      }
      if (rule.issuers !== undefined && (issuer === undefined || rule.issuers(issuer) !== true)) {
        const what = issuer === undefined ? 'an entry without a certificate' : `a certificate of ${printable(issuer)}`;
        return { code: 'issuer', message: `${what} is not of an issuer of the rule` };
      }
    }
  }
  if (!isPreview(call)) {
    for (const condition of rule.conditions) {
      const failed = condition(caller, call, now);
      if (failed !== undefined) return failed;
    }
  }
  const count = countOf(call);
  if (rates.hasRoom(rule, caller, count)) return undefined;
  const what = count > rule.perMinute! ? `${count} at once are more than` : 'it has had';
  return { code: 'rate', message: `${what} the ${rule.perMinute} of a minute that the rule allows each caller` };
}

/** A name of a rule has no control character, so no rule and caller share a key with others. */
function keyOf(rule: string, { kind, id }: Caller): string {
  return `${rule}\n${kind}\n${id}`;
}
