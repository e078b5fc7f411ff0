/** A witness of a few lines: a key, and cosignatures over whatever it is given. */
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { cosign } from '../../../merkle/cosignature.ts';
import { formatVerifierKey, KEY_TYPE, makeVerifierKey, type NoteSignature } from '../../../merkle/note.ts';

export function cosignerOf(name: string): { readonly vkey: string; cosign(text: string): Promise<NoteSignature> } {
  const { privateKey } = generateKeyPairSync('ed25519');
  const raw = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
  const key = makeVerifierKey(name, KEY_TYPE.cosignature, raw);
  const signer = { key, sign: async (message: Uint8Array) => sign(null, message, privateKey) };
  return { vkey: formatVerifierKey(key), cosign: (text) => cosign(signer, 1_767_225_600, text) };
}
