import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ed25519ph } from '@noble/curves/ed25519.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bundle, formatBundle } from '../../../../client/formats/bundle.ts';
import { formatPublicKeyPem } from '../../../../client/formats/key.ts';
import { parseSpki } from '../../../../merkle/rekor/spki.ts';
import { formatTlogProof } from '../../../../merkle/tlog-proof.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { type Ran, stele } from '../../../support/serve.ts';
import { skips } from '../../../support/skip.ts';
import { bundleCases } from '../../../support/vectors.ts';
import { attestation, digestsOf, hex, messageBundle, type TestKey, testKey, text } from '../../verify/verify-parts.ts';

const file = text('hello');
const digests = digestsOf(file);
const named = (hash: keyof typeof digests, of = digests) => `${hash}:${hex(of[hash])}`;
const key = testKey();
const p384 = testKey('P-384');
const log = FakeLog.empty();
let dir: string;

const put = (name: string, bytes: string | Uint8Array) => writeFileSync(join(dir, name), bytes);
const bundled = (name: string, bundle: Bundle) => put(name, formatBundle(bundle));
const verify = (...args: readonly string[]) =>
  stele(['verify', ...args, '--key', 'key.pub', '--log-key', log.vkey], { cwd: dir });
const json = ({ stdout }: Ran) => JSON.parse(stdout);
const refused = (code: number, why: string) => ({ code, stderr: expect.stringContaining(why) });

