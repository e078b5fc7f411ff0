/** The check `sbom`, by way of policy files and decisions. */
import { describe, expect, it } from 'vitest';
import { parseJsonValue } from '../../../../../merkle/rekor/json-value.ts';
import { decide } from '../../../../../merkle/runtime/policy/decide.ts';
import { APP as ARTIFACT, evidenceOf, NOW, oneRule, policyOf } from '../../../../support/decision-policy.ts';
import { APP, cycloneDx, FORMATS, type Sample, spdx2 } from './sbom-samples.ts';

const SPDX = 'https://spdx.dev/Document';
const CYCLONEDX = 'https://cyclonedx.org/bom';

function sbomEvidence(predicateType: string, value: unknown) {
  const predicate = () => parseJsonValue(Buffer.from(JSON.stringify(value)), 'the predicate', 1 << 26, 200);
  return evidenceOf({
    statement: { type: 'https://in-toto.io/Statement/v1', predicateType, subjects: [ARTIFACT], predicate },
  });
}

/** The reasons of the SBOM under this check; empty where the decision is allow. */
async function reasons(check: string, value: unknown, predicateType = SPDX): Promise<string[]> {
  const policy = await policyOf(oneRule(`sbom: ${check}`, predicateType));
  const evidence = sbomEvidence(predicateType, value);
  const decision = decide(policy, ARTIFACT, [evidence], NOW);
  // Twice: the second one is remembered.
  expect(decide(policy, ARTIFACT, [evidence], NOW)).toEqual(decision);
  const found = decision.rules[0]!.evidence[0]!.reasons;
  expect(decision.verdict).toBe(found.length === 0 ? 'allow' : 'deny');
  return found.map(({ code, message }) => `${code}: ${message}`);
}

const mistakes = async (check: string) =>
  String(await policyOf(oneRule(`sbom: ${check}`, SPDX)).catch((error) => error));

/** The app with one more package. */
function withPackage(more: Sample['packages'][number]): Sample {
  return { ...APP, packages: [...APP.packages, more], edges: [...APP.edges, ['logger', more.name]] };
}

