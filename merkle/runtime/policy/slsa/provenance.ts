/**
 * SLSA provenance 1 (slsa.dev/provenance/v1) and 0.2 (slsa.dev/provenance/v0.2) in one form, by the mapping that provenance 1
 * gives for 0.2 ("Migrating from 0.2"): `entryPoint` and `source` join the parameters, and the configuration's source joins
 * the dependencies. Unknown fields are ignored, and absent, null and empty values are the same, as the specification says.
 */
import { isJsonRecord, type JsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import type { Provenance1, Provenance02 } from '../predicates/provenance-predicates.ts';
import { predicateError } from '../predicates/shape.ts';
import { typedPredicate } from '../typed-predicate.ts';
import type { DigestSet, VerifiedEvidence } from '../types.ts';

export const PROVENANCE_1 = 'https://slsa.dev/provenance/v1';
export const PROVENANCE_02 = 'https://slsa.dev/provenance/v0.2';

export interface Dependency {
  readonly uri?: string;
  readonly digest?: DigestSet;
}

export interface Provenance {
  readonly builderId: string;
  readonly buildType: string;
  /** By name, without empty ones; what an external party chose. */
  readonly parameters: JsonRecord;
  readonly dependencies: readonly Dependency[];
}

const known = new WeakMap<VerifiedEvidence, Provenance>();

/** The provenance in a piece of one of both types. @throws RuntimeError `predicate`, MerkleError `bad-json` */
export function provenanceOf(evidence: VerifiedEvidence): Provenance {
  let found = known.get(evidence);
  if (found === undefined) {
    const { statement } = evidence;
    const typed = statement && typedPredicate(statement);
    if (typed?.kind === 'provenance1') found = provenance1(typed.value);
    else if (typed?.kind === 'provenance02') found = provenance02(typed.value);
    else throw predicateError('predicate', 'is no provenance');
    known.set(evidence, found);
  }
  return found;
}

function provenance1({ buildDefinition: definition, runDetails }: Provenance1): Provenance {
  return {
    builderId: runDetails.builder.id,
    buildType: definition.buildType,
    parameters: withoutEmpty(definition.externalParameters),
    dependencies: definition.resolvedDependencies ?? [],
  };
}

function provenance02({ builder, buildType, invocation, materials = [] }: Provenance02): Provenance {
  const { uri, digest, entryPoint } = invocation?.configSource ?? {};
  const given = invocation?.parameters ?? Object.create(null);
  if (!isJsonRecord(given)) throw predicateError('predicate.invocation.parameters', 'is not an object');
  const joined = withoutEmpty({ entryPoint: entryPoint ?? null, source: uri ?? null });
  const parameters = withoutEmpty(given);
  for (const name of Object.keys(joined)) {
    // Two values under one name would be read as one of them.
    if (Object.hasOwn(parameters, name)) {
      throw predicateError(`predicate.invocation.parameters.${name}`, 'stands beside that of configSource');
    }
  }
  const source = uri === undefined ? [] : [{ uri, ...(digest === undefined ? {} : { digest }) }];
  return {
    builderId: builder.id,
    buildType,
    parameters: withoutEmpty({ ...parameters, ...joined }),
    dependencies: [...materials, ...source],
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
