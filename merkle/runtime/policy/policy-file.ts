/** What reading a file of a decision policy and of an access policy has in common. */
import { parseYaml, type SettingPath } from '../config/settings-file.ts';
import { isMapping, type OwnReader, problemText, type SettingsWalk, shown } from '../config/settings-walk.ts';
import { MAX_POLICY_FILE, NAME, NAME_ALLOWED, POLICY_VERSION } from './policy-values.ts';

/** @param wrong makes the error for a file that cannot be read at all @throws what `wrong` makes */
export function parsePolicyFile(bytes: Uint8Array, wrong: (why: string) => Error): ReturnType<typeof parseYaml> {
  if (bytes.length > MAX_POLICY_FILE) throw wrong(`it has ${bytes.length} bytes, more than ${MAX_POLICY_FILE}`);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw wrong('it is not UTF-8 text');
  }
  const parsed = parseYaml(text);
  if (parsed.problems.length > 0) throw wrong(`it is not valid YAML: ${problemText(parsed.problems)}`);
  return parsed;
}

/** Readers of the version and the name at the head of the file. */
export const HEAD_READERS: Readonly<Record<string, OwnReader>> = {
  version: (value, at, walk) =>
    value === POLICY_VERSION
      ? value
      : walk.problem(at, `is ${shown(value)}; this version of Stele reads ${POLICY_VERSION}`),
  'policy-name': (value, at, walk) =>
    typeof value === 'string' && NAME.test(value)
      ? value
      : walk.problem(at, `is ${shown(value)}; allowed: ${NAME_ALLOWED}`),
};

/**
 * The one way in which `value` names somebody; undefined where it is wrong, and reported.
 *
 * @param forms each way, with the members that may stand beside each other; any of them tells which way it is
 * @param who what is named, for messages: `signer`
 */
export function formOf<Form extends string>(
  value: unknown,
  forms: Readonly<Record<Form, readonly string[]>>,
  at: SettingPath,
  walk: SettingsWalk,
  who: string,
): { readonly form: Form; readonly members: Readonly<Record<string, unknown>> } | undefined {
  const ways = Object.entries(forms) as [Form, readonly string[]][];
  const known = [...new Set(ways.flatMap(([, names]) => names))];
  if (!isMapping(value)) return walk.problem(at, `must be a mapping with ${known.join(', ')}`);
  const unknown = Object.keys(value).filter((name) => !known.includes(name));
  for (const name of unknown) walk.unknown([...at, name], name, known);
  if (unknown.length > 0) return undefined;
  const given = ways.filter(([, names]) => names.some((name) => Object.hasOwn(value, name)));
  const [first, ...more] = given;
  if (first === undefined) return walk.problem(at, `is empty: give one of ${Object.keys(forms).join(', ')}`);
  if (more.length > 0) {
    return walk.problem(at, `has ${given.map(([name]) => name).join(' and ')}: a ${who} is named in one way`);
  }
  return { form: first[0], members: value };
}
