/**
 * In-toto statements (in-toto attestation framework v1.1, and v0.1): what an attestation says which files it is about.
 *
 *   { "_type": "https://in-toto.io/Statement/v1", "predicateType": URI, "predicate": { … },
 *     "subject": [ { "name": …, "digest": { "sha256": hex, … } } ] }
 */
import { encodeHex } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import type { HashName } from '../../merkle/rekor/hashes.ts';
import { ClientError } from '../errors.ts';
import type { DsseContent } from '../formats/bundle.ts';
import { array, malformed, parseJson, string } from '../formats/json.ts';

export interface Subject {
  /** As the signer wrote it: pass it through `printable`. */
  readonly name: string;
  /** Lower-case hex, of the algorithms that are checked here. */
  readonly digests: Readonly<Partial<Record<HashName, string>>>;
}

export interface Statement {
  readonly predicateType: string;
  readonly subjects: readonly Subject[];
}

export const STATEMENT_TYPE = 'application/vnd.in-toto+json';
const TYPES: readonly unknown[] = ['https://in-toto.io/Statement/v1', 'https://in-toto.io/Statement/v0.1'];
const HASHES: readonly HashName[] = ['sha256', 'sha384', 'sha512'];
const MAX_SUBJECTS = 65_536;
const MAX_PAYLOAD = 16 * 1024 * 1024;
/** Of a bill of materials with nested components. */
const DEPTH = 256;

/** @throws ClientError `unsupported` for a payload of another type, `malformed` */
export function parseStatement({ payloadType, payload }: DsseContent): Statement {
  if (payloadType !== STATEMENT_TYPE) {
    throw new ClientError(
      'unsupported',
      `the attestation's payload is "${printable(payloadType.slice(0, 80))}", not an in-toto statement: it does not say which file it is about`,
    );
  }
  const what = 'the statement';
  const statement = members(parseJson(payload, what, MAX_PAYLOAD, DEPTH), what);
  if (!TYPES.includes(statement._type)) throw malformed(`${what}._type`, 'is not that of a statement v1 or v0.1');
  const subjects = array(statement.subject, `${what}.subject`, MAX_SUBJECTS).map((subject, at) =>
    parseSubject(subject, `${what}.subject[${at}]`),
  );
  if (subjects.length === 0) throw malformed(`${what}.subject`, 'is empty');
  return { predicateType: string(statement.predicateType, `${what}.predicateType`), subjects };
}

/** The hashes that its subjects name. */
export function hashesOf(statement: Statement): HashName[] {
  return HASHES.filter((hash) => statement.subjects.some(({ digests }) => digests[hash] !== undefined));
}

/** The subject all of whose digests that are checked here, one at least, are the file's. */
export function subjectFor(
  statement: Statement,
  digests: Readonly<Partial<Record<HashName, Uint8Array>>>,
): Subject | undefined {
  const given = HASHES.flatMap((hash) =>
    digests[hash] === undefined ? [] : [[hash, encodeHex(digests[hash])] as const],
  );
  return statement.subjects.find((subject) => {
    const named = given.filter(([hash]) => subject.digests[hash] !== undefined);
    return named.length > 0 && named.every(([hash, hex]) => subject.digests[hash] === hex);
  });
}

function parseSubject(value: unknown, path: string): Subject {
  const { name, digest } = members(value, path);
  const digests: Partial<Record<HashName, string>> = {};
  for (const hash of HASHES) {
    const hex = members(digest ?? {}, `${path}.digest`)[hash];
    if (hex !== undefined) digests[hash] = string(hex, `${path}.digest.${hash}`).toLowerCase();
  }
  return { name: name === undefined || name === null ? '' : string(name, `${path}.name`), digests };
}

/** Statements may say more than is known here. */
function members(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(path, 'is not an object');
  return value as Record<string, unknown>;
}
