/** What docs/policy.md says is so: its policies of built-in checks can be read, and its reasons are all that there are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { REASONS } from '../../../../merkle/runtime/policy/reasons.ts';
import { KEY_A, KEY_B, policyOf } from '../../../support/decision-policy.ts';
import { SshKey } from '../../../support/git-objects.ts';

const text = readFileSync(join(import.meta.dirname, '../../../../docs/policy.md'), 'utf8');
function sectionOf(title: string): string {
  const start = text.indexOf(`\n## ${title}\n`);
  return text.slice(start, text.indexOf('\n## ', start + 5));
}
const blocks = [...sectionOf('Built-in checks').matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, block]) => block!);

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

it('has each reason of a decision, with its meaning', () => {
  const rows = sectionOf('Decisions and their reasons').matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm);
  expect(Object.fromEntries([...rows].map(([, code, when]) => [code, when]))).toEqual(REASONS);
});
