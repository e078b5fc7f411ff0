import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../../../../merkle/bytes.ts';
import { type JsonValue, parseJsonValue } from '../../../../../merkle/rekor/json-value.ts';
import { nanosOf, toCel } from '../../../../../merkle/runtime/policy/cel/cel-values.ts';
import { Instant } from '../../../../../merkle/runtime/policy/predicates/instant.ts';
import { readPredicate } from '../../../../../merkle/runtime/policy/predicates/predicate.ts';
import { RuntimeError } from '../../../../../merkle/runtime/runtime-errors.ts';

const json = (value: unknown): JsonValue => parseJsonValue(encodeUtf8(JSON.stringify(value)), 'it', 10_000_000, 256);
const read = (type: string, value: unknown) => readPredicate(type, json(value));

function refusal(type: string, value: unknown): string {
  try {
    read(type, value);
  } catch (error) {
    if (error instanceof RuntimeError && error.code === 'predicate') return error.message;
    throw error;
  }
  return 'no error';
}

const SHA = 'ab'.repeat(32);
const TIME = '2026-08-01T12:00:00.123456789Z';
const DESCRIPTOR = { uri: 'git+https://example.com/app', digest: { gitCommit: 'cd'.repeat(20) }, content: 'aGk=' };
const VULN_TIMES = { scanStartedOn: TIME, scanFinishedOn: TIME };
const FOUND = { id: 'CVE-2026-1', severity: [{ method: 'nvd', score: 'high' }], annotations: [{ a: 1 }] };
const scanner = (result: unknown) => ({ uri: 'pkg:github/example/scan@1', db: { lastUpdate: TIME }, result });

const PROVENANCE_1 = 'https://slsa.dev/provenance/v1';
const SPDX = 'https://spdx.dev/Document';
const DELEGATION = 'urn:stele:ca-delegation:v1';
const CYCLONEDX = 'https://cyclonedx.org/bom';
const SPDX_2 = {
  spdxVersion: 'SPDX-2.3',
  SPDXID: 'SPDXRef-DOCUMENT',
  dataLicense: 'CC0-1.0',
  name: 'app',
  documentNamespace: 'https://example.com/app',
  creationInfo: { created: '2026-08-01T12:00:00Z', creators: ['Tool: sbom-maker'] },
  packages: [{ SPDXID: 'SPDXRef-1', name: 'left-pad' }],
  relationships: [],
};
const SPDX_3 = {
  '@context': 'https://spdx.org/rdf/3.0.1/spdx-context.jsonld',
  '@graph': [{ type: 'SpdxDocument', spdxId: 'https://example.com/doc' }],
};
const CDX = {
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  serialNumber: 'urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79',
  version: 1,
  metadata: { timestamp: TIME, component: { type: 'application', name: 'app' } },
  components: [{ type: 'library', name: 'left-pad' }],
  dependencies: [],
};

