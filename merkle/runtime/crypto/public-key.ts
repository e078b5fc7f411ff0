/**
 * Public keys of signed requests, read fast: points by their constant prefix (merkle/rekor/spki.ts), RSA keys by Node's
 * OpenSSL, which must give the same bytes when it encodes the key again.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { type KeyInfo, pointKey, pointOf, rsaKey } from '../../rekor/spki.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { parseEd25519Key } from './verify.ts';

/** Sizes that other implementations read; a modulus beyond costs more to verify than an entry is worth. */
const RSA_BITS: readonly number[] = [2048, 3072, 4096];
/** An SPKI of RSA-4096 has 550 bytes; nothing larger goes to OpenSSL. */
const MAX_SPKI = 2_048;

const objects = new WeakMap<KeyInfo, KeyObject>();

/** Node's object of a key, made once. @throws Error for a point off its curve, or an Ed25519 key that is refused */
export function keyObjectOf(key: KeyInfo): KeyObject {
  let object = objects.get(key);
  if (object === undefined) {
    object =
      key.kind === 'ed25519'
        ? parseEd25519Key(pointOf(key))
        : createPublicKey({ key: Buffer.from(key.spki), format: 'der', type: 'spki' });
    objects.set(key, object);
  }
  return object;
}

/**
 * Reads a SubjectPublicKeyInfo: ECDSA on P-256, P-384 or P-521, RSA of 2048, 3072 or 4096 bits, or Ed25519.
 *
 * The result refers to the bytes of `spki`.
 * @throws RuntimeError `key-format`: not a key, another kind, or an encoding that is not the only one.
 */
export function readPublicKey(spki: Uint8Array): KeyInfo {
  return pointKey(spki) ?? readRsaKey(spki);
}

function readRsaKey(spki: Uint8Array): KeyInfo {
  const object = spki.length <= MAX_SPKI ? importKey(spki) : undefined;
  if (object === undefined) throw new RuntimeError('key-format', 'not a public key in DER (SubjectPublicKeyInfo)');
  if (object.asymmetricKeyType === 'rsa') {
    const { modulusLength = 0, publicExponent = 0n } = object.asymmetricKeyDetails ?? {};
    if (!RSA_BITS.includes(modulusLength)) {
      throw new RuntimeError('key-format', `an RSA key of ${modulusLength} bits; 2048, 3072 and 4096 are taken`);
    }
    // What Go's crypto/rsa takes: with another exponent no Go client could verify the entry.
    if (publicExponent < 3n || publicExponent > 0x7fffffffn || publicExponent % 2n === 0n) {
      throw new RuntimeError('key-format', 'an RSA key with an exponent that is even, below 3 or above 2^31 - 1');
    }
    const key = rsaKey(spki, modulusLength);
    objects.set(key, object);
    return key;
  }
  throw new RuntimeError(
    'key-format',
    'a key of a kind, curve or encoding that is not taken; ECDSA on P-256, P-384, P-521, RSA and Ed25519 are',
  );
}

function importKey(spki: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return key.export({ format: 'der', type: 'spki' }).equals(spki) ? key : undefined;
  } catch {
    return undefined;
  }
}
