/**
 * What a policy says of one external parameter of a build: an exact value, one of several, a condition over `value`, any value,
 * or rules for the members of an object. JSON is compared as values: 1 is not 1.0, and the order of members does not matter.
 */
import { printable } from '../../../printable.ts';
import { isJsonRecord, type JsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import type { SettingPath } from '../../config/settings-file.ts';
import { isMapping, type SettingsWalk } from '../../config/settings-walk.ts';
import type { Condition } from '../cel/condition.ts';
import { reason } from '../reasons.ts';
import type { Reason, ReportMistake } from '../types.ts';
import type { ParameterPath } from './built-source.ts';
import { isEmptyValue } from './provenance.ts';

/** As the file has it. */
type ParameterRule = { readonly optional: boolean } & (
  | { readonly oneOf: readonly JsonValue[] }
  | { readonly cel: string; readonly condition?: Condition }
  | { readonly any: true }
  | { readonly members: ParameterRules }
);
export type ParameterRules = ReadonlyMap<string, ParameterRule>;

export const PARAMETERS_ALLOWED =
  'a mapping from names of parameters to a value, or to one of { equals: value }, { oneOf: [values] }, { cel: expression over value }, { any: true }, { members: mapping }, each also with optional: true';
const FORMS = ['equals', 'oneOf', 'cel', 'any', 'members'];
const MAX_RULES = 1000;

/** The reader of a mapping of rules. */
export function readParameterRules(value: unknown, at: SettingPath, walk: SettingsWalk): ParameterRules | undefined {
  if (!isMapping(value) || Object.keys(value).length > MAX_RULES)
    return walk.problem(at, `must be ${PARAMETERS_ALLOWED}`);
  const rules = new Map<string, ParameterRule>();
  for (const [name, given] of Object.entries(value)) {
    const rule = readRule(given, [...at, name], walk);
    if (rule !== undefined) rules.set(name, rule);
  }
  return rules;
}

function readRule(value: unknown, at: SettingPath, walk: SettingsWalk): ParameterRule | undefined {
  if (!isMapping(value)) return exactly([value], at, walk, false);
  const forms = Object.keys(value).filter((name) => name !== 'optional');
  const [form, ...more] = forms;
  if (form === undefined || more.length > 0 || !FORMS.includes(form)) {
    return walk.problem(at, `must have exactly one of ${FORMS.join(', ')}`);
  }
  const { optional = false } = value;
  if (typeof optional !== 'boolean') return walk.problem([...at, 'optional'], 'must be true or false');
  const given = value[form];
  const place = [...at, form];
  if (form === 'equals') return exactly([given], place, walk, optional);
  if (form === 'oneOf') {
    if (Array.isArray(given) && given.length > 0) return exactly(given, place, walk, optional);
    return walk.problem(place, 'must be a list of values');
  }
  if (form === 'any') return given === true ? { any: true, optional: true } : walk.problem(place, 'must be true');
  if (form === 'cel') {
    return typeof given === 'string' ? { cel: given, optional } : walk.problem(place, 'must be an expression, as text');
  }
  const members = readParameterRules(given, place, walk);
  return members && { members, optional };
}

function exactly(
  values: readonly unknown[],
  at: SettingPath,
  walk: SettingsWalk,
  optional: boolean,
): ParameterRule | undefined {
  const oneOf = values.map(jsonOf);
  if (oneOf.includes(undefined)) {
    return walk.problem(
      at,
      'has a value that JSON does not have, is empty, or has an integer of more than 53 bits: use cel',
    );
  }
  return { oneOf: oneOf as JsonValue[], optional };
}

/** A value of YAML as one of JSON, whose integers are bigint. */
function jsonOf(value: unknown): JsonValue | undefined {
  if (typeof value === 'number') {
    if (!Number.isInteger(value)) return Number.isFinite(value) ? value : undefined;
    return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  }
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return value === '' ? undefined : value;
  if (Array.isArray(value)) {
    const items = value.map(jsonOf);
    return items.length === 0 || items.includes(undefined) ? undefined : (items as JsonValue[]);
  }
  if (!isMapping(value)) return undefined;
  const members: Record<string, JsonValue> = Object.create(null);
  for (const [name, member] of Object.entries(value)) {
    const json = jsonOf(member);
    if (json === undefined) return undefined;
    members[name] = json;
  }
  return members;
}

/** The rules with their conditions compiled; a condition that is wrong is reported. */
export async function compileRules(
  rules: ParameterRules,
  at: SettingPath,
  report: ReportMistake,
): Promise<ParameterRules> {
  const compiled = new Map<string, ParameterRule>();
  for (const [name, rule] of rules) {
    if ('members' in rule) {
      const members = await compileRules(rule.members, [...at, name, 'members'], report);
      compiled.set(name, { ...rule, members });
    } else if ('cel' in rule) {
      const { compileCondition } = await import('../cel/condition.ts');
      try {
        compiled.set(name, { ...rule, condition: compileCondition(rule.cel, ['value']) });
      } catch (error) {
        report([...at, name, 'cel'], printable((error as Error).message));
      }
    } else compiled.set(name, rule);
  }
  return compiled;
}

/**
 * @param judged parameters that were judged elsewhere, such as the source
 * @param celOf makes a value of conditions
 */
export function judgeParameters(
  parameters: JsonRecord,
  rules: ParameterRules,
  judged: readonly ParameterPath[],
  celOf: typeof import('../cel/cel-values.ts').toCel | undefined,
): Reason[] {
  return judgeMembers(parameters, rules, [], judged, celOf);
}

function judgeMembers(
  parameters: JsonRecord,
  rules: ParameterRules,
  path: ParameterPath,
  judged: readonly ParameterPath[],
  celOf: Parameters<typeof judgeParameters>[3],
): Reason[] {
  const reasons: Reason[] = [];
  for (const [name, value] of Object.entries(parameters)) {
    const at = [...path, name];
    if (isEmptyValue(value) || judged.some((one) => samePath(one, at))) continue;
    const rule = rules.get(name);
    if (rule !== undefined) reasons.push(...judgeOne(value, rule, at, judged, celOf));
    else if (isJsonRecord(value) && judged.some((one) => samePath(one.slice(0, at.length), at))) {
      // What is beside the source in one object still needs a rule.
      reasons.push(...judgeMembers(value, new Map(), at, judged, celOf));
    } else reasons.push(wrong(at, 'is not expected: the rule says nothing of it'));
  }
  for (const [name, rule] of rules) {
    if (!rule.optional && isEmptyValue(Object.hasOwn(parameters, name) ? parameters[name] : undefined)) {
      reasons.push(wrong([...path, name], 'is missing'));
    }
  }
  return reasons;
}

function judgeOne(
  value: JsonValue,
  rule: ParameterRule,
  at: ParameterPath,
  judged: readonly ParameterPath[],
  celOf: Parameters<typeof judgeParameters>[3],
): Reason[] {
  if ('any' in rule) return [];
  if ('members' in rule) {
    if (isJsonRecord(value)) return judgeMembers(value, rule.members, at, judged, celOf);
    return [wrong(at, 'is not an object')];
  }
  if ('oneOf' in rule) {
    if (rule.oneOf.some((one) => sameJson(one, value))) return [];
    return [wrong(at, `is ${shownJson(value)}, not ${rule.oneOf.map(shownJson).join(' or ')}`)];
  }
  if (rule.condition === undefined || celOf === undefined) return [wrong(at, 'has a condition that was not compiled')];
  const result = rule.condition.evaluate({ value: celOf(value) });
  if (result === true) return [];
  const why = result === false ? '' : `: ${printable(result.message)}`;
  return [wrong(at, `is ${shownJson(value)}, for which ${printable(rule.cel)} does not hold${why}`)];
}

function sameJson(a: JsonValue, b: JsonValue): boolean {
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, at) => sameJson(item, b[at] as JsonValue));
  }
  if (isJsonRecord(a)) {
    if (!isJsonRecord(b) || Object.keys(a).length !== Object.keys(b).length) return false;
    return Object.entries(a).every(([name, member]) => Object.hasOwn(b, name) && sameJson(member, b[name]!));
  }
  return a === b;
}

function samePath(a: ParameterPath, b: ParameterPath): boolean {
  return a.length === b.length && a.every((name, at) => name === b[at]);
}

function shownJson(value: JsonValue): string {
  const text = JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one));
  return printable(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}

function wrong(at: ParameterPath, why: string): Reason {
  return reason('parameter', `the external parameter "${printable(at.join('.'))}" ${why}`);
}