/** A statement with a subject for each file, by this hash. */
const about = (files: readonly string[], hash: 'sha256' | 'sha512' = 'sha256') => {
  const subject = files.map((name) => ({ name, digest: { [hash]: hex(digestsOf(text(name))[hash]) } }));
  const json = { _type: 'https://in-toto.io/Statement/v1', subject, predicateType: 'urn:x', predicate: {} };
  return attestation(file, key, log, text(JSON.stringify(json)));
};
const listOf = (...names: readonly string[]) =>
  names.map((name) => `${hex(digestsOf(text(name)).sha256)}  ${name}\n`).join('');

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-digests-'));
  put('key.pub', formatPublicKeyPem(key.info));
  put('p384.pub', formatPublicKeyPem(p384.info));
  bundled('message.json', messageBundle(file, key, log));
  bundled('p384.json', messageBundle(file, p384, log));
  bundled('three.json', about(['a', 'b', 'c']));
  bundled('sha512.json', about(['a'], 'sha512'));
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('stele verify of a digest', () => {
  it('needs no file, and says that no file was read', async () => {
    const ran = await verify(named('sha256'), '--bundle', 'message.json');
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(ran.stdout).toContain(`the given digest ${named('sha256').replace(':', ' ')}`);
    expect(ran.stdout).toContain('no file was read');
    expect(ran.stdout).not.toContain('the file has the digest');
    const result = json(await verify(named('sha256'), '--bundle', 'message.json', '--json'));
    expect(result).toMatchObject({ ok: true, file: named('sha256'), digest: { hex: hex(digests.sha256) } });
    expect(result.notProven[0]).toContain('no file was read');
  });

  it('refuses another digest with 1', async () => {
    const other = digestsOf(text('other'));
    const ran = await verify(named('sha256', other), '--bundle', 'message.json');
    expect(ran).toMatchObject(refused(1, '[digest-mismatch]'));
    expect(await verify(named('sha256', other), '--bundle', 'three.json')).toMatchObject(
      refused(1, 'is not about this file'),
    );
  });

  it('takes the digest that the key signs, and names it where another is given', async () => {
    const other = ['--bundle', 'p384.json', '--key', 'p384.pub', '--log-key', log.vkey];
    expect(await stele(['verify', named('sha384'), ...other], { cwd: dir })).toMatchObject({ code: 0 });
    for (const wrong of ['sha256', 'sha512'] as const) {
      const ran = await stele(['verify', named(wrong), ...other], { cwd: dir });
      expect(ran).toMatchObject(refused(2, 'the sha384 digest of the file is needed'));
    }
    expect(await verify(named('sha512', digestsOf(text('a'))), '--bundle', 'sha512.json')).toMatchObject({ code: 0 });
    expect(await verify(named('sha256', digestsOf(text('a'))), '--bundle', 'sha512.json')).toMatchObject(
      refused(2, 'the sha512 digest of the file is needed'),
    );
  });

  it('takes SHA-512 for Ed25519ph', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const secret = Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url');
    const ph: TestKey = {
      info: parseSpki(publicKey.export({ format: 'der', type: 'spki' })),
      details: 'PKIX_ED25519_PH',
      hash: 'sha512',
      digestName: 'SHA2_512',
      sign: (message) => ed25519ph.sign(message, secret),
    };
    put('ed25519.pub', formatPublicKeyPem(ph.info));
    bundled('ed25519.json', messageBundle(file, ph, log));
    const how = ['--bundle', 'ed25519.json', '--key', 'ed25519.pub', '--log-key', log.vkey];
    expect(await stele(['verify', named('sha512'), ...how], { cwd: dir })).toMatchObject({ code: 0 });
    expect(await stele(['verify', named('sha256'), ...how], { cwd: dir })).toMatchObject(
      refused(2, 'the sha512 digest'),
    );
  });

  it.each(bundleCases())('holds for each good bundle, by the digest of its file alone: %s', async ({ all }) => {
    for (const { name, bundle, artifact, trustedRoot, key: pem, identity, issuer } of all) {
      if (!/^(?:happy-path|managed-key-happy|rekor2-timestamp-with-)/.test(name)) continue;
      put('case.json', bundle);
      put('root.json', trustedRoot);
      if (pem !== undefined) put('case.pub', pem);
      const signer = pem === undefined ? ['--identity', identity, '--issuer', issuer] : ['--key', 'case.pub'];
      const how = ['--bundle', 'case.json', '--trusted-root', 'root.json', ...signer];
      const ran = await stele(['verify', named('sha256', digestsOf(artifact)), ...how], { cwd: dir });
      expect(ran, name).toMatchObject({ code: 0, stderr: '' });
      const wrong = await stele(['verify', named('sha256', digestsOf(text('x'))), ...how], { cwd: dir });
      expect(wrong.code, name).toBe(1);
    }
  });

  it('is refused with 2 in a wrong form, and a file of such a name is named with ./', async () => {
    const digest = named('sha256');
    for (const [args, why] of [
      [[digest.toUpperCase(), '--bundle', 'message.json'], 'in lower case'],
      [[digest.slice(0, -1), '--bundle', 'message.json'], 'it has 63 digits'],
      [['sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709', '--bundle', 'message.json'], 'sha1 is not compared'],
      [[`example.com/image@${digest}`, '--bundle', 'message.json'], `give the digest alone, ${digest}`],
      [[digest], 'does not name its bundle: give --bundle'],
      [[digest, digest, '--bundle', 'message.json'], 'is given twice'],
      [[digest, 'key.pub', '--bundle', 'message.json'], '--bundle is of one file'],
    ] as const) {
      expect(await verify(...args), args.join(' ')).toMatchObject(refused(2, why));
    }
    put(digest, file);
    expect(await verify(`./${digest}`, '--bundle', 'message.json')).toMatchObject({ code: 0 });
    put(digest, 'another file');
    expect(await verify(digest, '--bundle', 'message.json')).toMatchObject({ code: 0 });
    expect(await verify(`./${digest}`, '--bundle', 'message.json')).toMatchObject({ code: 1 });
  });

  it('may be one of many, about one attestation', async () => {
    const [a, b, x] = ['a', 'b', 'x'].map((name) => named('sha256', digestsOf(text(name)))) as [string, string, string];
    const both = await verify(a, b, '--bundle', 'three.json', '--json');
    expect(both.code).toBe(0);
    expect(json(both)).toMatchObject([
      { ok: true, file: a, bundle: 'three.json', statement: { subject: 'a' } },
      { ok: true, file: b, bundle: 'three.json', statement: { subject: 'b' } },
    ]);
    const mixed = await verify(a, x, '--bundle', 'three.json', '--json');
    expect(mixed.code).toBe(1);
    expect(json(mixed)).toMatchObject([{ ok: true }, { ok: false, error: { code: 'digest-mismatch' } }]);
    expect(await verify(a, b, '--bundle', 'three.json', '--subject', 'a')).toMatchObject({ code: 1 });
  });

  it('is that of a tlog-proof as well', async () => {
    const bundle = messageBundle(file, key, log);
    const { body, index, proof } = bundle.entries[0]!;
    put('proof', formatTlogProof({ extra: body, index, hashes: proof!.hashes, checkpoint: proof!.checkpoint! }));
    put('policy', `log ${log.vkey}\nquorum none\n`);
    const how = ['--tlog-proof', 'proof', '--key', 'key.pub', '--policy', 'policy'];
    const ran = await stele(['verify', named('sha256'), ...how, '--json'], { cwd: dir });
    expect(ran.code).toBe(0);
    expect(json(ran)).toMatchObject({ digest: { hex: hex(digests.sha256) } });
    expect(json(ran).notProven[0]).toContain('no file was read');
    const other = await stele(['verify', named('sha256', digestsOf(text('x'))), ...how], { cwd: dir });
    expect(other).toMatchObject(refused(1, '[digest-mismatch]'));
    const wrong = await stele(['verify', named('sha512'), ...how], { cwd: dir });
    expect(wrong).toMatchObject(refused(2, 'give that digest'));
  });
});