describe.each(FORMATS)('an SBOM in %s', (_, type, make) => {
  it('is allowed where nothing of it is forbidden', async () => {
    const check =
      '{ forbid: [ { purl: pkg:npm/logger, range: "vers:npm/<1.4.2" } ], licenses: { allow: [MIT, Apache-2.0] } }';
    expect(await reasons(check, make(APP), type)).toEqual([]);
  });

  it('is denied by purl and range, with the package, its path and the rule', async () => {
    const check =
      '{ forbid: [ { purl: pkg:npm/logger, range: "vers:npm/>=1.4.0|<1.5.0", reason: it sends logs away } ] }';
    expect(await reasons(check, make(APP), type)).toEqual([
      'forbidden-package: pkg:npm/logger@1.4.2 (app > framework > logger): the policy forbids pkg:npm/logger in vers:npm/>=1.4.0|<1.5.0: it sends logs away',
    ]);
  });

  it('is denied by license', async () => {
    const sample = withPackage({ name: 'gnu', version: '1.0.0', purl: 'pkg:npm/gnu@1.0.0', license: 'GPL-3.0-only' });
    expect(await reasons('{ licenses: { deny: [ "GPL-*" ] } }', make(sample), type)).toEqual([
      expect.stringMatching(/^license: pkg:npm\/gnu@1\.0\.0 \(app > framework > logger > gnu\): .*GPL-3\.0-only$/),
    ]);
    expect(await reasons('{ forbid: [ { license: GPL-3.0-only } ] }', make(sample), type)).toHaveLength(1);
  });

  it('is denied by digest', async () => {
    const sha256 = '12'.repeat(32);
    const sample = withPackage({ name: 'bad', version: '1.0.0', purl: 'pkg:npm/bad@1.0.0', sha256 });
    const check = `{ forbid: [ { digest: 'sha256:${sha256}' } ] }`;
    expect(await reasons(check, make(sample), type)).toEqual([
      expect.stringContaining('forbidden-package: pkg:npm/bad@1.0.0'),
    ]);
    expect(await reasons(check, make(APP), type)).toEqual([]);
  });

  it('is denied where a package has no purl, a malformed one, or a version that cannot be compared', async () => {
    const check = (more = '') => `{ forbid: [ { purl: pkg:npm/odd, range: "vers:npm/<1.0.0" } ]${more} }`;
    const bare = make(withPackage({ name: 'bare', version: '1.0.0' }));
    expect(await reasons(check(), bare, type)).toEqual([expect.stringContaining('sbom-unknown: bare 1.0.0 (app >')]);
    expect(await reasons(check(', withoutPurl: allow'), bare, type)).toEqual([]);
    const malformed = make(withPackage({ name: 'x', purl: 'pkg:npm/%zz@1.0.0' }));
    expect(await reasons(check(), malformed, type)).toEqual([expect.stringContaining('sbom-unknown')]);
    for (const purl of ['pkg:npm/odd@latest', 'pkg:npm/odd']) {
      const odd = make(withPackage({ name: 'odd', purl }));
      expect(await reasons(check(', withoutPurl: allow'), odd, type)).toEqual([
        expect.stringContaining('sbom-unknown'),
      ]);
    }
  });

  it('is denied where it says nothing of a license, or a text that is none', async () => {
    const check = (unknown: string) => `{ licenses: { allow: [MIT, Apache-2.0], unknown: ${unknown} } }`;
    for (const license of [undefined, 'GPLv3']) {
      const silent = make(withPackage({ name: 'x', purl: 'pkg:npm/x@1.0.0', ...(license && { license }) }));
      expect(await reasons(check('deny'), silent, type)).toEqual([expect.stringContaining('license: pkg:npm/x@1.0.0')]);
      expect(await reasons(check('allow'), silent, type)).toEqual([]);
    }
  });

  it('is denied where it is about another artifact', async () => {
    const of = (sha256: string) => make({ ...APP, root: { ...APP.root, sha256 } });
    expect(await reasons('{}', of('ee'.repeat(32)), type)).toEqual([
      expect.stringContaining('sbom-artifact: the SBOM is about app'),
    ]);
    expect(await reasons('{ root: any }', of('ee'.repeat(32)), type)).toEqual([]);
    expect(await reasons('{}', of(ARTIFACT.digest.sha256), type)).toEqual([]);
    expect(await reasons('{ root: stated }', of(ARTIFACT.digest.sha256), type)).toEqual([]);
    expect(await reasons('{ root: stated }', make(APP), type)).toEqual([expect.stringContaining('states no digest')]);
    const inVersion = make({ ...APP, root: { name: 'app', version: `sha256:${'ee'.repeat(32)}` } });
    expect(await reasons('{}', inVersion, type)).toEqual([expect.stringContaining('sbom-artifact')]);
    const inPurl = make({ ...APP, root: { name: 'app', purl: `pkg:oci/app@sha256%3A${'ee'.repeat(32)}` } });
    expect(await reasons('{}', inPurl, type)).toEqual([expect.stringContaining('sbom-artifact')]);
  });

  it('is denied where it names too few packages, or leaves something out', async () => {
    expect(await reasons('{ minPackages: 4 }', make(APP), type)).toEqual([expect.stringContaining('names 3 packages')]);
    const empty = make({ ...APP, packages: [], edges: [] });
    expect(await reasons('{}', empty, type)).toEqual([expect.stringContaining('names 0 packages')]);
    const gap = make({
      ...APP,
      edges: [
        ['app', 'elsewhere'],
        ['app', 'logger'],
      ],
    });
    expect(await reasons('{}', gap, type)).toEqual([
      expect.stringContaining('sbom-incomplete: the SBOM leaves something out'),
    ]);
    expect(await reasons('{ incomplete: allow }', gap, type)).toEqual([]);
  });

  it('is denied where a condition over its packages is not true', async () => {
    const decided = async (cel: string) => {
      const policy = await policyOf(oneRule(`conditions: [ ${JSON.stringify(cel)} ]`, type));
      return decide(policy, ARTIFACT, [sbomEvidence(type, make(APP))], NOW).verdict;
    };
    expect(await decided('!sbom.packages.exists(p, p.name == "evil")')).toBe('allow');
    expect(await decided('!sbom.packages.exists(p, p.name == "logger")')).toBe('deny');
    expect(await decided('sbom.packages.all(p, p.purls.size() > 0) && size(sbom.gaps) == 0')).toBe('allow');
    // A reference to what a package does not have is an error.
    expect(await decided('sbom.packages.all(p, p.supplier == "x")')).toBe('deny');
  });
});

