/** The decision over verified evidence: what counts, what does not, and why. */
import { describe, expect, it } from 'vitest';
import { decide, MAX_PIECES } from '../../../../merkle/runtime/policy/decide.ts';
import type { DecisionPolicy, EvidenceItem, VerifiedEvidence } from '../../../../merkle/runtime/policy/types.ts';
import {
  APP,
  evidenceOf,
  identitySigner,
  KEY_A,
  KEY_B,
  keySigner,
  NOW,
  oneRule,
  policyOf,
} from '../../../support/decision-policy.ts';

const HOUR = 3_600_000;
const byB = { signer: keySigner(KEY_B) };
const decided = async (policy: string, evidence: readonly EvidenceItem[], artifact: typeof APP | object = APP) =>
  decide(await policyOf(policy), artifact as typeof APP, evidence, NOW);

/** `allow`, or the codes of all reasons of the one rule and of the decision. */
async function outcome(
  policy: string,
  evidence: readonly EvidenceItem[],
  artifact?: object,
): Promise<string | string[]> {
  const { verdict, rules, reasons } = await decided(policy, evidence, artifact);
  if (verdict === 'allow') return 'allow';
  const inRules = rules.flatMap((rule) => [...rule.evidence.flatMap((one) => one.reasons), ...rule.reasons]);
  return [...reasons, ...inRules].map(({ code }) => code);
}

