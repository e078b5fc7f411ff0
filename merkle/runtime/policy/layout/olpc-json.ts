/**
 * The "Canonical JSON" of OLPC (wiki.laptop.org/go/Canonical_JSON), which the signatures of a metablock cover: members sorted
 * by the bytes of their names, no white space, integers alone, and in texts only `"` and `\` escaped.
 */
import { isJsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import { RuntimeError } from '../../runtime-errors.ts';

/** @throws RuntimeError `predicate` for a number that is no 64-bit integer, and half of a surrogate pair */
export function canonicalText(value: JsonValue): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number' || (typeof value === 'bigint' && BigInt.asIntN(64, value) !== value)) {
    throw new RuntimeError(
      'predicate',
      `the number ${String(value).slice(0, 40)} cannot be signed: only 64-bit integers can`,
    );
  }
  if (typeof value !== 'object' || value === null) return String(value);
  if (!isJsonRecord(value)) return `[${(value as readonly JsonValue[]).map(canonicalText).join(',')}]`;
  const members = Object.entries(value).sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  return `{${members.map(([name, member]) => `${quoted(name)}:${canonicalText(member)}`).join(',')}}`;
}

function quoted(text: string): string {
  if (!text.isWellFormed()) throw new RuntimeError('predicate', 'a text holds half of a surrogate pair');
  return `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
}
