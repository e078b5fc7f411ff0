/** Decision policies and verified evidence for tests of the engine. The evidence is as `verifyBundles` gives it. */
import { loadDecisionPolicy } from '../../merkle/runtime/policy/load-policy.ts';
import type { DecisionPolicy, EvidenceSigner, VerifiedEvidence } from '../../merkle/runtime/policy/types.ts';

export const NOW = Date.UTC(2026, 7, 1);
export const APP = { name: 'registry.example.com/team/app', digest: { sha256: 'ab'.repeat(32) } };
export const KEY_A = 'aa'.repeat(32);
export const KEY_B = 'bb'.repeat(32);

export function policyOf(text: string): Promise<DecisionPolicy> {
  return loadDecisionPolicy(new TextEncoder().encode(text), { file: 'policy.yaml' });
}

/** A policy with the signers `a` and `b`, and one rule with these further lines. */
export function oneRule(lines: string, type = 'https://example.com/review/v1'): string {
  const rule = lines.split('\n').map((line) => `    ${line}`);
  return `version: 1
name: test
signers:
  a: { fingerprint: ${KEY_A} }
  b: { fingerprint: ${KEY_B} }
rules:
  - name: reviewed
    type: ${type}
    signers: [a, b]
${rule.join('\n')}
`;
}

export function keySigner(fingerprint: string): EvidenceSigner {
  return { kind: 'key', fingerprint };
}

export function identitySigner(name: string, issuer: string, fingerprint: string): EvidenceSigner {
  const identity = { names: [{ type: 'email' as const, value: name }], issuer, extensions: new Map<string, string>() };
  return { kind: 'certificate', fingerprint, identity };
}

let made = 0;

/** A review of `APP` by the key A, in a log that the quorum cosigned an hour ago. */
export function evidenceOf(changes: Partial<VerifiedEvidence> = {}, predicate: object = {}): VerifiedEvidence {
  const digest = `sha256:${(++made).toString(16).padStart(64, '0')}`;
  return {
    digest,
    source: `piece-${made}`,
    signer: keySigner(KEY_A),
    statement: {
      type: 'https://in-toto.io/Statement/v1',
      predicateType: 'https://example.com/review/v1',
      subjects: [APP],
      predicate: () => predicate as never,
    },
    subject: APP,
    entries: [
      {
        origin: 'log.example.com',
        index: 7,
        treeSize: 9,
        leafHash: 'cd'.repeat(32),
        witnesses: ['w1', 'w2'],
        quorum: true,
      },
    ],
    times: [{ kind: 'witness', time: NOW - 3_600_000, by: 'quorum' }],
    ...changes,
  };
}
