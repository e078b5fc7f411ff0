/** Private keys in PEM: PKCS#8, or SEC 1 or PKCS#1 as OpenSSL writes them. Node only. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../../errors.ts';
import { parsePublicKey } from '../../formats/key.ts';
import type { SoftwareSigner } from './software-signer.ts';

/**
 * The signer of an ECDSA, Ed25519 or RSA key.
 *
 * @param passphrase of an encrypted key
 * @throws ClientError `key`; RuntimeError `passphrase` where the key is encrypted, and the passphrase is missing or wrong
 */
export async function pemSigner(pem: Buffer, passphrase: string | undefined): Promise<SoftwareSigner> {
  const key = openPem(pem, passphrase);
  const kind = key.asymmetricKeyType;
  if (kind !== 'ec' && kind !== 'ed25519' && kind !== 'rsa') {
    const taken = 'ECDSA (P-256, P-384, P-521), Ed25519 and RSA (2048, 3072, 4096)';
    throw new ClientError('key', `it is a key of the kind ${kind}; use ${taken}`);
  }
  const publicKey = parsePublicKey(createPublicKey(key).export({ format: 'der', type: 'spki' }), nodePrimitives());
  // Each kind loads only the code that it needs.
  if (kind === 'rsa') return (await import('./rsa-signer.ts')).rsaSigner(key, publicKey);
  const { softwareSigner } = await import('./software-signer.ts');
  return softwareSigner(publicKey, Buffer.from(key.export({ format: 'jwk' }).d!, 'base64url'));
}

function openPem(pem: Buffer, passphrase: string | undefined): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    // "BEGIN ENCRYPTED PRIVATE KEY" of PKCS#8, "Proc-Type: 4,ENCRYPTED" of OpenSSL's older form.
    if (!pem.includes('ENCRYPTED')) {
      throw new ClientError('key', 'it is not a private key in PEM that can be read here', { cause });
    }
    const why =
      passphrase === undefined
        ? 'the key is encrypted, and there is no passphrase for it'
        : 'the key cannot be opened: the passphrase is wrong, or the file is damaged';
    throw new RuntimeError('passphrase', why, { cause });
  }
}
