/** What a token says of a private key, of itself and of its module. */
import { RuntimeError } from '../../runtime-errors.ts';
import type { Cryptoki, Handle, TokenInfo } from './cryptoki.ts';
import { CKA, ckr } from './cryptoki.ts';
import type { KeyAttributes, TokenKeyFacts } from './types.ts';

const ATTRIBUTES = {
  sensitive: CKA.SENSITIVE,
  extractable: CKA.EXTRACTABLE,
  local: CKA.LOCAL,
  neverExtractable: CKA.NEVER_EXTRACTABLE,
  alwaysSensitive: CKA.ALWAYS_SENSITIVE,
} satisfies Record<keyof KeyAttributes, number>;

/**
 * Reads the five attributes in one call, so that they are of one key at one time.
 * @throws RuntimeError `pkcs11-key` where the token does not say all five; the module's own error
 */
export function readAttributes(cryptoki: Cryptoki, session: Handle, key: Handle): KeyAttributes {
  const names = Object.keys(ATTRIBUTES) as (keyof KeyAttributes)[];
  let values: { value: Buffer }[];
  try {
    values = cryptoki.C_GetAttributeValue(
      session,
      key,
      names.map((name) => ({ type: ATTRIBUTES[name] })),
    );
  } catch (error) {
    if (ckr(error) !== 'CKR_ATTRIBUTE_TYPE_INVALID') throw error;
    throw unsaid();
  }
  // CK_BBOOL: one byte, 0 or 1. Anything else says neither yes nor no.
  const bits = names.map((name, at) => [name, values[at]?.value] as const);
  if (bits.some(([, value]) => value?.length !== 1 || value[0]! > 1)) throw unsaid();
  return Object.fromEntries(bits.map(([name, value]) => [name, value![0] === 1])) as unknown as KeyAttributes;
}

function unsaid(): RuntimeError {
  return new RuntimeError(
    'pkcs11-key',
    'the token does not say of the key all of CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_LOCAL, CKA_NEVER_EXTRACTABLE and CKA_ALWAYS_SENSITIVE: use another token',
  );
}

export function tokenFacts(info: TokenInfo): TokenKeyFacts['token'] {
  return {
    label: unpadded(info.label),
    manufacturer: unpadded(info.manufacturerID),
    model: unpadded(info.model),
    serial: unpadded(info.serialNumber),
    hardware: versionText(info.hardwareVersion),
    firmware: versionText(info.firmwareVersion),
  };
}

export function moduleFacts(cryptoki: Cryptoki): TokenKeyFacts['module'] {
  const info = cryptoki.C_GetInfo();
  return {
    description: unpadded(info.libraryDescription),
    manufacturer: unpadded(info.manufacturerID),
    version: versionText(info.libraryVersion),
    cryptoki: versionText(info.cryptokiVersion),
  };
}

/** Without the blanks and NULs with which modules fill a text up. */
export function unpadded(text: string): string {
  return text.replace(/[ \0]+$/, '');
}

function versionText({ major, minor }: { readonly major: number; readonly minor: number }): string {
  return `${major}.${minor}`;
}
