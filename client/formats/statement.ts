/**
 * in-toto statements (in-toto/attestation 051624c, spec/v1/statement.md): which files, by their digests, something is said
 * of, and what.
 *
 *   { "_type": "https://in-toto.io/Statement/v1", "subject": [ { "name": …, "digest": { "sha256": <hex> } } ],
 *     "predicateType": <URI>, "predicate": { … } }
 */
import { encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { parseJson } from './json.ts';

/** Short names, and the type of predicate that each stands for. */
export const PREDICATE_TYPES: ReadonlyMap<string, string> = new Map([
  ['slsaprovenance', 'https://slsa.dev/provenance/v1'],
  ['slsaprovenance1', 'https://slsa.dev/provenance/v1'],
  ['spdx', 'https://spdx.dev/Document'],
  ['cyclonedx', 'https://cyclonedx.org/bom'],
  ['vsa', 'https://slsa.dev/verification_summary/v1'],
  ['scai', 'https://in-toto.io/attestation/scai/v0.3'],
  ['link', 'https://in-toto.io/attestation/link/v0.3'],
  ['test-result', 'https://in-toto.io/attestation/test-result/v0.1'],
  ['vulns', 'https://in-toto.io/attestation/vulns/v0.2'],
]);

/** Longest predicate or statement, in bytes. A log sees only its digest, but a bundle holds it in base64. */
export const MAX_STATEMENT = 8 * 1024 * 1024;
const MAX_SUBJECTS = 10_000;
/** Bills of materials nest their components. */
const MAX_DEPTH = 256;
const TYPES: readonly unknown[] = ['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1'];

export interface Subject {
  readonly name: string;
  /** SHA-256 of the file, 32 bytes. */
  readonly sha256: Uint8Array;
}

/** What is read of a statement. */
export interface Statement {
  readonly predicateType: string;
  /** Digests of each subject: algorithm name and lower-case hex. */
  readonly subjects: readonly { readonly name: string | undefined; readonly digest: ReadonlyMap<string, string> }[];
}

/**
 * The URI that a short name stands for; a URI stands for itself.
 *
 * @throws ClientError `usage`, with the names that are known
 */
export function predicateType(name: string): string {
  const known = PREDICATE_TYPES.get(name);
  if (known !== undefined) return known;
  if (isTypeUri(name)) return name;
  const names = [...PREDICATE_TYPES.keys()].join(', ');
  throw new ClientError(
    'usage',
    `"${printable(name)}" is no type of predicate: give a URI such as https://example.com/review/v1, or one of ${names}`,
  );
}

/**
 * The bytes of a statement about `subjects`. The predicate stands in it as it was written, so that no number loses a digit.
 *
 * @param predicate a JSON object in UTF-8, of at most 8 MiB
 * @param type URI
 * @throws ClientError `statement` where the predicate is no such object
 */
export function formatStatement(subjects: readonly Subject[], type: string, predicate: Uint8Array): Uint8Array {
  if (!isObject(readJson(predicate, 'the predicate'))) {
    throw new ClientError('statement', 'the predicate is not a JSON object: it starts with "{"');
  }
  const text = new TextDecoder().decode(predicate).trim();
  const subject = subjects.map(({ name, sha256 }) => ({ name, digest: { sha256: encodeHex(sha256) } }));
  const head = JSON.stringify({ _type: TYPES[0], subject, predicateType: type });
  return encodeUtf8(`${head.slice(0, -1)},"predicate":${text}}`);
}

/**
 * Reads a statement of in-toto v1 or v0.1, with nothing verified.
 *
 * @throws ClientError `statement`, saying what is wrong
 */
export function parseStatement(bytes: Uint8Array): Statement {
  const json = readJson(bytes, 'the statement');
  if (!isObject(json) || !TYPES.includes(json._type)) throw bad(`its "_type" is not ${String(TYPES[0])}`);
  const { predicateType: type, subject, predicate } = json;
  if (typeof type !== 'string' || !isTypeUri(type)) throw bad('its "predicateType" is not a URI');
  if (predicate !== undefined && predicate !== null && !isObject(predicate)) {
    throw bad('its "predicate" is not an object');
  }
  if (!Array.isArray(subject) || subject.length === 0 || subject.length > MAX_SUBJECTS) {
    throw bad(`its "subject" is not a list of 1 to ${MAX_SUBJECTS} items`);
  }
  return { predicateType: type, subjects: subject.map(readSubject) };
}

function readSubject(value: unknown, at: number): Statement['subjects'][number] {
  const { name, digest } = isObject(value) ? value : {};
  if (name !== undefined && typeof name !== 'string') throw bad(`the name of subject ${at} is not text`);
  const digests = isObject(digest) ? Object.entries(digest) : [];
  if (digests.length === 0) throw bad(`subject ${at} has no digest`);
  return {
    name,
    digest: new Map(
      digests.map(([algorithm, hex]) => {
        if (typeof hex !== 'string' || !/^[0-9a-f]{2,256}$/.test(hex)) {
          throw bad(`the digest ${printable(algorithm)} of subject ${at} is not lower-case hex`);
        }
        return [algorithm, hex] as const;
      }),
    ),
  };
}

function isTypeUri(text: string): boolean {
  // A scheme and something after it (RFC 3986 section 3), in visible ASCII.
  return text.length <= 1000 && /^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$/.test(text);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readJson(bytes: Uint8Array, what: string): unknown {
  try {
    return parseJson(bytes, what, MAX_STATEMENT, MAX_DEPTH);
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    throw new ClientError('statement', `${cause.message}: nothing was signed`, { cause });
  }
}

function bad(why: string): ClientError {
  return new ClientError('statement', `this is no in-toto statement: ${why}`);
}
