import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseBundle } from '../../client/bundle.ts';
import { ClientError } from '../../client/errors.ts';
import { parsePublicKeyPem } from '../../client/key.ts';
import { type Outcome, parseTrustedRoot, requiredHashes, verifyBundle } from '../../client/verify.ts';

/** The field's own cases (see /work/shared/vectors/README.md); a name that ends in `_fail` must be refused. */
const VECTORS = '../shared/vectors/sigstore-bundles';
const IDENTITY =
  'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main';
const ISSUER = 'https://token.actions.githubusercontent.com';

const there = existsSync(VECTORS);
const cases = there
  ? readdirSync(VECTORS, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  : [];

function verify(name: string): Outcome {
  const dir = join(VECTORS, name);
  const either = (file: string, other: string) =>
    existsSync(join(dir, file)) ? readFileSync(join(dir, file)) : readFileSync(join(VECTORS, other));
  const text = (file: string, other: string) =>
    existsSync(join(dir, file)) ? readFileSync(join(dir, file), 'utf8').trim() : other;
  const pem = text('key.pub', '');
  const key = pem === '' ? undefined : parsePublicKeyPem(pem).info;
  const artifact = either('artifact', 'a.txt');
  const bundle = parseBundle(readFileSync(join(dir, 'bundle.sigstore.json')));
  const digests = requiredHashes(bundle, key).map((hash) => [hash, createHash(hash).update(artifact).digest()]);
  return verifyBundle({
    bundle,
    artifact: Object.fromEntries(digests),
    trustedRoot: parseTrustedRoot(either('trusted_root.json', 'trusted_root.json')),
    ...(key === undefined
      ? { identity: { identity: text('identity', IDENTITY), issuer: text('issuer', ISSUER) } }
      : { key }),
  });
}

/** Why each is refused: a rule that refuses it for another reason would pass the name and miss the point. */
const CODES: Readonly<Record<string, string>> = {
  'bundle-empty-certificate-chain_fail': 'malformed',
  'bundle-from-wrong-instance_fail': 'bad-checkpoint',
  'bundle-invalid-base64-signature_fail': 'malformed',
  'bundle-malformed-json_fail': 'malformed',
  'bundle-unknown-version_fail': 'unsupported',
  'bundle-with-root-cert_fail': 'bad-certificate',
  'checkpoint-wrong-roothash_fail': 'bad-checkpoint',
  'dsse-invalid-sig_fail': 'bad-signature',
  'dsse-mismatch-envelope_fail': 'entry-mismatch',
  'dsse-mismatch-sig_fail': 'entry-mismatch',
  'intoto-expired-certificate_fail': 'bad-certificate',
  'intoto-missing-inclusion-proof_fail': 'malformed',
  'intoto-set-outside-signing-cert-validity_fail': 'bad-certificate',
  'intoto-tsa-timestamp-outside-cert-validity_fail': 'bad-certificate',
  'invalid-ct-key_fail': 'bad-sct',
  'invalid-inclusion-proof_fail': 'malformed',
  'message-digest-mismatch_fail': 'digest-mismatch',
  'rekor2-checkpoint-missing-root-hash_fail': 'bad-checkpoint',
  'rekor2-checkpoint-missing-size_fail': 'bad-checkpoint',
  'rekor2-checkpoint-no-matching-signature_fail': 'bad-checkpoint',
  'rekor2-dsse-invalid-sig_fail': 'bad-signature',
  'rekor2-dsse-mismatch-envelope_fail': 'entry-mismatch',
  'rekor2-dsse-mismatch-sig_fail': 'entry-mismatch',
  'rekor2-no-timestamp_fail': 'bad-timestamp',
  'rekor2-timestamp-outside-trust-root-tsa-validity_fail': 'bad-timestamp',
  'rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail': 'bad-timestamp',
  'rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail': 'bad-timestamp',
  'set-invalid-signature_fail': 'bad-promise',
  'wrong-hashedrekord-artifact_fail': 'entry-mismatch',
  'wrong-hashedrekord-cert-and-sig_fail': 'entry-mismatch',
  'wrong-material_fail': 'digest-mismatch',
};

describe.skipIf(!there)(`the bundles of ${VECTORS} (skipped where they are absent)`, () => {
  it('are there', () => expect(cases.length).toBeGreaterThan(40));

  it.each(cases.filter((name) => !name.endsWith('_fail')))('%s verifies', (name) => {
    const outcome = verify(name);
    expect(outcome.entries.length).toBeGreaterThan(0);
    expect(outcome.checks.map((check) => check.name)).toEqual(
      expect.arrayContaining(['artifact', 'signature', 'entry']),
    );
  });

  it.each(cases.filter((name) => name.endsWith('_fail')))('%s is refused', (name) => {
    let refused: unknown;
    try {
      verify(name);
    } catch (error) {
      refused = error;
    }
    expect(refused).toBeInstanceOf(ClientError);
    // Cases that come later only have to be refused.
    if (CODES[name] !== undefined) expect((refused as ClientError).code).toBe(CODES[name]);
  });
});
