import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bundle, formatBundle } from '../../../../client/formats/bundle.ts';
import { formatPublicKeyPem } from '../../../../client/formats/key.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { type Ran, stele } from '../../../support/serve.ts';
import { attestation, digestsOf, hex, messageBundle, testKey, text } from '../../verify/verify-parts.ts';

const file = text('hello');
const key = testKey();
const log = FakeLog.empty();
let dir: string;

const jsonOf = (bundle: Bundle) => JSON.parse(Buffer.from(formatBundle(bundle)).toString());
const put = (name: string, value: string | Uint8Array) => writeFileSync(join(dir, name), value);
const lines = (...values: readonly object[]) => values.map((value) => `${JSON.stringify(value)}\n`).join('');
const registry = (...bundles: readonly object[]) =>
  JSON.stringify({ attestations: bundles.map((bundle) => ({ predicateType: 'urn:any', bundle })) });
const verify = (...args: readonly string[]) =>
  stele(['verify', ...args, '--key', 'key.pub', '--log-key', log.vkey], { cwd: dir });
const json = ({ stdout }: Ran) => JSON.parse(stdout);

const about = (predicateType: string, name: string) => {
  const subject = [{ name: 'app', digest: { sha256: hex(digestsOf(text(name)).sha256) } }];
  const statement = { _type: 'https://in-toto.io/Statement/v1', subject, predicateType, predicate: {} };
  return jsonOf(attestation(file, key, log, text(JSON.stringify(statement))));
};
const good = jsonOf(messageBundle(file, key, log));
const ofOther = jsonOf(messageBundle(text('other'), key, log));
const byOther = jsonOf(messageBundle(file, testKey(), log));
const newer = { ...good, mediaType: 'application/vnd.dev.sigstore.bundle.v9+json' };
const old = { base64Signature: 'AA==', rekorBundle: {} };

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-bundles-'));
  put('app', file);
  put('key.pub', formatPublicKeyPem(key.info));
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('stele verify with several bundles in a file', () => {
  it('holds where one of them holds, and says which', async () => {
    put('some.jsonl', lines(ofOther, newer, good, byOther));
    const ran = await verify('app', '--bundle', 'some.jsonl');
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(ran.stdout).toContain('line 3 of some.jsonl, which has 4 bundles');
    expect(json(await verify('app', '--bundle', 'some.jsonl', '--json'))).toMatchObject({
      ok: true,
      bundle: 'some.jsonl',
      bundleAt: { line: 3, of: 4 },
    });
    put('npm.json', registry(byOther, good));
    const npm = await verify('app', '--bundle', 'npm.json', '--json');
    expect(json(npm)).toMatchObject({ ok: true, bundleAt: { index: 1, of: 2 } });
    put('one.json', JSON.stringify(good));
    expect(json(await verify('app', '--bundle', 'one.json', '--json'))).not.toHaveProperty('bundleAt');
  });

  it('takes only the one that claims what is required', async () => {
    const [slsa, link] = [
      about('https://slsa.dev/provenance/v1', 'hello'),
      about('https://in-toto.io/Link/v1', 'hello'),
    ];
    put('claims.jsonl', lines(good, slsa, link));
    const typed = await verify('app', '--bundle', 'claims.jsonl', '--type', 'link', '--json');
    expect(json(typed)).toMatchObject({
      ok: true,
      bundleAt: { line: 3 },
      statement: { predicateType: 'https://in-toto.io/Link/v1' },
    });
    const none = await verify('app', '--bundle', 'claims.jsonl', '--type', 'vuln');
    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('[attestation]') });
    // The registry's own word for the type is not the signer's.
    put('lie.json', JSON.stringify({ attestations: [{ predicateType: 'https://in-toto.io/Link/v1', bundle: slsa }] }));
    expect(await verify('app', '--bundle', 'lie.json', '--type', 'link')).toMatchObject({ code: 1 });
    // A type that one bundle has, and a file that another one is about, make no bundle that holds.
    put('two.jsonl', lines(good, about('https://in-toto.io/Link/v1', 'other')));
    expect(await verify('app', '--bundle', 'two.jsonl', '--type', 'link')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[digest-mismatch]: none of the 2 bundles in two.jsonl holds'),
    });
  });

  it('gives the reason for each where none holds, and the code of the one that came furthest', async () => {
    put('none.jsonl', lines(newer, byOther, ofOther, byOther));
    const { code, stderr, stdout } = await verify('app', '--bundle', 'none.jsonl');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('[digest-mismatch]: none of the 4 bundles in none.jsonl holds');
    expect(stderr).toContain('line 1: [unsupported]');
    expect(stderr).toContain('line 2, line 4: [bad-signature]');
    expect(stderr).toContain('line 3: [digest-mismatch]');
    put('untried.jsonl', lines(newer, old));
    const untried = await verify('app', '--bundle', 'untried.jsonl');
    expect(untried).toMatchObject({ code: 2, stderr: expect.stringContaining("cosign's old form") });
    put('only.json', registry(byOther));
    expect(await verify('app', '--bundle', 'only.json')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the one bundle in only.json does not hold. attestations[0]: [bad-signature]'),
    });
    put('many.jsonl', lines(...Array.from({ length: 12 }, (_, at) => ({ ...good, [`x${at}`]: 1 }))));
    expect((await verify('app', '--bundle', 'many.jsonl')).stderr).toContain('and 4 other reasons');
    put('257.jsonl', lines(...Array(257).fill(good)));
    expect(await verify('app', '--bundle', '257.jsonl')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('more than 256 lines'),
    });
  });

  it('serves many digests from one reading, of standard input too', async () => {
    put('all.jsonl', lines(good, ofOther));
    const [a, b, c] = [file, text('other'), text('third')].map((of) => `sha256:${hex(digestsOf(of).sha256)}`) as [
      string,
      string,
      string,
    ];
    const both = await stele(['verify', a, b, '--bundle', '-', '--key', 'key.pub', '--log-key', log.vkey, '--json'], {
      cwd: dir,
      input: lines(good, ofOther),
    });
    expect(json(both)).toMatchObject([
      { ok: true, bundleAt: { line: 1 } },
      { ok: true, bundleAt: { line: 2 } },
    ]);
    const mixed = await verify(a, c, '--bundle', 'all.jsonl');
    expect(mixed.code).toBe(1);
    expect(mixed.stdout).toContain('line 1 of all.jsonl');
    expect(mixed.stdout).toContain('none of the 2 bundles');
  });

  it('names what is no bundle, and a bundle in the place of its file', async () => {
    put('old.json', JSON.stringify(old));
    expect(await verify('app', '--bundle', 'old.json')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("[unsupported]: this is no Sigstore bundle, but cosign's old form of a bundle"),
    });
    put('app.sigstore.json', JSON.stringify(good));
    expect(await verify('app.sigstore.json')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('app.sigstore.json is a bundle itself: name the file that it is about'),
    });
    put('policy', `log ${log.vkey}\nquorum none\n`);
    const proof = ['verify', 'app', '--tlog-proof', 'old.json', '--key', 'key.pub', '--policy', 'policy'];
    expect(await stele(proof, { cwd: dir })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('A bundle is given as --bundle'),
    });
    put('ssh.pub', 'ssh-rsa AAAAB3NzaC1yc2E= me@example.com\n');
    const ssh = await stele(['verify', 'app', '--key', 'ssh.pub', '--log-key', log.vkey], { cwd: dir });
    expect(ssh).toMatchObject({ code: 2, stderr: expect.stringContaining('a public key of SSH: `ssh-keygen') });
    // A bundle may be the file that was signed.
    put('app.sigstore.json.sigstore.json', formatBundle(messageBundle(Buffer.from(JSON.stringify(good)), key, log)));
    expect(await verify('app.sigstore.json')).toMatchObject({ code: 0 });
  });
});
