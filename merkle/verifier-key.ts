/**
 * Verifier keys, and how they verify note signatures: c2sp.org/signed-note v1.0.0 (C2SP b3a911e, 2026-04-23), sections
 * "Signature types" and "Verifier keys". The cosignature types are from c2sp.org/tlog-cosignature v1.0.1.
 *
 *   vkey = name "+" 8 lower-case hex digits of the key ID "+" base64(type || key)
 *
 *   type  key                            key ID, 4 bytes                            signature of the note text
 *   0x01  32-byte Ed25519                SHA-256(name || 0x0A || type || key)[:4]   64 bytes, RFC 8032
 *   0x02  SPKI DER of ECDSA P-256        SHA-256(key)[:4]                           ASN.1 DER, ECDSA over SHA-256
 *   0x04  32-byte Ed25519 of a witness   as type 0x01                               a cosignature: cosignature.ts
 *   0x06  1312-byte ML-DSA-44            as type 0x01                               a cosignature: cosignature.ts
 *
 * Worked example (from golang.org/x/mod/sumdb/note): PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW
 */
import { concat, decodeBase64, decodeHex, encodeBase64, encodeHex, encodeUtf8, equal } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { hasValidPoint, pointKey } from './rekor/spki.ts';
import { sha256 } from './rfc6962.ts';

/** Signature type bytes of c2sp.org/signed-note. */
export const KEY_TYPE = { ed25519: 1, ecdsa: 2, cosignature: 4, mldsa44: 6 } as const;
export type KeyType = (typeof KEY_TYPE)[keyof typeof KEY_TYPE];

export interface VerifierKey {
  /** Non-empty, without white space or "+". */
  readonly name: string;
  readonly type: KeyType;
  /** 4 bytes. */
  readonly keyId: Uint8Array;
  /** As in the table above: 32 bytes, SPKI DER, or 1312 bytes. */
  readonly key: Uint8Array;
}

/** What a signature line says about its key. */
export interface KeyIdentity {
  readonly name: string;
  /** 4 bytes. */
  readonly keyId: Uint8Array;
}

