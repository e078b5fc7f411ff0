/** The requests to the thread of a PKCS#11 module, and its replies. */
import type { RuntimeErrorCode } from '../../runtime-errors.ts';
import type { KeyAlgorithm } from '../types.ts';

/** Which key, in which token, and the PIN to log in with. */
export interface TokenAccess {
  readonly token: string;
  readonly label: string;
  readonly pin: string;
}

export interface OpenedKey {
  readonly session: number;
  readonly algorithm: KeyAlgorithm;
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
}

/** `module` is the absolute path of the module, the same in every request to one thread. */
export type TokenRequest =
  | { readonly op: 'open'; readonly module: string; readonly access: TokenAccess }
  | { readonly op: 'create'; readonly module: string; readonly access: TokenAccess; readonly algorithm: KeyAlgorithm }
  | { readonly op: 'sign'; readonly module: string; readonly session: number; readonly data: Uint8Array }
  | { readonly op: 'close'; readonly module: string; readonly session: number }
  | { readonly op: 'finalize'; readonly module: string };

export interface TokenResults {
  readonly open: OpenedKey;
  readonly create: Uint8Array;
  readonly sign: Uint8Array;
  readonly close: undefined;
  readonly finalize: undefined;
}

/** Errors go back as plain values, because an error class does not survive the way between threads. */
export type TokenReply =
  | { readonly value: TokenResults[keyof TokenResults] }
  | { readonly error: { readonly code: RuntimeErrorCode; readonly message: string } };
