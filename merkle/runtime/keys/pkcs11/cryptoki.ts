/**
 * The part of PKCS#11 (OASIS PKCS #11 Specification 3.1) that Stele uses, as pkcs11js offers it, and what its errors mean.
 *
 * The types stand here, and not in an import of pkcs11js, because that is an optional dependency: a machine without a
 * compiler has none, and must still build.
 */
import { loadPackage } from '../../optional-package.ts';
import { RuntimeError } from '../../runtime-errors.ts';

export type Handle = Buffer;
export type Attribute = { readonly type: number; readonly value: number | boolean | string | Uint8Array };

interface Version {
  readonly major: number;
  readonly minor: number;
}

/** Modules pad the texts with blanks to a fixed width, 32 for the label, and some with NUL. */
export interface TokenInfo {
  readonly label: string;
  readonly manufacturerID: string;
  readonly model: string;
  readonly serialNumber: string;
  readonly flags: number;
  readonly hardwareVersion: Version;
  readonly firmwareVersion: Version;
}

export interface Cryptoki {
  load(path: string): void;
  C_Initialize(options: { flags: number }): void;
  C_Finalize(): void;
  C_GetSlotList(tokenPresent: boolean): Handle[];
  C_GetInfo(): {
    libraryDescription: string;
    manufacturerID: string;
    libraryVersion: Version;
    cryptokiVersion: Version;
  };
  C_GetTokenInfo(slot: Handle): TokenInfo;
  C_GetMechanismList(slot: Handle): number[];
  C_OpenSession(slot: Handle, flags: number): Handle;
  C_CloseSession(session: Handle): void;
  C_Login(session: Handle, user: number, pin: string): void;
  C_FindObjectsInit(session: Handle, template: Attribute[]): void;
  C_FindObjects(session: Handle, max: number): Handle[];
  C_FindObjectsFinal(session: Handle): void;
  C_GetAttributeValue(session: Handle, object: Handle, template: { type: number }[]): { value: Buffer }[];
  C_GenerateKeyPair(
    session: Handle,
    mechanism: { mechanism: number; parameter: null },
    publicTemplate: Attribute[],
    privateTemplate: Attribute[],
  ): { publicKey: Handle; privateKey: Handle };
  C_SignInit(session: Handle, mechanism: { mechanism: number; parameter: null }, key: Handle): void;
  C_Sign(session: Handle, data: Uint8Array, out: Buffer): Buffer;
}

export const CKF_OS_LOCKING_OK = 0x2;
export const CKF_RW_SESSION = 0x2;
export const CKF_SERIAL_SESSION = 0x4;
export const CKF_TOKEN_INITIALIZED = 0x400;
export const CKF_USER_PIN_FINAL_TRY = 0x20000;
export const CKF_USER_PIN_LOCKED = 0x40000;
export const CKU_USER = 1;
export const CKO_PUBLIC_KEY = 2;
export const CKO_PRIVATE_KEY = 3;
export const CKK_EC = 0x3;
export const CKK_EC_EDWARDS = 0x40;
export const CKM_EC_KEY_PAIR_GEN = 0x1040;
export const CKM_ECDSA = 0x1041;
export const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055;
export const CKM_EDDSA = 0x1057;

export const CKA = {
  CLASS: 0x0,
  TOKEN: 0x1,
  PRIVATE: 0x2,
  LABEL: 0x3,
  KEY_TYPE: 0x100,
  ID: 0x102,
  SENSITIVE: 0x103,
  DECRYPT: 0x105,
  UNWRAP: 0x107,
  SIGN: 0x108,
  SIGN_RECOVER: 0x109,
  DERIVE: 0x10c,
  EXTRACTABLE: 0x162,
  LOCAL: 0x163,
  NEVER_EXTRACTABLE: 0x164,
  ALWAYS_SENSITIVE: 0x165,
  EC_PARAMS: 0x180,
  EC_POINT: 0x181,
  ALWAYS_AUTHENTICATE: 0x202,
} as const;

/** pkcs11js, loaded when first needed. @throws RuntimeError `pkcs11-module` where it is not installed */
export async function newCryptoki(): Promise<Cryptoki> {
  const { default: library } = await loadPackage<{ readonly default: { PKCS11: new () => Cryptoki } }>(
    'pkcs11js',
    'a PKCS#11 token',
    'pkcs11-module',
    'It is compiled when it is installed, which needs a C++ compiler, make and Python 3 (Debian: apt-get install build-essential python3).',
  );
  return new library.PKCS11();
}

/** The CKR_… name of an error that the module returned, undefined for any other error. */
export function ckr(error: unknown): string | undefined {
  const message = error instanceof Error ? error.message : '';
  return /^CKR_[A-Z0-9_]+/.exec(message)?.[0];
}

/** The token, or the session with it, went away: the module says so of a login that it did not try. */
const AWAY = new Set([
  'CKR_CRYPTOKI_NOT_INITIALIZED',
  'CKR_DEVICE_REMOVED',
  'CKR_SESSION_CLOSED',
  'CKR_SESSION_HANDLE_INVALID',
  'CKR_SLOT_ID_INVALID',
  'CKR_TOKEN_NOT_PRESENT',
]);

/** What does not go away by waiting or by a new session. */
const KEY_REFUSED = new Set([
  'CKR_KEY_FUNCTION_NOT_PERMITTED',
  'CKR_KEY_TYPE_INCONSISTENT',
  'CKR_KEY_SIZE_RANGE',
  'CKR_MECHANISM_INVALID',
  'CKR_MECHANISM_PARAM_INVALID',
  'CKR_DATA_INVALID',
  'CKR_DATA_LEN_RANGE',
  'CKR_FUNCTION_NOT_SUPPORTED',
]);

/** Whether a failed C_Login surely counted as no wrong PIN. Modules answer a wrong PIN with general errors too. */
export function isAway(error: unknown): boolean {
  return AWAY.has(ckr(error) ?? '');
}

/** The RuntimeError for what a call to the module threw; everything that is not known to be final may pass by itself. */
export function tokenError(doing: string, error: unknown): RuntimeError {
  if (error instanceof RuntimeError) return error;
  const name = ckr(error);
  if (name === undefined)
    return new RuntimeError('sign', `${doing} failed: ${(error as Error).message}`, { cause: error });
  return KEY_REFUSED.has(name)
    ? new RuntimeError('sign', `${doing} was refused (${name}): the token does not take this operation with this key`)
    : new RuntimeError('pkcs11-unavailable', `${doing} failed (${name}): the token is not there, or lost the session`);
}
