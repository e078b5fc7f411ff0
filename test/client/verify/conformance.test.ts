import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { parseBundle } from '../../../client/formats/bundle.ts';
import { parsePublicKeyPem } from '../../../client/formats/key.ts';
import { tlogEntry } from '../../../client/formats/log-entry.ts';
import {
  type BundleRequest,
  type Outcome,
  parseTrustedRoot,
  requiredHashes,
  verifyBundle,
} from '../../../client/verify.ts';
import { parseSpki } from '../../../merkle/rekor/spki.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { type BundleCases, bundleCases } from '../../support/vectors.ts';
import { policyOf, rootJson, testWitness, text, witnessed } from './verify-parts.ts';

function verifyCase(cases: BundleCases, name: string, change: Partial<BundleRequest> = {}): Outcome {
  const { key: pem, artifact, trustedRoot, identity, issuer, ...its } = cases.named(name);
  const key = pem === undefined ? undefined : parsePublicKeyPem(pem, nodePrimitives()).info;
  const bundle = change.bundle ?? parseBundle(its.bundle);
  const digests = requiredHashes(bundle, key).map((hash) => [hash, createHash(hash).update(artifact).digest()]);
  return verifyBundle({
    bundle,
    artifact: Object.fromEntries(digests),
    trustedRoot: parseTrustedRoot(trustedRoot),
    // One of our own is of 2041, when the certificates of its authorities are expired.
    now: Date.parse('2042-01-01T00:00:00Z'),
    ...('key' in change ? {} : key === undefined ? { identity: { identity, issuer } } : { key }),
    ...change,
  });
}