/** A good predicate of each type. */
const GOOD: Readonly<Record<string, unknown>> = {
  'https://slsa.dev/provenance/v0.2': {
    builder: { id: 'https://example.com/builder' },
    buildType: 'https://example.com/make@v1',
    invocation: {
      configSource: { uri: 'git+https://example.com/app', digest: { sha1: 'ab'.repeat(20) }, entryPoint: 'make' },
      parameters: {},
      environment: {},
    },
    buildConfig: { steps: [] },
    metadata: {
      buildInvocationId: '1',
      buildStartedOn: TIME,
      buildFinishedOn: TIME,
      completeness: { parameters: true, environment: false, materials: false },
      reproducible: false,
    },
    materials: [{ uri: 'pkg:npm/left-pad@1', digest: { sha256: SHA } }],
  },
  [PROVENANCE_1]: {
    buildDefinition: {
      buildType: 'https://example.com/make@v1',
      externalParameters: { ref: 'refs/heads/main' },
      internalParameters: {},
      resolvedDependencies: [DESCRIPTOR],
    },
    runDetails: {
      builder: { id: 'https://example.com/builder', version: { make: '4' }, builderDependencies: [DESCRIPTOR] },
      metadata: { invocationId: '1', startedOn: TIME, finishedOn: TIME },
      byproducts: [DESCRIPTOR],
    },
  },
  'https://slsa.dev/verification_summary/v1': {
    verifier: { id: 'https://example.com/verifier', version: { stele: '1' } },
    timeVerified: TIME,
    resourceUri: 'https://example.com/app.tgz',
    policy: { uri: 'https://example.com/policy', digest: { sha256: SHA } },
    inputAttestations: [{ digest: { sha256: SHA } }],
    verificationResult: 'PASSED',
    verifiedLevels: ['SLSA_BUILD_LEVEL_3'],
    dependencyLevels: { SLSA_BUILD_LEVEL_3: 5 },
    slsaVersion: '1.0',
  },
  [SPDX]: SPDX_2,
  'https://spdx.dev/Document/v2.2': { ...SPDX_2, spdxVersion: 'SPDX-2.2' },
  'https://spdx.dev/Document/v2.3': SPDX_2,
  'https://spdx.dev/Document/v3': SPDX_3,
  [CYCLONEDX]: CDX,
  'https://cyclonedx.org/bom/v1.5': { ...CDX, specVersion: '1.5' },
  'https://cyclonedx.org/bom/v1.6': CDX,
  'https://cyclonedx.org/bom/v1.7': { ...CDX, specVersion: '1.7' },
  'https://cosign.sigstore.dev/attestation/vuln/v1': {
    invocation: { parameters: null, uri: '', event_id: '1', 'builder.id': 'ci' },
    scanner: { uri: 'pkg:github/example/scan@1', version: '1', db: { uri: '', version: '' }, result: { Results: [] } },
    metadata: VULN_TIMES,
  },
  'https://in-toto.io/attestation/vulns/v0.1': {
    scanner: scanner([{ vulnerability: FOUND }, FOUND]),
    metadata: VULN_TIMES,
  },
  'https://in-toto.io/attestation/vulns/v0.2': { scanner: scanner([FOUND]), metadata: VULN_TIMES },
  'https://in-toto.io/attestation/test-result/v0.1': {
    result: 'PASSED',
    configuration: [{ name: 'ci.yml', digest: { gitBlob: 'ab'.repeat(20) } }],
    url: 'https://example.com/run/1',
    passedTests: ['a'],
    warnedTests: [],
    failedTests: [],
  },
  'https://in-toto.io/attestation/link/v0.3': {
    name: 'build',
    command: ['make'],
    materials: [{ name: 'src/a.c', digest: { sha256: SHA } }],
    byproducts: { 'return-value': 0 },
    environment: {},
  },
  'https://in-toto.io/Link/v0.2': { name: 'build', materials: { 'src/a.c': { sha256: SHA } } },
  'https://in-toto.io/Link/v1': {
    _type: 'link',
    name: 'build',
    command: ['make'],
    materials: { 'src/a.c': { sha256: SHA } },
    products: { app: { sha256: SHA } },
    byproducts: {},
    environment: {},
  },
  'https://in-toto.io/attestation/scai/v0.3': {
    attributes: [{ attribute: 'REPRODUCIBLE', target: DESCRIPTOR, conditions: {}, evidence: DESCRIPTOR }],
    producer: DESCRIPTOR,
  },
  'https://in-toto.io/attestation/scai/attribute-report/v0.2': { attributes: [{ attribute: 'REPRODUCIBLE' }] },
  'https://in-toto.io/attestation/release/v0.1': { purl: 'pkg:npm/@angular/http@7.2.16', releaseId: '1' },
  'https://in-toto.io/attestation/release/v0.2': { purl: 'pkg:npm/%40angular/http@7.2.16', packageId: '1' },
  [DELEGATION]: {
    team: 'build',
    number: 1,
    root: { subject: 'CN=root', sha256: SHA },
    names: { uri: ['ci.example.com'], dns: [], email: ['release@example.com'] },
    notBefore: '2026-01-31T00:00:00Z',
    notAfter: '2027-01-31T00:00:00Z',
    certificate: 'MAA=',
  },
};

