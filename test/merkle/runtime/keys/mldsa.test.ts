import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nobleNotePrimitives } from '../../../../merkle/noble.ts';
import { encodeSpki } from '../../../../merkle/rekor/spki.ts';
import {
  createMldsaKeyFile,
  mldsaSigner,
  openMldsaVerifier,
  readMldsaKey,
} from '../../../../merkle/runtime/keys/mldsa.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stele-mldsa-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('an ML-DSA-44 key file', () => {
  it('signs in the pool with the key that was made', async () => {
    const path = join(dir, 'key.pem');
    const { publicKey } = await createMldsaKeyFile(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const signer = mldsaSigner(await readMldsaKey(path), { threads: 2, niceness: 19 });
    try {
      expect(signer.publicKey).toEqual(publicKey);
      const messages = Array.from({ length: 6 }, (_, i) => new Uint8Array(100).fill(i));
      const signatures = await Promise.all(messages.map((message) => signer.sign(message)));
      for (const [i, signature] of signatures.entries()) {
        expect(nobleNotePrimitives.mldsa44(publicKey, messages[i]!, signature)).toBe(true);
      }
      // The caller's bytes are still the caller's.
      expect(messages[3]).toEqual(new Uint8Array(100).fill(3));
    } finally {
      await signer.close();
    }
    await expect(signer.sign(new Uint8Array(1))).rejects.toMatchObject({ code: 'pool' });
  });

  it('verifies in the pool, with any key', async () => {
    const path = join(dir, 'key.pem');
    const { publicKey } = await createMldsaKeyFile(path);
    const signer = mldsaSigner(await readMldsaKey(path));
    const verifier = openMldsaVerifier();
    try {
      const message = new Uint8Array(100).fill(1);
      const signature = await signer.sign(message);
      for (const { verify } of [signer, verifier]) {
        expect(await verify(publicKey, message, signature)).toBe(true);
        expect(await verify(publicKey, message.slice(1), signature)).toBe(false);
        expect(await verify(publicKey, message, signature.slice(1))).toBe(false);
        expect(await verify(publicKey.slice(1), message, signature)).toBe(false);
        expect(await verify(new Uint8Array(1312), message, signature)).toBe(false);
        expect(await verify(publicKey, message, new Uint8Array(2420).fill(255))).toBe(false);
      }
    } finally {
      await Promise.all([signer.close(), verifier.close()]);
    }
    await expect(verifier.verify(publicKey, new Uint8Array(1), new Uint8Array(2420))).rejects.toMatchObject({
      code: 'pool',
    });
  });

  it('is the seed in PKCS#8 as RFC 9881 has it, and its public key an SPKI', async () => {
    const path = join(dir, 'key.pem');
    const { publicKey } = await createMldsaKeyFile(path);
    const pem = await readFile(path, 'utf8');
    const der = Buffer.from(pem.replaceAll(/-----.*-----|\n/g, ''), 'base64');
    expect(der.toString('hex')).toMatch(/^3034020100300b060960864801650304031104228020[0-9a-f]{64}$/);
    const spki = Buffer.from(encodeSpki('mldsa44', publicKey));
    expect(spki.subarray(0, 22).toString('hex')).toBe('30820532300b06096086480165030403110382052100');
    expect(spki).toHaveLength(4 + 0x532);
  });

  it('is never overwritten, and nothing else is read as one', async () => {
    const path = join(dir, 'key.pem');
    await createMldsaKeyFile(path);
    await expect(createMldsaKeyFile(path)).rejects.toMatchObject({ code: 'key-exists' });
    const pem = await readFile(path, 'utf8');
    const other = join(dir, 'other.pem');
    for (const bad of [
      '',
      pem.replace('MDQC', 'MDQD'),
      `${pem}${pem}`,
      pem.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE'),
    ]) {
      await writeFile(other, bad, { mode: 0o600 });
      await expect(readMldsaKey(other)).rejects.toMatchObject({ code: 'key-format' });
    }
    await expect(readMldsaKey(join(dir, 'none.pem'))).rejects.toMatchObject({ code: 'key-file' });
    await rm(other);
    await writeFile(other, pem, { mode: 0o644 });
    await expect(readMldsaKey(other)).rejects.toMatchObject({ code: 'key-file' });
  });
});
