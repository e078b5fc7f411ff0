import { generateKeyPairSync } from 'node:crypto';
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeRequest, readRequest } from '../../../../client/ca/root/authority-request.ts';
import { CaStore, checkTeamName } from '../../../../client/ca/root/ca-store.ts';
import { DELEGATION_TYPE, readDelegation } from '../../../../client/ca/root/delegation.ts';
import { makeRootCertificate, makeTeam, type TeamWish } from '../../../../client/ca/root/make-authorities.ts';
import { parseBundle } from '../../../../client/formats/bundle.ts';
import { checkStatement, statementPredicate } from '../../../../client/formats/statement.ts';
import { softwareSigner } from '../../../../merkle/runtime/keys/keyfile.ts';
import type { Signer } from '../../../../merkle/runtime/keys/types.ts';
import { readPredicate, type TypedPredicate } from '../../../../merkle/runtime/policy/predicates/predicate.ts';
import { parseCertificate } from '../../../../merkle/x509/certificate.ts';

const NOW = Date.parse('2030-01-01T00:00:00.700Z');
const DAY = 86_400_000;
const ec = () => softwareSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);

let dir: string;
let store: CaStore;
const rootKey = ec();

const by =
  (signer: Signer) =>
  <T>(work: (signer: Signer) => Promise<T>) =>
    work(signer);
const unused = <T>(): Promise<T> => Promise.reject(new Error('the key of the root was opened'));
const wishOf = (team: string, uri: readonly string[], more: Partial<TeamWish> = {}): TeamWish => ({
  team,
  publicKey: ec().publicKey,
  names: { uri, dns: [], email: [] },
  expires: 90 * DAY,
  renew: false,
  ...more,
});
const ca = (message: RegExp) => expect.objectContaining({ code: 'ca', message: expect.stringMatching(message) });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-ca-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));
beforeEach(async () => {
  store = new CaStore(await mkdtemp(join(dir, 'ca-')));
  await store.createRoot(
    await makeRootCertificate(rootKey, { subject: { commonName: 'root' }, expires: 3_650 * DAY }, NOW),
  );
});

describe('a root', () => {
  it('is made once', async () => {
    const before = await readFile(store.rootPath);
    const other = await makeRootCertificate(ec(), { subject: { commonName: 'other' }, expires: DAY }, NOW);
    expect(await store.createRoot(other)).toBe(false);
    expect(await readFile(store.rootPath)).toEqual(before);
    expect((await store.root()).notBefore).toBe(Date.parse('2030-01-01T00:00:00Z'));
  });

  it('has a P-256 key', async () => {
    const signer = softwareSigner(generateKeyPairSync('ed25519').privateKey);
    const made = makeRootCertificate(signer, { subject: { commonName: 'root' }, expires: DAY }, NOW);
    await expect(made).rejects.toThrow(expect.objectContaining({ code: 'key' }));
  });

  it('is missed by name', async () => {
    const empty = new CaStore(join(dir, 'empty'));
    await expect(makeTeam(empty, wishOf('build', ['a.example']), unused, NOW)).rejects.toThrow(ca(/no root in/));
  });
});

