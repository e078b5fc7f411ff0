/** Reads members of an SBOM: a member that has another type than its format says is an error, never a missing member. */

import { printable } from '../../../printable.ts';
import { isJsonRecord, type JsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import { type SbomDigest, SbomProblem } from './types.ts';

/** Most packages and files of one SBOM. */
const MAX_PACKAGES = 100_000;
/** Most steps between them. */
const MAX_EDGES = 1_000_000;

export function recordOf(value: JsonValue | undefined, what: string): JsonRecord {
  if (!isJsonRecord(value)) throw new SbomProblem(`${what} is no object`);
  return value;
}

export function textIn(record: JsonRecord, name: string): string | undefined {
  const value = record[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new SbomProblem(`"${name}" is no text`);
  return value === '' ? undefined : value;
}

export function recordsIn(record: JsonRecord, name: string): readonly JsonRecord[] {
  return listIn(record, name).map((item) => recordOf(item, `an item of "${name}"`));
}

export function textsIn(record: JsonRecord, name: string): readonly string[] {
  return listIn(record, name).map((item) => {
    if (typeof item !== 'string') throw new SbomProblem(`an item of "${name}" is no text`);
    return item;
  });
}

export function listIn(record: JsonRecord, name: string): readonly JsonValue[] {
  const value = record[name];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new SbomProblem(`"${name}" is no list`);
  return value as readonly JsonValue[];
}

/** `SHA-256`, `SHA256`, `SHA3-512` and `BLAKE2b-256` as `sha256`, `sha3_512` and `blake2b_256`. */
export function digestOf(algorithm: string, value: string): SbomDigest {
  const name = algorithm
    .toLowerCase()
    .replace(/^sha-(?=[0-9])/, 'sha')
    .replaceAll('-', '_');
  return { algorithm: name, value: value.toLowerCase() };
}

/** Collects edges; the same edge counts once. */
export class Edges {
  readonly map = new Map<string, string[]>();
  readonly #seen = new Set<string>();

  add(from: string, to: string): void {
    const key = `${from}\n${to}`;
    if (this.#seen.has(key)) return;
    if (this.#seen.size === MAX_EDGES) throw new SbomProblem(`the SBOM has more than ${MAX_EDGES} relationships`);
    this.#seen.add(key);
    const list = this.map.get(from);
    if (list === undefined) this.map.set(from, [to]);
    else list.push(to);
  }
}

export function checkCount(count: number): void {
  if (count > MAX_PACKAGES) throw new SbomProblem(`the SBOM has more than ${MAX_PACKAGES} packages and files`);
}

export function short(text: string): string {
  return printable(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}
