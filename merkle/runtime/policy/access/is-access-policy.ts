/** Tells an access policy from a decision policy. */
import { parseYaml } from '../../config/settings-file.ts';
import { isMapping } from '../../config/settings-walk.ts';

/** Whether the file has members of an access policy alone. What is neither is read as a decision policy, which then says what is wrong. */
export function isAccessPolicy(bytes: Uint8Array): boolean {
  const { value } = parseYaml(new TextDecoder().decode(bytes));
  if (!isMapping(value)) return false;
  const has = (name: string) => Object.hasOwn(value, name);
  return (has('allow') || has('callers')) && !has('rules') && !has('signers');
}