/** Why each is refused: a rule that refuses it for another reason would pass the name and miss the point. */
const CODES: Readonly<Record<string, string>> = {
  'bundle-empty-certificate-chain_fail': 'malformed',
  'bundle-from-wrong-instance_fail': 'bad-checkpoint',
  'bundle-invalid-base64-signature_fail': 'malformed',
  'bundle-malformed-json_fail': 'malformed',
  'bundle-unknown-version_fail': 'unsupported',
  'bundle-with-root-cert_fail': 'identity',
  'checkpoint-wrong-roothash_fail': 'bad-checkpoint',
  'dsse-invalid-sig_fail': 'bad-signature',
  'dsse-mismatch-envelope_fail': 'entry-mismatch',
  'dsse-mismatch-sig_fail': 'entry-mismatch',
  'inclusion-proof-of-another-entry_fail': 'bad-proof',
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

describe.each(bundleCases())('bundles: %s', (cases) => {
  const byName = (name: string) => cases.named(name);
  const verify = (name: string, change: Partial<BundleRequest> = {}) => verifyCase(cases, name, change);

  it('are there', () => expect(cases.all.length).toBeGreaterThanOrEqual(39));

  it.each(cases.all.filter(({ refused }) => !refused))('$name verifies', ({ name }) => {
    const outcome = verify(name);
    expect(outcome.entries.length).toBeGreaterThan(0);
    expect(outcome.checks.map((check) => check.name)).toEqual(
      expect.arrayContaining(['artifact', 'signature', 'entry']),
    );
  });

  it.each(cases.all.filter((one) => one.refused))('$name is refused', ({ name }) => {
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

  const refused = (name: string, change: Partial<BundleRequest>): string => {
    try {
      verify(name, change);
      return 'accepted';
    } catch (error) {
      if (error instanceof ClientError) return error.code;
      throw error;
    }
  };

  it('are for their identity, issuer and extensions, and for no other', () => {
    const name = 'happy-path-v0.3-new-mediaType';
    const { identity: IDENTITY } = byName(name);
    const rules: [BundleRequest['identity'] & object, string][] = [
      [{ identity: IDENTITY }, 'accepted'],
      [{ identity: { pattern: 'https://github\\.com/.*' }, issuer: { pattern: '.*githubusercontent.*' } }, 'accepted'],
      [{ identity: IDENTITY, extensions: { sourceRepositoryRef: 'refs/heads/main' } }, 'accepted'],
      [{ identity: IDENTITY.slice(0, -1) }, 'identity'],
      [{ identity: { pattern: 'github' } }, 'identity'],
      [{ identity: IDENTITY, issuer: 'https://accounts.example.com' }, 'identity'],
      [{ identity: IDENTITY, extensions: { sourceRepositoryRef: 'refs/heads/other' } }, 'identity'],
    ];
    for (const [identity, code] of rules) expect(refused(name, { identity }), JSON.stringify(identity)).toBe(code);
    const open = verify(name, { identity: { identity: IDENTITY } });
    expect(open.notProven).toContainEqual({ name: 'issuer' });
  });

  it('verify by the key of their certificate too, which then says nothing about whose it is', () => {
    const name = 'rekor2-timestamp-with-embedded-cert';
    const bundle = parseBundle(byName(name).bundle);
    if (bundle.signer.kind !== 'certificate') throw new Error('it has a certificate');
    const key = parseSpki(parseCertificate(bundle.signer.certificate).spki);
    const outcome = verify(name, { key });
    expect(outcome.signer.kind).toBe('key');
    expect(outcome.notProven).toContainEqual({ name: 'certificate-names' });
    const other = byName('managed-key-happy-path').key!;
    expect(refused(name, { key: parsePublicKeyPem(other, nodePrimitives()).info })).toBe('bad-signature');
  });

  it('need none of their time stamps checked where no authority is trusted and the log vouches for the time', () => {
    const name = 'happy-path-v0.3-new-mediaType';
    const stamped = parseBundle(byName('rekor2-timestamp-with-embedded-cert').bundle);
    const bundle = { ...parseBundle(byName(name).bundle), timestamps: stamped.timestamps };
    const strange = verify(name, { bundle });
    expect(strange.times.map(({ kind }) => kind)).toEqual(['promise']);
    const [by] = strange.notProven.flatMap((fact) => (fact.name === 'timestamps' ? [fact.by] : []));
    expect(by).toHaveLength(stamped.timestamps.length);
    const withoutAuthorities = (of: string) => {
      const { timestampAuthorities: _, ...json } = JSON.parse(Buffer.from(byName(of).trustedRoot).toString());
      return { trustedRoot: parseTrustedRoot(text(JSON.stringify(json))) };
    };
    const outcome = verify(name, { bundle, ...withoutAuthorities(name) });
    expect(outcome.times.map(({ kind }) => kind)).toEqual(['promise']);
    expect(outcome.notProven).toContainEqual({ name: 'timestamps', count: stamped.timestamps.length });
    const alone = 'rekor2-timestamp-with-embedded-cert';
    expect(refused(alone, withoutAuthorities(alone))).toBe('bad-timestamp');
  });

  it("take the witnesses' time for a certificate, where no authority gave one and it is asked for", async () => {
    const name = 'rekor2-no-timestamp_fail';
    const bare = parseBundle(byName(name).bundle);
    if (bare.signer.kind !== 'certificate') throw new Error('it has a certificate');
    const { notBefore, notAfter } = parseCertificate(bare.signer.certificate);
    const [log, witness] = [FakeLog.empty('log.example'), testWitness('w.example')];
    const json = JSON.parse(Buffer.from(byName(name).trustedRoot).toString());
    json.tlogs.push(...rootJson(log).tlogs);
    const logged = { ...bare, entries: [tlogEntry(log.add(bare.entries[0]!.body))] };
    const trust = { trustedRoot: parseTrustedRoot(text(JSON.stringify(json))), policy: policyOf([], [witness], 1) };
    const at = async (ms: number, witnessTime = true) => {
      const bundle = await witnessed(logged, [[witness, Math.floor(ms / 1000)]]);
      return refused(name, { ...trust, bundle, witnessTime });
    };
    expect(await at(notBefore)).toBe('accepted');
    expect(await at(notAfter)).toBe('accepted');
    expect(await at(notAfter + 1000)).toBe('bad-certificate');
    expect(await at(notBefore - 1000)).toBe('bad-certificate');
    expect(await at(notBefore, false)).toBe('bad-timestamp');
  });
});
