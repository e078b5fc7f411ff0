/** The policies in docs/policy.md, "Built-in checks", are policies: each is read with its gaps filled. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KEY_A, KEY_B, policyOf } from '../../../support/decision-policy.ts';
import { SshKey } from '../../../support/git-objects.ts';

const text = readFileSync(join(import.meta.dirname, '../../../../docs/policy.md'), 'utf8');
const start = text.indexOf('\n## Built-in checks\n');
const section = text.slice(start, text.indexOf('\n## ', start + 5));
const blocks = [...section.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, block]) => block!);

it('has an example of each check', () => {
  for (const check of ['provenance:', 'vsa:', 'source:', 'sbom:']) expect(blocks.join('')).toContain(`    ${check}`);
});

it.each(blocks)('takes\n%s', async (block) => {
  const filled = block
    .replace('sha256: …', `sha256: ${'ab'.repeat(32)}`)
    .replace('sha256:5d41…', `sha256:${'ab'.repeat(32)}`)
    .replace('ssh-ed25519 AAAA…', new SshKey('ed25519').line)
    .replace('keyFile: ci.pub', `fingerprint: ${KEY_A}`)
    .replace('provenance: { … }', 'provenance: { builders: [{ id: https://ci.example.com/builder, signer: ci }] }');
  const [, signer] = block.match(/^ {4}signers: \[ ?(\w+) ?\]$/m)!;
  const signers = block.includes('signers:\n') ? '' : `signers: { ${signer}: { fingerprint: ${KEY_B} } }\n`;
  const policy = await policyOf(`version: 1\nname: docs\n${signers}${filled}`);
  expect(policy.rules.every(({ checks }) => checks.length > 0)).toBe(true);
});
