/** Reads the conditions of a rule: texts in CEL, each with a message where it has one. */
import type { SettingPath } from '../config/settings-file.ts';
import { isMapping, type SettingsWalk, shown } from '../config/settings-walk.ts';
import { CONDITIONS_ALLOWED, MAX_CONDITIONS } from './policy-values.ts';

/** A condition as the file has it. */
export interface ConditionText {
  readonly cel: string;
  /** For people, where it is not true. */
  readonly message?: string;
}

export function readConditions(value: unknown, at: SettingPath, walk: SettingsWalk): ConditionText[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_CONDITIONS) {
    return walk.problem(at, `must be ${CONDITIONS_ALLOWED}`);
  }
  return value.flatMap((one: unknown, i) => {
    if (typeof one === 'string' && one !== '') return [{ cel: one }];
    const place = [...at, i];
    if (!isMapping(one)) {
      walk.problem(place, `is ${shown(one)}; allowed: a text, or { cel: …, message: … }`);
      return [];
    }
    for (const name of Object.keys(one))
      if (!['cel', 'message'].includes(name)) walk.unknown([...place, name], name, ['cel', 'message']);
    const { cel, message } = one;
    if (typeof cel !== 'string' || cel === '')
      walk.problem([...place, 'cel'], `is ${shown(cel)}; allowed: an expression in CEL`);
    if (message !== undefined && (typeof message !== 'string' || message === '' || message.length > 500)) {
      walk.problem([...place, 'message'], `is ${shown(message)}; allowed: text of at most 500 characters`);
    }
    return typeof cel === 'string' ? [{ cel, ...(typeof message === 'string' ? { message } : {}) }] : [];
  });
}
