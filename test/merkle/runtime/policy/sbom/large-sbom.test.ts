/** SBOMs of many packages, in forms in which a careless reader takes time or memory that grows with the square of their number. */
import { expect, it } from 'vitest';
import { parseJsonValue } from '../../../../../merkle/rekor/json-value.ts';
import { decide } from '../../../../../merkle/runtime/policy/decide.ts';
import { APP as ARTIFACT, evidenceOf, NOW, oneRule, policyOf } from '../../../../support/decision-policy.ts';

const LENGTH = 60_000;
const components = Array.from({ length: LENGTH }, (_, i) => ({ type: 'library', name: `n${i}`, 'bom-ref': `r${i}` }));
const dependencies = components.slice(1).map((_, i) => ({ ref: `r${i}`, dependsOn: [`r${i + 1}`] }));
const [first, ...others] = components;
const CHAIN = {
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  metadata: { component: first },
  components: others,
  dependencies,
};

async function decision(text: string, document: object = CHAIN, predicateType = 'https://cyclonedx.org/bom') {
  const predicate = () => parseJsonValue(Buffer.from(JSON.stringify(document)), 'the predicate', 1 << 26, 200);
  const statement = { type: 'https://in-toto.io/Statement/v1', predicateType, subjects: [ARTIFACT], predicate };
  return decide(await policyOf(oneRule(text, predicateType)), ARTIFACT, [evidenceOf({ statement })], NOW);
}

it('is judged as one long chain, with a few reasons of many', async () => {
  const { verdict, rules } = await decision('sbom: { root: any }');
  expect(verdict).toBe('deny');
  const { reasons } = rules[0]!.evidence[0]!;
  expect(reasons[2]!.message).toContain('n3 (n0 > n1 > n2 > n3): it has no purl');
  expect(reasons.at(-1)).toMatchObject({ code: 'limit', message: expect.stringMatching(/^and \d+ more reasons/) });
});

it('gives conditions no path that is too long, which is an error where they read it', async () => {
  expect(await decision(`conditions: [ { cel: "sbom.packages.size() == ${LENGTH}" } ]`)).toMatchObject({
    verdict: 'allow',
  });
  const near = 'sbom.packages.exists(one, one.name == "n99" && one.path.size() == 100)';
  expect(await decision(`conditions: [ { cel: '${near}' } ]`)).toMatchObject({ verdict: 'allow' });
  const far = '!sbom.packages.exists(one, "evil" in one.path)';
  expect(await decision(`conditions: [ { cel: '${far}' } ]`)).toMatchObject({
    verdict: 'deny',
    rules: [{ evidence: [{ reasons: [{ code: 'condition-error' }] }] }],
  });
});

it('is judged where the document describes each of its packages', async () => {
  const packages = components.map((_, i) => ({ SPDXID: `SPDXRef-${i}`, name: `n${i}` }));
  const documentDescribes = packages.map(({ SPDXID }) => SPDXID);
  const document = { spdxVersion: 'SPDX-2.3', SPDXID: 'SPDXRef-DOCUMENT', packages, documentDescribes };
  const text = 'sbom: { root: any, minPackages: 0, withoutPurl: allow }';
  expect(await decision(text, document, 'https://spdx.dev/Document')).toMatchObject({ verdict: 'allow' });
});

it('is judged where one package has the same license many times', async () => {
  const to = ['https://spdx.org/licenses/MIT'];
  const relationships = components.map((_, i) => {
    return { type: 'Relationship', spdxId: `r${i}`, relationshipType: 'hasDeclaredLicense', from: 'p', to };
  });
  const document = {
    '@context': 'https://spdx.org/rdf/3.0.1/spdx-context.jsonld',
    '@graph': [{ type: 'software_Package', spdxId: 'p', name: 'one' }, ...relationships],
  };
  const text = 'sbom: { root: any, minPackages: 0, withoutPurl: allow, licenses: { deny: [GPL-3.0-only] } }';
  expect(await decision(text, document, 'https://spdx.dev/Document/v3')).toMatchObject({ verdict: 'allow' });
});
