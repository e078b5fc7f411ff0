/** What a token says of its keys: of one made inside, of a copy, of one that could leave, and of one from outside. */
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as ck from '../../../../../merkle/runtime/keys/pkcs11/cryptoki.ts';
import { CKA, type Cryptoki, type Handle } from '../../../../../merkle/runtime/keys/pkcs11/cryptoki.ts';
import { holdTokenKey, openTokenSigner } from '../../../../../merkle/runtime/keys/pkcs11/pkcs11.ts';
import { readAttributes } from '../../../../../merkle/runtime/keys/pkcs11/token-facts.ts';
import { verifySignature } from '../../../../../merkle/runtime/keys/signer.ts';
import { skips } from '../../../../support/skip.ts';
import { NO_SOFTHSM, type SoftHsm, startSoftHsm } from '../../../../support/softhsm.ts';

const PIN = '4711-secret';
const INSIDE = { sensitive: true, extractable: false, local: true, neverExtractable: true, alwaysSensitive: true };

/** What pkcs11js offers and the product does not use. */
type FullCryptoki = Cryptoki & {
  C_CopyObject(session: Handle, object: Handle, template: { type: number; value: string | boolean }[]): Handle;
  C_SetAttributeValue(session: Handle, object: Handle, template: { type: number; value: boolean }[]): void;
};

describe.skipIf(skips('facts of tokens', NO_SOFTHSM))('a key in SoftHSM', () => {
  let hsm: SoftHsm;
  let pin: { file: string };
  const spec = (label: string) => {
    return { module: hsm.module, token: 'facts', label, pin, algorithm: 'ecdsa-p256' as const };
  };
  /** Runs `work` in a session of the token, in this thread, while no signer is open. */
  const inSession = async <T>(work: (cryptoki: FullCryptoki, session: Handle) => T): Promise<T> => {
    const { PKCS11 } = createRequire(import.meta.url)('pkcs11js') as { PKCS11: new () => FullCryptoki };
    const cryptoki = new PKCS11();
    cryptoki.load(hsm.module);
    cryptoki.C_Initialize({ flags: ck.CKF_OS_LOCKING_OK });
    try {
      const slot = cryptoki.C_GetSlotList(true).find((one) => cryptoki.C_GetTokenInfo(one).label.trim() === 'facts')!;
      const session = cryptoki.C_OpenSession(slot, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION);
      cryptoki.C_Login(session, ck.CKU_USER, PIN);
      return work(cryptoki, session);
    } finally {
      cryptoki.C_Finalize();
    }
  };
  const privateKey = (cryptoki: Cryptoki, session: Handle, label: string): Handle => {
    cryptoki.C_FindObjectsInit(session, [
      { type: CKA.CLASS, value: ck.CKO_PRIVATE_KEY },
      { type: CKA.LABEL, value: label },
    ]);
    const [key] = cryptoki.C_FindObjects(session, 1);
    cryptoki.C_FindObjectsFinal(session);
    return key!;
  };

  beforeAll(async () => {
    hsm = (await startSoftHsm())!;
    pin = { file: await hsm.pinFile(PIN) };
    await hsm.initToken('facts', PIN);
  });
  afterAll(() => hsm?.stop());

  it('is made, and all five attributes say that it never was outside', async () => {
    const made = await holdTokenKey(spec('made'));
    expect(made).toMatchObject({ made: true, attributes: INSIDE, neighbors: [] });
    // The label comes without the blanks that fill it up to 32.
    expect(made.token).toMatchObject({ label: 'facts', manufacturer: 'SoftHSM project', model: 'SoftHSM v2' });
    expect(made.token.serial).toMatch(/^[0-9a-f]{16}$/);
    expect(made.module.description).toBe('Implementation of PKCS11');
  });

  it('is found again under its label, and signs', async () => {
    const made = await holdTokenKey(spec('again'));
    const found = await holdTokenKey(spec('again'));
    expect(found).toEqual({ ...made, made: false });
    const signer = await openTokenSigner(spec('again'));
    const message = Buffer.from('message');
    expect(verifySignature(signer, message, await signer.sign(message))).toBe(true);
    expect(Buffer.from(signer.publicKey)).toEqual(Buffer.from(made.publicKey));
    await signer.close();
  });

  it('that could leave once says so for ever, though it cannot leave now', async () => {
    const template = (type: number, more: ck.Attribute[]): ck.Attribute[] => [
      { type: CKA.CLASS, value: type },
      { type: CKA.TOKEN, value: true },
      { type: CKA.LABEL, value: 'once' },
      ...more,
    ];
    await inSession((cryptoki, session) => {
      const { privateKey: key } = cryptoki.C_GenerateKeyPair(
        session,
        { mechanism: ck.CKM_EC_KEY_PAIR_GEN, parameter: null },
        template(ck.CKO_PUBLIC_KEY, [{ type: CKA.EC_PARAMS, value: Buffer.from('06082a8648ce3d030107', 'hex') }]),
        template(ck.CKO_PRIVATE_KEY, [
          { type: CKA.PRIVATE, value: true },
          { type: CKA.SENSITIVE, value: true },
          { type: CKA.EXTRACTABLE, value: true },
          { type: CKA.SIGN, value: true },
        ]),
      );
      cryptoki.C_SetAttributeValue(session, key, [{ type: CKA.EXTRACTABLE, value: false }]);
    });
    const { attributes } = await holdTokenKey(spec('once'));
    expect(attributes).toEqual({ ...INSIDE, neverExtractable: false });
  });

  it('that is a copy still says "local"', async () => {
    await holdTokenKey(spec('original'));
    const copied = await inSession((cryptoki, session) => {
      const copy = cryptoki.C_CopyObject(session, privateKey(cryptoki, session, 'original'), [
        { type: CKA.LABEL, value: 'copy' },
      ]);
      return readAttributes(cryptoki, session, copy);
    });
    expect(copied.local).toBe(true);
  });

  it('of which an attribute is not said is refused', async () => {
    // A public key has none of these attributes.
    const refused = inSession((cryptoki, session) => {
      cryptoki.C_FindObjectsInit(session, [{ type: CKA.CLASS, value: ck.CKO_PUBLIC_KEY }]);
      const [key] = cryptoki.C_FindObjects(session, 1);
      cryptoki.C_FindObjectsFinal(session);
      return readAttributes(cryptoki, session, key!);
    });
    await expect(refused).rejects.toMatchObject({ code: 'pkcs11-key', message: expect.stringContaining('CKA_LOCAL') });
  });
});
