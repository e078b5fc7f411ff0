/**
 * Verification summaries (slsa.dev/spec/v1.2/verification_summary, predicate type https://slsa.dev/verification_summary/v1):
 * that a verifier judged an artifact under a policy, with what result, and from which evidence.
 */
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { isJsonRecord, type JsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import type { DigestSet, VerifiedEvidence } from '../types.ts';
import { isAskedLevel, trackLevelOf } from './levels.ts';

export const VSA = 'https://slsa.dev/verification_summary/v1';

export interface Resource {
  readonly uri?: string;
  readonly digest: DigestSet;
}

export interface VerificationSummary {
  readonly verifierId: string;
  /** Milliseconds since 1970; absent where the verifier does not say. */
  readonly timeVerified: number | undefined;
  readonly resourceUri: string;
  readonly policy: Resource;
  readonly inputs: readonly Resource[];
  readonly passed: boolean;
  readonly levels: readonly string[];
  /** By level; absent where the verifier says nothing of dependencies. */
  readonly dependencyLevels: ReadonlyMap<string, bigint> | undefined;
}

const MAX_LEVELS = 64;
const MAX_INPUTS = 10_000;
/** RFC 3339 in UTC. */
const TIME = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/;

/** The summary in a piece of that type. @throws MerkleError `bad-entry`: the message names the field */
export function summaryOf(evidence: VerifiedEvidence): VerificationSummary {
  const predicate = record(evidence.statement?.predicate() ?? null, 'predicate');
  const passed = readResult(predicate.verificationResult);
  return {
    verifierId: text(record(predicate.verifier, 'verifier').id, 'verifier.id'),
    timeVerified: readTime(predicate.timeVerified),
    resourceUri: text(predicate.resourceUri, 'resourceUri'),
    policy: readPolicy(predicate.policy),
    inputs: list(predicate.inputAttestations, 'inputAttestations', MAX_INPUTS).map((one, at) => {
      const input = resource(one, `inputAttestations[${at}]`);
      if (Object.keys(input.digest).length === 0) throw bad(`inputAttestations[${at}].digest`, 'is missing');
      return input;
    }),
    passed,
    levels: readLevels(predicate.verifiedLevels, passed),
    dependencyLevels: readDependencyLevels(predicate.dependencyLevels),
  };
}

function readResult(value: JsonValue | undefined): boolean {
  if (value === 'PASSED') return true;
  if (value === 'FAILED') return false;
  throw bad('verificationResult', 'is neither PASSED nor FAILED');
}

function readPolicy(value: JsonValue | undefined): Resource {
  const policy = resource(value, 'policy');
  if (policy.uri === undefined) throw bad('policy.uri', 'is missing');
  return policy;
}

/** What passed has levels of which none is `FAILED`; what failed has no other. At most one level of each track. */
function readLevels(value: JsonValue | undefined, passed: boolean): string[] {
  const levels = list(value, 'verifiedLevels', MAX_LEVELS).map((one, at) => text(one, `verifiedLevels[${at}]`));
  if (!passed) {
    if (levels.some((name) => name !== 'FAILED')) throw bad('verifiedLevels', 'has a level, and the result is FAILED');
    return [];
  }
  const tracks = new Set<string>();
  for (const name of levels) {
    if (!isAskedLevel(name)) throw bad('verifiedLevels', `has "${printable(name)}", which is no level that can pass`);
    const track = trackLevelOf(name)?.track;
    if (track !== undefined && tracks.has(track)) throw bad('verifiedLevels', `has two levels of the track ${track}`);
    if (track !== undefined) tracks.add(track);
  }
  return levels;
}

function readDependencyLevels(value: JsonValue | undefined): ReadonlyMap<string, bigint> | undefined {
  if (value === undefined || value === null) return undefined;
  return new Map(
    Object.entries(record(value, 'dependencyLevels')).map(([name, count]) => {
      if (typeof count !== 'bigint' || count < 0n) throw bad('dependencyLevels', 'has a count that is none');
      return [name, count];
    }),
  );
}

function readTime(value: JsonValue | undefined): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const given = text(value, 'timeVerified');
  const [, date, time] = TIME.exec(given) ?? [];
  const at = date === undefined ? Number.NaN : Date.parse(`${date}T${time}Z`);
  // Date.parse takes the 31st of each month.
  if (Number.isNaN(at) || new Date(at).toISOString().slice(0, 19) !== `${date}T${time}`) {
    throw bad('timeVerified', `is "${printable(given.slice(0, 40))}", which is no time in UTC`);
  }
  return at;
}

function resource(value: JsonValue | undefined, path: string): Resource {
  const { uri, digest } = record(value, path);
  const digests: Record<string, string> = Object.create(null);
  for (const [algorithm, hex] of Object.entries(digest === undefined || digest === null ? {} : record(digest, path))) {
    digests[algorithm] = text(hex, `${path}.digest`);
  }
  if (uri === undefined || uri === null || uri === '') return { digest: digests };
  return { uri: text(uri, `${path}.uri`), digest: digests };
}

function record(value: JsonValue | undefined, path: string): JsonRecord {
  if (!isJsonRecord(value)) throw bad(path, value === undefined || value === null ? 'is missing' : 'is not an object');
  return value;
}

function text(value: JsonValue | undefined, path: string): string {
  if (typeof value !== 'string' || value === '') throw bad(path, 'is missing, or is not text');
  return value;
}

function list(value: JsonValue | undefined, path: string, most: number): readonly JsonValue[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > most) throw bad(path, `is not a list of at most ${most}`);
  return value;
}

function bad(path: string, why: string): MerkleError {
  return new MerkleError('bad-entry', `the verification summary's ${path} ${why}`);
}
