/**
 * Keys in PKCS#11 tokens, from inside the thread that talks to the module (token-worker.ts). Everything here is synchronous
 * and one call runs at a time: C_Finalize, which a token that came back may need, must never meet another call.
 */
import { createHash } from 'node:crypto';
import { RuntimeError } from '../../runtime-errors.ts';
import type { KeyAlgorithm } from '../types.ts';
import type { Attribute, Cryptoki, Handle } from './cryptoki.ts';
import * as ck from './cryptoki.ts';
import { CKA, ckr, tokenError } from './cryptoki.ts';
import { algorithmOf, spkiFromPoint } from './ecpoint.ts';
import { moduleFacts, readAttributes, tokenFacts, unpadded } from './token-facts.ts';
import { generateKeyPair, MECHANISM } from './token-keygen.ts';
import type { OpenedKey, TokenAccess, TokenKeyFacts } from './types.ts';

interface Session {
  readonly handle: Handle;
  readonly key: Handle;
  readonly mechanism: number;
}

/** Both algorithms: 64 bytes. Room for more shows a module that gives something else. */
const SIGNATURE_ROOM = 256;
const SIGNATURE_SIZE = 64;

export class TokenModule {
  readonly #cryptoki: Cryptoki;
  readonly #sessions = new Map<number, Session>();
  /** Refused PINs, as a hash with the token's serial number. */
  readonly #refused = new Set<string>();
  #initialised = false;
  #suspect = false;
  #lastSession = 0;

  /** `cryptoki` has its module loaded. */
  constructor(cryptoki: Cryptoki) {
    this.#cryptoki = cryptoki;
  }

