/** What a failed login means for the next one. The module is SoftHSM, of which C_Login alone fails with the errors of others. */
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cryptoki } from '../../../../../merkle/runtime/keys/pkcs11/cryptoki.ts';
import { TokenModule } from '../../../../../merkle/runtime/keys/pkcs11/token.ts';
import { skips } from '../../../../support/skip.ts';
import { NO_SOFTHSM, type SoftHsm, startSoftHsm } from '../../../../support/softhsm.ts';

const PIN = '4711-secret';

describe.skipIf(skips('logins to tokens', NO_SOFTHSM))('a login that fails', () => {
  let hsm: SoftHsm;
  const access = { token: 'login', label: 'key', pin: PIN };
  /** Twice the same PIN, where the first C_Login fails with `error`. Resolves with what came of the two, and the logins. */
  const twice = (error: string) => {
    const { PKCS11 } = createRequire(import.meta.url)('pkcs11js') as { PKCS11: new () => Cryptoki };
    const cryptoki = new PKCS11();
    cryptoki.load(hsm.module);
    const login = cryptoki.C_Login.bind(cryptoki);
    let logins = 0;
    cryptoki.C_Login = (...args) => {
      if (++logins === 1) throw new Error(`${error}:5`);
      login(...args);
    };
    const module = new TokenModule(cryptoki);
    const came = () => {
      try {
        return module.open(access).algorithm;
      } catch (failure) {
        return failure;
      }
    };
    try {
      return { first: came(), second: came(), logins };
    } finally {
      module.finalize();
    }
  };

  beforeAll(async () => {
    hsm = (await startSoftHsm())!;
    await hsm.initToken('login', PIN);
    const { PKCS11 } = createRequire(import.meta.url)('pkcs11js') as { PKCS11: new () => Cryptoki };
    const cryptoki = new PKCS11();
    cryptoki.load(hsm.module);
    const module = new TokenModule(cryptoki);
    module.create(access, 'ecdsa-p256');
    module.finalize();
  });
  afterAll(() => hsm?.stop());

  it.each([
    'CKR_PIN_INCORRECT',
    'CKR_PIN_LOCKED',
    'CKR_GENERAL_ERROR',
    'CKR_FUNCTION_FAILED',
    'CKR_DEVICE_ERROR',
    'CKR_VENDOR_DEFINED',
    'Unknown error',
  ])('with %s is not tried again: the token may have counted a wrong PIN', (error) => {
    const { first, second, logins } = twice(error);
    expect(first).toMatchObject({ code: 'pkcs11-pin', message: expect.stringContaining(error) });
    expect(second).toMatchObject({ code: 'pkcs11-pin', message: expect.stringContaining('not offered again') });
    expect(logins).toBe(1);
  });

  it.each(['CKR_DEVICE_REMOVED', 'CKR_TOKEN_NOT_PRESENT', 'CKR_SESSION_HANDLE_INVALID'])(
    'with %s is tried again: the token saw no PIN',
    (error) => {
      const { first, second, logins } = twice(error);
      expect(first).toMatchObject({ code: 'pkcs11-unavailable', message: expect.stringContaining(error) });
      expect({ second, logins }).toEqual({ second: 'ecdsa-p256', logins: 2 });
    },
  );
});
