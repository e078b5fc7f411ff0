import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { intermediateProfile, rootProfile } from '../../../../client/ca/certificates/extensions.ts';
import { makeCertificate, newSerial } from '../../../../client/ca/certificates/make-certificate.ts';
import { checkSubtrees, overlapOf, subtreesOf } from '../../../../client/ca/certificates/teams.ts';
import type { NameSubtrees } from '../../../../client/ca/certificates/types.ts';
import { softwareSigner } from '../../../../merkle/runtime/keys/keyfile.ts';
import { parseCertificate } from '../../../../merkle/x509/certificate.ts';

const names = (more: Partial<NameSubtrees>): NameSubtrees => ({ uri: [], dns: [], email: [], ...more });

describe('names of teams', () => {
  it.each<[Partial<NameSubtrees>, Partial<NameSubtrees>]>([
    [{ uri: ['build.example.com'] }, { uri: ['build.example.com'] }],
    [{ uri: ['build.example.com'] }, { uri: ['example.com'] }],
    [{ uri: ['a.build.example.com'] }, { uri: ['other.example', 'build.example.com'] }],
    [{ uri: ['build.example.com'] }, { dns: ['example.com'] }],
    [{ dns: ['example.com'] }, { dns: ['a.example.com'] }],
    [{ email: ['example.com'] }, { email: ['mail.example.com'] }],
    [{ email: ['ann@example.com'] }, { email: ['example.com'] }],
    [{ email: ['ann@mail.example.com'] }, { email: ['example.com'] }], // Go reads example.com with its subdomains
    [{ email: ['ann@example.com'] }, { email: ['ann@example.com'] }],
  ])('overlap: %j and %j', (one, other) => {
    expect(overlapOf(names(one), names(other))).toHaveLength(2);
    expect(overlapOf(names(other), names(one))).toHaveLength(2);
  });

  it.each<[Partial<NameSubtrees>, Partial<NameSubtrees>]>([
    [{ uri: ['build.example.com'] }, { uri: ['test.example.com'] }],
    [{ uri: ['build.example.com'] }, { uri: ['notbuild.example.com'] }],
    [{ uri: ['example.com'] }, { email: ['example.com'] }],
    [{ email: ['ann@example.com'] }, { email: ['bob@example.com'] }],
  ])('do not overlap: %j and %j', (one, other) => {
    expect(overlapOf(names(one), names(other))).toBeUndefined();
  });

  it.each<[Partial<NameSubtrees>, RegExp]>([
    [{}, /certifies names/],
    [{ uri: ['example.com/team'] }, /never a path/],
    [{ uri: ['spiffe://example.com'] }, /never a path/],
    [{ uri: ['.example.com'] }, /plain host/],
    [{ uri: ['example.com.'] }, /plain host/],
    [{ uri: ['Example.com'] }, /lower case/],
    [{ uri: ['*.example.com'] }, /plain host/],
    [{ uri: ['bücher.example'] }, /xn--/],
    [{ uri: [''] }, /plain host/],
    [{ dns: ['invalid'] }, /plain host/],
    [{ dns: ['a..b'] }, /plain host/],
    [{ email: ['@example.com'] }, /mail domain/],
    [{ email: ['ann@'] }, /mail domain/],
    [{ email: ['.example.com'] }, /mail domain/],
    [{ uri: Array.from({ length: 65 }, (_, at) => `a${at}.example.com`) }, /at most 64/],
  ])('are refused: %j', (wrong, message) => {
    const usage = expect.objectContaining({ code: 'usage', message: expect.stringMatching(message) });
    expect(() => checkSubtrees(names(wrong))).toThrow(usage);
  });

  it('stand in the certificate of its authority', async () => {
    const signer = softwareSigner(generateKeyPairSync('ed25519').privateKey);
    const self = {
      subject: { commonName: 'x' },
      publicKey: signer.publicKey,
      issuer: { signer },
      serial: newSerial(),
      notBefore: 0,
      notAfter: 1000,
    };
    const given = names({ uri: ['build.example.com', 'b.example'], email: ['example.com', 'ann@example.net'] });
    const team = await makeCertificate({ ...self, extensions: intermediateProfile(given) });
    expect(subtreesOf(parseCertificate(team))).toEqual(given);
    const root = parseCertificate(await makeCertificate({ ...self, extensions: rootProfile() }));
    expect(() => subtreesOf(root)).toThrow(expect.objectContaining({ code: 'bad-certificate' }));
    const nobody = parseCertificate(await makeCertificate({ ...self, extensions: intermediateProfile(names({})) }));
    expect(() => subtreesOf(nobody)).toThrow(/certifies names/);
  });
});
