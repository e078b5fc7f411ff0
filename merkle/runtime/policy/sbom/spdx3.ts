/**
 * SPDX 3.0 as JSON-LD (spdx/spdx-spec 3.0.1, "Model and serializations"), in the names of its own context.
 *
 * Another context could give other names to packages, and one element may stand within another. So the context must be
 * the one of SPDX, each element must have a name of it, and elements are found at any depth.
 */
import { isJsonRecord, type JsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import { checkCount, digestOf, Edges, listIn, recordsIn, short, textIn } from './sbom-fields.ts';
import { type Sbom, type SbomPackage, SbomProblem } from './types.ts';

/** Package and its subclasses. */
const PACKAGES = ['software_Package', 'ai_AIPackage', 'dataset_DatasetPackage'];
const RELATIONSHIPS = ['Relationship', 'LifecycleScopedRelationship'];
/** From the whole to its part. SPDX 3 has no relationship in the other direction but `generates`. */
const FORWARD = new Set(
  `describes contains dependsOn hasStaticLink hasDynamicLink hasPrerequisite hasRequirement hasOptionalComponent
   hasOptionalDependency hasProvidedDependency hasDataFile hasDistributionArtifact expandsTo usesTool hasAddedFile hasInput
   hasHost`.split(/\s+/),
);

export function readSpdx3(document: JsonRecord, version: string): Sbom {
  const elements = elementsOf(document);
  const byType = (types: readonly string[]) => elements.filter((one) => types.includes(String(one.type)));
  const relationships = byType(RELATIONSHIPS);
  const licenses = licensesOf(elements, relationships);
  const packages = byType([...PACKAGES, 'software_File']).map((one) => packageOf(one, licenses));
  checkCount(packages.length);
  const known = new Set(elements.map(idOf));
  const edges = new Edges();
  const gaps = new Set<string>();
  const edge = (whole: string, part: string) => {
    const missing = [whole, part].find((id) => !known.has(id));
    if (missing === undefined) edges.add(whole, part);
    else if (!/None(Element)?$/.test(missing)) gaps.add(gapOf(missing));
  };
  for (const one of relationships) {
    const type = textIn(one, 'relationshipType') ?? '';
    const from = referenceOf(one.from, 'from');
    if (FORWARD.has(type) && textIn(one, 'completeness') === 'incomplete') {
      gaps.add(`that "${type}" of ${short(from)} is incomplete`);
    }
    for (const to of listIn(one, 'to').map((item) => referenceOf(item, 'to'))) {
      if (FORWARD.has(type)) edge(from, to);
      else if (type === 'generates') edge(to, from);
    }
  }
  const documents = byType(['SpdxDocument', 'software_Sbom', 'Bom', 'Bundle']);
  const roots = documents.flatMap((one) => listIn(one, 'rootElement').map((item) => referenceOf(item, 'rootElement')));
  for (const root of roots) if (!known.has(root)) gaps.add(gapOf(root));
  const described = relationships.filter((one) => one.relationshipType === 'describes');
  const all = [...roots, ...described.flatMap((one) => listIn(one, 'to').map((item) => referenceOf(item, 'to')))];
  const ids = new Set(packages.map(({ id }) => id));
  return {
    format: `SPDX-${version}`,
    // The root of a document may be an SBOM, whose root is the package.
    roots: [...new Set(all)].filter((id) => ids.has(id)),
    packages,
    edges: edges.map,
    gaps: [...gaps],
  };
}

/** Every object with a type, also within others. */
function elementsOf(value: JsonValue): readonly JsonRecord[] {
  const found: JsonRecord[] = [];
  const waiting: JsonValue[] = [value];
  for (let i = 0; i < waiting.length; i++) {
    const next = waiting[i]!;
    if (Array.isArray(next)) for (const item of next as readonly JsonValue[]) waiting.push(item);
    if (!isJsonRecord(next)) continue;
    const type = next.type ?? next['@type'];
    if (type !== undefined) {
      if (typeof type !== 'string' || !/^[A-Za-z]+(_[A-Za-z]+)?$/.test(type) || next.type === undefined) {
        throw new SbomProblem('an element has a type in other words than those of the context of SPDX');
      }
      found.push(next);
    }
    for (const [name, member] of Object.entries(next)) {
      if (name.includes(':') || name.includes('/')) {
        throw new SbomProblem(`the member ${short(name)} has no name of the context of SPDX`);
      }
      if (typeof member === 'object') waiting.push(member);
    }
  }
  return found;
}

function idOf(element: JsonRecord): string {
  return textIn(element, 'spdxId') ?? textIn(element, '@id') ?? '';
}

function referenceOf(value: JsonValue | undefined, what: string): string {
  if (typeof value === 'string') return value;
  const id = isJsonRecord(value) ? idOf(value) : '';
  if (id === '') throw new SbomProblem(`"${what}" of an element refers to nothing`);
  return id;
}

function gapOf(id: string): string {
  return /NoAssertion(Element)?$/.test(id)
    ? 'a relationship whose other element is not asserted'
    : `what the document does not have: ${short(id)}`;
}

/** License expressions by the element that has them. */
function licensesOf(
  elements: readonly JsonRecord[],
  relationships: readonly JsonRecord[],
): ReadonlyMap<string, readonly string[]> {
  const texts = new Map<string, string>();
  for (const one of elements) {
    const text = textIn(one, 'simplelicensing_licenseExpression');
    if (text !== undefined) texts.set(idOf(one), text);
    else if (one.type === 'expandedlicensing_ListedLicense') texts.set(idOf(one), idOf(one).replace(/^.*\//, ''));
  }
  const out = new Map<string, string[]>();
  for (const one of relationships) {
    if (one.relationshipType !== 'hasDeclaredLicense' && one.relationshipType !== 'hasConcludedLicense') continue;
    const from = referenceOf(one.from, 'from');
    for (const item of listIn(one, 'to')) {
      const to = referenceOf(item, 'to');
      if (/(NoAssertion|None)(License)?$/.test(to)) continue;
      const listed = /^https?:\/\/spdx\.org\/licenses\/([^/]+)$/.exec(to)?.[1];
      // What is not found here is no known license, and is judged as a text that is none.
      const text = texts.get(to) ?? listed ?? to;
      if (text === 'NOASSERTION' || text === 'NONE') continue;
      const known = out.get(from);
      if (known === undefined) out.set(from, [text]);
      else known.push(text);
    }
  }
  return out;
}

function packageOf(record: JsonRecord, licenses: ReadonlyMap<string, readonly string[]>): SbomPackage {
  const id = idOf(record);
  const purl = textIn(record, 'software_packageUrl');
  const identifiers = recordsIn(record, 'externalIdentifier').filter(
    (one) => textIn(one, 'externalIdentifierType') === 'packageUrl',
  );
  const hashes = recordsIn(record, 'verifiedUsing').filter((one) => one.hashValue !== undefined);
  const purpose = textIn(record, 'software_primaryPurpose') ?? '';
  const supplier = record.suppliedBy;
  return {
    id,
    name: textIn(record, 'name') ?? id,
    version: textIn(record, 'software_packageVersion'),
    purls: [...new Set([purl, ...identifiers.map((one) => textIn(one, 'identifier') ?? '')])].filter(
      (one) => one !== undefined,
    ),
    licenses: licenses.get(id) ?? [],
    digests: hashes.map((one) => digestOf(textIn(one, 'algorithm') ?? '', textIn(one, 'hashValue') ?? '')),
    supplier: supplier === undefined || supplier === null ? undefined : referenceOf(supplier, 'suppliedBy'),
    kind:
      record.type === 'software_File' || ['file', 'operatingSystem', 'device', 'data'].includes(purpose)
        ? 'other'
        : 'package',
  };
}
