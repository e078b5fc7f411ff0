/** The requests to the thread of a PKCS#11 module, and its replies. */
import type { RuntimeErrorCode } from '../../runtime-errors.ts';
import type { KeyAlgorithm } from '../types.ts';

/** Which key, in which token, and the PIN to log in with. */
export interface TokenAccess {
  readonly token: string;
  readonly label: string;
  readonly pin: string;
}

/** Five attributes of a private key that say together that no copy of it is outside (PKCS #11 3.1 section 4.9). */
export interface KeyAttributes {
  readonly sensitive: boolean;
  readonly extractable: boolean;
  /** Made in this token. A copy of the key within the token keeps it, so it says little alone. */
  readonly local: boolean;
  readonly neverExtractable: boolean;
  readonly alwaysSensitive: boolean;
}

/** What a module says of a key, of the token that holds it, and of itself. Padding is removed. Nothing of it is proven. */
export interface TokenKeyFacts {
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
  /** The call made the key. */
  readonly made: boolean;
  readonly attributes: KeyAttributes;
  readonly token: {
    readonly label: string;
    readonly manufacturer: string;
    readonly model: string;
    readonly serial: string;
    /** Such as `1.2`. */
    readonly hardware: string;
    readonly firmware: string;
  };
  readonly module: {
    readonly description: string;
    readonly manufacturer: string;
    readonly version: string;
    readonly cryptoki: string;
  };
  /** Labels of the other tokens that the module shows. */
  readonly neighbors: readonly string[];
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
  | { readonly op: 'hold'; readonly module: string; readonly access: TokenAccess; readonly algorithm: KeyAlgorithm }
  | { readonly op: 'sign'; readonly module: string; readonly session: number; readonly data: Uint8Array }
  | { readonly op: 'close'; readonly module: string; readonly session: number }
  | { readonly op: 'finalize'; readonly module: string };

export interface TokenResults {
  readonly open: OpenedKey;
  readonly create: Uint8Array;
  readonly hold: TokenKeyFacts;
  readonly sign: Uint8Array;
  readonly close: undefined;
  readonly finalize: undefined;
}

/** Errors go back as plain values, because an error class does not survive the way between threads. */
export type TokenReply =
  | { readonly value: TokenResults[keyof TokenResults] }
  | { readonly error: { readonly code: RuntimeErrorCode; readonly message: string } };
