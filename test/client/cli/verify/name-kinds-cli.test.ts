import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alternativeName } from '../../../support/fulcio.ts';
import { Instance, OWN_ISSUER, signedBy } from '../../../support/instance.ts';
import { stele } from '../../../support/serve.ts';

const FILE = Buffer.from('a file');
const instance = new Instance();
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-names-'));
  writeFileSync(join(dir, 'app'), FILE);
  writeFileSync(join(dir, 'root.json'), JSON.stringify(instance.trustedRoot()));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** Verifies a bundle whose certificate has these names (fulcio.ts), for this identity. */
async function verify(names: readonly string[], ...args: readonly string[]) {
  const signer = instance.signer({ names: names.map(alternativeName) });
  const signature = signedBy(signer, FILE);
  const digest = createHash('sha256').update(FILE).digest();
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const bundle = {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: {
      certificate: { rawBytes: base64(signer.certificate) },
      tlogEntries: [instance.logged2(digest, signature, signer)],
      timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: base64(instance.stamp(signature)) }] },
    },
    messageSignature: {
      messageDigest: { algorithm: 'SHA2_256', digest: base64(digest) },
      signature: base64(signature),
    },
  };
  writeFileSync(join(dir, 'bundle.json'), JSON.stringify(bundle));
  const trust = ['--bundle', 'bundle.json', '--trusted-root', 'root.json', '--issuer', OWN_ISSUER];
  return stele(['verify', 'app', ...trust, ...args], { cwd: dir });
}

describe('stele verify --identity', () => {
  it.each([
    ['https://example.com/build', 'https://example.com/build', 'URI', { type: 'uri' }],
    ['ann@example.com', 'ann@example.com', 'e-mail', { type: 'email' }],
    ['dns:build.example.com', 'build.example.com', 'DNS name', { type: 'dns' }],
    ['user:ann!example.com', 'ann!example.com', 'user name', { type: 'other', oid: '1.3.6.1.4.1.57264.1.7' }],
  ])('finds %s, and says of which kind it is', async (name, identity, kind, matched) => {
    const shown = await verify([name], '--identity', identity);
    expect(shown).toMatchObject({ code: 0, stderr: '' });
    expect(shown.stdout).toContain(`  identity      ${identity} (${kind})\n`);
    const { stdout } = await verify(['x@example.org', name], '--identity', identity, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, signer: { matched: { ...matched, value: identity } } });
  });

  it.each([
    ['upn:ann@example.com', 'ann@example.com', 'another name, of the type 1.3.6.1.4.1.311.20.2.3'],
    ['ip:192.0.2.1', '192.0.2.1', 'IP address'],
  ])('never finds %s', async (name, identity, kind) => {
    for (const rule of [
      ['--identity', identity],
      ['--identity-regexp', '.*'],
    ]) {
      const { code, stderr } = await verify([name], ...rule);
      expect(code).toBe(1);
      expect(stderr).toContain(
        `[identity]: the certificate is for ${identity} (${kind}, which is no identity), vouched`,
      );
    }
    // Beside a name of another kind it is no obstacle.
    expect(await verify([name, 'ann@example.com'], '--identity', 'ann@example.com')).toMatchObject({ code: 0 });
  });

  it('shows no kind where no name was asked for', async () => {
    const { stdout } = await verify(['ann@example.com'], '--extension', `issuer=${OWN_ISSUER}`, '--json');
    expect(JSON.parse(stdout).signer).not.toHaveProperty('matched');
  });
});
