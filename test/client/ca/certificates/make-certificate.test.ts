import { createHash, generateKeyPairSync, verify, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { intermediateProfile, leafProfile, rootProfile } from '../../../../client/ca/certificates/extensions.ts';
import { makeCertificate, newSerial } from '../../../../client/ca/certificates/make-certificate.ts';
import type { Issuer, NewCertificate, NewExtension } from '../../../../client/ca/certificates/types.ts';
import { softwareSigner } from '../../../../merkle/runtime/keys/keyfile.ts';
import type { Signer } from '../../../../merkle/runtime/keys/types.ts';
import { parseCertificate, USAGE } from '../../../../merkle/x509/certificate.ts';

const START = Date.parse('2030-01-01T00:00:00Z');
const YEAR = 365 * 86_400_000;
const NAMES = { uri: ['build.example.com'], dns: [], email: ['example.com', 'release@example.net'] };

const p256 = () => softwareSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
const ed25519 = () => softwareSigner(generateKeyPairSync('ed25519').privateKey);

async function newRoot(signer: Signer, more: Partial<NewCertificate> = {}): Promise<Issuer> {
  const root = {
    subject: { organization: 'Example', commonName: 'root of example.com' },
    publicKey: signer.publicKey,
    issuer: { signer },
    serial: newSerial(),
    notBefore: START,
    notAfter: START + 10 * YEAR,
    extensions: rootProfile(),
  };
  return { certificate: parseCertificate(await makeCertificate({ ...root, ...more })), signer };
}

async function newTeam(root: Issuer, signer: Signer, more: Partial<NewCertificate> = {}): Promise<Issuer> {
  const team = {
    subject: { commonName: 'build' },
    publicKey: signer.publicKey,
    issuer: root,
    serial: newSerial(),
    notBefore: START,
    notAfter: START + YEAR,
    extensions: intermediateProfile(NAMES),
  };
  return { certificate: parseCertificate(await makeCertificate({ ...team, ...more })), signer };
}

let root: Issuer;
let team: Issuer;

const leafOf = (more: Partial<NewCertificate> = {}): NewCertificate => ({
  subject: {},
  publicKey: p256().publicKey,
  issuer: team,
  serial: newSerial(),
  notBefore: START,
  notAfter: START + 600_000,
  extensions: leafProfile({ type: 'uri', value: 'https://build.example.com/job/1' }),
  ...more,
});
const named = (type: 'uri' | 'email' | 'dns', value: string) =>
  makeCertificate(leafOf({ extensions: leafProfile({ type, value }) }));

beforeAll(async () => {
  root = await newRoot(p256());
  team = await newTeam(root, p256());
});

describe('makeCertificate', () => {
  it('makes a root, an authority for a team and a leaf, which Node verifies one by the other', async () => {
    const extensions: NewExtension[] = [
      ...leafProfile({ type: 'email', value: 'ann@example.com' }),
      { oid: '1.3.6.1.4.1.57264.1.8', critical: false, value: Buffer.from('0c03616263', 'hex') },
    ];
    const der = await makeCertificate(leafOf({ extensions }));
    const [leaf, middle, top] = [der, team.certificate!.der, root.certificate!.der].map(
      (one) => new X509Certificate(one),
    );
    expect(leaf!.verify(middle!.publicKey)).toBe(true);
    expect(leaf!.checkIssued(middle!)).toBe(true);
    expect(middle!.verify(top!.publicKey)).toBe(true);
    expect(middle!.checkIssued(top!)).toBe(true);
    expect(top!.verify(top!.publicKey)).toBe(true);
    expect(leaf!.subjectAltName).toBe('email:ann@example.com');
    const parsed = parseCertificate(der);
    expect(parsed.subject).toBe('');
    expect(parsed.extension('2.5.29.17')!.critical).toBe(true);
    expect(parsed.keyUsage).toEqual(['digitalSignature']);
    expect(parsed.extKeyUsage).toEqual([USAGE.codeSigning]);
    expect(parsed.authorityKeyId).toEqual(team.certificate!.subjectKeyId);
    expect(Buffer.from(parsed.extension('1.3.6.1.4.1.57264.1.8')!.value).toString('hex')).toBe('0c03616263');
    const { isCa, pathLen, keyUsage, extKeyUsage } = team.certificate!;
    expect({ isCa, pathLen, keyUsage, extKeyUsage }).toEqual({
      isCa: true,
      pathLen: 0,
      keyUsage: ['keyCertSign', 'cRLSign'],
      extKeyUsage: [USAGE.codeSigning],
    });
    expect(root.certificate!.subject).toBe('CN=root of example.com,O=Example');
    expect(root.certificate!.pathLen).toBe(1);
  });

  it.each(['ecdsa', 'ed25519'])('signs with %s, in the form of the algorithm', async (kind) => {
    const make = kind === 'ecdsa' ? p256 : ed25519;
    const top = await newRoot(make());
    const issuer = await newTeam(top, make());
    const leaf = parseCertificate(await makeCertificate(leafOf({ issuer })));
    const key = new X509Certificate(issuer.certificate!.der).publicKey;
    expect(verify(kind === 'ecdsa' ? 'sha256' : null, leaf.tbs, key, leaf.signature)).toBe(true);
    expect(leaf.signatureAlgorithm).toBe(kind === 'ecdsa' ? '1.2.840.10045.4.3.2' : '1.3.101.112');
  });

  it.each([
    ['P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['P-521', () => generateKeyPairSync('ec', { namedCurve: 'P-521' })],
    ['RSA-2048', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['Ed25519', () => generateKeyPairSync('ed25519')],
  ])('certifies a key for %s', async (_, make) => {
    const publicKey = make().publicKey.export({ type: 'spki', format: 'der' });
    const leaf = parseCertificate(await makeCertificate(leafOf({ publicKey })));
    expect(Buffer.from(leaf.spki).equals(publicKey)).toBe(true);
  });

  it('makes serial numbers that are positive and differ, and writes times of all centuries', async () => {
    const serials = Array.from({ length: 200 }, () => Buffer.from(newSerial()).toString('hex'));
    expect(new Set(serials).size).toBe(200);
    expect(serials.every((serial) => serial.length === 32 && serial[0]! >= '4' && serial[0]! <= '7')).toBe(true);
    const late = Date.parse('2049-12-31T23:59:59Z');
    for (const notAfter of [late, late + 1000]) {
      const made = await newRoot(p256(), { notAfter });
      expect(made.certificate!.notAfter).toBe(notAfter);
    }
  });

  it('asks for timestamps over all that is signed beside them', async () => {
    let signed: Uint8Array | undefined;
    const timestamps = async (precertificate: Uint8Array) => {
      signed = precertificate;
      return { oid: '1.3.6.1.4.1.11129.2.4.2', value: Buffer.from('0404000200aa', 'hex') };
    };
    const contents = leafOf();
    const bare = parseCertificate(await makeCertificate(contents));
    const leaf = parseCertificate(await makeCertificate({ ...contents, timestamps }));
    expect(Buffer.from(signed!).equals(bare.tbs)).toBe(true);
    expect([...leaf.extensions.keys()].at(-1)).toBe('1.3.6.1.4.1.11129.2.4.2');
    await expect(
      makeCertificate({ ...contents, timestamps: () => Promise.reject(new Error('the log is away')) }),
    ).rejects.toThrow('the log is away');
  });

  it('gives a key the identifier of RFC 7093', () => {
    const point = root.signer.publicKey.subarray(-65);
    const expected = createHash('sha256').update(point).digest().subarray(0, 20);
    expect(expected.equals(root.certificate!.subjectKeyId!)).toBe(true);
  });
});

describe('makeCertificate makes no certificate', () => {
  const usage = (message: RegExp) =>
    expect.objectContaining({ code: 'usage', message: expect.stringMatching(message) });
  const bad = (message: RegExp) =>
    expect.objectContaining({ code: 'bad-certificate', message: expect.stringMatching(message) });

  it.each<[string, Partial<NewCertificate>, RegExp]>([
    ['a serial number of 21 bytes', { serial: new Uint8Array(21).fill(1) }, /serial/],
    ['a negative serial number', { serial: Uint8Array.of(0x80) }, /serial/],
    ['no serial number', { serial: new Uint8Array(0) }, /serial/],
    ['a serial number of zero', { serial: Uint8Array.of(0) }, /serial/],
    ['parts of a second', { notBefore: START + 1 }, /whole seconds/],
    ['an end before its beginning', { notAfter: START }, /ends after/],
    ['a time that is none', { notAfter: Number.NaN }, /whole seconds/],
    ['a key that is none', { publicKey: Uint8Array.of(1, 2, 3) }, /this key/],
    ['a subject with control characters', { subject: { commonName: 'a\nb' } }, /subject/],
    [
      'an extension twice',
      { extensions: [...leafProfile({ type: 'uri', value: 'https://a/' }), ...rootProfile()] },
      /twice/,
    ],
  ])('with %s', async (_, more, message) => {
    await expect(makeCertificate(leafOf(more))).rejects.toThrow(usage(message));
  });

  it('for a small RSA key or one of another curve', async () => {
    const keys = [
      generateKeyPairSync('rsa', { modulusLength: 1024 }),
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
      generateKeyPairSync('x25519'),
    ];
    for (const key of keys) {
      const publicKey = key.publicKey.export({ type: 'spki', format: 'der' });
      await expect(makeCertificate(leafOf({ publicKey }))).rejects.toThrow(usage(/this key/));
    }
  });

  it.each<[string, Partial<NewCertificate>, RegExp]>([
    ['beginning before its issuer', { notBefore: START - 1000 }, /time of its issuer/],
    ['ending after its issuer', { notAfter: START + YEAR + 1000 }, /time of its issuer/],
    [
      'without a name',
      { extensions: leafProfile({ type: 'uri', value: 'https://a/' }).slice(0, 2) },
      /one name, not 0/,
    ],
  ])('%s', async (_, more, message) => {
    await expect(makeCertificate(leafOf(more))).rejects.toThrow(bad(message));
  });

  it('with two names', async () => {
    const [usages, codeSigning, one] = leafProfile({ type: 'uri', value: 'https://build.example.com/a' });
    const value = Buffer.concat([
      Buffer.of(0x30, one!.value.length * 2 - 4),
      one!.value.subarray(2),
      one!.value.subarray(2),
    ]);
    const extensions = [usages!, codeSigning!, { ...one!, value }];
    await expect(makeCertificate(leafOf({ extensions }))).rejects.toThrow(bad(/one name, not 2/));
  });

  it('for an authority below a team, or a team below a team', async () => {
    const signer = p256();
    await expect(newTeam(team, signer)).rejects.toThrow(bad(/path/));
    await expect(newTeam(team, signer, { extensions: rootProfile() })).rejects.toThrow(bad(/path/));
  });

  it('by the key of another, or by a signature of another form', async () => {
    const other = p256();
    await expect(makeCertificate(leafOf({ issuer: { ...team, signer: other } }))).rejects.toThrow(bad(/not that of/));
    const raw = { ...team.signer, sign: async () => new Uint8Array(64).fill(7) };
    await expect(makeCertificate(leafOf({ issuer: { ...team, signer: raw } }))).rejects.toThrow(bad(/signature/));
    const wrong = { ...other, publicKey: team.signer.publicKey };
    await expect(makeCertificate(leafOf({ issuer: { ...team, signer: wrong } }))).rejects.toThrow(bad(/signature/));
  });

  it('by a leaf', async () => {
    const signer = p256();
    const certificate = parseCertificate(await makeCertificate(leafOf({ publicKey: signer.publicKey })));
    await expect(makeCertificate(leafOf({ issuer: { certificate, signer } }))).rejects.toThrow(bad(/no authority/));
  });

  it('by a root without constraints, whatever the name', async () => {
    await expect(makeCertificate(leafOf({ issuer: root }))).rejects.toThrow(bad(/authority is not for/));
  });

  it.each([
    ['uri', 'https://example.org/x'],
    ['uri', 'https://a.build.example.com/x'], // Go would take it
    ['uri', 'https://build.example.com.example.org/x'],
    ['uri', 'https://BUILD.example.com/x'],
    ['uri', 'https://build.example.com./x'],
    ['uri', 'https://build.example.com:443/x'],
    ['uri', 'https://build.example.com@example.org/x'],
    ['uri', 'https://x@build.example.com/x'],
    ['uri', 'https://build.example.com?x'],
    ['uri', 'https://build.example.com#x'],
    ['uri', 'https://build.example.com/a/../b'],
    ['uri', 'https://build.example.com/a/%2e%2E/b'],
    ['uri', 'https://build.example.com/a/./b'],
    ['uri', 'https://build.example.com/a%2fb'],
    ['uri', 'https://build.example.com/a:b'], // OpenSSL takes the colon for the one of a port
    ['uri', 'https://*.build.example.com/x'],
    ['uri', 'https://invalid/x'],
    ['uri', 'urn:build.example.com'],
    ['uri', 'build.example.com'],
    ['uri', `https://build.example.com/${'a'.repeat(2_050)}`],
    ['dns', 'build.example.com'], // the team has no constraint of this kind
    ['dns', 'invalid'],
    ['dns', 'a.invalid'],
    ['dns', '*.build.example.com'],
    ['email', 'ann@example.org'],
    ['email', 'ann@mail.example.com'], // Go would take it
    ['email', 'bob@example.net'],
    ['email', 'Release@example.net'],
    ['email', 'ann@EXAMPLE.com'],
    ['email', '"ann"@example.com'],
    ['email', 'ann@example.org@example.com'],
    ['email', 'example.com'],
  ] as const)('for the %s %s', async (type, value) => {
    await expect(named(type, value)).rejects.toThrow(bad(/names/));
  });

  it.each([
    ['uri', 'spiffe://build.example.com/ns/a'],
    ['uri', 'https://build.example.com'],
    ['uri', 'https://build.example.com/x@refs/heads/main'],
    ['email', 'ann+tag@example.com'],
    ['email', 'release@example.net'],
  ] as const)('but for the %s %s', async (type, value) => {
    expect(parseCertificate(await named(type, value)).names).toEqual([{ type, value }]);
  });

  it('for a name that is no visible ASCII', () => {
    for (const value of ['https://bücher.example/', 'https://a b/', '']) {
      expect(() => leafProfile({ type: 'uri', value })).toThrow(usage(/ASCII/));
    }
    expect(() => leafProfile({ type: 'other', value: 'x' })).toThrow(usage(/type other/));
  });
});