  /** Logs in and finds the key. @throws RuntimeError `pkcs11-token`, `pkcs11-pin`, `pkcs11-key`, `pkcs11-unavailable` */
  open(access: TokenAccess): OpenedKey {
    return this.#guarded('opening the token', () => {
      const { handle } = this.#login(access, 0);
      try {
        const { key, algorithm, publicKey } = this.#findKey(handle, access);
        const session = ++this.#lastSession;
        this.#sessions.set(session, { handle, key, mechanism: MECHANISM[algorithm].sign });
        return { session, algorithm, publicKey };
      } catch (error) {
        this.#closeQuietly(handle);
        throw error;
      }
    });
  }

  /**
   * A raw signature of 64 bytes, r ‖ s for ECDSA, over `data`: the message for Ed25519, its SHA-256 for P-256.
   * After an error the session is closed. @throws RuntimeError `pkcs11-unavailable`, `sign`
   */
  sign(session: number, data: Uint8Array): Uint8Array {
    const open = this.#sessions.get(session);
    if (open === undefined) throw new RuntimeError('pkcs11-unavailable', 'the session with the token was lost');
    return this.#guarded('signing in the token', () => {
      try {
        this.#cryptoki.C_SignInit(open.handle, { mechanism: open.mechanism, parameter: null }, open.key);
        const signature = this.#cryptoki.C_Sign(open.handle, Buffer.from(data), Buffer.alloc(SIGNATURE_ROOM));
        if (signature.length === SIGNATURE_SIZE) return Uint8Array.from(signature);
        throw new RuntimeError(
          'sign',
          `the token gave a signature of ${signature.length} bytes, not ${SIGNATURE_SIZE}`,
        );
      } catch (error) {
        this.closeSession(session);
        throw error;
      }
    });
  }

  closeSession(session: number): void {
    const open = this.#sessions.get(session);
    this.#sessions.delete(session);
    if (open !== undefined) this.#closeQuietly(open.handle);
  }

  /** Makes a key pair that never leaves the token. @throws RuntimeError `key-exists`, `pkcs11-*`, `sign` */
  create(access: TokenAccess, algorithm: KeyAlgorithm): Uint8Array {
    return this.#guarded('making a key in the token', () => {
      const { handle, slot } = this.#login(access, ck.CKF_RW_SESSION);
      try {
        if (this.#find(handle, [{ type: CKA.LABEL, value: access.label }]).length > 0) {
          throw new RuntimeError(
            'key-exists',
            `token "${access.token}" holds an object labelled "${access.label}" already: choose another label`,
          );
        }
        this.#generate(handle, slot, access, algorithm);
        // Read back as a signer would: a token that ignored a part of the template is found out now.
        return this.#findKey(handle, access).publicKey;
      } finally {
        this.#closeQuietly(handle);
      }
    });
  }

  /**
   * Makes the key pair where the token has no key of this label, and reads what the token says of the key in the same login.
   * @throws RuntimeError `pkcs11-*`, `sign`
   */
  hold(access: TokenAccess, algorithm: KeyAlgorithm): TokenKeyFacts {
    return this.#guarded('making a key in the token', () => {
      const { handle, slot } = this.#login(access, ck.CKF_RW_SESSION);
      try {
        const made = this.#find(handle, [{ type: CKA.LABEL, value: access.label }]).length === 0;
        if (made) this.#generate(handle, slot, access, algorithm);
        const found = this.#findKey(handle, access);
        if (found.algorithm !== algorithm) throw keyError(access, `is for ${found.algorithm}, not ${algorithm}`);
        const token = tokenFacts(this.#cryptoki.C_GetTokenInfo(slot));
        return {
          publicKey: found.publicKey,
          made,
          attributes: readAttributes(this.#cryptoki, handle, found.key),
          token,
          module: moduleFacts(this.#cryptoki),
          neighbors: this.#tokens().flatMap(({ label }) => (label === token.label ? [] : [label])),
        };
      } finally {
        this.#closeQuietly(handle);
      }
    });
  }

  #generate(session: Handle, slot: Handle, access: TokenAccess, algorithm: KeyAlgorithm): void {
    if (!this.#cryptoki.C_GetMechanismList(slot).includes(MECHANISM[algorithm].generate)) {
      throw new RuntimeError(
        'pkcs11-token',
        `token "${access.token}" cannot make keys for ${algorithm}: choose the other algorithm or another token`,
      );
    }
    generateKeyPair(this.#cryptoki, session, access.label, algorithm);
  }

  /** Ends all use of the module by this process. */
  finalize(): void {
    this.#sessions.clear();
    if (!this.#initialised) return;
    this.#initialised = false;
    try {
      this.#cryptoki.C_Finalize();
    } catch (error) {
      // A module that is finalised already is what we want; nothing can be done about another failure.
      if (ckr(error) === undefined) throw error;
    }
  }

  /**
   * Runs `call` on an initialised module. After any failure the module is initialised anew before the next session is
   * opened: some (SoftHSM) see a token that went away and came back only then.
   */
  #guarded<T>(doing: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      const typed = tokenError(doing, error);
      if (typed.code !== 'pkcs11-pin' && typed.code !== 'key-exists') this.#suspect = true;
      throw typed;
    }
  }

  #initialise(): void {
    if (this.#suspect) this.finalize();
    this.#suspect = false;
    if (this.#initialised) return;
    try {
      this.#cryptoki.C_Initialize({ flags: ck.CKF_OS_LOCKING_OK });
    } catch (error) {
      if (ckr(error) !== 'CKR_CRYPTOKI_ALREADY_INITIALIZED') throw error;
    }
    this.#initialised = true;
  }

  #login(access: TokenAccess, flags: number): { handle: Handle; slot: Handle } {
    this.#initialise();
    const { slot, serial, flags: tokenFlags } = this.#findToken(access.token);
    const refused = `${serial}\n${createHash('sha256').update(access.pin).digest('hex')}`;
    if (this.#refused.has(refused)) {
      throw pinError(access, 'it was refused before and is not offered again, which could lock the token');
    }
    if ((tokenFlags & ck.CKF_USER_PIN_LOCKED) !== 0) throw pinError(access, 'the PIN is locked');
    if ((tokenFlags & ck.CKF_USER_PIN_FINAL_TRY) !== 0) {
      throw pinError(access, 'one try is left and is not spent: log in by hand once with the right PIN');
    }
    const handle = this.#cryptoki.C_OpenSession(slot, ck.CKF_SERIAL_SESSION | flags);
    try {
      this.#cryptoki.C_Login(handle, ck.CKU_USER, access.pin);
    } catch (error) {
      if (ckr(error) === 'CKR_USER_ALREADY_LOGGED_IN') return { handle, slot };
      this.#closeQuietly(handle);
      if (ck.isAway(error)) throw error;
      this.#refused.add(refused);
      throw pinError(access, `the token refuses it (${ckr(error) ?? (error as Error).message})`);
    }
    return { handle, slot };
  }

  #tokens(): { slot: Handle; label: string; serial: string; flags: number }[] {
    return this.#cryptoki.C_GetSlotList(true).flatMap((slot) => {
      try {
        const info = this.#cryptoki.C_GetTokenInfo(slot);
        const initialised = (info.flags & ck.CKF_TOKEN_INITIALIZED) !== 0;
        // The module pads both with spaces to a fixed width.
        return initialised ? [{ slot, label: unpadded(info.label), serial: info.serialNumber, flags: info.flags }] : [];
      } catch {
        return []; // taken out since the list was made, or out of order: a token of another label must not stop us
      }
    });
  }

  #findToken(label: string): { slot: Handle; serial: string; flags: number } {
    const tokens = this.#tokens();
    const found = tokens.filter((token) => token.label === unpadded(label));
    if (found.length === 1) return found[0]!;
    const there = tokens.map((token) => JSON.stringify(token.label)).join(', ') || 'none';
    throw new RuntimeError(
      'pkcs11-token',
      found.length === 0
        ? `no token is labelled "${label}" (there: ${there}): check the label and that the token is there`
        : `${found.length} tokens are labelled "${label}": give each a label of its own, or take the others away`,
    );
  }

  #findKey(session: Handle, access: TokenAccess): { key: Handle; algorithm: KeyAlgorithm; publicKey: Uint8Array } {
    const key = this.#findOne(session, access, ck.CKO_PRIVATE_KEY, 'private key');
    this.#checkProtection(session, key, access);
    const publicObject = this.#findOne(session, access, ck.CKO_PUBLIC_KEY, 'public key');
    const keyType = this.#readNumber(session, publicObject, CKA.KEY_TYPE);
    const ec = keyType === ck.CKK_EC || keyType === ck.CKK_EC_EDWARDS;
    const algorithm = ec ? algorithmOf(keyType, this.#read(session, publicObject, CKA.EC_PARAMS)) : undefined;
    if (algorithm === undefined || this.#readNumber(session, key, CKA.KEY_TYPE) !== keyType) {
      throw keyError(access, 'is neither Ed25519 nor ECDSA P-256: make another one with stele keygen');
    }
    const publicKey = spkiFromPoint(algorithm, this.#read(session, publicObject, CKA.EC_POINT));
    return { key, algorithm, publicKey };
  }

  #findOne(session: Handle, access: TokenAccess, keyClass: number, what: string): Handle {
    const found = this.#find(session, [
      { type: CKA.CLASS, value: keyClass },
      { type: CKA.LABEL, value: access.label },
    ]);
    if (found.length === 1) return found[0]!;
    throw found.length === 0
      ? keyError(access, `has no ${what} in the token: check the label, or make the key with stele keygen`)
      : keyError(access, `names more than one ${what}: give each key a label of its own`);
  }

  /** A key that can be read out of the token may have copies anywhere, so the token does not protect it. */
  #checkProtection(session: Handle, key: Handle, access: TokenAccess): void {
    const flag = (type: number): boolean => this.#read(session, key, type)[0] === 1;
    if (flag(CKA.EXTRACTABLE))
      throw keyError(access, 'can be taken out of the token (CKA_EXTRACTABLE): make another one');
    if (!flag(CKA.SENSITIVE)) throw keyError(access, 'can be read in the clear (not CKA_SENSITIVE): make another one');
    if (!flag(CKA.SIGN)) throw keyError(access, 'is not for signing (not CKA_SIGN): make another one');
    if (this.#asksEachTime(session, key)) {
      throw keyError(access, 'wants the PIN for every signature (CKA_ALWAYS_AUTHENTICATE), which a server cannot give');
    }
  }

  #asksEachTime(session: Handle, key: Handle): boolean {
    try {
      return this.#read(session, key, CKA.ALWAYS_AUTHENTICATE)[0] === 1;
    } catch (error) {
      if (ckr(error) === 'CKR_ATTRIBUTE_TYPE_INVALID') return false; // older modules do not know it
      throw error;
    }
  }

  #find(session: Handle, template: Attribute[]): Handle[] {
    this.#cryptoki.C_FindObjectsInit(session, template);
    try {
      return this.#cryptoki.C_FindObjects(session, 2);
    } finally {
      this.#cryptoki.C_FindObjectsFinal(session);
    }
  }

  #read(session: Handle, object: Handle, type: number): Buffer {
    return this.#cryptoki.C_GetAttributeValue(session, object, [{ type }])[0]!.value;
  }

  /** A CK_ULONG: as wide and in the byte order of the machine. */
  #readNumber(session: Handle, object: Handle, type: number): number {
    const value = this.#read(session, object, type);
    return value.length === 8 ? Number(new BigUint64Array(Uint8Array.from(value).buffer)[0]) : value.readUInt32LE();
  }

  #closeQuietly(session: Handle): void {
    try {
      this.#cryptoki.C_CloseSession(session);
    } catch {
      // The session went with its token.
    }
  }
}

function pinError(access: TokenAccess, why: string): RuntimeError {
  return new RuntimeError(
    'pkcs11-pin',
    `the PIN for token "${access.token}" is not good: ${why}. Correct the PIN, then start again`,
  );
}

function keyError(access: TokenAccess, why: string): RuntimeError {
  return new RuntimeError('pkcs11-key', `the key labelled "${access.label}" in token "${access.token}" ${why}`);
}
