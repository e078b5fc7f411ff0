import { generateKeyPairSync } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSigner } from '../../../../../merkle/runtime/keys/open-signer.ts';
import { createTokenKey, openTokenSigner } from '../../../../../merkle/runtime/keys/pkcs11/pkcs11.ts';
import { RetryingSigner } from '../../../../../merkle/runtime/keys/retrying.ts';
import { verifySignature } from '../../../../../merkle/runtime/keys/signer.ts';
import { lacking, skips } from '../../../../support/skip.ts';
import { NO_SOFTHSM, type SoftHsm, startSoftHsm } from '../../../../support/softhsm.ts';

const PIN = '4711-secret';
const message = new TextEncoder().encode('log.example.com\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n');
describe.skipIf(skips('signers of tokens', NO_SOFTHSM))('keys in SoftHSM', () => {
  let hsm: SoftHsm;
  let pinFile: string;
  const spec = (label: string, more: object = {}) => {
    return { module: hsm.module, token: 'stele', label, pin: { file: pinFile }, ...more };
  };

  beforeAll(async () => {
    hsm = (await startSoftHsm())!;
    pinFile = await hsm.pinFile(PIN);
    await hsm.initToken('stele', PIN);
  });
  afterAll(() => hsm?.stop());

  for (const algorithm of ['ed25519', 'ecdsa-p256'] as const) {
    it(`makes a key for ${algorithm} that signs and verifies`, async () => {
      const { publicKey } = await createTokenKey({ ...spec(algorithm), algorithm });
      const signer = await openSigner({ pkcs11: spec(algorithm) });
      try {
        expect(signer.algorithm).toBe(algorithm);
        expect(Buffer.from(signer.publicKey)).toEqual(Buffer.from(publicKey));
        const signatures = await Promise.all(Array.from({ length: 20 }, () => signer.sign(message)));
        for (const signature of signatures) {
          expect(verifySignature(signer, message, signature)).toBe(true);
          expect(verifySignature(signer, message.subarray(1), signature)).toBe(false);
        }
      } finally {
        await signer.close();
      }
    });
  }

  it('makes keys that the token does not give away', async () => {
    const { default: pkcs11 } = await import('pkcs11js');
    await createTokenKey({ ...spec('kept'), algorithm: 'ed25519' });
    const module = new pkcs11.PKCS11();
    module.load(hsm.module);
    module.C_Initialize();
    try {
      const slot = module.C_GetSlotList(true).find((one) => module.C_GetTokenInfo(one).label.trim() === 'stele');
      const session = module.C_OpenSession(slot!, pkcs11.CKF_SERIAL_SESSION);
      module.C_Login(session, pkcs11.CKU_USER, PIN);
      module.C_FindObjectsInit(session, [
        { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
        { type: pkcs11.CKA_LABEL, value: 'kept' },
      ]);
      const key = module.C_FindObjects(session, 1)[0]!;
      module.C_FindObjectsFinal(session);
      const read = (type: number) => module.C_GetAttributeValue(session, key, [{ type }])[0]!.value as Buffer;
      expect(() => read(pkcs11.CKA_VALUE)).toThrow('CKR_ATTRIBUTE_SENSITIVE');
      for (const type of [pkcs11.CKA_SENSITIVE, pkcs11.CKA_NEVER_EXTRACTABLE, pkcs11.CKA_PRIVATE, pkcs11.CKA_SIGN]) {
        expect(read(type)[0]).toBe(1);
      }
      for (const type of [pkcs11.CKA_EXTRACTABLE, pkcs11.CKA_DECRYPT, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE]) {
        expect(read(type)[0]).toBe(0);
      }
    } finally {
      module.C_Finalize();
    }
  });

  it('goes on after the token was taken away and given back', async () => {
    const errors: string[] = [];
    let recovered = 0;
    await createTokenKey({ ...spec('moved'), algorithm: 'ecdsa-p256' });
    const other = await openSigner({ pkcs11: spec('moved') });
    const signer = new RetryingSigner(await openSigner({ pkcs11: spec('moved') }), {
      onError: (error) => errors.push(error.code),
      onRecover: () => recovered++,
      maxDelayMs: 200,
    });
    try {
      await signer.sign(message);
      expect(signer.healthy).toBe(true);
      await hsm.takeAway();
      const waiting = [signer.sign(message), signer.sign(message)];
      await expect.poll(() => signer.healthy, { timeout: 20_000 }).toBe(false);
      await expect(other.sign(message)).rejects.toMatchObject({ code: 'pkcs11-token' });
      expect(errors.at(-1)).toBe('pkcs11-token');
      expect(recovered).toBe(0);
      await hsm.giveBack();
      for (const signature of await Promise.all(waiting)) {
        expect(verifySignature(signer, message, signature)).toBe(true);
      }
      expect({ healthy: signer.healthy, recovered }).toEqual({ healthy: true, recovered: 1 });
      // A neighbour on the same token, whose session the recovery ended, notices nothing.
      expect(verifySignature(other, message, await other.sign(message))).toBe(true);
    } finally {
      await signer.close();
      await other.close();
    }
  });

  it('gives up waiting when it is closed', async () => {
    await createTokenKey({ ...spec('closing'), algorithm: 'ed25519' });
    const signer = new RetryingSigner(await openSigner({ pkcs11: spec('closing') }));
    await hsm.takeAway();
    try {
      const waiting = expect(signer.sign(message)).rejects.toMatchObject({ code: 'aborted' });
      await expect.poll(() => signer.healthy, { timeout: 20_000 }).toBe(false);
      await signer.close();
      await waiting;
    } finally {
      await hsm.giveBack();
    }
  });

  it('does not block the event loop while it signs', async () => {
    await createTokenKey({ ...spec('loop'), algorithm: 'ed25519' });
    const signer = await openTokenSigner(spec('loop'));
    try {
      let turns = 0;
      let signed = false;
      const turn = () => {
        turns++;
        if (!signed) setImmediate(turn);
      };
      setImmediate(turn);
      // Each signature of another thread arrives in a turn of the loop. Signatures of this thread would leave it none.
      for (let i = 0; i < 20; i++) await signer.sign(message);
      signed = true;
      expect(turns).toBeGreaterThanOrEqual(10);
    } finally {
      await signer.close();
    }
  });

  it('refuses a wrong PIN without saying it', async () => {
    const failure = await openTokenSigner(spec('x', { pin: { file: await hsm.pinFile('0000-wrong') } })).catch(
      (e) => e,
    );
    expect(failure).toMatchObject({ code: 'pkcs11-pin' });
    expect(failure.message).not.toContain('0000');
  });

  it('offers a refused PIN to the token only once, and goes on with the right one', async () => {
    const pin = { file: await hsm.pinFile(PIN) };
    await createTokenKey({ ...spec('pinned'), algorithm: 'ed25519' });
    const codes: string[] = [];
    const messages: string[] = [];
    const signer = new RetryingSigner(await openSigner({ pkcs11: spec('pinned', { pin }) }), {
      onError: ({ code, message }) => {
        codes.push(code);
        if (code === 'pkcs11-pin') messages.push(message);
      },
      maxDelayMs: 50,
    });
    try {
      await writeFile(pin.file, '0000-wrong\n');
      await hsm.takeAway();
      const waiting = signer.sign(message);
      await expect.poll(() => codes.at(-1), { timeout: 20_000 }).toBe('pkcs11-token');
      await hsm.giveBack();
      await expect.poll(() => messages.length, { timeout: 20_000 }).toBeGreaterThan(2);
      await writeFile(pin.file, `${PIN}\n`);
      expect(verifySignature(signer, message, await waiting)).toBe(true);
    } finally {
      await signer.close();
    }
    const [first, ...later] = messages;
    expect(first).toContain('CKR_PIN_INCORRECT');
    for (const text of later) expect(text).toContain('is not offered again');
    expect(messages.join()).not.toContain('0000');
  });

  it('refuses a label that is taken, and leaves the key as it is', async () => {
    const { publicKey } = await createTokenKey({ ...spec('taken'), algorithm: 'ed25519' });
    await expect(createTokenKey({ ...spec('taken'), algorithm: 'ecdsa-p256' })).rejects.toMatchObject({
      code: 'key-exists',
    });
    const signer = await openTokenSigner(spec('taken'));
    expect(Buffer.from(signer.publicKey)).toEqual(Buffer.from(publicKey));
    await signer.close();
  });

  it('names what is missing', async () => {
    await expect(openTokenSigner(spec('nobody'))).rejects.toMatchObject({ code: 'pkcs11-key' });
    await expect(openTokenSigner(spec('x', { token: 'nowhere' }))).rejects.toMatchObject({
      code: 'pkcs11-token',
      message: expect.stringContaining('there: "stele"'),
    });
    await expect(openTokenSigner(spec('x', { pin: { env: 'STELE_TEST_UNSET' } }))).rejects.toMatchObject({
      code: 'secret',
    });
    await expect(openTokenSigner(spec('x', { module: 'libnowhere.so' }))).rejects.toMatchObject({
      code: 'pkcs11-module',
      message: expect.stringContaining('/usr/local/lib/softhsm'),
    });
    await expect(openTokenSigner(spec('x', { module: '../evil.so' }))).rejects.toMatchObject({ code: 'pkcs11-module' });
    const text = join(hsm.dir, 'text.so');
    await writeFile(text, 'no library');
    await expect(openTokenSigner(spec('x', { module: text }))).rejects.toMatchObject({ code: 'pkcs11-module' });
  });

  it('refuses two tokens with one label', async () => {
    await hsm.initToken('twin', PIN);
    await hsm.initToken('twin', PIN);
    await expect(openTokenSigner(spec('x', { token: 'twin' }))).rejects.toMatchObject({ code: 'pkcs11-token' });
  });

  it('finds the module by its bare name', async () => {
    await createTokenKey({ ...spec('bare', { module: 'libsofthsm2.so' }), algorithm: 'ed25519' });
    const signer = await openTokenSigner(spec('bare'));
    await signer.close();
  });

  describe.skipIf(skips('keys of pkcs11-tool', NO_SOFTHSM ?? lacking('pkcs11-tool')))(
    'with keys that pkcs11-tool made',
    () => {
      const tool = (...args: string[]) => hsm.tool('--token-label', 'stele', '--login', '--pin', PIN, ...args);

      it('refuses an extractable key', async () => {
        await tool('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'loose', '--extractable');
        await expect(openTokenSigner(spec('loose'))).rejects.toMatchObject({ code: 'pkcs11-key' });
      });

      it('refuses a key of another kind', async () => {
        await tool('--keypairgen', '--key-type', 'EC:secp384r1', '--label', 'p384');
        await expect(openTokenSigner(spec('p384'))).rejects.toMatchObject({ code: 'pkcs11-key' });
      });

      it('refuses two keys with one label', async () => {
        for (const id of ['01', '02']) {
          await tool('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'double', '--id', id);
        }
        await expect(openTokenSigner(spec('double'))).rejects.toMatchObject({ code: 'pkcs11-key' });
      });

      it('refuses a public key that belongs to another private key', async () => {
        await createTokenKey({ ...spec('crossed'), algorithm: 'ecdsa-p256' });
        await tool('--delete-object', '--type', 'pubkey', '--label', 'crossed');
        await expect(openTokenSigner(spec('crossed'))).rejects.toMatchObject({ code: 'pkcs11-key' });
        const file = join(hsm.dir, 'other.der');
        const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
        await writeFile(file, other.export({ type: 'spki', format: 'der' }));
        await tool('--write-object', file, '--type', 'pubkey', '--label', 'crossed');
        await rm(file);
        await expect(openTokenSigner(spec('crossed'))).rejects.toMatchObject({
          code: 'pkcs11-key',
          message: expect.stringContaining('does not belong'),
        });
      });
    },
  );
});
