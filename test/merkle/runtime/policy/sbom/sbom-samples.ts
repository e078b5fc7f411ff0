/** One application in each format: app > framework > logger, and a library of the distribution. */
export interface SamplePackage {
  readonly name: string;
  readonly purl?: string;
  readonly version?: string;
  readonly license?: string;
  readonly sha256?: string;
}

export interface Sample {
  readonly root: SamplePackage;
  readonly packages: readonly SamplePackage[];
  /** Names: the whole and its part. */
  readonly edges: readonly (readonly [string, string])[];
}

export const APP: Sample = {
  root: { name: 'app', version: '1.0.0', purl: 'pkg:oci/app' },
  packages: [
    { name: 'framework', version: '2.1.0', purl: 'pkg:npm/%40acme/framework@2.1.0', license: 'MIT' },
    { name: 'logger', version: '1.4.2', purl: 'pkg:npm/logger@1.4.2', license: 'Apache-2.0' },
    { name: 'libssl3', version: '3.0.11-1', purl: 'pkg:deb/debian/libssl3@3.0.11-1?arch=amd64', license: 'Apache-2.0' },
  ],
  edges: [
    ['app', 'framework'],
    ['framework', 'logger'],
    ['app', 'libssl3'],
  ],
};

export function spdx2(sample: Sample, change: Record<string, unknown> = {}) {
  const id = (name: string) => `SPDXRef-${name}`;
  const element = ({ name, version, purl, license, sha256 }: SamplePackage) => ({
    SPDXID: id(name),
    name,
    ...(version === undefined ? {} : { versionInfo: version }),
    downloadLocation: 'NOASSERTION',
    licenseDeclared: license ?? 'NOASSERTION',
    licenseConcluded: 'NOASSERTION',
    ...(purl === undefined
      ? {}
      : { externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl }] }),
    ...(sha256 === undefined ? {} : { checksums: [{ algorithm: 'SHA256', checksumValue: sha256 }] }),
  });
  return {
    spdxVersion: 'SPDX-2.3',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: sample.root.name,
    dataLicense: 'CC0-1.0',
    documentNamespace: 'https://example.com/sbom/app',
    creationInfo: { created: '2026-01-01T00:00:00Z', creators: ['Tool: sample'] },
    packages: [sample.root, ...sample.packages].map(element),
    relationships: [
      { spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: id(sample.root.name) },
      ...sample.edges.map(([whole, part], i) =>
        i % 2 === 0
          ? { spdxElementId: id(whole), relationshipType: 'DEPENDS_ON', relatedSpdxElement: id(part) }
          : { spdxElementId: id(part), relationshipType: 'RUNTIME_DEPENDENCY_OF', relatedSpdxElement: id(whole) },
      ),
    ],
    ...change,
  };
}

export function spdx3(sample: Sample, more: readonly unknown[] = []) {
  const id = (name: string) => `https://example.com/sbom/app#${name}`;
  const elements = [sample.root, ...sample.packages].map(({ name, version, purl, sha256 }) => ({
    type: 'software_Package',
    spdxId: id(name),
    creationInfo: '_:creation',
    name,
    ...(version === undefined ? {} : { software_packageVersion: version }),
    ...(purl === undefined ? {} : { software_packageUrl: purl }),
    ...(sha256 === undefined ? {} : { verifiedUsing: [{ type: 'Hash', algorithm: 'sha256', hashValue: sha256 }] }),
  }));
  const licenses = sample.packages.flatMap(({ name, license }) => {
    if (license === undefined) return [];
    const expression = { type: 'simplelicensing_LicenseExpression', simplelicensing_licenseExpression: license };
    const relationship = { type: 'Relationship', relationshipType: 'hasConcludedLicense', from: id(name) };
    return [
      { ...expression, spdxId: id(`license-${name}`) },
      { ...relationship, spdxId: id(`has-${name}`), to: [id(`license-${name}`)] },
    ];
  });
  const relationships = sample.edges.map(([whole, part], i) => ({
    type: 'LifecycleScopedRelationship',
    spdxId: id(`edge-${i}`),
    from: id(whole),
    relationshipType: 'dependsOn',
    to: [id(part)],
  }));
  const created = { specVersion: '3.0.1', created: '2026-01-01T00:00:00Z', createdBy: [id('maker')] };
  return {
    '@context': 'https://spdx.org/rdf/3.0.1/spdx-context.jsonld',
    '@graph': [
      { type: 'CreationInfo', '@id': '_:creation', ...created },
      { type: 'Organization', spdxId: id('maker'), name: 'maker' },
      { type: 'SpdxDocument', spdxId: id('document'), rootElement: [id(sample.root.name)] },
      ...elements,
      ...licenses,
      ...relationships,
      ...more,
    ],
  };
}

export function cycloneDx(sample: Sample, change: Record<string, unknown> = {}) {
  const component = ({ name, version, purl, license, sha256 }: SamplePackage) => ({
    type: 'library',
    'bom-ref': name,
    name,
    ...(version === undefined ? {} : { version }),
    ...(purl === undefined ? {} : { purl }),
    ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
    ...(sha256 === undefined ? {} : { hashes: [{ alg: 'SHA-256', content: sha256 }] }),
  });
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: { ...component(sample.root), type: 'container' } },
    components: sample.packages.map(component),
    dependencies: sample.edges.map(([ref, part]) => ({ ref, dependsOn: [part] })),
    ...change,
  };
}

/** Format, predicate type, and what makes the document. */
export const FORMATS = [
  ['SPDX-2.3', 'https://spdx.dev/Document', spdx2],
  ['SPDX-3.0.1', 'https://spdx.dev/Document', spdx3],
  ['CycloneDX-1.6', 'https://cyclonedx.org/bom', cycloneDx],
] as const;