/** Checks the signatures of one key. */
export interface NoteVerifier extends KeyIdentity {
  /** Whether `signature` (without its key ID) is this key's signature over the note's text. Does not throw. */
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

/** `NoteVerifier` whose check may run outside the caller's thread. */
export interface AsyncNoteVerifier extends KeyIdentity {
  /** A check takes milliseconds, so the other keys of a note are checked first. */
  readonly slow?: boolean;
  verify(message: Uint8Array, signature: Uint8Array): boolean | Promise<boolean>;
}

/** The checks that a verifier needs. A check must not throw, whatever the signature is. */
export interface VerifyPrimitives {
  /** RFC 8032 Ed25519: 32-byte key, 64-byte signature. */
  ed25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** ECDSA P-256 over SHA-256 of the message: SPKI DER key, ASN.1 DER signature with any s. */
  ecdsaP256(spkiDer: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** @throws MerkleError `bad-verifier-key` for unknown types and for what `formatVerifierKey` would not write */
export function parseVerifierKey(vkey: string): VerifierKey {
  // The base64 part may hold "+" too, but the name may not.
  const first = vkey.indexOf('+');
  const second = vkey.indexOf('+', first + 1);
  if (first < 0 || second < 0) throw badKey('it is not of the form name+key ID+key');
  const name = vkey.slice(0, first);
  let keyId: Uint8Array;
  let typed: Uint8Array;
  try {
    keyId = decodeHex(vkey.slice(first + 1, second));
    typed = decodeBase64(vkey.slice(second + 1));
  } catch (cause) {
    throw badKey('its key ID is not lower-case hex, or its key not canonical base64', cause);
  }
  const key = makeKey(name, typed[0], typed.slice(1));
  if (!equal(keyId, key.keyId)) throw badKey(`its key ID is not the ID of its key, ${encodeHex(key.keyId)}`);
  return key;
}

/** `name+keyid+base64`. */
export function formatVerifierKey(key: VerifierKey): string {
  return `${key.name}+${encodeHex(key.keyId)}+${encodeBase64(concat(Uint8Array.of(key.type), key.key))}`;
}

/** A key of type 0x01. @throws MerkleError `bad-verifier-key` for a bad name or a length other than 32 bytes. */
export function ed25519VerifierKey(name: string, publicKey: Uint8Array): VerifierKey {
  return makeKey(name, KEY_TYPE.ed25519, new Uint8Array(publicKey));
}

/** A key of type 0x02. @throws MerkleError `bad-verifier-key` for a bad name, or unless the key is SPKI DER of a P-256 point. */
export function ecdsaVerifierKey(name: string, spkiDer: Uint8Array): VerifierKey {
  return makeKey(name, KEY_TYPE.ecdsa, new Uint8Array(spkiDer));
}

/** The whole hash whose first four bytes are the key ID, 32 bytes. Sigstore calls this hash the log ID. */
export function logId(key: VerifierKey): Uint8Array {
  if (key.type === KEY_TYPE.ecdsa) return sha256(key.key);
  return sha256(concat(encodeUtf8(key.name), Uint8Array.of(0x0a, key.type), key.key));
}

/**
 * A verifier for a key of type 0x01 or 0x02.
 * @param primitives the platform's checks: merkle/noble.ts on every platform, merkle/runtime/crypto/verify.ts on Node
 * @throws MerkleError `bad-verifier-key` for a cosignature key, which signs more than the text
 */
export function noteVerifier(key: VerifierKey, primitives: VerifyPrimitives): NoteVerifier {
  const { name, keyId, type } = key;
  if (type === KEY_TYPE.ed25519) {
    return { name, keyId, verify: (message, signature) => primitives.ed25519(key.key, message, signature) };
  }
  if (type === KEY_TYPE.ecdsa) {
    return { name, keyId, verify: (message, signature) => primitives.ecdsaP256(key.key, message, signature) };
  }
  throw badKey('it is a cosignature key, which signs more than the text of a note');
}

/** Whether `name` may stand in a signature line: non-empty, valid, no white space, control character or "+". */
export function isKeyName(name: string): boolean {
  return name !== '' && !/[\p{White_Space}+\p{Surrogate}]/u.test(name) && !hasControl(name);
}

/** Whether `text` holds a control character below U+0020 other than newline. */
export function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 && code !== 0x0a) return true;
  }
  return false;
}

/** A key of any type, as in the table above. @throws MerkleError `bad-verifier-key` */
export function makeVerifierKey(name: string, type: KeyType, key: Uint8Array): VerifierKey {
  return makeKey(name, type, new Uint8Array(key));
}

function makeKey(name: string, type: number | undefined, key: Uint8Array): VerifierKey {
  if (!isKeyName(name)) throw badKey('its name is empty, or has white space, a "+" or a control character');
  if (!isKeyType(type)) throw badKey(`signature type ${String(type)} is not known`);
  if (type === KEY_TYPE.ecdsa) checkP256(key);
  else {
    const size = type === KEY_TYPE.mldsa44 ? 1312 : 32;
    if (key.length !== size) throw badKey(`a key of type ${type} has ${size} bytes, not ${key.length}`);
  }
  const made = { name, type, keyId: new Uint8Array(0), key };
  return { ...made, keyId: logId(made).slice(0, 4) };
}

function isKeyType(type: number | undefined): type is KeyType {
  return Object.values<number | undefined>(KEY_TYPE).includes(type);
}

function checkP256(spkiDer: Uint8Array): void {
  const key = pointKey(spkiDer);
  if (key?.kind !== 'ecdsa-p256') throw badKey('an ECDSA key must be the SPKI DER of an uncompressed P-256 point');
  if (!hasValidPoint(key)) throw badKey('the point of its ECDSA key is not on P-256');
}

function badKey(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-verifier-key', `the verifier key is wrong: ${why}`, { cause });
}
