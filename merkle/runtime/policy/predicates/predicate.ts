/** Predicate types and their readers. */
import { isJsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import { readDelegationPredicate } from './delegation-predicate.ts';
import { readLink03, readOldLink } from './link-predicates.ts';
import { readProvenance1, readProvenance02, readSummary } from './provenance-predicates.ts';
import {
  readCosignVuln,
  readRelease,
  readScai,
  readTestResult,
  readVulns01,
  readVulns02,
} from './report-predicates.ts';
import { readCycloneDx, readSpdx } from './sbom-documents.ts';
import { predicateError, type Shape } from './shape.ts';

interface Reader<Kind extends string, T> {
  readonly kind: Kind;
  readonly read: Shape<T>;
}
const as = <Kind extends string, T>(kind: Kind, read: Shape<T>): Reader<Kind, T> => ({ kind, read });

const READERS = {
  'https://slsa.dev/provenance/v0.2': as('provenance02', readProvenance02),
  'https://slsa.dev/provenance/v1': as('provenance1', readProvenance1),
  'https://slsa.dev/verification_summary/v1': as('summary', readSummary),
  'https://spdx.dev/Document': as('sbom', readSpdx(undefined)),
  'https://spdx.dev/Document/v2.2': as('sbom', readSpdx('2.2')),
  'https://spdx.dev/Document/v2.3': as('sbom', readSpdx('2.3')),
  'https://spdx.dev/Document/v3': as('sbom', readSpdx('3')),
  'https://cyclonedx.org/bom': as('sbom', readCycloneDx(undefined)),
  'https://cyclonedx.org/bom/v1.5': as('sbom', readCycloneDx('1.5')),
  'https://cyclonedx.org/bom/v1.6': as('sbom', readCycloneDx('1.6')),
  'https://cyclonedx.org/bom/v1.7': as('sbom', readCycloneDx('1.7')),
  'https://cosign.sigstore.dev/attestation/vuln/v1': as('cosignVuln', readCosignVuln),
  'https://in-toto.io/attestation/vulns/v0.1': as('vulns01', readVulns01),
  'https://in-toto.io/attestation/vulns/v0.2': as('vulns02', readVulns02),
  'https://in-toto.io/attestation/test-result/v0.1': as('testResult', readTestResult),
  'https://in-toto.io/attestation/link/v0.3': as('link', readLink03),
  'https://in-toto.io/Link/v0.2': as('oldLink', readOldLink),
  'https://in-toto.io/Link/v1': as('oldLink', readOldLink),
  'https://in-toto.io/attestation/scai/v0.3': as('scai', readScai),
  'https://in-toto.io/attestation/scai/attribute-report/v0.2': as('scai', readScai),
  'https://in-toto.io/attestation/release/v0.1': as('release', readRelease),
  'https://in-toto.io/attestation/release/v0.2': as('release', readRelease),
  'urn:stele:ca-delegation:v1': as('delegation', readDelegationPredicate),
} as const;

type Typed<R> = R extends Reader<infer Kind, infer T> ? { readonly kind: Kind; readonly value: T } : never;
/** A predicate whose fields are of the types that its specification says. */
export type TypedPredicate = Typed<(typeof READERS)[keyof typeof READERS]>;

/**
 * Reads a predicate as its type says. Undefined for a type that is not known here: then `value` is all there is to read.
 *
 * @param value the predicate, as `statementPredicate` or `parseJsonValue` give it
 * @throws RuntimeError `predicate` where a required field is missing or a known field has another type, as where the statement
 * names another type than the predicate has; the message begins with the path of the field
 */
export function readPredicate(predicateType: string, value: JsonValue): TypedPredicate | undefined {
  if (!Object.hasOwn(READERS, predicateType)) return undefined;
  const { kind, read } = READERS[predicateType as keyof typeof READERS];
  if (kind !== 'sbom') refuseSbom(value, predicateType);
  return { kind, value: read(value, 'predicate') } as TypedPredicate;
}

/** Documents that name their own format are nothing else, although most fields of the other types are optional. */
function refuseSbom(value: JsonValue, predicateType: string): void {
  if (!isJsonRecord(value)) return;
  for (const [name, format] of Object.entries({ spdxVersion: 'SPDX 2', '@graph': 'SPDX 3', bomFormat: 'CycloneDX' })) {
    if (name in value) throw predicateError('predicate', `is a ${format} document, and the type is ${predicateType}`);
  }
}
