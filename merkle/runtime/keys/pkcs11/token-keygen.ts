/** Making a key pair inside a token, of which the private half never leaves it. */
import { randomBytes } from 'node:crypto';
import type { KeyAlgorithm } from '../types.ts';
import type { Attribute, Cryptoki, Handle } from './cryptoki.ts';
import * as ck from './cryptoki.ts';
import { CKA, ckr } from './cryptoki.ts';
import { ecParams } from './ecpoint.ts';

export const MECHANISM = {
  ed25519: { generate: ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, sign: ck.CKM_EDDSA, keyType: ck.CKK_EC_EDWARDS },
  'ecdsa-p256': { generate: ck.CKM_EC_KEY_PAIR_GEN, sign: ck.CKM_ECDSA, keyType: ck.CKK_EC },
};

const PARAMS_REFUSED = new Set([
  'CKR_DOMAIN_PARAMS_INVALID',
  'CKR_CURVE_NOT_SUPPORTED',
  'CKR_ATTRIBUTE_VALUE_INVALID',
  'CKR_TEMPLATE_INCONSISTENT',
  'CKR_GENERAL_ERROR',
  'CKR_FUNCTION_FAILED',
]);

/**
 * Whether the public key verifies in the token (CKA_VERIFY) is left to the module: Stele verifies without the token, and
 * the module of a TPM refuses the attribute beside those of the private key.
 * @throws the module's own error
 */
export function generateKeyPair(cryptoki: Cryptoki, session: Handle, label: string, algorithm: KeyAlgorithm): void {
  const { generate, keyType } = MECHANISM[algorithm];
  const id = randomBytes(16);
  const common: Attribute[] = [
    { type: CKA.TOKEN, value: true },
    { type: CKA.LABEL, value: label },
    { type: CKA.ID, value: id },
    { type: CKA.KEY_TYPE, value: keyType },
  ];
  const privateTemplate: Attribute[] = [
    { type: CKA.CLASS, value: ck.CKO_PRIVATE_KEY },
    ...common,
    { type: CKA.PRIVATE, value: true },
    { type: CKA.SENSITIVE, value: true },
    { type: CKA.EXTRACTABLE, value: false },
    { type: CKA.SIGN, value: true },
    { type: CKA.SIGN_RECOVER, value: false },
    { type: CKA.DECRYPT, value: false },
    { type: CKA.UNWRAP, value: false },
    { type: CKA.DERIVE, value: false },
  ];
  const forms = ecParams(algorithm);
  for (const [attempt, params] of forms.entries()) {
    const publicTemplate: Attribute[] = [
      { type: CKA.CLASS, value: ck.CKO_PUBLIC_KEY },
      ...common,
      { type: CKA.PRIVATE, value: false },
      { type: CKA.EC_PARAMS, value: params },
    ];
    try {
      cryptoki.C_GenerateKeyPair(session, { mechanism: generate, parameter: null }, publicTemplate, privateTemplate);
      return;
    } catch (error) {
      // A module that does not know one form of the curve's name may know the next; every other error is final.
      if (attempt + 1 === forms.length || !PARAMS_REFUSED.has(ckr(error) ?? '')) throw error;
    }
  }
}
