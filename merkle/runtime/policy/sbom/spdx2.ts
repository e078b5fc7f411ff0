/** SPDX 2.2 and 2.3 as JSON (spdx/spdx-spec: "Package information", "Relationships between SPDX elements"). */
import type { JsonRecord } from '../../../rekor/json-value.ts';
import { checkCount, digestOf, Edges, recordsIn, short, textIn, textsIn } from './sbom-fields.ts';
import { type Sbom, type SbomPackage, SbomProblem } from './types.ts';

const DOCUMENT = 'SPDXRef-DOCUMENT';

/** From the whole to its part. */
const FORWARD = new Set(
  `DESCRIBES CONTAINS DEPENDS_ON GENERATED_FROM DYNAMIC_LINK STATIC_LINK HAS_PREREQUISITE PATCH_APPLIED
   DISTRIBUTION_ARTIFACT`.split(/\s+/),
);
/** From the part to the whole. Each `…_DEPENDENCY_OF` and `…_TOOL_OF` is one too. */
const BACKWARD = new Set(
  `DESCRIBED_BY CONTAINED_BY DEPENDENCY_OF GENERATES PREREQUISITE_FOR PATCH_FOR EXPANDED_FROM_ARCHIVE
   OPTIONAL_COMPONENT_OF DATA_FILE_OF TEST_OF TEST_CASE_OF EXAMPLE_OF DOCUMENTATION_OF METAFILE_OF PACKAGE_OF
   DEPENDENCY_MANIFEST_OF FILE_ADDED`.split(/\s+/),
);

export function readSpdx2(document: JsonRecord, version: string): Sbom {
  const packages = recordsIn(document, 'packages').map(packageOf);
  const files = recordsIn(document, 'files').map(fileOf);
  const all = [...packages, ...files];
  checkCount(all.length);
  const known = new Set(all.map(({ id }) => id));
  const documentId = textIn(document, 'SPDXID') ?? DOCUMENT;
  known.add(documentId);
  const edges = new Edges();
  const gaps = new Set<string>();
  const edge = (whole: string, part: string) => {
    const missing = [whole, part].find((id) => !known.has(id));
    if (missing === undefined) edges.add(whole, part);
    else gaps.add(gapOf(missing));
  };
  for (const id of textsIn(document, 'documentDescribes')) edge(documentId, id);
  for (const one of recordsIn(document, 'packages')) {
    for (const file of textsIn(one, 'hasFiles')) edge(textIn(one, 'SPDXID') ?? '', file);
  }
  for (const relationship of recordsIn(document, 'relationships')) {
    const [from, to] = [textIn(relationship, 'spdxElementId'), textIn(relationship, 'relatedSpdxElement')];
    const type = textIn(relationship, 'relationshipType')?.toUpperCase();
    if (from === undefined || to === undefined || type === undefined) {
      throw new SbomProblem('a relationship lacks its type, or one of its two elements');
    }
    // "Nothing" is the end of a list, and no element.
    if (to === 'NONE' || from === 'NONE') continue;
    if (FORWARD.has(type)) edge(from, to);
    else if (BACKWARD.has(type) || type.endsWith('_DEPENDENCY_OF') || type.endsWith('_TOOL_OF')) edge(to, from);
  }
  return {
    format: `SPDX-${version}`,
    roots: edges.map.get(documentId) ?? [],
    packages: all,
    edges: edges.map,
    gaps: [...gaps],
  };
}

function gapOf(id: string): string {
  if (id === 'NOASSERTION') return 'a relationship whose other element is NOASSERTION';
  if (id.startsWith('DocumentRef-')) return `what is in another document: ${short(id)}`;
  return `an element that the document does not have: ${short(id)}`;
}

function packageOf(record: JsonRecord): SbomPackage {
  const purpose = textIn(record, 'primaryPackagePurpose')?.toUpperCase() ?? '';
  const references = recordsIn(record, 'externalRefs').filter((one) => textIn(one, 'referenceType')?.endsWith('purl'));
  return {
    ...elementOf(record, textIn(record, 'name')),
    version: textIn(record, 'versionInfo'),
    purls: references.map((one) => textIn(one, 'referenceLocator') ?? ''),
    licenses: licensesOf(record, ['licenseDeclared', 'licenseConcluded']),
    supplier: textIn(record, 'supplier'),
    kind: ['FILE', 'OPERATING_SYSTEM', 'OPERATING-SYSTEM', 'DEVICE'].includes(purpose) ? 'other' : 'package',
  };
}

function fileOf(record: JsonRecord): SbomPackage {
  return {
    ...elementOf(record, textIn(record, 'fileName')),
    version: undefined,
    purls: [],
    licenses: licensesOf(record, ['licenseConcluded']),
    supplier: undefined,
    kind: 'other',
  };
}

function elementOf(record: JsonRecord, name: string | undefined): Pick<SbomPackage, 'id' | 'name' | 'digests'> {
  const id = textIn(record, 'SPDXID');
  if (id === undefined) throw new SbomProblem('an element has no SPDXID');
  const digests = recordsIn(record, 'checksums').map((one) => {
    const [algorithm, value] = [textIn(one, 'algorithm'), textIn(one, 'checksumValue')];
    if (algorithm === undefined || value === undefined)
      throw new SbomProblem('a checksum lacks its algorithm or value');
    return digestOf(algorithm, value);
  });
  return { id, name: name ?? id, digests };
}

function licensesOf(record: JsonRecord, names: readonly string[]): readonly string[] {
  const texts = names.map((name) => textIn(record, name));
  return [
    ...new Set(texts.filter((text) => text !== undefined && text !== 'NOASSERTION' && text !== 'NONE')),
  ] as string[];
}
