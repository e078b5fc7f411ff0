/**
 * SLSA provenance 1 (slsa.dev/provenance/v1) and 0.2 (slsa.dev/provenance/v0.2) in one form, by the mapping that provenance 1
 * gives for 0.2 ("Migrating from 0.2"): `entryPoint` and `source` join the parameters, and the configuration's source joins
 * the dependencies. Unknown fields are ignored, and absent, null and empty values are the same, as the specification says.
 */
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { isJsonRecord, type JsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import type { DigestSet, VerifiedEvidence } from '../types.ts';

export const PROVENANCE_1 = 'https://slsa.dev/provenance/v1';
export const PROVENANCE_02 = 'https://slsa.dev/provenance/v0.2';

export interface Dependency {
  readonly uri: string | undefined;
  readonly digest: DigestSet;
}

export interface Provenance {
  readonly builderId: string;
  readonly buildType: string;
  /** By name; what an external party chose. */
  readonly parameters: JsonRecord;
  readonly dependencies: readonly Dependency[];
}

const MAX_DEPENDENCIES = 100_000;
const known = new WeakMap<VerifiedEvidence, Provenance>();

/** The provenance in a piece of one of both types. @throws MerkleError `bad-entry`: the message names the field */
export function provenanceOf(evidence: VerifiedEvidence): Provenance {
  let found = known.get(evidence);
  if (found === undefined) {
    const predicate = record(evidence.statement?.predicate() ?? null, 'the predicate');
    found = evidence.statement?.predicateType === PROVENANCE_02 ? provenance02(predicate) : provenance1(predicate);
    known.set(evidence, found);
  }
  return found;
}

function provenance1(predicate: JsonRecord): Provenance {
  const definition = record(predicate.buildDefinition, 'buildDefinition');
  const builder = record(record(predicate.runDetails, 'runDetails').builder, 'runDetails.builder');
  return {
    builderId: uri(builder.id, 'runDetails.builder.id'),
    buildType: uri(definition.buildType, 'buildDefinition.buildType'),
    parameters: withoutEmpty(optional(definition.externalParameters, 'buildDefinition.externalParameters')),
    dependencies: list(definition.resolvedDependencies, 'buildDefinition.resolvedDependencies').map((one, at) =>
      dependency(one, `buildDefinition.resolvedDependencies[${at}]`),
    ),
  };
}

function provenance02(predicate: JsonRecord): Provenance {
  const invocation = optional(predicate.invocation, 'invocation');
  const source = optional(invocation.configSource, 'invocation.configSource');
  const parameters = withoutEmpty(optional(invocation.parameters, 'invocation.parameters'));
  const joined = withoutEmpty(record({ entryPoint: source.entryPoint ?? null, source: source.uri ?? null }, ''));
  for (const name of Object.keys(joined)) {
    // Two values under one name would be read as one of them.
    if (Object.hasOwn(parameters, name))
      throw bad('invocation.parameters', `has "${name}", as invocation.configSource has`);
  }
  const materials = list(predicate.materials, 'materials').map((one, at) => dependency(one, `materials[${at}]`));
  return {
    builderId: uri(record(predicate.builder, 'builder').id, 'builder.id'),
    buildType: uri(predicate.buildType, 'buildType'),
    parameters: { ...parameters, ...joined },
    dependencies:
      joined.source === undefined ? materials : [...materials, dependency(source, 'invocation.configSource')],
  };
}

function dependency(value: JsonValue, path: string): Dependency {
  const { uri: address, digest } = record(value, path);
  const digests = Object.entries(optional(digest, `${path}.digest`)).map(([algorithm, hex]) => {
    if (typeof hex !== 'string') throw bad(`${path}.digest.${printable(algorithm)}`, 'is not text');
    return [algorithm, hex] as const;
  });
  if (address !== undefined && address !== null && typeof address !== 'string') throw bad(`${path}.uri`, 'is not text');
  return {
    uri: address === null || address === '' ? undefined : address,
    digest: Object.assign(Object.create(null), Object.fromEntries(digests)) as DigestSet,
  };
}

export function isEmptyValue(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isJsonRecord(value) && Object.keys(value).length === 0;
}

function withoutEmpty(parameters: JsonRecord): JsonRecord {
  const kept: Record<string, JsonValue> = Object.create(null);
  for (const [name, value] of Object.entries(parameters)) if (!isEmptyValue(value)) kept[name] = value;
  return kept;
}

function record(value: JsonValue | undefined, path: string): JsonRecord {
  if (!isJsonRecord(value)) throw bad(path, value === undefined || value === null ? 'is missing' : 'is not an object');
  return value;
}

function optional(value: JsonValue | undefined, path: string): JsonRecord {
  return value === undefined || value === null ? Object.create(null) : record(value, path);
}

function list(value: JsonValue | undefined, path: string): readonly JsonValue[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw bad(path, 'is not a list');
  if (value.length > MAX_DEPENDENCIES) throw bad(path, `has more than ${MAX_DEPENDENCIES} items`);
  return value;
}

function uri(value: JsonValue | undefined, path: string): string {
  if (typeof value !== 'string' || value === '') throw bad(path, 'is missing, or is not text');
  return value;
}

function bad(path: string, why: string): MerkleError {
  return new MerkleError('bad-entry', `the provenance's ${path} ${why}`);
}