describe('the authority of a team', () => {
  it('is certified and delegated, and a repeat needs no key', async () => {
    const wish = wishOf('build', ['build.example.com', 'b.example']);
    const { delegation, isNew } = await makeTeam(store, wish, by(rootKey), NOW);
    expect(isNew).toBe(true);
    expect(delegation.authority.subject).toBe('CN=build');
    expect(delegation.authority.notAfter - delegation.authority.notBefore).toBe(90 * DAY);
    const again = await makeTeam(
      store,
      { ...wish, names: { ...wish.names, uri: ['b.example', 'build.example.com'] } },
      unused,
      NOW + DAY,
    );
    expect(again.isNew).toBe(false);
    expect(Buffer.from(again.delegation.authority.der).equals(delegation.authority.der)).toBe(true);

    const file = await readFile(store.path('build', 1, 'sigstore.json'));
    const bundle = parseBundle(file);
    expect(bundle.entries).toEqual([]);
    const { payload } = bundle.content as { payload: Uint8Array };
    const statement = checkStatement(payload);
    expect(statement.predicateType).toBe(DELEGATION_TYPE);
    // As a condition of a decision policy reads it.
    const predicate = readPredicate(statement.predicateType, statementPredicate(payload));
    expect(predicate).toMatchObject({
      kind: 'delegation',
      value: { team: 'build', number: 1n, names: { uri: ['build.example.com', 'b.example'], dns: [], email: [] } },
    });
    const { certificate, notAfter } = (predicate as Extract<TypedPredicate, { kind: 'delegation' }>).value;
    expect(Buffer.from(certificate).equals(delegation.authority.der)).toBe(true);
    expect(notAfter.milliseconds).toBe(delegation.authority.notAfter);
    expect(readDelegation(file, await store.root())).toMatchObject({ team: 'build', number: 1 });
    expect(await readFile(store.path('build', 1, 'chain.pem'), 'utf8')).toContain(
      await readFile(store.rootPath, 'utf8'),
    );
  });

  it('ends with its root', async () => {
    const { delegation } = await makeTeam(store, wishOf('build', ['a.example']), by(rootKey), NOW + 3_600 * DAY);
    expect(delegation.authority.notAfter).toBe((await store.root()).notAfter);
  });

  it('is complete again after a crash between its files', async () => {
    const wish = wishOf('build', ['a.example']);
    await makeTeam(store, wish, by(rootKey), NOW);
    const files = ['cer', 'chain.pem'] as const;
    const before = await Promise.all(files.map((suffix) => readFile(store.path('build', 1, suffix))));
    for (const suffix of files) await rm(store.path('build', 1, suffix));
    await makeTeam(store, wish, unused, NOW);
    expect(await Promise.all(files.map((suffix) => readFile(store.path('build', 1, suffix))))).toEqual(before);
  });

  it('is the same for commands that run at once', async () => {
    const wish = wishOf('build', ['a.example']);
    const all = await Promise.allSettled([1, 2, 3].map(() => makeTeam(store, wish, by(rootKey), NOW)));
    // One holds the directory; another is refused, or comes later and finds what was made.
    expect(all.filter((one) => one.status === 'fulfilled' && one.value.isNew)).toHaveLength(1);
    expect((await readdir(join(store.dir, 'teams', 'build'))).sort()).toEqual([
      '1.cer',
      '1.chain.pem',
      '1.sigstore.json',
    ]);
  });

  it('is renewed where that is asked for, with another key', async () => {
    await makeTeam(store, wishOf('build', ['a.example']), by(rootKey), NOW);
    const next = wishOf('build', ['a.example', 'c.example']);
    await expect(makeTeam(store, next, by(rootKey), NOW)).rejects.toThrow(ca(/--renew/));
    const { delegation } = await makeTeam(store, { ...next, renew: true }, by(rootKey), NOW);
    expect(delegation.number).toBe(2);
    expect((await makeTeam(store, { ...next, renew: true }, unused, NOW)).delegation.number).toBe(2);
    expect((await makeTeam(store, next, unused, NOW)).delegation.number).toBe(2);
  });

  it.each<[string, Partial<TeamWish>, RegExp]>([
    [
      'the domain of another team',
      { names: { uri: ['build.example.com'], dns: [], email: [] } },
      /of the team "build"/,
    ],
    ['a domain below it', { names: { uri: ['a.build.example.com'], dns: [], email: [] } }, /one below the other/],
    ['a domain above it', { names: { uri: ['example.com'], dns: [], email: [] } }, /one below the other/],
    ['a host above it', { names: { uri: [], dns: ['example.com'], email: [] } }, /one below the other/],
  ])('is refused for %s', async (_, more, message) => {
    await makeTeam(store, wishOf('build', ['build.example.com']), by(rootKey), NOW);
    await expect(makeTeam(store, wishOf('other', ['x'], more), by(rootKey), NOW)).rejects.toThrow(ca(message));
    expect(await readdir(join(store.dir, 'teams'))).toEqual(['build']);
  });

  it('is refused for the key of another team, of another name, or of the root', async () => {
    const wish = wishOf('build', ['a.example']);
    await makeTeam(store, wish, by(rootKey), NOW);
    const { publicKey } = wish;
    const other = makeTeam(store, wishOf('other', ['b.example'], { publicKey }), by(rootKey), NOW);
    await expect(other).rejects.toThrow(ca(/key of the request is that of the team "build"/));
    const wider = makeTeam(
      store,
      wishOf('build', ['a.example', 'b.example'], { publicKey, renew: true }),
      by(rootKey),
      NOW,
    );
    await expect(wider).rejects.toThrow(ca(/other names already/));
    const own = makeTeam(store, wishOf('root', ['c.example'], { publicKey: rootKey.publicKey }), by(rootKey), NOW);
    await expect(own).rejects.toThrow(ca(/key of the root itself/));
  });

  it('is not certified by another key than that of the root', async () => {
    await expect(makeTeam(store, wishOf('build', ['a.example']), by(ec()), NOW)).rejects.toThrow(
      ca(/not that of the root/),
    );
    await expect(readdir(join(store.dir, 'teams'))).rejects.toThrow('ENOENT');
  });

  it('counts as its root delegated it, and nowhere else', async () => {
    await makeTeam(store, wishOf('build', ['a.example']), by(rootKey), NOW);
    const root = await store.root();
    const path = store.path('build', 1, 'sigstore.json');
    const file = await readFile(path, 'utf8');
    // Another root, a statement that was changed, and a place that is another's.
    const foreign = parseCertificate(
      await makeRootCertificate(ec(), { subject: { commonName: 'root' }, expires: DAY }, NOW),
    );
    expect(() => readDelegation(Buffer.from(file), foreign)).toThrow(
      expect.objectContaining({ code: 'bad-signature' }),
    );
    const { dsseEnvelope } = JSON.parse(file);
    const payload = Buffer.from(dsseEnvelope.payload, 'base64').toString().replace('"build"', '"other"');
    const changed = JSON.stringify({
      ...JSON.parse(file),
      dsseEnvelope: { ...dsseEnvelope, payload: Buffer.from(payload).toString('base64') },
    });
    expect(() => readDelegation(Buffer.from(changed), root)).toThrow(
      expect.objectContaining({ code: 'bad-signature' }),
    );
    await copyFile(path, store.path('build', 2, 'sigstore.json'));
    await expect(store.delegations(root)).rejects.toThrow(ca(/is the delegation 1 of "build"/));
    await rm(path);
    await expect(store.delegations(root)).rejects.toThrow(ca(/missing/));
    await writeFile(path, '{}');
    await expect(store.delegations(root)).rejects.toThrow(expect.objectContaining({ code: 'malformed' }));
  });

  it('has a plain name', () => {
    for (const name of ['', '..', '../x', 'a/b', 'Build', 'a b', '.a', 'a'.repeat(65)]) {
      expect(() => checkTeamName(name), name).toThrow(expect.objectContaining({ code: 'usage' }));
    }
    expect(() => checkTeamName('build-1.x')).not.toThrow();
  });
});

