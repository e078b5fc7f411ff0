import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseAuthorityChain } from '../../../../client/ca/trust/authority-chain.ts';
import {
  countsAt,
  withAuthority,
  withoutService,
  withRevoked,
  withServicesOf,
} from '../../../../client/ca/trust/trusted-authorities.ts';
import { parseSigningConfig } from '../../../../client/trust/signing-config.ts';
import { type DescribedLog, servicesBeside, trustFiles } from '../../../../client/trust/trust-files.ts';
import { parseTrustedRoot } from '../../../../client/trust/trusted-root.ts';
import { KEY_TYPE, makeVerifierKey } from '../../../../merkle/note.ts';
import { formatPem } from '../../../../merkle/pem.ts';
import { newTestRoot, type TestRoot, type TestTeam } from '../../../support/ca.ts';

const START = Date.parse('2030-01-01T00:00:00Z');
const DAY = 86_400_000;
const URL = 'https://ca.example.com';
const log: DescribedLog = {
  origin: 'log.example.com',
  url: 'https://log.example.com',
  keys: [makeVerifierKey('log.example.com', KEY_TYPE.ed25519, new Uint8Array(32).fill(7))],
  rekor: true,
  policy: undefined,
  start: START,
};
const ctKey = new Uint8Array(
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'der' }),
);
const fileOf = (name: string): Uint8Array => Buffer.from(trustFiles([log]).find((file) => file.name === name)!.text);
const ca = (message: RegExp) => expect.objectContaining({ code: 'ca', message: expect.stringMatching(message) });
const pem = (...ders: Uint8Array[]) => Buffer.from(ders.map((der) => formatPem('CERTIFICATE', der)).join(''));

let root: TestRoot;
let team: TestTeam;
const times = { notBefore: START, notAfter: START + 90 * DAY };
const chainOf = (one: TestTeam) => parseAuthorityChain(Buffer.from(one.chain));

beforeAll(async () => {
  root = await newTestRoot({ notBefore: START });
  team = await root.team('build', { uri: ['build.example.com'] }, times);
});

describe.each(['trusted_root.json', 'trusted_root.v0.2.json'])('an authority in %s', (name) => {
  it('is an entry of its own, with its root and its key of timestamps', () => {
    const file = withAuthority(fileOf(name), { chain: chainOf(team), url: URL, ctKey });
    const { tlogs, certificateAuthorities, ctlogs } = parseTrustedRoot(file);
    expect(tlogs).toHaveLength(1);
    const [entry] = certificateAuthorities;
    expect(entry).toMatchObject({
      uri: URL,
      subject: { organization: 'stele tests', commonName: 'root' },
      validFor: { start: times.notBefore, end: times.notAfter },
    });
    expect(entry!.certificates.map(({ subject }) => subject)).toEqual([
      'CN=build,O=stele tests',
      'CN=root,O=stele tests',
    ]);
    expect(ctlogs[0]).toMatchObject({ baseUrl: URL, validFor: { start: START } });
    expect(Buffer.from(ctlogs[0]!.key.spki).equals(ctKey)).toBe(true);
  });

  it('changes nothing else, and is there once', () => {
    const added = { chain: chainOf(team), url: URL, ctKey };
    const file = withAuthority(fileOf(name), added);
    expect(Buffer.from(withAuthority(file, added)).equals(file)).toBe(true);
    const before = JSON.parse(Buffer.from(fileOf(name)).toString());
    const after = JSON.parse(Buffer.from(file).toString());
    expect({ ...after, certificateAuthorities: [], ctlogs: [] }).toEqual(before);
  });

  it('ends with its revocation, which never moves later', () => {
    const file = withAuthority(fileOf(name), { chain: chainOf(team), url: URL });
    const [authority] = chainOf(team);
    const endOf = (one: Uint8Array) => parseTrustedRoot(one).certificateAuthorities[0]!.validFor.end;
    const revoked = withRevoked(file, authority, START + 10 * DAY);
    expect(endOf(revoked)).toBe(START + 10 * DAY);
    expect(endOf(withRevoked(revoked, authority, START + 20 * DAY))).toBe(START + 10 * DAY);
    expect(endOf(withRevoked(revoked, authority, START + 5 * DAY))).toBe(START + 5 * DAY);
    expect(endOf(withRevoked(revoked, authority, START - DAY))).toBe(START);
    expect(endOf(withRevoked(file, authority, START + 400 * DAY))).toBe(times.notAfter);
    expect([START + DAY, START + 10 * DAY].map((at) => countsAt(revoked, URL, at))).toEqual([true, false]);
    expect(() => withAuthority(revoked, { chain: chainOf(team), url: URL })).toThrow(ca(/was revoked/));
  });

  it('has names that no other authority in the file has', async () => {
    const file = withAuthority(fileOf(name), { chain: chainOf(team), url: URL });
    const renewed = await root.team('build', { uri: ['build.example.com'] }, times);
    expect(
      parseTrustedRoot(withAuthority(file, { chain: chainOf(renewed), url: URL })).certificateAuthorities,
    ).toHaveLength(2);
    for (const uri of ['build.example.com', 'example.com', 'a.build.example.com']) {
      const other = await root.team('other', { uri: [uri] }, times);
      expect(() => withAuthority(file, { chain: chainOf(other), url: URL })).toThrow(ca(/two authorities/));
    }
    const foreign = await (await newTestRoot()).team('build', { dns: ['example.com'] });
    expect(() => withAuthority(file, { chain: chainOf(foreign), url: URL })).toThrow(ca(/two authorities/));
    const apart = await root.team('people', { email: ['example.com'] }, times);
    expect(
      parseTrustedRoot(withAuthority(file, { chain: chainOf(apart), url: URL })).certificateAuthorities,
    ).toHaveLength(2);
  });

  it('is not there to revoke', () => {
    expect(() => withRevoked(fileOf(name), chainOf(team)[0], START)).toThrow(ca(/does not have the authority/));
    expect(() => withAuthority(Buffer.from('{}'), { chain: chainOf(team), url: URL })).toThrow(
      expect.objectContaining({ code: 'trusted-root' }),
    );
  });

  it('signs timestamps with ECDSA P-256', () => {
    const spki = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' });
    expect(() => withAuthority(fileOf(name), { chain: chainOf(team), url: URL, ctKey: spki })).toThrow(/P-256/);
  });
});

