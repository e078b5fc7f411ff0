import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKeyFile, openKeyFile } from '../../../../merkle/runtime/keys/keyfile.ts';
import { openSigner } from '../../../../merkle/runtime/keys/open-signer.ts';
import { verifySignature } from '../../../../merkle/runtime/keys/signer.ts';
import { scryptPem } from '../../../support/scrypt-key.ts';

const message = new TextEncoder().encode('log.example.com\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n');

describe('key files', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-keyfile-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  const write = async (name: string, content: string | Uint8Array, mode = 0o600): Promise<string> => {
    const path = join(dir, name);
    await writeFile(path, content, { mode });
    return path;
  };

  for (const algorithm of ['ed25519', 'ecdsa-p256'] as const) {
    for (const passphrase of [undefined, 'correct horse']) {
      it(`makes and opens ${algorithm} ${passphrase === undefined ? 'in the clear' : 'encrypted'}`, async () => {
        const path = join(dir, `${algorithm}-${passphrase}.pem`);
        const { publicKey } = await createKeyFile(path, algorithm, passphrase);
        const signer = await openKeyFile(path, passphrase);
        expect(signer.algorithm).toBe(algorithm);
        expect(Buffer.from(signer.publicKey)).toEqual(Buffer.from(publicKey));
        const signature = await signer.sign(message);
        const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
        expect(verify(algorithm === 'ed25519' ? null : 'sha256', message, key, signature)).toBe(true);
        expect((await stat(path)).mode & 0o777).toBe(0o600);
      });
    }
  }

  it('writes PKCS#8, encrypted by PBES2 with AES-256-CBC where there is a passphrase', async () => {
    const plain = join(dir, 'plain.pem');
    const locked = join(dir, 'locked.pem');
    await createKeyFile(plain, 'ed25519');
    await createKeyFile(locked, 'ed25519', 'correct horse');
    expect(await readFile(plain, 'latin1')).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    const structure = execFileSync('openssl', ['asn1parse', '-in', locked], { encoding: 'utf8' });
    expect(structure).toMatch(/PBES2[\s\S]*PBKDF2[\s\S]*hmacWithSHA256[\s\S]*aes-256-cbc/);
  });

  it('never overwrites', async () => {
    const path = await write('there', 'something');
    await expect(createKeyFile(path, 'ed25519')).rejects.toMatchObject({ code: 'key-exists' });
    expect(await readFile(path, 'utf8')).toBe('something');
    const race = join(dir, 'race.pem');
    const made = await Promise.allSettled(Array.from({ length: 4 }, () => createKeyFile(race, 'ed25519')));
    const winners = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value.publicKey] : []));
    expect(winners).toHaveLength(1);
    expect(Buffer.from((await openKeyFile(race)).publicKey)).toEqual(Buffer.from(winners[0]!));
  });

  it('leaves nothing behind where it cannot write', async () => {
    await expect(createKeyFile(join(dir, 'no', 'such.pem'), 'ed25519')).rejects.toMatchObject({ code: 'key-file' });
    await expect(createKeyFile(join(dir, 'empty.pem'), 'ed25519', '')).rejects.toMatchObject({ code: 'passphrase' });
    expect((await readdir(dir)).filter((name) => /^no$|empty|tmp/.test(name))).toEqual([]);
  });

  // What a group may read: test/merkle/runtime/disk/bounded.test.ts.
  for (const mode of [0o644, 0o604, 0o620, 0o610]) {
    it(`refuses mode ${mode.toString(8)}`, async () => {
      const path = join(dir, `open-${mode}.pem`);
      await createKeyFile(path, 'ed25519');
      await chmod(path, mode);
      await expect(openKeyFile(path)).rejects.toMatchObject({
        code: 'key-file',
        message: expect.stringContaining(`chmod 600 ${path}`),
      });
    });
  }

  it('tells a wrong, a missing and an unused passphrase apart', async () => {
    const locked = join(dir, 'secret.pem');
    const plain = join(dir, 'open.pem');
    await createKeyFile(locked, 'ecdsa-p256', 'correct horse');
    await createKeyFile(plain, 'ecdsa-p256');
    const wrong = await openKeyFile(locked, 'battery staple').catch((error) => error);
    expect(wrong).toMatchObject({ code: 'passphrase', message: expect.stringContaining('wrong') });
    expect(wrong.message).not.toContain('battery');
    await expect(openKeyFile(locked)).rejects.toMatchObject({ code: 'passphrase' });
    await expect(openKeyFile(plain, 'correct horse')).rejects.toMatchObject({ code: 'passphrase' });
  });

  it('calls no cost of scrypt that OpenSSL does not take a wrong passphrase', async () => {
    const pkcs8 = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' });
    const path = join(dir, 'scrypt.pem');
    await writeFile(path, scryptPem(pkcs8, 'horse', 16_384), { mode: 0o600 });
    expect((await openKeyFile(path, 'horse')).algorithm).toBe('ed25519');
    await writeFile(path, scryptPem(pkcs8, 'horse', 65_536));
    await expect(openKeyFile(path, 'horse')).rejects.toMatchObject({
      code: 'key-format',
      message: expect.stringContaining('scrypt at a cost of more than 32 MiB'),
    });
  });

  it('refuses keys of other kinds', async () => {
    const others = {
      rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
      p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
      k256: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey,
      x25519: generateKeyPairSync('x25519').privateKey,
    };
    for (const [name, key] of Object.entries(others)) {
      const path = await write(`${name}.pem`, String(key.export({ type: 'pkcs8', format: 'pem' })));
      await expect(openKeyFile(path), name).rejects.toMatchObject({ code: 'key-format' });
    }
  });

  it('refuses what is not exactly one PKCS#8 key', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const contents = {
      empty: '',
      text: 'a key, honestly',
      sec1: String(privateKey.export({ type: 'sec1', format: 'pem' })),
      public: String(publicKey.export({ type: 'spki', format: 'pem' })),
      two: pem + pem,
      before: `hello\n${pem}`,
      cut: pem.replace(/\n.{8}/, '\n'),
      der: privateKey.export({ type: 'pkcs8', format: 'der' }),
    };
    for (const [name, content] of Object.entries(contents)) {
      const path = await write(`not-${name}.pem`, content);
      await expect(openKeyFile(path), name).rejects.toMatchObject({ code: 'key-format' });
    }
  });

  it('refuses a missing file, a directory, a FIFO and a file of more than 64 KiB', async () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    const fifo = join(dir, 'fifo');
    execFileSync('mkfifo', ['-m', '600', fifo]);
    const large = await write('large.pem', `${pem}${'\n'.repeat(65_537 - pem.length)}`);
    for (const path of [join(dir, 'none.pem'), dir, fifo, large]) {
      await expect(openKeyFile(path)).rejects.toMatchObject({ code: 'key-file' });
    }
    const largest = await write('largest.pem', `${pem}${'\n'.repeat(65_536 - pem.length)}`);
    await expect(openKeyFile(largest)).resolves.toMatchObject({ algorithm: 'ed25519' });
  });

  it('opens by a specification, with the passphrase from a file', async () => {
    const path = join(dir, 'spec.pem');
    await createKeyFile(path, 'ed25519', 'correct horse');
    const passphrase = { file: await write('passphrase', 'correct horse\n') };
    const signer = await openSigner({ file: path, passphrase });
    expect(verifySignature(signer, message, await signer.sign(message))).toBe(true);
    await expect(openSigner({ file: path })).rejects.toMatchObject({ code: 'passphrase' });
  });
});
