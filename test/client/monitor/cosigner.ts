/** A witness of a few lines: a key, and cosignatures over whatever it is given. */
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { cosign } from '../../../merkle/cosignature.ts';
import { formatVerifierKey, KEY_TYPE, makeVerifierKey, type NoteSignature } from '../../../merkle/note.ts';

/** Seconds since 1970: the first day of 2026. */
export const COSIGNED = 1_767_225_600;

export interface Cosigner {
  readonly vkey: string;
  /** @param at seconds since 1970 */
  cosign(text: string, at?: number): Promise<NoteSignature>;
}

export function cosignerOf(name: string): Cosigner {
  const { privateKey } = generateKeyPairSync('ed25519');
  const raw = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
  const key = makeVerifierKey(name, KEY_TYPE.cosignature, raw);
  const signer = { key, sign: async (message: Uint8Array) => sign(null, message, privateKey) };
  return { vkey: formatVerifierKey(key), cosign: (text, at = COSIGNED) => cosign(signer, at, text) };
}
