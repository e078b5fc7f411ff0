import { describe, expect, it } from 'vitest';
import { parseJsonValue } from '../../../../../merkle/rekor/json-value.ts';
import { readPredicate } from '../../../../../merkle/runtime/policy/predicates/predicate.ts';
import { pathsFrom, readSbom } from '../../../../../merkle/runtime/policy/sbom/sbom.ts';
import { sbomVariable } from '../../../../../merkle/runtime/policy/sbom/sbom-variable.ts';
import { APP, cycloneDx, FORMATS, spdx2, spdx3 } from './sbom-samples.ts';

const json = (value: unknown) => parseJsonValue(Buffer.from(JSON.stringify(value)), 'the SBOM', 1 << 26, 200);
const SPDX = 'https://spdx.dev/Document';
const CYCLONEDX = 'https://cyclonedx.org/bom';
const typed = (type: string, value: unknown) => readPredicate(type, json(value)) ?? { value: null };
const read = (type: string, value: unknown) => readSbom(typed(type, value));

/** The path of each package, by its name. */
function paths(type: string, value: unknown): Readonly<Record<string, string | undefined>> {
  const sbom = read(type, value);
  const pathOf = pathsFrom(sbom);
  return Object.fromEntries(sbom.packages.map(({ id, name }) => [name, pathOf(id)?.join(' > ')]));
}

describe.each(FORMATS)('%s', (format, type, make) => {
  it('gives packages with versions, purls and licenses, and their paths from the root', () => {
    const sbom = read(type, make(APP));
    expect([sbom.format, sbom.gaps]).toEqual([format, []]);
    const expected = [APP.root, ...APP.packages].map(({ name, version, purl, license }) => {
      return { name, version, purls: [purl], licenses: license === undefined ? [] : [license] };
    });
    expect(sbom.packages).toMatchObject(expected);
    expect(paths(type, make(APP))).toEqual({
      app: 'app',
      framework: 'app > framework',
      logger: 'app > framework > logger',
      libssl3: 'app > libssl3',
    });
  });

  it('ends at cycles', () => {
    const back = [
      ['logger', 'app'],
      ['logger', 'framework'],
      ['logger', 'logger'],
    ] as const;
    const round = make({ ...APP, edges: [...APP.edges, ...back] });
    expect(paths(type, round)).toMatchObject({ logger: 'app > framework > logger', app: 'app' });
  });

  it('keeps packages to which nothing leads', () => {
    expect(paths(type, make({ ...APP, edges: [] }))).toMatchObject({ logger: undefined });
  });

  it('takes digests in the names of in-toto', () => {
    const sha256 = 'AB'.repeat(32);
    const { packages } = read(type, make({ ...APP, root: { ...APP.root, sha256 } }));
    expect(packages[0]!.digests).toEqual([{ algorithm: 'sha256', value: sha256.toLowerCase() }]);
  });

  it('says that a relationship leads out of the document', () => {
    const { gaps } = read(
      type,
      make({
        ...APP,
        edges: [
          ['app', 'elsewhere'],
          ['app', 'logger'],
        ],
      }),
    );
    expect(gaps).toEqual([expect.stringContaining('elsewhere')]);
  });

  it('gives one variable for conditions', () => {
    const { packages } = sbomVariable(typed(type, make(APP))) as unknown as { packages: readonly unknown[] };
    expect(packages[1]).toEqual({
      name: 'framework',
      namespace: '@acme',
      type: 'npm',
      version: '2.1.0',
      purls: ['pkg:npm/%40acme/framework@2.1.0'],
      licenses: ['MIT'],
      digests: {},
      path: ['app', 'framework'],
      root: false,
    });
  });
});

