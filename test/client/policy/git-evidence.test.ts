/** Signed commits and tags as evidence: SSH and gitsign, and every way to take a signature for another object. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { checkGit, readGit } from '../../../client/policy/git-evidence.ts';
import { parseTrustedRoot } from '../../../client/trust/trusted-root.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { commit, type GitsignWish, gitsign, idOf, SshKey, tag, withHeader } from '../../support/git-objects.ts';
import { Instance, NOW, OWN_IDENTITY } from '../../support/instance.ts';
import { skips } from '../../support/skip.ts';
import { vectorFolder } from '../../support/vectors.ts';

const primitives = nodePrimitives();
const instance = new Instance();
const rootOf = (json: object) => parseTrustedRoot(Buffer.from(JSON.stringify(json)));
const trustedRoot = rootOf(instance.trustedRoot());
const now = Date.parse(NOW) + 3_600_000;

const check = (object: string | Uint8Array, trust: Partial<Parameters<typeof checkGit>[1]> = {}) =>
  checkGit(readGit(Buffer.from(object as string))!, { trustedRoot, ...trust }, now, primitives);

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof ClientError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('it was taken');
}

const key = new SshKey('ed25519');
const sshCommit = (payload: string, armored = key.sign(payload)) => withHeader(payload, armored);

describe('an SSH signature', () => {
  it('is of the key that made it, over a commit and over a tag', () => {
    const signed = sshCommit(commit());
    expect(check(signed)).toMatchObject({
      git: { kind: 'commit', id: idOf('commit', signed) },
      signer: { kind: 'key' },
    });
    const payload = tag(idOf('commit', signed));
    const whole = `${payload}${key.sign(payload)}`;
    expect(check(whole)).toMatchObject({
      git: {
        kind: 'tag',
        id: idOf('tag', whole),
        tag: { name: 'v1.0', type: 'commit', object: idOf('commit', signed) },
      },
    });
  });

  it('holds in a repository of SHA-256', () => {
    const payload = commit({ sha256: true });
    const signed = withHeader(payload, key.sign(payload), 'gpgsig-sha256');
    expect(check(signed)).toMatchObject({ git: { id: idOf('commit', signed, 'sha256') } });
    expect(refusal(() => check(withHeader(payload, key.sign(payload))))).toMatch(/^bad-signature: .*has no signature/);
  });

  it.each([
    ['of another commit', sshCommit(commit(), key.sign(commit({ message: 'Another' }))), 'over another object'],
    ['for another use', sshCommit(commit(), key.sign(commit(), { namespace: 'file' })), 'made for "file"'],
    ['for a use with a longer name', sshCommit(commit(), key.sign(commit(), { namespace: 'git ' })), 'made for "git"'],
    ['of the commit with a header less', sshCommit(commit({ extra: 'x y\n' }), key.sign(commit())), 'another object'],
    ['of the commit with its signature', sshCommit(commit(), key.sign(sshCommit(commit()))), 'another object'],
    ['of the tag that has the text of a commit', `${tag('1'.repeat(40))}${key.sign(commit())}`, 'another object'],
    ['of a tag of another name', `${tag('1'.repeat(40), 'v2.0')}${key.sign(tag('1'.repeat(40)))}`, 'another object'],
    ['of a tag, with text behind it', `${tag('1'.repeat(40))}${key.sign(tag('1'.repeat(40)))}x\n`, 'malformed'],
    ['that is missing', commit(), 'has no signature'],
    ['that is missing from a tag', tag('1'.repeat(40)), 'has no signature'],
    ['of OpenPGP', sshCommit(commit(), '-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----'), 'OpenPGP'],
    ['with RSA and SHA-1', sshCommit(commit(), new SshKey('rsa').sign(commit(), { rsa: 'ssh-rsa' })), 'SHA-1'],
  ])('%s is refused', (_, object, why) => expect(refusal(() => check(object))).toContain(why));

  it('is refused where a log or an authority must vouch for all evidence', () => {
    expect(refusal(() => check(sshCommit(commit()), { requireLogs: 1 }))).toContain('no log');
    expect(refusal(() => check(sshCommit(commit()), { requireTimestamps: 1 }))).toContain('no log');
  });
});

describe('a signature of gitsign', () => {
  const signer = instance.signer();
  const x509 = (wish: GitsignWish = {}, payload = commit(), by = signer) =>
    withHeader(payload, gitsign(payload, instance, by, wish));

  it.each([
    ['of Rekor v1', { log: 1 } as const],
    ['of Rekor v1, with a time stamp', { log: 1, stamped: true } as const],
    ['of Rekor v2, with a time stamp', { log: 2 } as const],
  ])('holds in a log %s', (_, wish) => {
    const found = check(x509(wish));
    expect(found).toMatchObject({
      git: { kind: 'commit' },
      outcome: { signer: { kind: 'certificate', identity: { names: [{ value: OWN_IDENTITY }] } } },
    });
    if (!('outcome' in found)) throw new Error('it is in no log');
    expect(found.outcome.entries).toHaveLength(1);
    expect(found.outcome.times.length).toBeGreaterThan(0);
  });

  it('holds over a tag', () => {
    const payload = tag('1'.repeat(40));
    expect(check(`${payload}${gitsign(payload, instance)}`)).toMatchObject({ git: { kind: 'tag' } });
  });

  const other = new Instance('other.example');
  const swap = (change: (entry: { [name: string]: unknown }) => object): GitsignWish => ({
    entry: (entry) => change(entry),
  });
  it.each<[string, () => string, string]>([
    ['over another commit', () => x509({ over: commit({ message: 'Another' }) }), 'bad-signature'],
    ['that is not in a log', () => x509({ log: null }), 'holds no log entry'],
    ['that is stamped and not in a log', () => x509({ log: null, stamped: true }), 'holds no log entry'],
    ['in Rekor v2 without a time', () => x509({ log: 2, stamped: false }), 'bad-timestamp'],
    ['that holds an object of its own', () => x509({ attached: true }), 'an object of its own'],
    ['by another authority', () => x509({}, commit(), other.signer()), 'bad-certificate'],
    ['with the certificate of another', () => x509({ shown: instance.signer().certificate }), 'bad-signature'],
    [
      'after the end of its certificate',
      () => x509({}, commit(), instance.signer({ from: '2026-07-01T12:00:00Z' })),
      'bad-certificate',
    ],
    ['without a promise of a CT log', () => x509({}, commit(), instance.signer({ ctLog: null })), 'bad-sct'],
    ['with the entry at another index', () => x509(swap((entry) => ({ ...entry, logIndex: '7' }))), 'bad-promise'],
    ['with another time', () => x509(swap((entry) => ({ ...entry, integratedTime: '1785585700' }))), 'bad-promise'],
    [
      'without promise and proof',
      () => x509(swap(({ inclusionPromise: _, inclusionProof: __, ...entry }) => entry)),
      'bad-pro',
    ],
    [
      'with an entry of another kind',
      () => x509(swap((entry) => ({ ...entry, kindVersion: { kind: 'dsse', version: '0.0.1' } }))),
      'unsupported',
    ],
    [
      'with text behind it',
      () => x509().replace('-----END SIGNED MESSAGE-----\n', '-----END SIGNED MESSAGE-----\n x\n'),
      'malformed',
    ],
  ])('%s is refused', (_, make, why) => expect(refusal(() => check(make()))).toContain(why));

  it('is refused with the log entry of another signature by the same signer', () => {
    const payload = commit({ message: 'Another' });
    let foreign: object | undefined;
    gitsign(payload, instance, signer, { entry: (entry) => (foreign = entry) });
    expect(refusal(() => check(x509(swap(() => foreign!))))).toMatch(/^(bad-promise|entry-mismatch|bad-proof)/);
  });

  it('is refused under a root that does not know the log', () => {
    expect(refusal(() => check(x509(), { trustedRoot: rootOf(other.trustedRoot()) }))).toMatch(/^bad-/);
  });

  it('throws nothing else, wherever a character of it is changed', () => {
    const whole = x509();
    for (let at = whole.indexOf('gpgsig'); at < whole.indexOf('-----END'); at += 7) {
      const char = whole[at] === 'A' ? 'B' : 'A';
      const changed = whole.slice(0, at) + char + whole.slice(at + 1);
      try {
        // Some bytes are covered by nothing: the parts of the log entry that its proof or its promise alone need.
        expect(check(changed)).toMatchObject({ git: { kind: 'commit' } });
      } catch (error) {
        expect(error).toBeInstanceOf(ClientError);
      }
    }
  });
});

/** Commits of the public instance, from the tests of gitsign itself. */
const published = vectorFolder('gitsign');
const why = published !== undefined && existsSync(published) ? undefined : 'TEST_VECTORS has no folder gitsign';
describe.skipIf(skips('published commits of gitsign', why))('published commits', () => {
  it('hold where the signature holds the log entry', () => {
    const root = parseTrustedRoot(readFileSync(join(vectorFolder('sigstore-bundles')!, 'trusted_root.json')));
    const found = readdirSync(published!).map((name) => {
      const object = readGit(readFileSync(join(published!, name)))!;
      try {
        return [name, 'outcome' in checkGit(object, { trustedRoot: root }, Date.now(), primitives)];
      } catch (error) {
        return [name, (error as ClientError).code];
      }
    });
    expect(Object.fromEntries(found)).toEqual({ 'offline.commit': true, 'online.commit': 'bad-proof' });
  });
});