describe('a forbidden package', () => {
  const check = (forbid: string) => `{ forbid: [ ${forbid} ], withoutPurl: allow }`;
  const found = async (forbid: string, purl: string, version?: string) => {
    const more = { name: 'x', purl, ...(version === undefined ? {} : { version }) };
    return (await reasons(check(forbid), spdx2(withPackage(more)))).length === 1;
  };

  it.each([
    ['{ purl: pkg:npm/event-stream }', 'pkg:npm/event-stream@3.3.6'],
    ['{ purl: pkg:npm/event-stream@3.3.6 }', 'pkg:npm/event-stream@3.3.6?x=y'],
    ['{ purl: pkg:npm/event-stream }', 'PKG://NPM/event%2Dstream@3.3.6'],
    ['{ purl: "pkg:npm/%40a/b" }', 'pkg:npm/%40a%2Fb@1.0.0'],
    ['{ purl: pkg:pypi/py-evil, range: "vers:pypi/<2.0" }', 'pkg:pypi/Py_Evil@2.0rc1'],
    ['{ purl: pkg:pypi/torch@2.0 }', 'pkg:pypi/torch@2.0.0+cu118'],
    ['{ purl: pkg:rpm/fedora/curl, range: "vers:rpm/<1:8.0" }', 'pkg:rpm/fedora/curl@9.0-1.fc38'],
    ['{ purl: pkg:rpm/fedora/curl, range: "vers:rpm/>=2:1.0" }', 'pkg:rpm/fedora/curl@1.0-1.fc38?epoch=2'],
    ['{ purl: pkg:deb/debian/xz-utils, range: "vers:deb/>=5.6.0|<5.6.2" }', 'pkg:deb/debian/xz-utils@5.6.1-1'],
    ['{ purl: pkg:maven/org.a/b, range: "vers:maven/<2.15" }', 'pkg:maven/org.a/b@2.15-rc1'],
    ['{ purl: pkg:huggingface/a/b@abc }', 'pkg:huggingface/a/b@ABC'],
  ])('%s is found as %s', async (forbid, purl) => {
    expect(await found(forbid, purl)).toBe(true);
  });

  it.each([
    ['{ purl: pkg:npm/event-stream@3.3.6 }', 'pkg:npm/event-stream@4.0.1'],
    ['{ purl: pkg:npm/a, range: "vers:npm/<2.0.0", prereleases: false }', 'pkg:npm/a@2.0.0-rc.1'],
    ['{ purl: pkg:rpm/fedora/curl, range: "vers:rpm/<1:8.0" }', 'pkg:rpm/fedora/curl@9.0-1.fc38?epoch=1'],
    ['{ purl: pkg:maven/org.a/b, range: "vers:maven/<2.15" }', 'pkg:maven/org.a/b@2.15.0'],
  ])('%s is not %s', async (forbid, purl) => {
    expect(await found(forbid, purl)).toBe(false);
  });

  it('is found by the version of the package where that of its purl is another one', async () => {
    expect(await found('{ purl: pkg:npm/event-stream@3.3.6 }', 'pkg:npm/event-stream@4.0.1', '3.3.6')).toBe(true);
    expect(await found('{ purl: pkg:npm/event-stream@3.3.6 }', 'pkg:npm/event-stream', '3.3.6')).toBe(true);
  });

  it('is found where nothing leads to it, in nested components, and as a file', async () => {
    const purl = 'pkg:npm/event-stream@3.3.6';
    const inner = { type: 'library', name: 'event-stream', purl };
    const outer = { type: 'library', name: 'outer', purl: 'pkg:npm/outer@1.0.0', components: [inner] };
    const nested = cycloneDx(APP, { components: [outer], dependencies: [] });
    expect(await reasons('{ forbid: [ { purl: pkg:npm/event-stream } ] }', nested, CYCLONEDX)).toEqual([
      expect.stringContaining('pkg:npm/event-stream@3.3.6'),
    ]);
    const files = [
      { SPDXID: 'SPDXRef-f', fileName: './x', checksums: [{ algorithm: 'SHA1', checksumValue: 'ab'.repeat(20) }] },
    ];
    const forbid = `{ forbid: [ { digest: 'sha1:${'ab'.repeat(20)}' } ] }`;
    expect(await reasons(forbid, spdx2(APP, { files }))).toEqual([
      expect.stringContaining('./x (nothing in the SBOM leads to it): the policy forbids digest sha1:abab'),
    ]);
  });

  it('needs a purl also where the document says that it is about each package', async () => {
    const bare = spdx2(withPackage({ name: 'bare', version: '1.0.0' }));
    const documentDescribes = ['SPDXRef-app', 'SPDXRef-bare'];
    expect(await reasons('{}', { ...bare, documentDescribes })).toEqual([
      expect.stringContaining('sbom-unknown: bare'),
    ]);
    const twin = { type: 'library', 'bom-ref': 'app', name: 'twin' };
    const twins = cycloneDx(APP, { components: [twin], dependencies: [] });
    expect(await reasons('{}', twins, CYCLONEDX)).toEqual([expect.stringContaining('sbom-unknown: twin')]);
  });

  it('is found among many packages by many rules', async () => {
    const rules = Array.from({ length: 3000 }, (_, i) => `{ purl: 'pkg:npm/r${i}' }`);
    const packages = Array.from({ length: 20_000 }, (_, i) => ({ name: `p${i}`, purl: `pkg:npm/p${i}@1.0.0` }));
    const sample = { ...APP, packages: [...packages, { name: 'x', purl: 'pkg:npm/r2999@1.0.0' }], edges: [] };
    const found = await reasons(`{ forbid: [ ${rules.join(', ')} ] }`, spdx2(sample));
    expect(found).toEqual([expect.stringContaining('pkg:npm/r2999@1.0.0')]);
  });

  it('gives 50 reasons at most, and counts the others', async () => {
    const packages = Array.from({ length: 70 }, (_, i) => ({ name: `p${i}`, purl: `pkg:npm/bad@1.0.${i}` }));
    const found = await reasons('{ forbid: [ { purl: pkg:npm/bad } ] }', spdx2({ ...APP, packages, edges: [] }));
    expect(found).toHaveLength(51);
    expect(found.at(-1)).toBe('limit: and 20 more reasons of this SBOM');
  });
});

