/** The checks of note signatures with Node's own cryptography: 67 µs for Ed25519, where JavaScript takes 1,020. */
import * as crypto from 'node:crypto';
import { type CosignaturePrimitives, checkpointVerifier } from '../../cosignature.ts';
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

/**
 * As `checkpointVerifier` with `nodeNotePrimitives`, but Node's own thread pool checks the keys of types 0x01 and 0x02.
 * Such a check takes 67 to 210 µs, and only 10 µs of them on the calling thread.
 */
export function backgroundVerifier(key: VerifierKey): AsyncNoteVerifier {
  const { name, keyId, type } = key;
  if (type !== KEY_TYPE.ed25519 && type !== KEY_TYPE.ecdsa) return checkpointVerifier(key, nodeNotePrimitives);
  const [hash, parse] = type === KEY_TYPE.ed25519 ? ([null, ed25519Key] as const) : (['sha256', ecdsaKey] as const);
  const verify = async (message: Uint8Array, signature: Uint8Array) => {
    try {
      return await verifyBeside(hash, message, parse(key.key), signature);
    } catch {
      return false;
    }
  };
  return { name, keyId, verify };
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
