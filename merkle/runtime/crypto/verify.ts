/** The checks of note signatures with Node's own cryptography: 67 µs for Ed25519, where JavaScript takes 1,020. */
import * as crypto from 'node:crypto';
import { decodeUtf8 } from '../../bytes.ts';
import { type CosignaturePrimitives, cosignedMessage, parseCosignature } from '../../cosignature.ts';
import { isStrongEd25519Key } from '../../ed25519-key.ts';
import { type AsyncNoteVerifier, KEY_TYPE, type VerifierKey } from '../../note.ts';
import { encodeSpki } from '../../rekor/spki.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { nobleMldsa44 } from './lazy-noble.ts';

// Parsing a key costs a third of a verification. Keyed by the array of the verifier key, which lives as long as that.
const parsed = new WeakMap<Uint8Array, crypto.KeyObject>();

function keyOf(bytes: Uint8Array, parse: (bytes: Uint8Array) => crypto.KeyObject): crypto.KeyObject {
  let key = parsed.get(bytes);
  if (key === undefined) {
    key = parse(bytes);
    parsed.set(bytes, key);
  }
  return key;
}

/**
 * The Ed25519 public key of 32 bytes for `crypto.verify`. Every Ed25519 key that Node verifies with passes here, because
 * OpenSSL alone accepts keys that `isStrongEd25519Key` refuses.
 * @throws RuntimeError `key-format`: the key has small order or is not encoded canonically
 */
export function parseEd25519Key(bytes: Uint8Array): crypto.KeyObject {
  if (!isStrongEd25519Key(bytes)) {
    throw new RuntimeError('key-format', 'the Ed25519 key has small order or is not encoded canonically');
  }
  return crypto.createPublicKey({ key: Buffer.from(encodeSpki('ed25519', bytes)), format: 'der', type: 'spki' });
}

const ed25519Key = (bytes: Uint8Array) => keyOf(bytes, parseEd25519Key);
const ecdsaKey = (spki: Uint8Array) =>
  keyOf(spki, () => crypto.createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }));

/** For `checkpointVerifier` and its like. Nobody may change the bytes of a key after their first use. */
export const nodeNotePrimitives: CosignaturePrimitives = {
  ed25519: (publicKey, message, signature) =>
    holds(() => crypto.verify(null, message, ed25519Key(publicKey), signature)),
  ecdsaP256: (spkiDer, message, signature) =>
    holds(() => crypto.verify('sha256', message, ecdsaKey(spkiDer), signature)),
  mldsa44: (publicKey, message, signature) => holds(() => nobleMldsa44().verify(signature, message, publicKey)),
};

/** False for a check that throws. */
function holds(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

/** FIPS 204 ML-DSA-44 with an empty context, perhaps in another thread. */
export type VerifyMldsa = (
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean | Promise<boolean>;

/**
 * As `checkpointVerifier` with `nodeNotePrimitives`, but beside the calling thread: Node's own thread pool checks the keys
 * of types 0x01, 0x02 and 0x04. Such a check takes 67 to 210 µs, and only 10 µs of them on the calling thread.
 *
 * @param mldsa44 checks the keys of type 0x06, which takes 2 ms; on the calling thread by default
 */
export function backgroundVerifier(
  key: VerifierKey,
  mldsa44: VerifyMldsa = nodeNotePrimitives.mldsa44,
): AsyncNoteVerifier {
  const { name, keyId } = key;
  return {
    name,
    keyId,
    slow: key.type === KEY_TYPE.mldsa44,
    verify: (message, signature) => {
      try {
        return verifyWith(key, mldsa44, message, signature);
      } catch {
        return false;
      }
    },
  };
}

function verifyWith(key: VerifierKey, mldsa44: VerifyMldsa, message: Uint8Array, signature: Uint8Array) {
  if (key.type === KEY_TYPE.ed25519) return verifyBeside(null, message, ed25519Key(key.key), signature);
  if (key.type === KEY_TYPE.ecdsa) return verifyBeside('sha256', message, ecdsaKey(key.key), signature);
  const cosignature = parseCosignature(key, signature);
  const signed = cosignedMessage(key, cosignature.timestamp, decodeUtf8(message));
  return key.type === KEY_TYPE.cosignature
    ? verifyBeside(null, signed, ed25519Key(key.key), cosignature.signature)
    : mldsa44(key.key, signed, cosignature.signature);
}

/** Checks a signature in Node's thread pool. False for every malformed input. */
export function verifyBeside(
  hash: 'sha256' | null,
  message: Uint8Array,
  key: crypto.KeyObject,
  signature: Uint8Array,
): Promise<boolean> {
  return new Promise((resolve) => {
    crypto.verify(hash, message, key, signature, (error, holds) => resolve(error === null && holds));
  });
}
