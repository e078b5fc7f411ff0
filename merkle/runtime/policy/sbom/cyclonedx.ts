/** CycloneDX 1.5 to 1.7 as JSON (CycloneDX/specification, schema/bom-1.7.schema.json). */
import type { JsonRecord } from '../../../rekor/json-value.ts';
import { checkCount, digestOf, Edges, recordOf, recordsIn, short, textIn, textsIn } from './sbom-fields.ts';
import { type Sbom, type SbomPackage, SbomProblem } from './types.ts';

/** Components that no ecosystem of packages has. */
const OTHER = [
  'file',
  'operating-system',
  'device',
  'device-driver',
  'firmware',
  'platform',
  'data',
  'cryptographic-asset',
];

export function readCycloneDxParts(document: JsonRecord, version: string): Sbom {
  const edges = new Edges();
  const gaps = new Set<string>();
  const packages: SbomPackage[] = [];
  const metadata = document.metadata === undefined ? {} : recordOf(document.metadata, '"metadata"');
  const described = metadata.component === undefined ? [] : [recordOf(metadata.component, '"metadata.component"')];
  const roots: string[] = [];
  const waiting: { readonly record: JsonRecord; readonly within?: string }[] = [];
  for (const record of described) {
    roots.push(textIn(record, 'bom-ref') ?? '');
    waiting.push({ record });
  }
  for (const record of recordsIn(document, 'components')) waiting.push({ record });
  let unnamed = 0;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { record, within } = next;
    const isRoot = described.includes(record);
    const id = textIn(record, 'bom-ref') ?? (isRoot ? '' : `component without bom-ref ${++unnamed}`);
    packages.push(packageOf(record, id));
    checkCount(packages.length + waiting.length);
    if (within !== undefined) edges.add(within, id);
    if (hasOtherBom(record))
      gaps.add(`the parts of ${short(textIn(record, 'name') ?? id)}, which stand in another BOM`);
    for (const inner of recordsIn(record, 'components')) waiting.push({ record: inner, within: id });
  }
  packages.reverse();
  const known = new Set(packages.map(({ id }) => id));
  const services = new Set(recordsIn(document, 'services').map((one) => textIn(one, 'bom-ref')));
  for (const dependency of recordsIn(document, 'dependencies')) {
    const ref = textIn(dependency, 'ref') ?? '';
    for (const part of [...textsIn(dependency, 'dependsOn'), ...textsIn(dependency, 'provides')]) {
      const missing = [ref, part].find((id) => !known.has(id) && !services.has(id));
      if (missing === undefined) edges.add(ref, part);
      else gaps.add(`what the document does not have: ${short(missing)}`);
    }
  }
  if (hasOtherBom(document)) gaps.add('what stands in another BOM');
  for (const one of recordsIn(document, 'compositions')) for (const gap of gapsOf(one)) gaps.add(gap);
  return { format: `CycloneDX-${version}`, roots, packages, edges: edges.map, gaps: [...gaps] };
}

function hasOtherBom(record: JsonRecord): boolean {
  return recordsIn(record, 'externalReferences').some((one) => textIn(one, 'type') === 'bom');
}

/** A composition that is about vulnerabilities alone says nothing about parts. */
function gapsOf(composition: JsonRecord): readonly string[] {
  const aggregate = textIn(composition, 'aggregate') ?? '';
  if (!aggregate.startsWith('incomplete') && aggregate !== 'unknown') return [];
  const parts = [...textsIn(composition, 'assemblies'), ...textsIn(composition, 'dependencies')];
  if (parts.length === 0 && composition.vulnerabilities !== undefined) return [];
  const of = parts.length === 0 ? 'all of it' : parts.slice(0, 3).map(short).join(', ');
  return [`that the composition of ${of} is "${short(aggregate)}"`];
}

function packageOf(record: JsonRecord, id: string): SbomPackage {
  const type = textIn(record, 'type');
  const name = textIn(record, 'name');
  if (type === undefined || name === undefined) throw new SbomProblem('a component lacks its type or its name');
  const group = textIn(record, 'group');
  const purl = textIn(record, 'purl');
  const supplier = record.supplier === undefined ? undefined : textIn(recordOf(record.supplier, '"supplier"'), 'name');
  return {
    id,
    name: group === undefined ? name : `${group}/${name}`,
    version: textIn(record, 'version'),
    purls: purl === undefined ? [] : [purl],
    licenses: recordsIn(record, 'licenses').map(licenseOf),
    digests: recordsIn(record, 'hashes').map((one) => digestOf(textIn(one, 'alg') ?? '', textIn(one, 'content') ?? '')),
    supplier: supplier ?? textIn(record, 'publisher'),
    kind: OTHER.includes(type) ? 'other' : 'package',
  };
}

function licenseOf(record: JsonRecord): string {
  const expression = textIn(record, 'expression');
  if (expression !== undefined) return expression;
  const license = recordOf(record.license, '"license"');
  return textIn(license, 'id') ?? textIn(license, 'name') ?? '';
}