describe('a request', () => {
  it.each(['ec', 'ed25519'])('is for the key that signs it: %s', async (kind) => {
    const signer = kind === 'ec' ? ec() : softwareSigner(generateKeyPairSync('ed25519').privateKey);
    for (let again = 0; again < 20; again++) {
      const pem = await makeRequest(signer, 'build');
      expect(Buffer.from(readRequest(pem)).equals(signer.publicKey)).toBe(true);
      const der = Buffer.from(
        Buffer.from(pem)
          .toString()
          .replace(/-----.*-----|\n/g, ''),
        'base64',
      );
      expect(Buffer.from(readRequest(der)).equals(signer.publicKey)).toBe(true);
    }
  });

  it('is refused where another key signed it, or bits changed', async () => {
    const pem = Buffer.from(await makeRequest(ec(), 'build')).toString();
    const der = Buffer.from(pem.replace(/-----.*-----|\n/g, ''), 'base64');
    const other = ec().publicKey;
    const swapped = Buffer.from(der);
    swapped.set(other.subarray(27), der.indexOf(Buffer.from(other.subarray(0, 26))) + 27);
    expect(() => readRequest(swapped)).toThrow(expect.objectContaining({ code: 'bad-signature' }));
    const name = Buffer.from(der);
    name[name.indexOf('build')]! ^= 1;
    expect(() => readRequest(name)).toThrow(expect.objectContaining({ code: 'bad-signature' }));
  });

  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('request')],
    ['a certificate', Buffer.from('-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n')],
    ['an empty sequence', Buffer.from('3000', 'hex')],
    ['a sequence of others', Buffer.from('3009020100020100020100', 'hex')],
    ['16 KiB and more', Buffer.alloc(16 * 1024 + 1, 0x30)],
  ])('is refused as %s', (_, file) => {
    expect(() => readRequest(file)).toThrow(expect.objectContaining({ code: expect.stringMatching(/malformed|key/) }));
  });
});