describe('SPDX 2', () => {
  const relationship = (spdxElementId: string, relationshipType: string, relatedSpdxElement: string) => {
    return { spdxElementId, relationshipType, relatedSpdxElement };
  };
  const root = relationship('SPDXRef-DOCUMENT', 'DESCRIBES', 'SPDXRef-app');
  /** The path of the logger where this relationship is the only one between it and the root. */
  const loggerBy = (from: string, type: string, to: string) => {
    const one = relationship(`SPDXRef-${from}`, type, `SPDXRef-${to}`);
    return paths(SPDX, spdx2(APP, { relationships: [root, one] })).logger;
  };

  it.each('DEPENDS_ON CONTAINS STATIC_LINK DYNAMIC_LINK GENERATED_FROM HAS_PREREQUISITE depends_on'.split(' '))(
    'reads %s from the whole to its part',
    (type) => {
      expect(loggerBy('app', type, 'logger')).toBe('app > logger');
      expect(loggerBy('logger', type, 'app')).toBeUndefined();
    },
  );

  it.each(
    `DEPENDENCY_OF CONTAINED_BY BUILD_DEPENDENCY_OF DEV_DEPENDENCY_OF OPTIONAL_DEPENDENCY_OF PROVIDED_DEPENDENCY_OF
     TEST_DEPENDENCY_OF RUNTIME_DEPENDENCY_OF PREREQUISITE_FOR BUILD_TOOL_OF OPTIONAL_COMPONENT_OF PACKAGE_OF
     GENERATES`.split(/\s+/),
  )('reads %s from the part to the whole', (type) => {
    expect(loggerBy('logger', type, 'app')).toBe('app > logger');
    expect(loggerBy('app', type, 'logger')).toBeUndefined();
  });

  it('finds the root in either direction, and by documentDescribes', () => {
    const described = relationship('SPDXRef-app', 'DESCRIBED_BY', 'SPDXRef-DOCUMENT');
    const roots = (change: Record<string, unknown>) => read(SPDX, spdx2(APP, change)).roots;
    expect(roots({ relationships: [described] })).toEqual(['SPDXRef-app']);
    expect(roots({ relationships: [], documentDescribes: ['SPDXRef-app'] })).toEqual(['SPDXRef-app']);
  });

  it('says what other documents hold, and what is not asserted', () => {
    const gaps = (to: string) => {
      return read(SPDX, spdx2(APP, { relationships: [relationship('SPDXRef-app', 'DEPENDS_ON', to)] })).gaps;
    };
    expect(gaps('DocumentRef-base:SPDXRef-x')).toEqual(['what is in another document: DocumentRef-base:SPDXRef-x']);
    expect(gaps('NOASSERTION')).toEqual([expect.stringContaining('NOASSERTION')]);
    expect(gaps('NONE')).toEqual([]);
  });

  it('reads files with their digests, and several purls of one package', () => {
    const checksums = [{ algorithm: 'SHA1', checksumValue: 'aa' }];
    const { packages } = read(
      SPDX,
      spdx2(APP, { files: [{ SPDXID: 'SPDXRef-file', fileName: './bad.js', checksums }] }),
    );
    const digests = [{ algorithm: 'sha1', value: 'aa' }];
    expect(packages.at(-1)).toMatchObject({ name: './bad.js', kind: 'other', digests });
    const reference = (referenceLocator: string) => {
      return { referenceCategory: 'PACKAGE_MANAGER', referenceType: 'purl', referenceLocator };
    };
    const externalRefs = [reference('pkg:npm/a'), reference('pkg:npm/b')];
    const two = spdx2(APP, { packages: [{ SPDXID: 'SPDXRef-a', name: 'a', externalRefs }], relationships: [] });
    expect(read(SPDX, two).packages[0]!.purls).toEqual(['pkg:npm/a', 'pkg:npm/b']);
  });

  it('is read from the text that cosign writes', () => {
    expect(read(SPDX, JSON.stringify(spdx2(APP))).packages).toHaveLength(4);
    expect(() => read(SPDX, 'SPDXVersion: SPDX-2.3\n')).toThrow('tag-value');
  });

  it.each([
    ['packages', [{ name: 'a' }], 'no SPDXID'],
    ['packages', [{ SPDXID: 'SPDXRef-a', name: 7 }], '"name" is no text'],
    ['packages', [{ SPDXID: 'SPDXRef-a', name: 'a', externalRefs: {} }], '"externalRefs" is no list'],
    ['packages', [{ SPDXID: 'SPDXRef-a', name: 'a', checksums: [{}] }], 'checksum'],
    ['relationships', [{ spdxElementId: 'SPDXRef-app' }], 'relationship lacks'],
    ['bomFormat', 'CycloneDX', 'two formats'],
    ['spdxVersion', 'SPDX-2.1', 'spdxVersion'],
  ])('is refused with %s %j', (name, value, why) => {
    expect(() => read(SPDX, spdx2(APP, { [name]: value }))).toThrow(why);
  });
});