describe('stele verify --checksums', () => {
  it('verifies each line by its own bundle, below the current directory, and reads no file', async () => {
    mkdirSync(join(dir, 'dist'));
    bundled('dist/a.sigstore.json', messageBundle(text('dist/a'), key, log));
    bundled('b.sigstore.json', messageBundle(text('b'), key, log));
    put('SUMS', listOf('dist/a', 'b'));
    const ran = await verify('--checksums', 'SUMS');
    expect(ran.code).toBe(0);
    expect(ran.stdout).toContain('2 files: 2 verified');
    expect(json(await verify('--checksums', 'SUMS', '--json'))).toMatchObject([
      { ok: true, file: 'dist/a', bundle: 'dist/a.sigstore.json' },
      { ok: true, file: 'b', bundle: 'b.sigstore.json' },
    ]);
    put('SUMS', `${listOf('dist/a')}${hex(digests.sha256)}  b\n${listOf('absent')}`);
    const mixed = await verify('--checksums', 'SUMS', '--json');
    expect(mixed.code).toBe(1);
    expect(json(mixed)).toMatchObject([
      { ok: true },
      { ok: false, file: 'b', error: { code: 'digest-mismatch' } },
      { ok: false, file: 'absent', error: { code: 'file' } },
    ]);
  });

  it('verifies all lines by one bundle', async () => {
    put('SUMS', listOf('a', 'b', 'c'));
    expect(await verify('--checksums', 'SUMS', '--bundle', 'three.json')).toMatchObject({ code: 0 });
    put('SUMS', listOf('a', 'b', 'd'));
    expect(await verify('--checksums', 'SUMS', '--bundle', 'three.json')).toMatchObject({ code: 1 });
  });

  it('refuses a list with one bad line as a whole, and names the line', async () => {
    const good = listOf('a', 'b');
    for (const [bad, why] of [
      [
        `${hex(digests.sha256).toUpperCase()}  c\n`,
        'line 3 of the list SUMS has a digest that is wrong: its hex must be in lower case',
      ],
      [`${hex(digests.sha256).slice(1)}  c\n`, 'line 3 of the list SUMS has a digest of 63 digits'],
      ['not a line\n', 'line 3 of the list SUMS is not in the form of sha256sum'],
      [`${hex(digests.sha512)}  a\n`, 'lines 1 and 3 of the list SUMS both name a'],
    ] as const) {
      put('SUMS', good + bad);
      const ran = await verify('--checksums', 'SUMS', '--bundle', 'three.json');
      expect(ran, bad).toMatchObject({ ...refused(2, why), stdout: '' });
    }
  });

  it('is not mixed with files, and is of one proof where it is of a tlog-proof', async () => {
    put('SUMS', listOf('a', 'b'));
    expect(await verify('key.pub', '--checksums', 'SUMS')).toMatchObject(refused(2, 'leave out the others'));
    expect(await verify('--checksums', 'absent')).toMatchObject(refused(2, 'absent cannot be read'));
    const proof = ['verify', '--checksums', 'SUMS', '--tlog-proof', 'p', '--key', 'key.pub', '--policy', 'policy'];
    expect(await stele(proof, { cwd: dir })).toMatchObject(refused(2, '--tlog-proof is of one file'));
  });

  const coreutils = spawnSync('sha256sum', ['--version']).status === 0;
  it.skipIf(skips('lists of sha256sum', coreutils ? undefined : 'there is no sha256sum'))(
    'takes what sha256sum writes, with and without --tag, for names of all kinds',
    async () => {
      const names = ['plain', ' two  spaces ', 'line\nfeed', 'back\\slash', '#hash', '(x) = y', 'é'];
      for (const name of names) put(name, name);
      bundled('odd.json', about(names));
      for (const args of [[], ['--tag'], ['--binary']]) {
        const { stdout, status } = spawnSync('sha256sum', [...args, '--', ...names], { cwd: dir, encoding: 'utf8' });
        expect(status).toBe(0);
        put('ODD', stdout);
        const ran = await verify('--checksums', 'ODD', '--bundle', 'odd.json', '--json');
        expect(json(ran), args.join()).toMatchObject(
          names.map((file) => ({ ok: true, file, statement: { subject: file } })),
        );
      }
    },
  );
});