type Path = readonly (string | number)[];

/** The paths of all values in `value`. */
function* pathsOf(value: unknown, path: Path = []): Generator<Path> {
  if (path.length > 0) yield path;
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    yield* pathsOf(member, [...path, Array.isArray(value) ? Number(name) : name]);
  }
}

/** A copy of `value` with another value at `path`, or without it. */
function changed(value: unknown, path: Path, replacement: unknown): unknown {
  const copy = structuredClone(value);
  let at = copy as Record<string | number, unknown>;
  for (const step of path.slice(0, -1)) at = at[step] as typeof at;
  const last = path.at(-1)!;
  if (replacement === undefined) delete at[last];
  else at[last] = replacement;
  return copy;
}

const valueAt = (value: unknown, path: Path) => path.reduce((at, step) => (at as Record<string, unknown>)[step], value);

describe('predicates', () => {
  it.each(Object.keys(GOOD))('of type %s are read', (type) => {
    expect(refusal(type, GOOD[type])).toBe('no error');
    expect(read(type, GOOD[type])?.kind).toBeTypeOf('string');
  });

  /** Fields that the specifications leave open, or that are maps to anything. */
  const OPEN =
    /parameters|environment|buildConfig|externalParameters\.|internalParameters\.|conditions\.|byproducts\.return|annotations\.\d+\.|result\.Results|scanner\.result$|packages\.0\.|component\.|components\.0\./;

  it.each(Object.keys(GOOD))('of type %s are refused where a known field has another type', (type) => {
    let tried = 0;
    for (const path of pathsOf(GOOD[type])) {
      if (type.includes('vuln/v1') ? /parameters|result/.test(path.join('.')) : OPEN.test(path.join('.'))) continue;
      if (path.at(-1) === 'result' && type.includes('cosign')) continue;
      const before = valueAt(GOOD[type], path);
      const other = typeof before === 'string' ? 7 : typeof before === 'object' ? 'text' : 'text';
      const why = refusal(type, changed(GOOD[type], path, other));
      expect(why, path.join('.')).toMatch(/^predicate[.[]/);
      tried += 1;
    }
    expect(tried).toBeGreaterThan(0);
  });

  it.each([
    ['https://slsa.dev/provenance/v0.2', ['builder', 'builder.id', 'buildType']],
    [
      PROVENANCE_1,
      [
        'buildDefinition',
        'buildDefinition.buildType',
        'buildDefinition.externalParameters',
        'runDetails',
        'runDetails.builder',
        'runDetails.builder.id',
      ],
    ],
    [
      'https://slsa.dev/verification_summary/v1',
      ['verifier', 'verifier.id', 'resourceUri', 'policy', 'policy.uri', 'verificationResult', 'verifiedLevels'],
    ],
    [SPDX, ['spdxVersion', 'SPDXID']],
    ['https://spdx.dev/Document/v3', ['@context', '@graph']],
    [CYCLONEDX, ['bomFormat', 'specVersion']],
    ['https://cosign.sigstore.dev/attestation/vuln/v1', ['scanner', 'metadata', 'metadata.scanStartedOn']],
    [
      'https://in-toto.io/attestation/vulns/v0.2',
      ['scanner', 'scanner.uri', 'scanner.db', 'scanner.db.lastUpdate', 'scanner.result', 'metadata'],
    ],
    ['https://in-toto.io/attestation/test-result/v0.1', ['result', 'configuration']],
    ['https://in-toto.io/attestation/link/v0.3', ['name']],
    ['https://in-toto.io/Link/v1', ['name', 'materials']],
    ['https://in-toto.io/attestation/scai/v0.3', ['attributes']],
    ['https://in-toto.io/attestation/release/v0.1', ['purl']],
    [
      DELEGATION,
      ['team', 'number', 'root', 'root.subject', 'root.sha256', 'names', 'names.uri', 'names.dns', 'names.email'],
    ],
    [DELEGATION, ['notBefore', 'notAfter', 'certificate']],
  ])('of type %s are refused without each required field', (type, required) => {
    for (const name of required) {
      const path = name.split('.');
      expect(refusal(type, changed(GOOD[type], path, undefined)), name).toBe(`predicate.${name} is missing`);
      expect(refusal(type, changed(GOOD[type], path, null)), name).toMatch(/^predicate/);
    }
  });

  it('are refused where the statement names another type than they have', () => {
    for (const [type, kind] of Object.keys(GOOD).map((name) => [name, read(name, GOOD[name])!.kind] as const)) {
      for (const [other, value] of Object.entries(GOOD)) {
        const their = read(other, value)!.kind;
        // Version 0.1 takes the results of version 0.2 too.
        if (their === kind || (kind.startsWith('vulns') && their.startsWith('vulns'))) continue;
        expect(refusal(type, value), `${other} as ${type}`).not.toBe('no error');
      }
      expect(refusal(type, {}), type).not.toBe('no error');
    }
  });

  it('of a type that is not known stay as they are', () => {
    for (const type of [
      'https://example.com/review/v1',
      'https://slsa.dev/provenance/v2',
      'constructor',
      '__proto__',
    ]) {
      expect(read(type, { anything: 1 }), type).toBeUndefined();
    }
  });

  it('keep fields that are not known, also in known objects, and leave out optional ones that are null', () => {
    const provenance = GOOD[PROVENANCE_1] as { runDetails: object };
    const typed = read(PROVENANCE_1, {
      ...provenance,
      vendor_size: 9007199254740992,
      runDetails: { ...provenance.runDetails, metadata: null, vendor_x: [null] },
    });
    expect(typed?.value).toMatchObject({ vendor_size: 9007199254740992n, runDetails: { vendor_x: [null] } });
    expect('metadata' in (typed as { value: { runDetails: object } }).value.runDetails).toBe(false);
  });

  it('have times of nanoseconds, bytes and integers that conditions read', () => {
    const typed = read(PROVENANCE_1, GOOD[PROVENANCE_1]);
    if (typed?.kind !== 'provenance1') throw new Error('another kind');
    const started = typed.value.runDetails.metadata?.startedOn;
    expect(started).toEqual(new Instant(1_785_585_600n, 123_456_789));
    expect(started?.milliseconds).toBe(Date.UTC(2026, 7, 1, 12, 0, 0, 123));
    expect(typed.value.buildDefinition.resolvedDependencies?.[0]?.content).toEqual(encodeUtf8('hi'));
    expect(nanosOf(toCel(started!))).toBe(1_785_585_600_123_456_789n);
  });
});

describe('times of predicates', () => {
  it.each([
    ['2026-02-29T00:00:00Z', 'a day that does not exist'],
    ['2026-08-01T24:00:00Z', 'hour 24'],
    ['2026-08-01T23:59:60Z', 'a leap second'],
    ['2026-08-01t12:00:00z', 'lower case'],
    ['2026-08-01 12:00:00Z', 'a space'],
    ['2026-08-01T12:00:00', 'no offset'],
    ['2026-08-01T12:00Z', 'no seconds'],
    ['2026-08-01T12:00:00.Z', 'an empty fraction'],
    ['2026-08-01T12:00:00.1234567890Z', 'ten digits of a fraction'],
    ['2026-08-01T12:00:00+24:00', 'an offset of a day'],
    ['0000-01-01T00:00:00Z', 'the year 0'],
    ['0001-01-01T00:00:00+01:00', 'an hour before the year 1'],
    ['9999-12-31T23:59:59-01:00', 'an hour after the year 9999'],
    ['', 'no text'],
    [' 2026-08-01T12:00:00Z', 'white space'],
  ])('are not %s: %s', (text) => expect(Instant.parse(text)).toBeUndefined());

  it.each([
    ['1970-01-01T00:00:00Z', 0n, 0],
    ['1969-12-31T23:59:59.5Z', -1n, 500_000_000],
    ['0001-01-01T00:00:00Z', -62_135_596_800n, 0],
    ['9999-12-31T23:59:59.999999999Z', 253_402_300_799n, 999_999_999],
    ['1970-01-01T01:30:00+01:30', 0n, 0],
    ['1969-12-31T22:30:00-01:30', 0n, 0],
  ])('are %s', (text, seconds, nanos) => expect(Instant.parse(text)).toEqual(new Instant(seconds, nanos)));
});

describe('digests of predicates', () => {
  const refused = (digest: unknown) =>
    refusal(
      PROVENANCE_1,
      changed(GOOD[PROVENANCE_1], ['buildDefinition', 'resolvedDependencies', 0, 'digest'], digest),
    );

  it.each([
    ['upper case', { sha256: SHA.toUpperCase() }],
    ['63 characters', { sha256: SHA.slice(1) }],
    ['no hex', { sha256: 'z'.repeat(64) }],
    ['a number', { sha256: 1 }],
    ['no text', { other: '' }],
    ['a list', [SHA]],
    ['SHA-1 of 64 characters', { sha1: SHA }],
    ['a git commit of 32 bytes and one', { gitCommit: `${SHA}ab` }],
  ])('are refused with %s', (_, digest) => expect(refused(digest)).toMatch(/^predicate\.buildDefinition\.resolvedDep/));

  it('of an algorithm that is not known have any encoding, and an empty set is none', () => {
    expect(refused({ arn: 'arn:aws:ec2:x:image/ami-1' })).toBe('no error');
    expect(refused({ gitCommit: SHA })).toBe('no error');
    expect(refused({})).toBe('no error');
    const summary = 'https://slsa.dev/verification_summary/v1';
    expect(refusal(summary, changed(GOOD[summary], ['inputAttestations', 0], { uri: 'urn:x', digest: {} }))).toBe(
      'predicate.inputAttestations[0].digest is missing',
    );
    expect(refusal(summary, changed(GOOD[summary], ['policy'], { digest: {} }))).toBe(
      'predicate.policy has none of uri, digest and content',
    );
  });
});

describe('bills of materials', () => {
  const sbom = (type: string, value: unknown) => {
    const typed = read(type, value);
    if (typed?.kind !== 'sbom') throw new Error('another kind');
    return typed.value;
  };

  it('have a format and a version', () => {
    expect(sbom(SPDX, SPDX_2)).toMatchObject({ format: 'spdx2', version: '2.3' });
    expect(sbom(SPDX, { ...SPDX_2, spdxVersion: 'SPDX-2.2' })).toMatchObject({ format: 'spdx2', version: '2.2' });
    expect(sbom(SPDX, SPDX_3)).toMatchObject({ format: 'spdx3', version: '3.0.1' });
    expect(sbom(CYCLONEDX, CDX)).toMatchObject({ format: 'cyclonedx', version: '1.6' });
    expect(sbom(SPDX, SPDX_2).value).toMatchObject({ creationInfo: { created: new Instant(1_785_585_600n, 0) } });
    expect(sbom(SPDX, SPDX_2).json).toMatchObject({ packages: [{ name: 'left-pad' }] });
  });

  it.each([
    ['SPDX 2.2 as 2.3', 'https://spdx.dev/Document/v2.3', { ...SPDX_2, spdxVersion: 'SPDX-2.2' }],
    ['SPDX 3 as 2.3', 'https://spdx.dev/Document/v2.3', SPDX_3],
    ['SPDX 2 as 3', 'https://spdx.dev/Document/v3', SPDX_2],
    ['CycloneDX 1.6 as 1.5', 'https://cyclonedx.org/bom/v1.5', CDX],
    ['CycloneDX as SPDX', SPDX, CDX],
    ['SPDX as CycloneDX', CYCLONEDX, SPDX_2],
    ['SPDX 2.1', SPDX, { ...SPDX_2, spdxVersion: 'SPDX-2.1' }],
    ['SPDX 3.1', SPDX, { ...SPDX_3, '@context': 'https://spdx.org/rdf/3.1.0/spdx-context.jsonld' }],
    ['a context of others', SPDX, { ...SPDX_3, '@context': 'https://example.com/rdf/3.0.1/spdx-context.jsonld' }],
    ['an empty graph', SPDX, { ...SPDX_3, '@graph': [] }],
    ['CycloneDX 1.4', CYCLONEDX, { ...CDX, specVersion: '1.4' }],
    ['a version 0', CYCLONEDX, { ...CDX, version: 0 }],
  ])('are refused: %s', (_, type, value) => expect(refusal(type, value)).toMatch(/^predicate/));

  it('may be a text where they are SPDX in JSON', () => {
    expect(sbom(SPDX, JSON.stringify(SPDX_2))).toMatchObject({ format: 'spdx2', version: '2.3' });
    expect(sbom(SPDX, JSON.stringify(SPDX_3, null, 2))).toMatchObject({ format: 'spdx3', version: '3.0.1' });
    expect(refusal(SPDX, 'SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n')).toMatch(/tag-value form, which is not read/);
    expect(refusal(SPDX, '# made by a tool\nSPDXVersion: SPDX-2.3\n')).toMatch(/tag-value form/);
    for (const text of ['', 'no JSON', '[]', '"text"', JSON.stringify(CDX), '{"a":1,"a":2}', '['.repeat(300)]) {
      expect(refusal(SPDX, text), text.slice(0, 20)).toMatch(/^predicate/);
    }
    expect(refusal(CYCLONEDX, JSON.stringify(CDX))).toBe('predicate is not an object');
    expect(refusal(PROVENANCE_1, JSON.stringify(GOOD[PROVENANCE_1]))).toBe('predicate is not an object');
  });
});

describe('small things of predicates', () => {
  const LINK = 'https://in-toto.io/attestation/link/v0.3';
  const VSA = 'https://slsa.dev/verification_summary/v1';
  it.each([
    [LINK, ['materials'], [{ uri: 'urn:x', digest: { sha256: SHA } }], 'predicate.materials[0].name is missing'],
    [LINK, ['materials'], [{ name: 'a', uri: 'urn:x' }], 'predicate.materials[0].digest is missing'],
    [LINK, ['materials'], Array(2).fill({ name: 'a', digest: { sha256: SHA } }), 'is the name of an earlier material'],
    [VSA, ['verificationResult'], 'passed', 'is "passed", which is not one of PASSED, FAILED'],
    [VSA, ['dependencyLevels', 'SLSA_BUILD_LEVEL_3'], -1, 'is less than 0'],
    [VSA, ['dependencyLevels', 'SLSA_BUILD_LEVEL_3'], 1.5, 'is not a whole number'],
    [VSA, ['resourceUri'], 'https://example.com/a b', 'holds white space'],
    [VSA, ['verifier', 'id'], 'verifier', 'is not a URI'],
    ['https://in-toto.io/attestation/release/v0.1', ['purl'], 'pkg:npm/semver', 'not a package URL with a version'],
    ['https://in-toto.io/attestation/scai/v0.3', ['attributes'], [], 'predicate.attributes is empty'],
    [DELEGATION, ['number'], 0, 'is less than 1'],
    [DELEGATION, ['root', 'sha256'], SHA.toUpperCase(), 'is not 64 characters of lower-case hex'],
    [DELEGATION, ['notAfter'], '2025-01-31T00:00:00Z', 'predicate.notAfter is before notBefore'],
    [DELEGATION, ['certificate'], '*', 'is not base64'],
    [PROVENANCE_1, ['buildDefinition', 'resolvedDependencies', 0, 'content'], '*', 'is not base64'],
  ])('%s: %s must not be %s', (type, path, value, why) => {
    expect(refusal(type, changed(GOOD[type], path, value))).toContain(why);
  });

  it('name a field in printable text', () => {
    const why = refusal(VSA, changed(GOOD[VSA], ['dependencyLevels'], { '\u001b[2J': 'x' }));
    expect(why).not.toContain('\u001b');
  });
});