describe('SPDX 3', () => {
  const APP_ID = 'https://example.com/sbom/app#app';
  const hidden = (more: object) => ({ spdxId: 'https://example.com/hidden', name: 'hidden', ...more });
  const relationship = (to: unknown, more: object = {}) => {
    return { type: 'Relationship', spdxId: 'urn:r', from: APP_ID, relationshipType: 'contains', to: [to], ...more };
  };

  it('finds packages within other elements', () => {
    const inner = hidden({ type: 'software_Package', software_packageUrl: 'pkg:npm/hidden@1.0.0' });
    expect(paths(SPDX, spdx3(APP, [relationship(inner)])).hidden).toBe('app > hidden');
  });

  it('takes purls that stand as external identifiers', () => {
    const identifier = { type: 'ExternalIdentifier', externalIdentifierType: 'packageUrl', identifier: 'pkg:npm/b@1' };
    const { packages } = read(SPDX, spdx3(APP, [hidden({ type: 'ai_AIPackage', externalIdentifier: [identifier] })]));
    expect(packages.at(-1)!.purls).toEqual(['pkg:npm/b@1']);
  });

  it('says that a relationship is incomplete, or not asserted', () => {
    const gaps = (to: string, completeness: string) => {
      return read(SPDX, spdx3(APP, [relationship(to, { completeness })])).gaps;
    };
    const logger = 'https://example.com/sbom/app#logger';
    const core = 'https://spdx.org/rdf/3.0.1/terms/Core';
    expect(gaps(logger, 'incomplete')).toEqual([expect.stringContaining('incomplete')]);
    expect(gaps(logger, 'complete')).toEqual([]);
    expect(gaps(`${core}/NoAssertionElement`, 'complete')).toEqual([expect.stringContaining('not asserted')]);
    expect(gaps(`${core}/NoneElement`, 'complete')).toEqual([]);
  });

  it.each([
    [{ type: 'https://spdx.org/rdf/3.0.1/terms/Software/Package' }],
    [{ '@type': 'software_Package' }],
    [{ type: ['software_Package'] }],
    [{ type: 'software_Package', 'spdx:Software/packageUrl': 'pkg:npm/b' }],
  ])('is refused where an element is written in other words: %j', (more) => {
    const about = { type: 'Annotation', spdxId: 'urn:a', about: hidden(more) };
    expect(() => read(SPDX, spdx3(APP, [about]))).toThrow('the context of SPDX');
  });

  it('is refused with a context of its own', () => {
    const other = (context: unknown) => ({ ...spdx3(APP), '@context': context });
    expect(() => read(SPDX, other('https://example.com/context.jsonld'))).toThrow('context');
    expect(() => read(SPDX, other([{ kind: 'type' }]))).toThrow('@context');
  });
});

