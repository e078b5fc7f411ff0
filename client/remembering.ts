/**
 * Primitives that check the same signature of a note once: a log that is busy publishes hundreds of entries with one
 * checkpoint, and whoever verifies many bundles meets its signatures again and again.
 */
import type { CosignaturePrimitives } from '../merkle/cosignature.ts';
import type { Primitives } from './crypto.ts';

/** Signatures that are remembered, of 0.5 kB each with their notes; one with ML-DSA-44 has 4 kB. */
const REMEMBERED = 4096;

/** As `primitives`. What did not verify is not remembered. */
export function remembering(primitives: Primitives, remembered = REMEMBERED): Primitives {
  const verified = new Set<string>();
  const once =
    (kind: keyof CosignaturePrimitives, check: CosignaturePrimitives[typeof kind]) =>
    (key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
      // The lengths stand before the bytes, so that no two triples are one text.
      const name = `${kind} ${key.length} ${message.length} ${textOf(key)}${textOf(message)}${textOf(signature)}`;
      if (verified.has(name)) return true;
      if (!check(key, message, signature)) return false;
      if (verified.size >= remembered) verified.clear();
      verified.add(name);
      return true;
    };
  const { cosignature } = primitives;
  return {
    hash: primitives.hash,
    verifyDigest: primitives.verifyDigest,
    verifyMessage: primitives.verifyMessage,
    cosignature: {
      ed25519: once('ed25519', cosignature.ed25519),
      ecdsaP256: once('ecdsaP256', cosignature.ecdsaP256),
      mldsa44: once('mldsa44', cosignature.mldsa44),
    },
  };
}

// What the Web calls latin1 is windows-1252: one character for each byte, a different one for each.
const decoder = new TextDecoder('latin1');

function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
