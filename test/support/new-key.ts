import { generateKeyPairSync } from 'node:crypto';
import { parsePublicKey } from '../../client/formats/key.ts';
import { type SoftwareSigner, softwareSigner } from '../../client/submit/signers/software-signer.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';

/** A new key that signs digests in this process. */
export function newKey(namedCurve: 'P-256' | 'P-384' | 'P-521' = 'P-256'): SoftwareSigner {
  const pair = generateKeyPairSync('ec', { namedCurve });
  const { d } = pair.privateKey.export({ format: 'jwk' });
  const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
  return softwareSigner(parsePublicKey(spki, nodePrimitives()), Buffer.from(d!, 'base64url'));
}