describe('decide', () => {
  it('allows by one piece that holds, and names the policy, the artifact and the piece', async () => {
    const piece = evidenceOf();
    const policy = await policyOf(oneRule(''));
    expect(decide(policy, APP, [piece], NOW)).toEqual({
      verdict: 'allow',
      artifact: APP,
      policy: { name: 'test', digest: policy.digest },
      time: NOW,
      rules: [
        {
          name: 'reviewed',
          holds: true,
          evidence: [
            { digest: piece.digest, source: piece.source, signers: ['a'], holds: true, levels: [], reasons: [] },
          ],
          reasons: [],
        },
      ],
      reasons: [],
      levels: [],
      refused: [],
    });
  });

  it('needs every rule', async () => {
    const two = `${oneRule('')}  - { name: signed, type: signature, signers: [a] }\n`;
    const { verdict, rules } = await decided(two, [evidenceOf()]);
    expect(verdict).toBe('deny');
    expect(rules.map(({ holds }) => holds)).toEqual([true, false]);
    const signature = { ...evidenceOf() } as { statement?: unknown };
    delete signature.statement;
    expect((await decided(two, [evidenceOf(), signature as VerifiedEvidence])).verdict).toBe('allow');
  });

  const DENIED: readonly (readonly [string, string, readonly EvidenceItem[], readonly string[]])[] = [
    ['no evidence', '', [], ['no-evidence']],
    [
      'evidence of another type',
      '',
      [evidenceOf({ statement: { ...evidenceOf().statement!, predicateType: 'x:y' } })],
      ['no-evidence'],
    ],
    ['refused evidence alone', '', [{ digest: 'd', source: 's', code: 'bad-signature', message: '' }], ['no-evidence']],
    ['another signer', '', [evidenceOf({ signer: keySigner('cc'.repeat(32)) })], ['signer', 'threshold']],
    ['another log', 'logs: [other.example.com]', [evidenceOf()], ['log', 'threshold']],
    ['no log at all', '', [evidenceOf({ entries: [] })], ['log', 'threshold']],
    [
      'a log without the quorum',
      'witnesses: quorum',
      [evidenceOf({ entries: [{ ...evidenceOf().entries[0]!, quorum: false }] })],
      ['quorum', 'threshold'],
    ],
    [
      'the quorum in another log than the rule takes',
      'witnesses: quorum\nlogs: [log.example.com]',
      [
        evidenceOf({
          entries: [
            { ...evidenceOf().entries[0]!, quorum: false },
            { ...evidenceOf().entries[0]!, origin: 'other.example.com' },
          ],
        }),
      ],
      ['quorum', 'threshold'],
    ],
    ['evidence that is too old', 'maxAge: 59m', [evidenceOf()], ['age', 'threshold']],
    ['evidence without a time', 'maxAge: 59m', [evidenceOf({ times: [] })], ['age', 'threshold']],
    [
      'evidence whose earliest time is too old',
      'maxAge: 2h',
      [
        evidenceOf({
          times: [
            { kind: 'timestamp', time: NOW - HOUR, by: 'tsa' },
            { kind: 'witness', time: NOW - 3 * HOUR, by: 'q' },
          ],
        }),
      ],
      ['age', 'threshold'],
    ],
    [
      'evidence from the future',
      '',
      [evidenceOf({ times: [{ kind: 'promise', time: NOW + 6 * 60_000, by: 'log' }] })],
      ['future-time', 'threshold'],
    ],
    [
      'a condition that is false',
      "conditions: [ 'predicate.x == 2' ]",
      [evidenceOf({}, { x: 1n })],
      ['condition', 'threshold'],
    ],
    [
      'a condition over what is not there',
      "conditions: [ 'predicate.y == 2' ]",
      [evidenceOf({}, { x: 1n })],
      ['condition-error', 'threshold'],
    ],
    [
      'a negated condition over what is not there',
      "conditions: [ '!(predicate.y == 2)' ]",
      [evidenceOf({}, { x: 1n })],
      ['condition-error', 'threshold'],
    ],
    [
      'a certificate that is not there',
      'conditions: [ \'certificate.issuer != ""\' ]',
      [evidenceOf()],
      ['condition-error', 'threshold'],
    ],
    [
      'a time that is not there',
      "conditions: [ 'signedAt < now' ]",
      [evidenceOf({ times: [] })],
      ['condition-error', 'threshold'],
    ],
    [
      'a predicate that is not what its type says',
      '',
      [evidenceOf({ statement: { ...evidenceOf().statement!, predicateType: 'https://slsa.dev/provenance/v1' } })],
      ['no-evidence'],
    ],
  ];

  it.each(DENIED)('denies for %s', async (_, lines, evidence, codes) => {
    expect(await outcome(oneRule(lines), evidence)).toEqual(codes);
  });

  it('denies a predicate that is not what its type says, before any condition sees it', async () => {
    const type = 'https://slsa.dev/provenance/v1';
    const piece = evidenceOf({ statement: { ...evidenceOf().statement!, predicateType: type } });
    expect(await outcome(oneRule("conditions: [ 'true' ]", type), [piece])).toEqual(['predicate', 'threshold']);
  });

  it.each([
    ['predicate.x == 9007199254740993', { x: 9007199254740993n }],
    ["signer.kind == 'key' && signer.fingerprint.startsWith('aa')", {}],
    ["entries[0].origin == 'log.example.com' && entries[0].index == 7 && size(entries[0].witnesses) == 2", {}],
    ["now - signedAt == duration('1h')", {}],
    ["times.all(t, t.kind == 'witness' && t.time < now)", {}],
    ["predicateType.endsWith('/v1') && subject.digest.sha256 == artifact.digest.sha256", {}],
    ["artifact.name == 'registry.example.com/team/app'", {}],
  ])('lets conditions see what was verified: %s', async (condition, predicate) => {
    expect(await outcome(oneRule(`conditions: [ ${JSON.stringify(condition)} ]`), [evidenceOf({}, predicate)])).toBe(
      'allow',
    );
  });

  it('never asks a condition about a signer that does not count', async () => {
    const piece = evidenceOf({ signer: keySigner('cc'.repeat(32)) });
    let asked = 0;
    const statement = { ...piece.statement!, predicate: () => ++asked as never };
    const policy = await policyOf(oneRule("conditions: [ 'predicate == 1' ]"));
    expect(decide(policy, APP, [{ ...piece, statement }], NOW).verdict).toBe('deny');
    expect(asked).toBe(0);
  });

  it('is for the artifacts that the policy and its rules are for, and for no other', async () => {
    const named = (patterns: string) => oneRule('').replace('signers:', `artifacts: [ '${patterns}' ]\nsigners:`);
    expect(await outcome(named('registry.example.com/team/*'), [evidenceOf()])).toBe('allow');
    expect(await outcome(named('registry.example.com/**'), [evidenceOf()])).toBe('allow');
    for (const other of [
      'registry.example.com/*',
      'registry.example.com/team',
      'Registry.example.com/team/app',
      'app',
    ]) {
      expect(await outcome(named(other), [evidenceOf()])).toEqual(['not-covered']);
      expect(await outcome(oneRule(`artifacts: [ '${other}' ]`), [evidenceOf()])).toEqual(['not-covered']);
    }
    expect(await outcome(named('**'), [evidenceOf()], { digest: APP.digest })).toEqual(['not-covered']);
  });

  it('denies for more pieces than it takes, and counts none of them', async () => {
    const many = Array.from({ length: MAX_PIECES + 1 }, () => evidenceOf());
    expect(await outcome(oneRule(''), many)).toEqual(['limit']);
    expect(await outcome(oneRule(''), many.slice(1))).toBe('allow');
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('denies at no time: %d', async (now) => {
    expect(decide(await policyOf(oneRule('')), APP, [evidenceOf()], now).verdict).toBe('deny');
  });

  it('denies, and does not throw, where anything inside throws', async () => {
    const policy = await policyOf(oneRule(''));
    const broken: readonly DecisionPolicy[] = [
      {
        ...policy,
        rules: [
          {
            ...policy.rules[0]!,
            checks: [
              (() => {
                throw new Error('x');
              }) as never,
            ],
          },
        ],
      },
      { ...policy, rules: undefined as never },
    ];
    for (const one of broken) {
      const { verdict, reasons, rules } = decide(one, APP, [evidenceOf()], NOW);
      expect(verdict).toBe('deny');
      expect([...reasons, ...rules.flatMap((rule) => rule.evidence.flatMap((piece) => piece.reasons))]).toMatchObject([
        { code: 'internal' },
      ]);
    }
    expect(decide(policy, APP, [null as never], NOW)).toMatchObject({
      verdict: 'deny',
      reasons: [{ code: 'internal' }],
    });
    expect(decide({ ...policy, rules: [] }, APP, [evidenceOf()], NOW)).toMatchObject({ verdict: 'deny' });
  });
});

describe('a threshold', () => {
  const two = oneRule('threshold: 2');
  const identities = `version: 1
name: test
signers:
  anna: { identity: { pattern: 'anna@.*' }, issuer: https://accounts.example.com }
  all: { identity: { pattern: '.*@example.com' }, issuer: https://accounts.example.com }
  key: { fingerprint: ${KEY_A} }
rules:
  - { name: reviewed, type: https://example.com/review/v1, signers: [anna, all, key], threshold: 2 }
`;
  const by = (name: string, fingerprint: string) =>
    evidenceOf({ signer: identitySigner(name, 'https://accounts.example.com', fingerprint) });

  it.each<[string, string, VerifiedEvidence[], boolean]>([
    ['two signers', two, [evidenceOf(), evidenceOf(byB)], true],
    ['one signer twice', two, [evidenceOf(), evidenceOf()], false],
    ['the same piece twice', two, [evidenceOf(byB), ...Array(2).fill(evidenceOf())].slice(1), false],
    [
      'one identity by two certificates, which two names take',
      identities,
      [by('anna@example.com', '11'), by('anna@example.com', '22')],
      false,
    ],
    ['two identities of two names', identities, [by('anna@example.com', '11'), by('bert@example.com', '22')], true],
    [
      'two identities, of which each could take the name of the other',
      identities,
      [by('bert@example.com', '11'), by('anna@example.com', '22')],
      true,
    ],
    ['two identities of one name', identities, [by('bert@example.com', '11'), by('carl@example.com', '22')], false],
    ['two identities with one key', identities, [by('anna@example.com', '11'), by('bert@example.com', '11')], false],
    ['a key, alone and in a certificate', identities, [by('anna@example.com', KEY_A), evidenceOf()], false],
    ['an identity and a key of its own', identities, [by('anna@example.com', '11'), evidenceOf()], true],
    [
      'three pieces that a key and an identity make one holder',
      identities,
      [by('anna@example.com', '11'), by('anna@example.com', KEY_A), evidenceOf()],
      false,
    ],
  ])('of two counts %s', async (_, policy, evidence, holds) => {
    for (const order of [evidence, evidence.toReversed()]) {
      const { verdict } = await decided(policy, order);
      expect(verdict).toBe(holds ? 'allow' : 'deny');
    }
  });

  it('counts only pieces that hold', async () => {
    const old = evidenceOf({ ...byB, times: [{ kind: 'witness', time: NOW - 48 * HOUR, by: 'q' }] });
    const policy = oneRule('threshold: 2\nmaxAge: 1d');
    const { rules, verdict } = await decided(policy, [evidenceOf(), old]);
    expect(verdict).toBe('deny');
    expect(rules[0]).toMatchObject({
      holds: false,
      reasons: [{ code: 'threshold', message: expect.stringContaining('there is 1') }],
      evidence: [{ holds: true }, { holds: false, reasons: [{ code: 'age' }] }],
    });
  });
});
