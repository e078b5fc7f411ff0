/** Files of tests of a policy: what is read, and what is not as expected. */
import { describe, expect, it } from 'vitest';
import { differencesFrom, type PolicyTest, parsePolicyTests } from '../../../client/policy/policy-tests.ts';
import type { Decision } from '../../../merkle/runtime/policy/types.ts';
import { text } from '../verify/verify-parts.ts';

const FILE = '/srv/tests.yaml';
const GOOD = `policy: policy.yaml
quorumPolicy: quorum
tests:
  - name: released
    artifact: app.tgz
    evidence: [ evidence/app.json ]
    now: 2026-08-01T12:00:00Z
    expect: deny
    reasons: [ not-covered ]
    rules: { signed: holds, reviewed: [ condition ] }
`;

describe('parsePolicyTests', () => {
  it('reads tests, with paths beside the file', () => {
    expect(parsePolicyTests(text(GOOD), FILE)).toEqual({
      policy: '/srv/policy.yaml',
      quorumPolicy: '/srv/quorum',
      tests: [
        {
          name: 'released',
          artifact: '/srv/app.tgz',
          evidence: ['/srv/evidence/app.json'],
          now: Date.UTC(2026, 7, 1, 12),
          expect: 'deny',
          reasons: ['not-covered'],
          rules: { signed: [], reviewed: ['condition'] },
        },
      ],
    });
  });

  it.each([
    ['without tests', 'policy: p', /"tests" \(line 1\) is missing/],
    ['with an empty list', 'policy: p\ntests: []', /a list of 1 to 1000 tests/],
    ['without a policy', GOOD.replace('policy: policy.yaml\n', ''), /"policy" .*is missing/],
    ['without a time', GOOD.replace(/ {4}now.*\n/, ''), /"tests\[0\].now" .*is missing/],
    ['with a time that is none', GOOD.replace('2026-08-01T12:00:00Z', 'today'), /RFC 3339/],
    ['with another verdict', GOOD.replace('deny', 'denied'), /"tests\[0\].expect" \(line 8\)/],
    ['with an unknown code', GOOD.replace('not-covered', 'not-coverd'), /did you mean "not-covered"/],
    ['with an unknown code of a rule', GOOD.replace('condition', 'conditions'), /did you mean "condition"/],
    ['with an unknown member', GOOD.replace('evidence:', 'evidense:'), /did you mean "evidence"/],
    ['with reasons of an allow', GOOD.replace('expect: deny', 'expect: allow'), /are of a deny/],
    ['with a name twice', GOOD + GOOD.slice(GOOD.indexOf('  - name')), /another test already/],
    ['that are no YAML', 'a: [', /not valid YAML/],
  ])('refuses a file %s', (_, file, message) => {
    expect(() => parsePolicyTests(text(file), FILE)).toThrow(message);
    expect(() => parsePolicyTests(text(file), FILE)).toThrow(expect.objectContaining({ code: 'decision-policy' }));
  });
});

describe('differencesFrom', () => {
  const rule = (name: string, holds: boolean, code?: 'condition' | 'age') => ({
    name,
    holds,
    evidence:
      code === undefined
        ? []
        : [{ digest: '', source: '', signers: [], holds, levels: [], reasons: [{ code, message: '' }] }],
    reasons: holds ? [] : [{ code: 'threshold' as const, message: '' }],
  });
  const decision = {
    verdict: 'deny',
    policy: { name: 'releases' },
    reasons: [],
    rules: [rule('signed', true), rule('reviewed', false, 'condition')],
  } as unknown as Decision;
  const test: PolicyTest = { name: '', artifact: '', now: 0, expect: 'deny' };

  it.each<[string, Partial<PolicyTest>, RegExp | undefined]>([
    ['nothing', {}, undefined],
    ['rules as they are', { rules: { signed: [], reviewed: ['condition'] } }, undefined],
    ['all codes of a rule', { rules: { reviewed: ['threshold', 'condition'] } }, undefined],
    [
      'another verdict',
      { expect: 'allow' },
      /^expected allow, got deny: denied by the policy "releases": rule "reviewed": /,
    ],
    ['a reason that is not there', { reasons: ['not-covered'] }, /expected the reason not-covered, got none/],
    ['a rule that does not hold', { rules: { reviewed: [] } }, /"reviewed" holds, and it does not/],
    ['a rule that holds', { rules: { signed: ['age'] } }, /"signed" does not hold, and it does/],
    [
      'another code of a rule',
      { rules: { reviewed: ['age'] } },
      /expected age of the rule "reviewed", got threshold, condition/,
    ],
    ['an unknown rule', { rules: { sgned: [] } }, /no such rule/],
  ])('finds %s', (_, wish, message) => {
    const found = differencesFrom({ ...test, ...wish }, decision);
    if (message === undefined) expect(found).toEqual([]);
    else expect(found).toEqual([expect.stringMatching(message)]);
  });
});
