/** Strict readers of JSON of unknown origin, mostly proto3 JSON. Errors name the wrong field. */
import { decodeBase64, decodeEitherBase64, parseDecimal } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { readMembers } from '../../merkle/rekor/json-members.ts';
import { parseStrictJson } from '../../merkle/rekor/strict-json.ts';
import { ClientError } from '../errors.ts';
import { withClientErrors } from '../merkle-errors.ts';

export type JsonObject = { readonly [name: string]: unknown };

/**
 * Parses strict JSON (merkle/rekor/strict-json.ts).
 *
 * @param depth most levels of nested arrays and objects; 32 by default
 * @throws ClientError `malformed` unless `bytes` are UTF-8 JSON of 1 to `limit` bytes, without repeated members.
 */
export function parseJson(bytes: Uint8Array, what: string, limit: number, depth?: number): unknown {
  return withClientErrors(() => parseStrictJson(bytes, what, limit, depth));
}

/** The members of a large object, without its values (merkle/rekor/json-members.ts). @throws ClientError `malformed` */
export function readLargeObject(bytes: Uint8Array, what: string, limit: number, depth: number) {
  return withClientErrors(() => readMembers(bytes, what, limit, depth));
}

/**
 * The members of a proto3 JSON object. Members that are null are absent from the result.
 *
 * @param names the allowed names in camelCase. As proto3 JSON requires, the snake_case form is accepted too.
 * @throws ClientError `malformed`
 */
export function object(value: unknown, path: string, names: readonly string[]): JsonObject {
  return members(value, path, names, (name) => {
    throw malformed(path, `has an unknown field "${printable(name.slice(0, 60))}"`);
  });
}

/** As `object`, but ignores members of other names. @throws ClientError `malformed` */
export function knownMembers(value: unknown, path: string, names: readonly string[]): JsonObject {
  return members(value, path, names, () => {});
}

function members(value: unknown, path: string, names: readonly string[], other: (name: string) => void): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(path, 'is not an object');
  const out: Record<string, unknown> = {};
  for (const [given, member] of Object.entries(value)) {
    const name = names.includes(given) ? given : names.find((known) => snake(known) === given);
    if (name === undefined) {
      other(given);
      continue;
    }
    if (Object.hasOwn(out, name)) throw malformed(path, `has the field "${name}" twice`);
    if (member !== null) out[name] = member;
  }
  return out;
}

/** The members of an object that is not proto3 JSON: only exactly these names, and no null. @throws ClientError `malformed` */
export function record(value: unknown, path: string, names: readonly string[]): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(path, 'is not an object');
  for (const [name, member] of Object.entries(value)) {
    if (!names.includes(name)) throw malformed(path, `has an unknown field "${printable(name.slice(0, 60))}"`);
    if (member === null) throw malformed(`${path}.${name}`, 'is null');
  }
  return value as JsonObject;
}

/** The name of the present member. @throws ClientError `malformed` unless exactly one of `names` is present */
export function oneOf<Name extends string>(members: JsonObject, path: string, names: readonly Name[]): Name {
  const there = names.filter((name) => members[name] !== undefined);
  if (there.length === 1) return there[0]!;
  throw malformed(path, `has ${there.length === 0 ? 'none' : 'more than one'} of ${names.join(', ')}`);
}

/** The name of a proto3 enum value, which JSON gives by name or number. @throws ClientError `malformed`, `unsupported` */
export function enumeration<Name extends string>(
  value: unknown,
  path: string,
  names: Readonly<Record<Name, number>>,
): Name {
  for (const name of Object.keys(names) as Name[]) if (value === name || value === names[name]) return name;
  if (typeof value === 'string' || typeof value === 'number') {
    const why = `${path} is "${printable(String(value).slice(0, 60))}", which is not supported`;
    throw new ClientError('unsupported', why);
  }
  throw malformed(path, value === undefined ? 'is missing' : 'is not a name');
}

/** A list of at most `max` items. Absent is empty. @throws ClientError `malformed` */
export function array(value: unknown, path: string, max: number): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw malformed(path, 'is not a list');
  if (value.length > max) throw malformed(path, `has more than ${max} items`);
  return value;
}

/** @throws ClientError `malformed` for an absent value, and for one that is not text */
export function string(value: unknown, path: string): string {
  if (typeof value !== 'string') throw malformed(path, value === undefined ? 'is missing' : 'is not text');
  return value;
}

/**
 * Bytes of proto3 JSON and DSSE, in each form that these allow (`decodeEitherBase64`): at least 1 byte, or exactly `length`.
 * @throws ClientError `malformed`
 */
export function bytes(value: unknown, path: string, length?: number): Uint8Array {
  const decoded = decode(value, path, decodeEitherBase64, 'is not base64');
  if (length !== undefined && decoded.length !== length)
    throw malformed(path, `has ${decoded.length} bytes, not ${length}`);
  return decoded;
}

/** Decodes padded standard base64 of at least 1 byte. @throws ClientError `malformed` */
export function standardBytes(value: unknown, path: string): Uint8Array {
  return decode(value, path, decodeBase64, 'is not padded standard base64');
}

function decode(value: unknown, path: string, read: (text: string) => Uint8Array, why: string): Uint8Array {
  const text = string(value, path);
  let decoded: Uint8Array;
  try {
    decoded = read(text);
  } catch (cause) {
    throw malformed(path, why, cause);
  }
  if (decoded.length === 0) throw malformed(path, 'is empty');
  return decoded;
}

/** A 64-bit number in [0, 2^53 - 1], as text or as a JSON number. Absent is 0. @throws ClientError `malformed` */
export function int64(value: unknown, path: string): number {
  if (value === undefined) return 0;
  try {
    return parseDecimal(typeof value === 'number' ? String(value) : string(value, path));
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw malformed(path, 'is not a whole number from 0 to 2^53 - 1', cause);
  }
}

export function malformed(path: string, why: string, cause?: unknown): ClientError {
  return new ClientError('malformed', `${path} ${why}`, { cause });
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
