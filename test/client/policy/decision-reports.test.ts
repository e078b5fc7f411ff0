/** Decisions as SARIF and as JUnit's XML. */
import { describe, expect, it } from 'vitest';
import { decisionsJunit } from '../../../client/policy/junit.ts';
import { decisionsSarif } from '../../../client/policy/sarif.ts';
import { decide } from '../../../merkle/runtime/policy/decide.ts';
import { REASONS } from '../../../merkle/runtime/policy/reasons.ts';
import { APP, evidenceOf, NOW, oneRule, policyOf } from '../../support/decision-policy.ts';

const POLICY = await policyOf(
  oneRule('conditions: [ { cel: "predicate.good", message: "see [this](https://x) <&\\"\'>" } ]'),
);
const allowed = { name: 'dist/a b.tgz', decision: decide(POLICY, APP, [evidenceOf({}, { good: true })], NOW) };
const denied = { name: 'dist/a b.tgz', decision: decide(POLICY, APP, [evidenceOf({}, { good: false })], NOW) };
const odd = String.fromCharCode(0, 0x1b, 0xd800, 0xffff);
const refusedPiece = { digest: `sha256:${'0'.repeat(64)}`, source: `odd${odd}`, code: 'malformed', message: ']]>' };
const missing = {
  name: `café${odd}%.tgz`,
  decision: decide(POLICY, APP, [refusedPiece], NOW),
  place: { file: 'lock.json', line: 7 },
};

interface Run {
  readonly tool: { readonly driver: { readonly name: string; readonly rules: readonly { readonly id: string }[] } };
  readonly results: readonly {
    readonly ruleId: string;
    readonly ruleIndex: number;
    readonly level: string;
    readonly message: { readonly text: string };
    readonly locations: readonly {
      readonly physicalLocation: {
        readonly artifactLocation: { readonly uri: string };
        readonly region: { readonly startLine: number };
      };
    }[];
  }[];
  readonly invocations: readonly object[];
  readonly properties: object;
}

function run(...decisions: Parameters<typeof decisionsSarif>[0]): Run {
  const log = JSON.parse(decisionsSarif(decisions, '1.2.3'));
  expect(log).toMatchObject({ version: '2.1.0', $schema: expect.stringContaining('sarif-schema-2.1.0.json') });
  expect(log.runs).toHaveLength(1);
  return log.runs[0];
}

describe('SARIF', () => {
  it('has no result where the answer is allow', () => {
    expect(run(allowed)).toMatchObject({
      results: [],
      invocations: [{ executionSuccessful: true, exitCode: 0 }],
      properties: { allowed: 1, denied: 0, policies: [POLICY.digest] },
    });
  });

  it('has a result for each reason, with a rule of the tool for its code', () => {
    const { results, tool, invocations } = run(denied, missing);
    expect(tool.driver.rules.map(({ id }) => id)).toEqual(Object.keys(REASONS));
    expect(invocations).toEqual([{ executionSuccessful: true, exitCode: 1 }]);
    for (const { ruleId, ruleIndex, level } of results) {
      expect(tool.driver.rules[ruleIndex]!.id).toBe(ruleId);
      expect(level).toBe('error');
    }
    expect(results.map(({ ruleId }) => ruleId)).toEqual(['threshold', 'condition', 'no-evidence', 'no-evidence']);
    const [, condition] = results;
    expect(condition!.message.text).toContain('dist/a b.tgz is denied by the policy "test": rule "reviewed":');
    expect(condition!.message.text).toContain(denied.decision.rules[0]!.evidence[0]!.digest);
  });

  it('holds texts of others as text, and names as references', () => {
    const { results } = run(denied, missing);
    expect(results[1]!.message.text).toContain('see \\[this\\](https://x)');
    const places = results.map(({ locations: [first] }) => first!.physicalLocation);
    expect(places[0]).toEqual({ artifactLocation: { uri: 'dist/a%20b.tgz' }, region: { startLine: 1 } });
    expect(places[2]).toEqual({ artifactLocation: { uri: 'lock.json' }, region: { startLine: 7 } });
    const { place: _, ...unplaced } = missing;
    expect(run(unplaced).results[0]!.locations[0]!.physicalLocation.artifactLocation.uri).toMatch(/^caf%C3%A9[!-~]+$/);
    expect(JSON.stringify(results)).not.toMatch(/\\u0000|\\u001b/);
  });
});

describe("JUnit's XML", () => {
  it('has a case for each artifact, and a failure for each denial', () => {
    const xml = decisionsJunit([allowed, denied]);
    expect(xml.split('\n').slice(0, 4)).toEqual([
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<testsuites name="stele decide" tests="2" failures="1" errors="0">',
      '  <testsuite name="stele decide: test" tests="2" failures="1" errors="0" skipped="0" timestamp="2026-08-01T00:00:00">',
      '    <testcase classname="test" name="dist/a b.tgz"/>',
    ]);
    expect(xml).toContain('<failure type="denied" message="denied by the policy &#34;test&#34;');
    expect(xml).toContain('[condition]');
  });

  it('holds texts of others as text', () => {
    const xml = decisionsJunit([denied, missing]);
    expect(xml).toContain('see [this](https://x) &#60;&#38;&#34;&#39;&#62;');
    expect(xml).toContain('file="lock.json" line="7"');
    expect(xml).not.toMatch(/[^\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]/);
    // Outside of tags and entities there is no sign of markup.
    const rest = xml.replace(/<\/?[a-z]+(?: [a-z]+="[^"<]*")*\/?>|<\?xml [^>]*\?>|&#[0-9]+;/g, '');
    expect(rest).not.toMatch(/[<&]/);
  });

  it('is a document also without decisions', () => {
    expect(decisionsJunit([])).toContain('<testsuite name="stele decide" tests="0" failures="0"');
  });
});
