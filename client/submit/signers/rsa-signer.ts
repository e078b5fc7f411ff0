/** RSA keys in software: PKCS#1 v1.5 over SHA-256 (RFC 8017 section 8.2.1), which is deterministic. Node only. */
import { constants, type KeyObject, privateEncrypt, sign } from 'node:crypto';
import { concat, decodeHex } from '../../../merkle/bytes.ts';
import { ClientError } from '../../errors.ts';
import type { PublicKey } from '../../formats/key.ts';
import type { SoftwareSigner } from './software-signer.ts';

/** DigestInfo of SHA-256 up to the digest: RFC 8017 section 9.2, note 1. */
const SHA256_DIGEST_INFO = decodeHex('3031300d060960864801650304020105000420');

/**
 * @param key an RSA private key of 2048, 3072 or 4096 bits
 * @throws ClientError `key` where `publicKey` is of another kind or size
 */
export function rsaSigner(key: KeyObject, publicKey: PublicKey): SoftwareSigner {
  if (publicKey.info.kind !== 'rsa') throw new ClientError('key', `a key of the kind ${publicKey.name} is not RSA`);
  return {
    publicKey,
    repeatable: true,
    // An RSA signature is the padding of type 1 around a DigestInfo, raised to the private exponent.
    sign(digest) {
      if (digest.length !== 32) throw new ClientError('key', `an RSA key signs 32 bytes, not ${digest.length}`);
      const block = concat(SHA256_DIGEST_INFO, digest);
      return Uint8Array.from(privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, block));
    },
    signLink: (message) =>
      Uint8Array.from(sign('sha256', message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })),
    close: async () => {},
  };
}
