import { createHash, createPublicKey } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keygenCommand } from '../../../client/cli/keygen.ts';
import { parseVerifierKey } from '../../../merkle/note.ts';
import { openSigner } from '../../../merkle/runtime/keys/open-signer.ts';
import { skips } from '../../support/skip.ts';
import { NO_SOFTHSM, type SoftHsm, startSoftHsm } from '../../support/softhsm.ts';

async function keygen(...args: string[]): Promise<string> {
  let out = '';
  const command = keygenCommand((text) => {
    out += text;
  });
  await command
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .parseAsync(args, { from: 'user' });
  return out;
}

function der(pem: string): Buffer {
  return createPublicKey(pem).export({ type: 'spki', format: 'der' });
}

describe('stele keygen --out', () => {
  let dir: string;
  let out: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-keygen-'));
    out = join(dir, 'log.pem');
  });
  afterEach(() => rm(dir, { recursive: true }));

  it('makes a key file and shows the public part alone', async () => {
    const text = await keygen('--out', out, '--origin', 'log.example.com');
    const signer = await openSigner({ file: out });
    expect(signer.algorithm).toBe('ed25519');
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    const pem = await readFile(join(dir, 'log.pub.pem'), 'utf8');
    expect(der(pem)).toEqual(Buffer.from(signer.publicKey));
    expect(text).toContain(pem);
    expect(text).not.toContain('PRIVATE');
    const key = parseVerifierKey(/^Verifier key: (\S+)$/m.exec(text)![1]!);
    expect(key.name).toBe('log.example.com');
    expect(Buffer.from(key.key)).toEqual(Buffer.from(signer.publicKey).subarray(-32));
  });

  it('prints JSON, with the log ID of the origin', async () => {
    const args = ['--out', out, '--algorithm', 'ecdsa-p256', '--origin', 'localhost', '--json'];
    const made = JSON.parse(await keygen(...args));
    const spki = Buffer.from((await openSigner({ file: out })).publicKey);
    expect(made).toEqual({
      algorithm: 'ecdsa-p256',
      key: { file: out, encrypted: false },
      publicKey: await readFile(join(dir, 'log.pub.pem'), 'utf8'),
      publicKeyFile: join(dir, 'log.pub.pem'),
      verifierKey: expect.stringMatching(/^localhost\+[0-9a-f]{8}\+/),
      logId: createHash('sha256').update(spki).digest('base64'),
    });
    expect(der(made.publicKey)).toEqual(spki);
  });

  it('encrypts with the passphrase from a file', async () => {
    const file = join(dir, 'passphrase');
    await writeFile(file, 'correct horse\n', { mode: 0o600 });
    const text = await keygen('--out', out, '--passphrase-file', file);
    expect(text).not.toContain('horse');
    await expect(openSigner({ file: out })).rejects.toMatchObject({ code: 'passphrase' });
    await expect(openSigner({ file: out, passphrase: { file } })).resolves.toMatchObject({ algorithm: 'ed25519' });
  });

  it('overwrites neither a key nor a public key', async () => {
    await keygen('--out', out);
    const before = await readFile(out);
    await expect(keygen('--out', out, '--public', join(dir, 'p'))).rejects.toMatchObject({ code: 'key-exists' });
    expect(await readFile(out)).toEqual(before);
    const other = join(dir, 'other.pem');
    const taken = ['--out', other, '--public', join(dir, 'log.pub.pem')];
    await expect(keygen(...taken)).rejects.toMatchObject({ code: 'file' });
    expect(await readdir(dir)).toEqual(['log.pem', 'log.pub.pem']);
  });

  it('makes nothing where the options do not fit', async () => {
    const token = ['--pkcs11-module', 'libsofthsm2.so', '--token', 't', '--label', 'l'];
    for (const args of [
      [],
      ['--out', out, ...token],
      ['--out', out, '--pin-env', 'P'],
      ['--out', out, '--passphrase-env', 'P', '--passphrase-file', 'f'],
      ['--out', out, '--origin', 'two words'],
      token,
      [...token, '--pin-env', 'P', '--passphrase-env', 'P'],
      [...token, '--pin-env', 'P', '--pin-file', 'f'],
    ]) {
      await expect(keygen(...args), args.join(' ')).rejects.toMatchObject({ code: 'usage' });
    }
    await expect(keygen('--out', join(dir, 'none', 'k.pem'))).rejects.toMatchObject({
      code: 'key-file',
      message: expect.stringMatching(/there is no directory .*none$/),
    });
    await expect(keygen('--out', out, '--algorithm', 'rsa')).rejects.toThrow();
    await expect(keygen('--out', out, '--passphrase', 'x')).rejects.toThrow();
    expect(await readdir(dir)).toEqual([]);
  });
});

describe.skipIf(skips('keys in a token', NO_SOFTHSM))('stele keygen --pkcs11-module', () => {
  let hsm: SoftHsm;
  let pin: string;
  beforeAll(async () => {
    hsm = (await startSoftHsm())!;
    pin = await hsm.pinFile('4711-secret');
    await hsm.initToken('stele', '4711-secret');
  });
  afterAll(() => hsm?.stop());

  it('makes a key inside the token, once', async () => {
    const file = join(hsm.dir, 'log.pub.pem');
    const token = ['--pkcs11-module', 'libsofthsm2.so', '--token', 'stele', '--pin-file', pin];
    const text = await keygen(...token, '--label', 'log', '--algorithm', 'ecdsa-p256', '--public', file);
    expect(text).not.toContain('4711');
    const spec = { module: hsm.module, token: 'stele', label: 'log', pin: { file: pin } };
    const signer = await openSigner({ pkcs11: spec });
    await signer.close();
    expect(der(await readFile(file, 'utf8'))).toEqual(Buffer.from(signer.publicKey));
    await expect(keygen(...token, '--label', 'log')).rejects.toMatchObject({ code: 'key-exists' });
  });
});