describe('the signing configuration', () => {
  const config = fileOf('signing_config.v0.2.json');
  const wish = { ca: URL, oidc: ['https://issuer.example.com'], replace: false };

  it('names one authority, and the issuers', () => {
    const changed = withServicesOf(config, { ...wish, tsa: 'https://tsa.example.com' }, START);
    const { caUrls, oidcUrls, tsaUrls, tsaConfig, rekorTlogUrls } = parseSigningConfig(changed);
    const service = { majorApiVersion: 1, validFor: { start: START }, operator: 'log.example.com' };
    expect(caUrls).toEqual([{ url: URL, ...service }]);
    expect(oidcUrls).toEqual([{ url: 'https://issuer.example.com', ...service }]);
    expect(tsaUrls).toEqual([{ url: 'https://tsa.example.com', ...service }]);
    expect(tsaConfig).toEqual({ selector: 'ANY' });
    expect(rekorTlogUrls).toEqual(parseSigningConfig(config).rekorTlogUrls);
    const again = withServicesOf(changed, { ...wish, tsa: 'https://tsa.example.com' }, START + DAY);
    expect(Buffer.from(again).equals(changed)).toBe(true);
  });

  it('has one authority valid at a time', () => {
    const changed = withServicesOf(config, wish, START);
    const other = { ...wish, ca: 'https://other.example.com' };
    expect(() => withServicesOf(changed, other, START + DAY)).toThrow(ca(/--replace/));
    const { caUrls } = parseSigningConfig(withServicesOf(changed, { ...other, replace: true }, START + DAY));
    const [before, after] = caUrls;
    expect(before!.validFor.end!).toBeLessThan(after!.validFor.start!);
    expect(
      caUrls.filter(({ validFor: { start, end } }) => start! <= START + DAY && (end ?? Infinity) >= START + DAY),
    ).toEqual([after]);
  });

  it('ends an authority', () => {
    const changed = withServicesOf(config, wish, START);
    expect(parseSigningConfig(withoutService(changed, URL, START + DAY)).caUrls[0]!.validFor.end).toBe(
      START + DAY - 1000,
    );
    expect(Buffer.from(withoutService(changed, 'https://x.example', START + DAY)).equals(changed)).toBe(true);
  });
});

it('trust files that are written anew keep what was added', async () => {
  const chain = chainOf(team);
  const files = new Map(trustFiles([log]).map(({ name, text }) => [name, Buffer.from(text) as Uint8Array]));
  for (const name of ['trusted_root.json', 'trusted_root.v0.2.json']) {
    files.set(name, withAuthority(files.get(name)!, { chain, url: URL, ctKey }));
  }
  const name = 'signing_config.v0.2.json';
  files.set(name, withServicesOf(files.get(name)!, { ca: URL, oidc: [], replace: false }, START));
  const beside = await servicesBeside(async (one) => files.get(one));
  for (const { name: one, text } of trustFiles([log], beside))
    expect(text).toBe(Buffer.from(files.get(one)!).toString());
  // A damaged file has nothing to keep, as one that is missing.
  const damaged = await servicesBeside(async () => Buffer.from('{'));
  expect(trustFiles([log], damaged)).toEqual(trustFiles([log]));
});

describe('a chain', () => {
  it('is the authority of a team and its root', () => {
    expect(chainOf(team).map(({ subject }) => subject)).toEqual(['CN=build,O=stele tests', 'CN=root,O=stele tests']);
  });

  it.each<[string, () => Uint8Array | Promise<Uint8Array>]>([
    ['nothing', () => Buffer.from('')],
    ['the authority alone', () => pem(team.certificate.der)],
    ['the root twice', () => pem(root.certificate.der, root.certificate.der)],
    ['the other order', () => pem(root.certificate.der, team.certificate.der)],
    ['three certificates', () => pem(team.certificate.der, root.certificate.der, root.certificate.der)],
    ['another root', async () => pem(team.certificate.der, (await newTestRoot()).certificate.der)],
    ['a private key', () => Buffer.from(`${team.chain}-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n`)],
    [
      'a bit that changed',
      () => {
        const der = Uint8Array.from(team.certificate.der);
        der[der.length - 1]! ^= 1;
        return pem(der, root.certificate.der);
      },
    ],
  ])('is not %s', async (_, file) => {
    const bytes = await file();
    expect(() => parseAuthorityChain(bytes)).toThrow(expect.objectContaining({ name: 'ClientError' }));
  });
});
