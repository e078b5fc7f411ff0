/** Keys inside PKCS#11 tokens: ECDSA P-256, as `stele keygen --pkcs11-module` makes them. Node only. */
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { openTokenDigestSigner } from '../../../merkle/runtime/keys/pkcs11/pkcs11.ts';
import type { TokenKeySpec } from '../../../merkle/runtime/keys/types.ts';
import { ClientError } from '../../errors.ts';
import { parsePublicKey } from '../../formats/key.ts';
import type { KeySigner } from './types.ts';

/**
 * Logs in to the token and finds the key there.
 *
 * It refuses a token's Ed25519 keys: they sign whole messages, and a log takes only Ed25519ph over a digest.
 *
 * @throws RuntimeError with the codes of `openTokenSigner`; ClientError `key`
 */
export async function tokenSigner(spec: TokenKeySpec): Promise<KeySigner> {
  const token = await openTokenDigestSigner(spec);
  try {
    const publicKey = parsePublicKey(token.publicKey, nodePrimitives());
    return {
      publicKey,
      repeatable: false,
      sign: async (digest) => {
        if (digest.length !== publicKey.digestSize) {
          throw new ClientError('key', `the key signs a digest of ${publicKey.digestSize} bytes, not ${digest.length}`);
        }
        return await token.signDigest(digest);
      },
      close: () => token.close(),
    };
  } catch (error) {
    await token.close();
    throw error;
  }
}
