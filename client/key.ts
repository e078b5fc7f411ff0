/**
 * Keys of signers: ECDSA on the NIST curves, as SubjectPublicKeyInfo (RFC 5480 section 2) with an uncompressed point.
 *
 * A key is taken only in the one DER form that encoders write, so that its bytes are the ones that were logged:
 *
 *   SEQUENCE { SEQUENCE { OID id-ecPublicKey, OID curve }, BIT STRING 04 || X || Y }
 */
import { p256, p384, p521 } from '@noble/curves/nist.js';
import { decodeBase64, decodeHex, encodeBase64, equal } from '../merkle/bytes.ts';
import { sha256 } from '../merkle/rfc6962.ts';
import { ClientError } from './errors.ts';

export type DigestAlgorithm = 'SHA2_256' | 'SHA2_384' | 'SHA2_512';

interface KeyKind {
  readonly name: string;
  /** Value of `keyDetails` in the entry (dev.sigstore.common.v1.PublicKeyDetails). */
  readonly details: string;
  readonly digest: DigestAlgorithm;
  readonly digestSize: number;
  /** The DER in front of X || Y. */
  readonly prefix: Uint8Array;
  readonly coordinate: number;
  readonly curve: typeof p256;
}

const KINDS: readonly KeyKind[] = [
  {
    name: 'ECDSA P-256',
    details: 'PKIX_ECDSA_P256_SHA_256',
    digest: 'SHA2_256',
    digestSize: 32,
    prefix: decodeHex('3059301306072a8648ce3d020106082a8648ce3d03010703420004'),
    coordinate: 32,
    curve: p256,
  },
  {
    name: 'ECDSA P-384',
    details: 'PKIX_ECDSA_P384_SHA_384',
    digest: 'SHA2_384',
    digestSize: 48,
    prefix: decodeHex('3076301006072a8648ce3d020106052b8104002203620004'),
    coordinate: 48,
    curve: p384,
  },
  {
    name: 'ECDSA P-521',
    details: 'PKIX_ECDSA_P521_SHA_512',
    digest: 'SHA2_512',
    digestSize: 64,
    prefix: decodeHex('30819b301006072a8648ce3d020106052b81040023038186' + '0004'),
    coordinate: 66,
    curve: p521,
  },
];

/** A signer's public key. */
export interface PublicKey {
  /** For people: `ECDSA P-256`. */
  readonly name: string;
  readonly details: string;
  /** The digest of the file that this key signs. */
  readonly digest: DigestAlgorithm;
  /** Length of that digest in bytes. */
  readonly digestSize: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** Whether `signature` (ASN.1 DER, any s) is by this key over `digest`. Does not throw. */
  verify(digest: Uint8Array, signature: Uint8Array): boolean;
}

/** A signer's private key. */
export interface PrivateKey {
  readonly publicKey: PublicKey;
  /** ASN.1 DER. The same digest gives the same signature (RFC 6979). */
  sign(digest: Uint8Array): Uint8Array;
}

/** @throws ClientError `key` */
export function parsePublicKey(spki: Uint8Array): PublicKey {
  const kind = KINDS.find(
    ({ prefix, coordinate }) =>
      spki.length === prefix.length + 2 * coordinate && equal(spki.subarray(0, prefix.length), prefix),
  );
  if (kind === undefined) {
    throw new ClientError(
      'key',
      'the public key is not ECDSA on P-256, P-384 or P-521 (SubjectPublicKeyInfo with an uncompressed point); other keys are not taken yet',
    );
  }
  const { curve, name, details, digest, digestSize } = kind;
  const own = Uint8Array.from(spki); // a Buffer's slice would share the caller's memory
  const point = own.subarray(kind.prefix.length - 1);
  if (!curve.utils.isValidPublicKey(point, false)) {
    throw new ClientError('key', 'the public key is not a point on its curve');
  }
  const verify = (hash: Uint8Array, signature: Uint8Array) => {
    try {
      return curve.verify(signature, hash, point, { prehash: false, format: 'der', lowS: false });
    } catch {
      return false;
    }
  };
  return { name, details, digest, digestSize, spki: own, verify };
}

/** Exactly one block of this label; text around it is refused. */
export function parsePublicKeyPem(pem: string): PublicKey {
  const match = /^\s*-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]{1,2000})-----END PUBLIC KEY-----\s*$/.exec(pem);
  if (match === null) {
    throw new ClientError(
      'key',
      'the public key is not one PEM block "PUBLIC KEY" (the private key is not needed here)',
    );
  }
  let der: Uint8Array;
  try {
    der = decodeBase64(match[1]!.replace(/[\r\n]/g, ''));
  } catch (cause) {
    throw new ClientError('key', 'the PEM block of the public key is not canonical base64', { cause });
  }
  return parsePublicKey(der);
}

export function formatPublicKeyPem(key: PublicKey): string {
  const lines = encodeBase64(key.spki).match(/.{1,64}/g)!;
  return `-----BEGIN PUBLIC KEY-----\n${lines.join('\n')}\n-----END PUBLIC KEY-----\n`;
}

/**
 * @param scalar the private scalar, big-endian, as long as a coordinate
 * @throws ClientError `key`
 */
export function privateKey(publicKey: PublicKey, scalar: Uint8Array): PrivateKey {
  const { curve, prefix } = KINDS.find(({ details }) => details === publicKey.details)!;
  const point = publicKey.spki.subarray(prefix.length - 1);
  if (!curve.utils.isValidSecretKey(scalar) || !equal(curve.getPublicKey(scalar, false), point)) {
    throw new ClientError('key', 'the private key does not belong to its public key');
  }
  return {
    publicKey,
    // Deterministic, so that signing again after a crash gives the entry that the log already has, not a second one.
    sign: (digest) => curve.sign(digest, scalar, { prehash: false, format: 'der', lowS: false, extraEntropy: false }),
  };
}

/** What cosign writes as the hint that tells keys apart: base64 of SHA-256 over the SubjectPublicKeyInfo. */
export function keyHint(key: PublicKey): string {
  return encodeBase64(sha256(key.spki));
}
