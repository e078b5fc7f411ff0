/**
 * What verification needs of cryptography: public keys, and the checks that a platform lends to the core.
 *
 * The core is synchronous and imports no platform. It is handed `Primitives`: those of `client/crypto/noble-primitives.ts` anywhere,
 * those of `client/crypto/node-primitives.ts` on Node, 40 times as fast for ECDSA.
 */
import { decodeHex, encodeHex, equal } from '../../merkle/bytes.ts';
import type { CosignaturePrimitives } from '../../merkle/cosignature.ts';
import { ClientError } from '../errors.ts';
import { type Der, parseDer, TAG } from '../x509/der.ts';
import { expectTag, fieldsOf, wholeBits } from '../x509/fields.ts';

export type HashName = 'sha256' | 'sha384' | 'sha512';

export const HASH_SIZE = { sha256: 32, sha384: 48, sha512: 64 } as const;

/** DigestInfo of PKCS#1 up to the digest: RFC 8017 section 9.2, note 1. */
export const DIGEST_INFO: Readonly<Record<HashName, Uint8Array>> = {
  sha256: decodeHex('3031300d060960864801650304020105000420'),
  sha384: decodeHex('3041300d060960864801650304020205000430'),
  sha512: decodeHex('3051300d060960864801650304020305000440'),
};

export type EcKind = 'ecdsa-p256' | 'ecdsa-p384' | 'ecdsa-p521';
export type KeyKind = EcKind | 'ed25519' | 'rsa';

/** A public key in its one encoding. Whether a point is on its curve shows when a signature is checked. */
export interface KeyInfo {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly kind: KeyKind;
  /** RSA: length of the modulus, 2048 to 4096. */
  readonly bits?: number;
  /** For people: `ECDSA P-256`, `Ed25519`, `RSA-2048`. */
  readonly name: string;
}

/** Every check is false for whatever is wrong, and none throws. Keys come from `parseSpki`; their bytes never change. */
export interface Primitives {
  /** 32, 48 or 64 bytes. */
  hash(name: HashName, data: Uint8Array): Uint8Array;
  /**
   * Whether `signature` is by `key` over what has this digest.
   *
   * - ECDSA (FIPS 186-5 section 6): strict DER, any s; each of the three hashes on each curve.
   * - RSA: PKCS#1 v1.5 (RFC 8017 section 8.2.2), as long as the modulus.
   * - Ed25519: Ed25519ph with an empty context (RFC 8032 section 5.1); `hash` must be `sha512`.
   */
  verifyDigest(key: KeyInfo, hash: HashName, digest: Uint8Array, signature: Uint8Array): boolean;
  /**
   * The same over a message, which is hashed with `hash`. Ed25519 is pure Ed25519 where `hash` is undefined, and Ed25519ph
   * otherwise; the others need a `hash`.
   */
  verifyMessage(key: KeyInfo, hash: HashName | undefined, message: Uint8Array, signature: Uint8Array): boolean;
  /** For notes and cosignatures. */
  readonly cosignature: CosignaturePrimitives;
}

interface Form {
  readonly kind: EcKind | 'ed25519';
  readonly name: string;
  /** The DER in front of the point; with ECDSA up to its 0x04. */
  readonly prefix: Uint8Array;
  readonly size: number;
}

const FORMS: readonly Form[] = [
  form('ecdsa-p256', 'ECDSA P-256', '3059301306072a8648ce3d020106082a8648ce3d03010703420004', 64),
  form('ecdsa-p384', 'ECDSA P-384', '3076301006072a8648ce3d020106052b8104002203620004', 96),
  form('ecdsa-p521', 'ECDSA P-521', '30819b301006072a8648ce3d020106052b810400230381860004', 132),
  form('ed25519', 'Ed25519', '302a300506032b6570032100', 32),
];

function form(kind: Form['kind'], name: string, hex: string, point: number): Form {
  const prefix = decodeHex(hex);
  return { kind, name, prefix, size: prefix.length + point };
}

/** SEQUENCE { OID rsaEncryption, NULL }: RFC 3279 section 2.3.1. */
const RSA_ALGORITHM = '300d06092a864886f70d0101010500';

/**
 * Reads a SubjectPublicKeyInfo: ECDSA on P-256, P-384 or P-521 with an uncompressed point, Ed25519, or RSA of 2048 to 4096
 * bits (whole bytes) with an odd exponent of 3 to 2^31 - 1. The result has a copy of the bytes.
 *
 * @throws ClientError `key`: another kind, or not the one encoding of the key
 */
export function parseSpki(spki: Uint8Array): KeyInfo {
  const own = Uint8Array.from(spki); // a Buffer's slice would share the caller's memory
  for (const { kind, name, prefix, size } of FORMS) {
    if (own.length === size && equal(own.subarray(0, prefix.length), prefix)) return { spki: own, kind, name };
  }
  const { bits } = rsaNumbers(own);
  return { spki: own, kind: 'rsa', bits, name: `RSA-${bits}` };
}

/** The bytes of the point: 0x04, x, y of an ECDSA key, or the 32 bytes of an Ed25519 key. For primitives. */
export function pointOf(key: KeyInfo): Uint8Array {
  const { prefix } = FORMS.find(({ kind }) => kind === key.kind)!;
  return key.spki.subarray(key.kind === 'ed25519' ? prefix.length : prefix.length - 1);
}

/** Modulus and exponent of an RSA key. For primitives. @throws ClientError `key` */
export function rsaNumbers(spki: Uint8Array): { modulus: bigint; exponent: bigint; bits: number } {
  let modulus: bigint;
  let exponent: bigint;
  try {
    const outer = fieldsOf(expectTag(parseDer(spki, 'the key'), TAG.sequence, 'the key'), 'the key');
    if (encodeHex(outer.next(TAG.sequence).bytes) !== RSA_ALGORITHM) throw otherKey();
    const inner = parseDer(wholeBits(outer.next(TAG.bitString), 'the key'), 'the key');
    outer.end();
    const numbers = fieldsOf(expectTag(inner, TAG.sequence, 'the key'), 'the key');
    modulus = unsigned(numbers.next(TAG.integer));
    exponent = unsigned(numbers.next(TAG.integer));
    numbers.end();
  } catch (cause) {
    throw otherKey(cause);
  }
  const bits = modulus.toString(2).length;
  if (bits < 2048 || bits > 4096 || bits % 8 !== 0 || modulus % 2n === 0n) {
    throw new ClientError('key', `an RSA key of ${bits} bits is not taken; those of 2048 to 4096 are`);
  }
  // What Go's crypto/rsa takes: another exponent would make a key that other clients refuse.
  if (exponent < 3n || exponent > 0x7fffffffn || exponent % 2n === 0n) {
    throw new ClientError('key', 'an RSA key with an exponent that is even, below 3 or above 2^31 - 1 is not taken');
  }
  return { modulus, exponent, bits };
}

/** Numbers below 0 become 0, which no key has. */
function unsigned({ content }: Der): bigint {
  return content[0]! >= 0x80 || content.length > 600 ? 0n : BigInt(`0x${encodeHex(content)}`);
}

function otherKey(cause?: unknown): ClientError {
  return new ClientError(
    'key',
    'the public key is not ECDSA on P-256, P-384 or P-521 with an uncompressed point, Ed25519 or RSA (SubjectPublicKeyInfo, DER)',
    { cause },
  );
}
