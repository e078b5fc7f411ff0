/** Decisions over evidence that workloads signed with their X.509-SVIDs. Run `npm run build` first. */
import { describe, expect, it } from 'vitest';
import { openDecider } from '../../../client/policy/decider.ts';
import { type DecisionBasis, versionsOf } from '../../../client/policy/decision-basis.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { loadDecisionPolicy } from '../../../merkle/runtime/policy/load-policy.ts';
import { bundleFileOf, foreignCa, SIGNED_AT, SVID, svidCa, svidPolicy, svidSigned } from '../verify/svid-parts.ts';
import { digestsOf, hex } from '../verify/verify-parts.ts';
import { pieceOf } from './decision-parts.ts';

const FILE = encodeUtf8('an image of a workload');
const ARTIFACT = { name: 'app', digest: { sha256: hex(digestsOf(FILE).sha256) } };
const policyOf = (signer: string) => `version: 1
name: workloads
signers:
  builds: ${signer}
rules:
  - { name: signed, type: signature, signers: [builds] }
`;
const BUILDS = '{ spiffeId: "spiffe://example.org/build/**" }';
const basisOf = (signer = BUILDS, change: Partial<DecisionBasis> = {}): DecisionBasis => ({
  policy: { file: 'policy.yaml', bytes: encodeUtf8(policyOf(signer)) },
  keyFiles: {},
  quorumPolicy: svidPolicy,
  spiffeBundles: [{ trustDomain: 'example.org', bytes: bundleFileOf(svidCa) }],
  asked: { witnessTime: true },
  ...change,
});

async function decide(basis: DecisionBasis, bytes: Uint8Array, threads = 0) {
  const decider = await openDecider({ read: async () => basis, threads, now: () => SIGNED_AT + 86_400_000 });
  try {
    return await decider.decide(ARTIFACT, [pieceOf('bundle.json', bytes)]);
  } finally {
    await decider.close();
  }
}

describe('a signer with a SPIFFE ID', () => {
  it.each([0, 1])('is one whose SVID a trust bundle vouches for, with %i threads', async (threads) => {
    const { bundle } = await svidSigned(FILE);
    const decision = await decide(basisOf(), bundle, threads);
    expect(decision).toMatchObject({ verdict: 'allow', rules: [{ evidence: [{ signers: ['builds'], holds: true }] }] });
  });

  it('is named by the identity rule of today too, without an issuer', async () => {
    const { bundle } = await svidSigned(FILE);
    const verdict = async (signer: string) => (await decide(basisOf(signer), bundle)).verdict;
    expect(await verdict(`{ identity: "${SVID}", anyIssuer: true }`)).toBe('allow');
    expect(await verdict(`{ identity: "${SVID}", issuer: "https://id.example.org" }`)).toBe('deny');
  });

  it.each<[string, Parameters<typeof svidSigned>[1], Partial<DecisionBasis>]>([
    ['of another path', { id: 'spiffe://example.org/deploy/main' }, {}],
    ['of the authority of another trust domain', { by: foreignCa }, {}],
    [
      'of another trust domain whose bundle is there',
      { by: foreignCa, id: 'spiffe://example.net/build/main' },
      {
        spiffeBundles: [
          { trustDomain: 'example.org', bytes: bundleFileOf(svidCa) },
          { trustDomain: 'example.net', bytes: bundleFileOf(foreignCa) },
        ],
      },
    ],
    ['that had expired when the witnesses cosigned', { at: Date.parse('2026-08-01T13:00:01Z') }, {}],
    ['without a time', {}, { asked: {} }],
    ['without a bundle', {}, { spiffeBundles: [] }],
    ['without SPIFFE at all', {}, { spiffeBundles: undefined }],
  ])('is none %s', async (_, wish, change) => {
    const { bundle } = await svidSigned(FILE, wish);
    expect((await decide(basisOf(BUILDS, change), bundle)).verdict).toBe('deny');
  });

  it('is told by its trust domain where it is not expected', async () => {
    const { bundle } = await svidSigned(FILE, { id: 'spiffe://example.org/deploy/main' });
    const decision = await decide(basisOf(), bundle);
    expect(decision.rules[0]?.evidence[0]?.reasons).toMatchObject([
      {
        code: 'signer',
        message: expect.stringContaining(
          'spiffe://example.org/deploy/main, vouched for by the trust domain example.org',
        ),
      },
    ]);
  });

  it('and another bundle give another name to the basis', () => {
    const other = { spiffeBundles: [{ trustDomain: 'example.org', bytes: bundleFileOf(foreignCa) }] };
    const renamed = { spiffeBundles: [{ trustDomain: 'example.net', bytes: bundleFileOf(svidCa) }] };
    const names = [
      basisOf(),
      basisOf(BUILDS, other),
      basisOf(BUILDS, renamed),
      basisOf(BUILDS, { spiffeBundles: [] }),
    ].map(versionsOf);
    expect(new Set(names).size).toBe(4);
  });

  it.each([
    ['{ spiffeId: "https://example.org/" }', 'is no pattern of SPIFFE IDs'],
    ['{ spiffeId: "spiffe://*/build" }', 'is no pattern of SPIFFE IDs'],
    ['{ spiffeId: "spiffe://example.org/**/build" }', 'is no pattern of SPIFFE IDs'],
    ['{ spiffeId: 7 }', 'allowed: text'],
    ['{ spiffeId: "spiffe://example.org/a", issuer: "https://id.example.org" }', 'a signer is named in one way'],
    ['{ spiffe: "spiffe://example.org/a" }', 'is unknown'],
  ])('is a mistake of the policy: %s', async (signer, message) => {
    await expect(loadDecisionPolicy(encodeUtf8(policyOf(signer)), { file: 'policy.yaml' })).rejects.toThrow(message);
  });
});