describe('an SBOM that is none', () => {
  it.each([
    ['another format', CYCLONEDX, spdx2(APP)],
    ['no object', SPDX, 7],
    ['an empty object', SPDX, {}],
    ['text', SPDX, 'SPDXVersion: SPDX-2.3'],
    ['a package without an identifier', SPDX, spdx2(APP, { packages: [{ name: 'a' }] })],
  ])('denies: %s', async (_, type, value) => {
    const [first] = await reasons('{}', value, type);
    expect(first).toMatch(/^predicate: /);
  });
});

describe('a policy', () => {
  it.each([
    ['{ forbid: [] }', 'a list of packages'],
    ['{ forbid: [ {} ] }', 'must have one of "purl", "license" and "digest"'],
    ['{ forbid: [ { purl: pkg:npm/a, license: MIT } ] }', 'must have one of'],
    ['{ forbid: [ { purl: npm/a } ] }', 'does not begin with "pkg:"'],
    ['{ forbid: [ { purl: pkg:npm/a, range: "<1.0.0" } ] }', 'vers:TYPE'],
    ['{ forbid: [ { purl: pkg:npm/a, range: "vers:pypi/<1.0" } ] }', 'a range of pypi for a package of npm'],
    ['{ forbid: [ { purl: pkg:npm/a@1.0.0, range: "vers:npm/<1.0.0" } ] }', 'a version in the purl and a "range"'],
    ['{ forbid: [ { range: "vers:npm/<1.0.0", license: MIT } ] }', 'without the "purl"'],
    ['{ forbid: [ { digest: "sha256:AB" } ] }', 'a digest such as'],
    ['{ forbid: [ { license: GPLv3 } ] }', 'no license of the SPDX list'],
    ['{ forbid: [ { purl: pkg:npm/a, ranges: x } ] }', 'is unknown'],
    ['{ licenses: { allow: [MIT, GPLv3] } }', '"rules[0].sbom.licenses.allow[1]" (line 10)'],
    ['{ licences: {} }', 'did you mean "licenses"?'],
    ['{ root: maybe }', 'one of matching, stated, any'],
    ['{ minPackages: -1 }', 'a whole number'],
  ])('with sbom: %s is wrong', async (check, why) => {
    expect(await mistakes(check)).toContain(why);
  });
});
