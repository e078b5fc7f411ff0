/**
 * Software keys on elliptic curves, in JavaScript: Node signs only whole messages, and a log entry is about a digest.
 *
 * All signatures are deterministic (ECDSA with the nonces of RFC 6979; RFC 8032 section 5.1.6).
 */
import { eddsa } from '@noble/curves/abstract/edwards.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concat, encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { ClientError } from '../../errors.ts';
import type { PublicKey } from '../../formats/key.ts';
import type { KeySigner } from './types.ts';

/** A signer whose key is in this process: signing neither fails nor waits. */
export interface SoftwareSigner extends KeySigner {
  sign(digest: Uint8Array): Uint8Array;
}

/**
 * @param secret ECDSA: the private scalar, big-endian, as long as a coordinate. Ed25519: the 32 bytes of RFC 8032.
 * @throws ClientError `key` where the secret does not belong to `publicKey`, or the key is of another kind
 */
export function softwareSigner(publicKey: PublicKey, secret: Uint8Array): SoftwareSigner {
  const own = Uint8Array.from(secret);
  const sign = signing(publicKey, own);
  const pure =
    publicKey.info.kind === 'ed25519' ? { signLink: (message: Uint8Array) => ed25519.sign(message, own) } : {};
  return { publicKey, repeatable: true, sign, ...pure, close: async () => {} };
}

function signing(publicKey: PublicKey, secret: Uint8Array): (digest: Uint8Array) => Uint8Array {
  if (publicKey.info.kind === 'ed25519') {
    // The last 32 bytes of its SubjectPublicKeyInfo are the key (RFC 8410 section 4).
    if (secret.length !== 32 || !equal(ed25519.getPublicKey(secret), publicKey.spki.slice(-32))) throw otherKey();
    return (digest) => ed25519Prehashed.sign(checked(publicKey, digest), secret);
  }
  const curve = CURVES.get(publicKey.info.kind);
  if (curve === undefined) {
    throw new ClientError('key', `keys of the kind ${publicKey.name} do not sign here`);
  }
  if (!curve.utils.isValidSecretKey(secret)) throw otherKey();
  const point = curve.getPublicKey(secret, false);
  if (!equal(point, publicKey.spki.slice(-point.length))) throw otherKey();
  return (digest) =>
    curve.sign(checked(publicKey, digest), secret, {
      prehash: false,
      format: 'der',
      lowS: false,
      extraEntropy: false,
    });
}

const CURVES = new Map<string, typeof p256>([
  ['ecdsa-p256', p256],
  ['ecdsa-p384', p384],
  ['ecdsa-p521', p521],
]);

/** RFC 8032 section 5.1: dom2(phflag 1, empty context). noble's own ed25519ph would hash once more. */
const DOM2_PH = encodeUtf8('SigEd25519 no Ed25519 collisions\x01\x00');
const ed25519Prehashed = eddsa(ed25519.Point, sha512, {
  domain: (data: Uint8Array) => concat(DOM2_PH, data) as Uint8Array<ArrayBuffer>,
  prehash: (digest: Uint8Array) => digest as Uint8Array<ArrayBuffer>,
  // RFC 8032 section 5.1.5, step 2.
  adjustScalarBytes: (scalar: Uint8Array) => {
    scalar[0]! &= 0b1111_1000;
    scalar[31] = (scalar[31]! & 0b0111_1111) | 0b0100_0000;
    return scalar as Uint8Array<ArrayBuffer>;
  },
  zip215: false,
});

function checked({ name, digestSize }: PublicKey, digest: Uint8Array): Uint8Array {
  if (digest.length === digestSize) return digest;
  throw new ClientError('key', `a key of the kind ${name} signs a digest of ${digestSize} bytes, not ${digest.length}`);
}

function otherKey(): ClientError {
  return new ClientError('key', 'the private key does not belong to its public key');
}
