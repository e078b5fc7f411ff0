/** An artifact without a name, under rules for names. */
import { expect, it } from 'vitest';
import { decide } from '../../../../merkle/runtime/policy/decide.ts';
import { loadDecisionPolicy } from '../../../../merkle/runtime/policy/load-policy.ts';
import type { VerifiedEvidence } from '../../../../merkle/runtime/policy/types.ts';

const [ANYBODY, RELEASE] = ['11'.repeat(32), '22'.repeat(32)];
const POLICY = `
version: 1
name: images
signers: { anybody: { fingerprint: '${ANYBODY}' }, release: { fingerprint: '${RELEASE}' } }
rules:
  - { name: signed, type: signature, signers: [ anybody ] }
  - { name: released, artifacts: [ 'registry.example.com/prod/**' ], type: signature, signers: [ release ] }
`;

const by = (fingerprint: string): VerifiedEvidence => ({
  digest: `sha256:${fingerprint}`,
  source: 'file',
  signer: { kind: 'key', fingerprint },
  entries: [{ origin: 'log.test', index: 0, treeSize: 1, leafHash: '00'.repeat(32), witnesses: [], quorum: false }],
  times: [],
});
const verdict = async (name: string | undefined, ...evidence: VerifiedEvidence[]) => {
  const policy = await loadDecisionPolicy(Buffer.from(POLICY), { file: 'policy.yaml' });
  const artifact = { digest: { sha256: '33'.repeat(32) }, ...(name !== undefined && { name }) };
  return decide(policy, artifact, evidence, Date.now());
};

it('is denied, whatever the evidence is: the stricter rule could be for it', async () => {
  expect(await verdict('registry.example.com/test/app', by(ANYBODY))).toMatchObject({ verdict: 'allow' });
  expect(await verdict('registry.example.com/prod/app', by(ANYBODY))).toMatchObject({ verdict: 'deny' });
  expect(await verdict('registry.example.com/prod/app', by(ANYBODY), by(RELEASE))).toMatchObject({ verdict: 'allow' });
  for (const evidence of [[by(ANYBODY)], [by(ANYBODY), by(RELEASE)]]) {
    expect(await verdict(undefined, ...evidence)).toMatchObject({
      verdict: 'deny',
      reasons: [{ code: 'not-covered', message: expect.stringMatching(/rule "released" .* has none: name it/) }],
    });
  }
});
