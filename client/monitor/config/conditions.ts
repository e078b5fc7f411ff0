/** Reads conditions, patterns and presets of a monitor's configuration. */

import { nearest } from '../../../merkle/runtime/config/nearest.ts';
import type { SettingPath } from '../../../merkle/runtime/config/settings-file.ts';
import { isMapping, type SettingsWalk, shown } from '../../../merkle/runtime/config/settings-walk.ts';
import { FULCIO_ARC, FULCIO_EXTENSIONS } from '../../../merkle/x509/fulcio.ts';
import { ClientError } from '../../errors.ts';
import { PRESETS, type Preset, type PresetValues, type Role } from '../presets.ts';
import { compilePattern } from '../rules/text.ts';
import type { RuleCondition, TextMatch } from '../rules/types.ts';
import { ConditionSchema, MATCH_ALLOWED, MAX_CONDITIONS } from './schema.ts';

const MAX_TEXT = 1024;
const MAX_EXTENSIONS = 32;
const OID = /^[0-2](\.(0|[1-9][0-9]{0,9})){2,20}$/;

/** Reads one condition or a list. A preset can stand for several conditions. */
export function readConditions(value: unknown, at: SettingPath, walk: SettingsWalk): RuleCondition[] | undefined {
  const role: Role = at.at(-1) === 'expect' ? 'expect' : 'watch';
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0 || list.length > MAX_CONDITIONS) {
    return walk.problem(at, `must be a condition, or a list of 1 to ${MAX_CONDITIONS}`);
  }
  return list.flatMap((item, i) => readCondition(item, Array.isArray(value) ? [...at, i] : at, role, walk));
}

function readCondition(value: unknown, at: SettingPath, role: Role, walk: SettingsWalk): RuleCondition[] {
  if (!isMapping(value)) {
    walk.problem(at, `must be a mapping with ${CONDITION_NAMES.join(', ')}`);
    return [];
  }
  const fields = Object.entries(value);
  const presets = fields.filter(([name]) => Object.hasOwn(PRESETS, name));
  const others = Object.fromEntries(fields.filter(([name]) => !Object.hasOwn(PRESETS, name)));
  for (const name of Object.keys(others)) {
    if (Object.hasOwn(CONDITION_PROPERTIES, name)) continue;
    walk.unknown([...at, name], name, CONDITION_NAMES);
    delete others[name];
  }
  const before = walk.problems.length;
  const own = walk.object(ConditionSchema, others, at) as RuleCondition & { digest?: string };
  const condition: RuleCondition =
    own.digest === undefined ? own : { ...own, digest: own.digest.slice(own.digest.indexOf(':') + 1) };
  const [preset, ...more] = presets;
  if (more.length > 0) walk.problem([...at, more[0]![0]], 'stands beside another preset: keep one in a condition');
  if (preset === undefined) {
    if (fields.length === 0) walk.problem(at, `is empty: give at least one of ${CONDITION_NAMES.join(', ')}`);
    return walk.problems.length > before ? [] : [condition];
  }
  const [name, given] = preset;
  const values = readPreset(PRESETS[name]!, given, [...at, name], walk);
  if (values === undefined) return [];
  return PRESETS[name]!.expand(values, role).flatMap((expanded) => {
    const twice = Object.keys(expanded).find((key) => Object.hasOwn(condition, key));
    if (twice === undefined) return [{ ...condition, ...expanded }];
    const why = `is set by the preset "${name}" too: leave it out, or write the condition without the preset`;
    walk.problem([...at, twice], why);
    return [];
  });
}

const CONDITION_PROPERTIES = (ConditionSchema as unknown as { properties: Record<string, unknown> }).properties;
const CONDITION_NAMES = [...Object.keys(CONDITION_PROPERTIES), ...Object.keys(PRESETS)];

function readPreset(
  { parameters, title }: Preset,
  value: unknown,
  at: SettingPath,
  walk: SettingsWalk,
): PresetValues | undefined {
  const names = Object.keys(parameters);
  if (!isMapping(value)) return walk.problem(at, `(${title}) must be a mapping with ${names.join(', ')}`);
  const before = walk.problems.length;
  for (const name of Object.keys(value)) {
    if (!names.includes(name)) walk.problem([...at, name], `is unknown; ${title} has ${names.join(', ')}`);
  }
  const values: Record<string, TextMatch> = {};
  for (const [name, { form, required, pattern, example, default: standard }] of Object.entries(parameters)) {
    const one = value[name] ?? standard;
    if (one === undefined) {
      if (required || Object.hasOwn(value, name)) walk.problem([...at, name], `is missing: such as ${example}`);
    } else if (typeof one === 'string') {
      if (form.test(one)) values[name] = one;
      else walk.problem([...at, name], `is ${shown(one)}; allowed: such as ${example}`);
    } else if (pattern === undefined) {
      walk.problem([...at, name], `must be text, such as ${example}; it takes no pattern`);
    } else {
      const match = readMatch(one, [...at, name], walk);
      if (match !== undefined) values[name] = match;
    }
  }
  return walk.problems.length > before ? undefined : values;
}

/** Exact text or a pattern. */
export function readMatch(value: unknown, at: SettingPath, walk: SettingsWalk): TextMatch | undefined {
  if (typeof value === 'string') {
    if (value !== '' && value.length <= MAX_TEXT) return value;
    return walk.problem(at, `has ${value.length} characters; allowed: 1 to ${MAX_TEXT}`);
  }
  const pattern = isPattern(value) ? value.pattern : undefined;
  if (pattern === undefined) return walk.problem(at, `is ${shown(value)}; allowed: ${MATCH_ALLOWED}`);
  try {
    compilePattern(pattern);
    return { pattern };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    return walk.problem([...at, 'pattern'], `is not a pattern: ${error.message}`);
  }
}

export function readExtensions(
  value: unknown,
  at: SettingPath,
  walk: SettingsWalk,
): Record<string, TextMatch> | undefined {
  if (!isMapping(value)) return walk.problem(at, 'must be a mapping from names or OIDs to text');
  const entries = Object.entries(value);
  if (entries.length === 0 || entries.length > MAX_EXTENSIONS) {
    return walk.problem(at, `must have 1 to ${MAX_EXTENSIONS} members`);
  }
  const out: Record<string, TextMatch> = {};
  for (const [name, match] of entries) {
    if (!Object.hasOwn(FULCIO_EXTENSIONS, name) && !OID.test(name)) {
      const known = Object.keys(FULCIO_EXTENSIONS);
      const best = nearest(name, known);
      const hint = best === undefined ? `names are ${known.join(', ')}` : `did you mean "${best}"?`;
      walk.problem([...at, name], `is neither an extension of Fulcio's nor an OID; ${hint}`);
      continue;
    }
    if (OID.test(name) && !name.startsWith(FULCIO_ARC)) {
      walk.problem([...at, name], `is not below ${FULCIO_ARC}, where Fulcio's extensions are: only those are read`);
      continue;
    }
    const read = readMatch(match, [...at, name], walk);
    if (read !== undefined) out[name] = read;
  }
  return out;
}

function isPattern(value: unknown): value is { pattern: string } {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 1) return false;
  return 'pattern' in value && typeof value.pattern === 'string';
}