describe('CycloneDX', () => {
  const withParts = (...components: readonly object[]) => cycloneDx(APP, { components, dependencies: [] });
  const library = (name: string, more: object = {}) => ({ type: 'library', name, ...more });

  it('reads components within components, and those of the root', () => {
    const outer = library('outer', { 'bom-ref': 'outer', components: [library('inner')] });
    const component = { type: 'container', 'bom-ref': 'app', name: 'app', components: [outer] };
    const value = cycloneDx(APP, { metadata: { component }, components: [], dependencies: [] });
    expect(paths(CYCLONEDX, value)).toEqual({ app: 'app', outer: 'app > outer', inner: 'app > outer > inner' });
  });

  it('does not take a pedigree for a part', () => {
    const pedigree = { ancestors: [library('old', { purl: 'pkg:npm/old@1' })] };
    const { packages } = read(CYCLONEDX, withParts(library('new', { pedigree })));
    expect(packages.map(({ name }) => name)).toEqual(['app', 'new']);
  });

  it.each([
    [{ compositions: [{ aggregate: 'incomplete', assemblies: ['app'] }] }, 'incomplete'],
    [{ compositions: [{ aggregate: 'incomplete_third_party_only' }] }, 'incomplete_third_party_only'],
    [{ compositions: [{ aggregate: 'unknown' }] }, 'unknown'],
    [{ externalReferences: [{ type: 'bom', url: 'urn:cdx:x/1' }] }, 'another BOM'],
    [{ dependencies: [{ ref: 'app', dependsOn: ['urn:cdx:x/1#y'] }] }, 'urn:cdx:x/1#y'],
  ])('says what is left out: %j', (change, gap) => {
    expect(read(CYCLONEDX, cycloneDx(APP, change)).gaps).toEqual([expect.stringContaining(gap)]);
  });

  it('says that a component has its parts in another BOM', () => {
    const externalReferences = [{ type: 'bom', url: 'https://example.com/bom' }];
    const { gaps } = read(CYCLONEDX, withParts(library('part', { externalReferences })));
    expect(gaps).toEqual([expect.stringContaining('the parts of part')]);
  });

  it('has no gap where compositions are complete, or are about vulnerabilities', () => {
    const complete = { aggregate: 'complete', assemblies: ['app'] };
    const compositions = [complete, { aggregate: 'incomplete', vulnerabilities: ['v'] }];
    expect(read(CYCLONEDX, cycloneDx(APP, { compositions })).gaps).toEqual([]);
  });

  it('takes licenses as identifiers, names and expressions, and all of them', () => {
    const licenses = [
      { license: { id: 'MIT' } },
      { license: { name: 'Own terms' } },
      { expression: 'MIT OR Apache-2.0' },
    ];
    const { packages } = read(CYCLONEDX, withParts(library('a', { licenses })));
    expect(packages[1]!.licenses).toEqual(['MIT', 'Own terms', 'MIT OR Apache-2.0']);
  });

  it.each([
    [{ components: [{ name: 'a' }] }, 'lacks its type'],
    [{ components: [{ type: 'library', name: 'a', purl: 7 }] }, '"purl" is no text'],
    [{ components: [{ type: 'library', name: 'a', licenses: [{ license: 'MIT' }] }] }, 'is no object'],
    [{ specVersion: '1.3' }, 'specVersion'],
    [{ spdxVersion: 'SPDX-2.3' }, 'two formats'],
  ])('is refused with %j', (change, why) => {
    expect(() => read(CYCLONEDX, cycloneDx(APP, change))).toThrow(why);
  });

  it('is bounded in packages', () => {
    const many = Array.from({ length: 100_001 }, () => library('a'));
    expect(() => read(CYCLONEDX, withParts(...many))).toThrow('more than 100000 packages');
  });
});

it('a predicate of another format than its type says is refused', () => {
  expect(() => read(CYCLONEDX, spdx2(APP))).toThrow('bomFormat');
  expect(() => read(SPDX, cycloneDx(APP))).toThrow('spdxVersion');
  expect(() => read('https://spdx.dev/Document/v2.2', spdx2(APP))).toThrow('2.2');
  expect(() => read('https://slsa.dev/provenance/v1', spdx2(APP))).toThrow('SPDX 2 document');
  expect(() => read('https://example.com/other', spdx2(APP))).toThrow('no SBOM');
});
