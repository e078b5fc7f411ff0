/**
 * in-toto statements (in-toto/attestation, spec/v1/statement.md v1.1 and spec/v0.1.0) say something about files, which they
 * name by their digests. Signing and verifying share this reader.
 *
 *   { "_type": "https://in-toto.io/Statement/v1", "subject": [ { "name": …, "digest": { "sha256": <hex> } } ],
 *     "predicateType": <URI>, "predicate": { … } }
 *
 * The predicate is an object, and where it is SPDX it may be a text. What it says is read on demand (`statementPredicate`).
 *
 * A subject needs a digest. A DigestSet may hold unknown algorithms, in any encoding.
 */
import { concat, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import type { HashName } from '../../merkle/rekor/hashes.ts';
import type { JsonMember } from '../../merkle/rekor/json-members.ts';
import { type JsonValue, memberValue } from '../../merkle/rekor/json-value.ts';
import { isTypeUri, PREDICATE_TYPES } from '../../merkle/rekor/predicate-types.ts';
import { ClientError, usage } from '../errors.ts';
import { withClientErrors } from '../merkle-errors.ts';
import { array, malformed, readLargeObject, string } from './json.ts';

/** Longest predicate, in bytes. A log sees only the digest of its statement, but a bundle holds the statement in base64. */
export const MAX_PREDICATE = 32 * 1024 * 1024;
/** Longest statement, in bytes: the longest predicate, with a subject. */
export const MAX_STATEMENT = MAX_PREDICATE + 64 * 1024;
const MAX_SUBJECTS = 65_536;
/** Names, digests and annotations of all subjects. */
const MAX_SUBJECT_VALUES = 16 * MAX_SUBJECTS;
/** Bills of materials nest their components. */
const MAX_DEPTH = 256;
const TYPES: readonly unknown[] = ['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1'];
/** The algorithms of a DigestSet whose values must be lower-case hex. */
const HASHES: readonly string[] = ['sha256', 'sha384', 'sha512'] satisfies HashName[];

export interface Subject {
  readonly name: string;
  /** SHA-256 of the file, 32 bytes. */
  readonly sha256: Uint8Array;
}

/** The parts of a statement that Stele reads. The signer chose the texts: see `printable`. */
export interface Statement {
  /** `_type`: the URI of the version. */
  readonly type: string;
  readonly predicateType: string;
  /** At least one. */
  readonly subjects: readonly StatementSubject[];
}

export interface StatementSubject {
  readonly name: string | undefined;
  /** The DigestSet: digests by algorithm, at least one. SHA-256, SHA-384 and SHA-512 are lower-case hex. */
  readonly digest: ReadonlyMap<string, string>;
}

/** The URI of a predicate type, from its short name or URI. @throws ClientError `usage`, which lists the short names */
export function predicateType(name: string): string {
  const known = PREDICATE_TYPES.get(name);
  if (known !== undefined) return known;
  if (isTypeUri(name)) return name;
  const names = [...PREDICATE_TYPES.keys()].join(', ');
  throw usage(
    `"${printable(name)}" is not a predicate type: give a URI such as https://example.com/review/v1, or one of ${names}`,
  );
}

/**
 * Writes a statement about `subjects`. The predicate is copied as text, so that no number loses a digit.
 *
 * @param predicate a JSON object in UTF-8, of at most 32 MiB
 * @param type URI
 * @throws ClientError `statement` if the predicate is not such an object
 */
export function formatStatement(subjects: readonly Subject[], type: string, predicate: Uint8Array): Uint8Array {
  unsigned(() => readLargeObject(predicate, 'the predicate', MAX_PREDICATE, MAX_DEPTH));
  const subject = subjects.map(({ name, sha256 }) => ({ name, digest: { sha256: encodeHex(sha256) } }));
  const head = JSON.stringify({ _type: TYPES[0], subject, predicateType: type });
  // White space around the object is left out.
  const object = predicate.subarray(predicate.indexOf(0x7b), predicate.lastIndexOf(0x7d) + 1);
  return concat(encodeUtf8(`${head.slice(0, -1)},"predicate":`), object, encodeUtf8('}'));
}

/**
 * Parses a statement of in-toto v1 or v0.1, and verifies nothing. Unknown fields are ignored.
 *
 * @param bytes UTF-8 JSON of at most 32 MiB and 64 KiB
 * @throws ClientError `malformed`; the message names the field
 */
export function parseStatement(bytes: Uint8Array): Statement {
  const what = 'the statement';
  const statement = readLargeObject(bytes, what, MAX_STATEMENT, MAX_DEPTH);
  const text = (name: string): string => {
    const member = statement.get(name)?.text;
    const value = member?.startsWith('"') ? JSON.parse(member) : undefined;
    return string(member === undefined ? undefined : (value ?? null), `${what}.${name}`);
  };
  const version = text('_type');
  if (!TYPES.includes(version)) throw malformed(`${what}._type`, 'is not the type of a statement v1 or v0.1');
  const type = text('predicateType');
  if (!isTypeUri(type)) throw malformed(`${what}.predicateType`, 'is not a URI');
  const predicate = statement.get('predicate')?.text ?? 'null';
  const isText = predicate.startsWith('"') && isSpdx(type);
  if (predicate !== 'null' && !isText && !predicate.startsWith('{')) {
    throw malformed(`${what}.predicate`, 'is not an object');
  }
  return { type: version, predicateType: type, subjects: readSubjects(statement.get('subject'), `${what}.subject`) };
}

/**
 * The predicate of a statement that `parseStatement` takes, with every digit of its integers. Without a predicate, it is an
 * empty object (spec/v1/statement.md: `predicate`).
 *
 * @throws ClientError `malformed`
 */
export function statementPredicate(bytes: Uint8Array): JsonValue {
  const what = 'the statement';
  const member = readLargeObject(bytes, what, MAX_STATEMENT, MAX_DEPTH).get('predicate');
  if (member === undefined || member.text === 'null') return Object.create(null);
  return withClientErrors(() => memberValue(member, `${what}.predicate`));
}

/** `cosign attest --type spdx` writes the document as text. */
function isSpdx(type: string): boolean {
  return /^https:\/\/spdx\.dev\/Document(?:\/|$)/.test(type);
}

function readSubjects(subject: JsonMember | undefined, path: string): StatementSubject[] {
  if (subject !== undefined && subject.values > MAX_SUBJECT_VALUES) {
    throw malformed(path, `has more than ${MAX_SUBJECT_VALUES} values`);
  }
  const subjects = array(subject === undefined ? undefined : JSON.parse(subject.text), path, MAX_SUBJECTS);
  if (subjects.length === 0) throw malformed(path, 'is empty');
  return subjects.map((one, at) => readSubject(one, `${path}[${at}]`));
}

/** `parseStatement`, before a statement is signed. @throws ClientError `statement`; the message names the field */
export function checkStatement(bytes: Uint8Array): Statement {
  return unsigned(() => parseStatement(bytes));
}

function readSubject(value: unknown, path: string): StatementSubject {
  const { name, digest } = members(value, path);
  const digests = Object.entries(members(digest ?? {}, `${path}.digest`)).map(([algorithm, text]) => {
    const field = `${path}.digest.${printable(algorithm)}`;
    const encoded = string(text, field);
    // Other algorithms may have other encodings. The specification requires readers to ignore unknown algorithms.
    if (HASHES.includes(algorithm) && !/^[0-9a-f]{2,256}$/.test(encoded))
      throw malformed(field, 'is not lower-case hex');
    return [algorithm, encoded] as const;
  });
  if (digests.length === 0) throw malformed(`${path}.digest`, 'is missing');
  return {
    name: name === undefined || name === null ? undefined : string(name, `${path}.name`),
    digest: new Map(digests),
  };
}

function members(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(path, 'is not an object');
  return value as Record<string, unknown>;
}

function unsigned<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    throw new ClientError('statement', `${cause.message}: nothing was signed`, { cause });
  }
}
