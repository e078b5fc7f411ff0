/**
 * Public keys of entries, bundles and certificates: SubjectPublicKeyInfo in DER (RFC 5280 section 4.1.2.7, RFC 5480, RFC
 * 8410, RFC 3279).
 *
 * Other verifiers accept exactly one encoding of an elliptic-curve key (named curve, uncompressed point). So a constant
 * prefix identifies the kind, and the bytes after the prefix are the point:
 *
 *   3059301306072a8648ce3d020106082a8648ce3d030107034200 04 <x, 32 bytes> <y, 32 bytes>     P-256
 *   302a300506032b6570032100 <32 bytes>                                                     Ed25519
 *
 * An RSA key is SEQUENCE { SEQUENCE { OID rsaEncryption, NULL }, BIT STRING { SEQUENCE { modulus, exponent } } }.
 */
import { concat, decodeHex, encodeHex, equal } from '../bytes.ts';
import { isOnCurve, type NistCurve } from '../curve.ts';
import { MerkleError } from '../errors.ts';

export type EcKind = 'ecdsa-p256' | 'ecdsa-p384' | 'ecdsa-p521';
/** The kinds whose key is a point after a constant prefix. */
type PointKind = EcKind | 'ed25519';
export type PublicKeyKind = PointKind | 'rsa';

/** A public key in its one encoding. The point may be off its curve: only `hasValidPoint` and signature checks find that. */
export interface KeyInfo {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly kind: PublicKeyKind;
  /** RSA: length of the modulus, 2048 to 4096. */
  readonly bits?: number;
  /** For people: `ECDSA P-256`, `Ed25519`, `RSA-2048`. */
  readonly name: string;
}

interface PointForm {
  readonly kind: PointKind;
  readonly name: string;
  readonly curve: NistCurve | undefined;
  /** The DER in front of the point. */
  readonly prefix: Uint8Array;
  /** Bytes of the point. The point of an ECDSA key is 0x04, x, y. */
  readonly size: number;
}

function form(kind: PointKind, name: string, curve: NistCurve | undefined, prefix: string, size: number): PointForm {
  return { kind, name, curve, prefix: decodeHex(prefix), size };
}

const FORMS: Readonly<Record<PointKind, PointForm>> = {
  'ecdsa-p256': form('ecdsa-p256', 'ECDSA P-256', 'P-256', '3059301306072a8648ce3d020106082a8648ce3d030107034200', 65),
  'ecdsa-p384': form('ecdsa-p384', 'ECDSA P-384', 'P-384', '3076301006072a8648ce3d020106052b81040022036200', 97),
  'ecdsa-p521': form('ecdsa-p521', 'ECDSA P-521', 'P-521', '30819b301006072a8648ce3d020106052b8104002303818600', 133),
  ed25519: form('ed25519', 'Ed25519', undefined, '302a300506032b6570032100', 32),
};
const ALL_FORMS: readonly PointForm[] = Object.values(FORMS);

/** First byte of an uncompressed point: SEC 1 section 2.3.3. */
const UNCOMPRESSED = 0x04;

/**
 * Reads a SubjectPublicKeyInfo: ECDSA on P-256, P-384 or P-521 with an uncompressed point, Ed25519, or RSA of 2048 to 4096
 * bits (a multiple of 8) with an odd exponent of 3 to 2^31 - 1. The result has a copy of the bytes.
 * @throws MerkleError `bad-key` for another kind of key, or another encoding
 */
export function parseSpki(spki: Uint8Array): KeyInfo {
  const own = Uint8Array.from(spki); // a Buffer's slice would share the caller's memory
  return pointKey(own) ?? rsaKey(own, rsaNumbers(own).bits);
}

/** Reads an ECDSA or Ed25519 key without copying `spki`; undefined for every other encoding. */
export function pointKey(spki: Uint8Array): KeyInfo | undefined {
  for (const { kind, name, curve, prefix, size } of ALL_FORMS) {
    if (spki.length !== prefix.length + size || !startsWith(spki, prefix)) continue;
    if (curve === undefined || spki[prefix.length] === UNCOMPRESSED) return { spki, kind, name };
  }
  return undefined;
}

/** An RSA key with a modulus of `bits` bits. The caller has checked its encoding. */
export function rsaKey(spki: Uint8Array, bits: number): KeyInfo {
  return { spki, kind: 'rsa', bits, name: `RSA-${bits}` };
}

/** The bytes of the point: 0x04, x, y of an ECDSA key, or the 32 bytes of an Ed25519 key. Not for RSA keys. */
export function pointOf(key: Pick<KeyInfo, 'kind' | 'spki'>): Uint8Array {
  return key.spki.subarray(FORMS[key.kind as PointKind].prefix.length);
}

/** ML-DSA-44 (RFC 9881 section 4), which signs checkpoints and no entries. */
const MLDSA44_PREFIX = decodeHex('30820532300b06096086480165030403110382052100');

/** The SubjectPublicKeyInfo around a point of this kind: 0x04, x, y; 32 bytes of Ed25519; 1312 bytes of ML-DSA-44. */
export function encodeSpki(kind: PointKind | 'mldsa44', point: Uint8Array): Uint8Array {
  return concat(kind === 'mldsa44' ? MLDSA44_PREFIX : FORMS[kind].prefix, point);
}

/** The curve of a kind of ECDSA key. */
export function curveOf(kind: EcKind): NistCurve {
  return FORMS[kind].curve!;
}

/** False for an ECDSA key whose point is not on its curve. Signature checks fail for such a key too, but give no reason. */
export function hasValidPoint(key: KeyInfo): boolean {
  return key.kind === 'rsa' || key.kind === 'ed25519' || isOnCurve(curveOf(key.kind), pointOf(key));
}

/** SEQUENCE { OID rsaEncryption, NULL }: RFC 3279 section 2.3.1. */
const RSA_ALGORITHM = decodeHex('300d06092a864886f70d0101010500');

/** The SubjectPublicKeyInfo of a PKCS#1 RSAPublicKey (RFC 8017 section A.1.1) of 2048 bits or more. */
export function spkiOfPkcs1(pkcs1: Uint8Array): Uint8Array {
  const wrap = (tag: number, content: Uint8Array) =>
    concat(Uint8Array.of(tag, 0x82, Math.floor(content.length / 256), content.length % 256), content);
  return wrap(TAG.sequence, concat(RSA_ALGORITHM, wrap(TAG.bitString, concat(Uint8Array.of(0), pkcs1))));
}

const TAG = { integer: 0x02, bitString: 0x03, sequence: 0x30 } as const;
/** Longest accepted number in bytes; a modulus of 4096 bits has 513. */
const MAX_NUMBER = 600;

/** Modulus and exponent of an RSA key, checked as in `parseSpki`. @throws MerkleError `bad-key` */
export function rsaNumbers(spki: Uint8Array): { modulus: bigint; exponent: bigint; bits: number } {
  const [modulus, exponent] = rsaIntegers(spki);
  const bits = modulus.toString(2).length;
  if (bits < 2048 || bits > 4096 || bits % 8 !== 0 || modulus % 2n === 0n) {
    const found = modulus === 0n ? 'that of this key is negative or longer' : `this key has ${bits} bits`;
    throw badKey(`an RSA key has 2048 to 4096 bits, a multiple of 8, and an odd modulus; ${found}`);
  }
  // Go's crypto/rsa accepts only these exponents, so other clients would refuse any other key.
  if (exponent < 3n || exponent > 0x7fffffffn || exponent % 2n === 0n) {
    throw badKey('the exponent of an RSA key must be odd and between 3 and 2^31 - 1');
  }
  return { modulus, exponent, bits };
}

function rsaIntegers(spki: Uint8Array): [modulus: bigint, exponent: bigint] {
  const outer = elementAt(spki, 0, TAG.sequence, spki.length);
  const key = outer.start + RSA_ALGORITHM.length;
  if (!startsWith(spki.subarray(outer.start), RSA_ALGORITHM)) throw otherKey();
  const bits = elementAt(spki, key, TAG.bitString, outer.end);
  // The first byte of a bit string counts its unused bits.
  if (spki[bits.start] !== 0) throw otherKey();
  const numbers = elementAt(spki, bits.start + 1, TAG.sequence, bits.end);
  const modulus = elementAt(spki, numbers.start, TAG.integer, numbers.end);
  const exponent = elementAt(spki, modulus.end, TAG.integer, numbers.end);
  const ends = [outer.end === spki.length, bits.end === outer.end, numbers.end === bits.end];
  if (!ends.every(Boolean) || exponent.end !== numbers.end) throw otherKey();
  return [integerAt(spki, modulus), integerAt(spki, exponent)];
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The place of the contents of the DER element at `at`. The element must have this tag and the shortest length encoding. */
function elementAt(der: Uint8Array, at: number, tag: number, limit: number): Span {
  let length = der[at + 1] ?? 0;
  let start = at + 2;
  if (length >= 0x80) {
    const bytes = length - 0x80;
    if (bytes < 1 || bytes > 2) throw otherKey();
    length = bytes === 1 ? (der[start] ?? 0) : (der[start] ?? 0) * 256 + (der[start + 1] ?? 0);
    start += bytes;
    if (length < (bytes === 1 ? 0x80 : 0x100)) throw otherKey();
  }
  if (der[at] !== tag || start + length > limit) throw otherKey();
  return { start, end: start + length };
}

/** Reads a number in its shortest form. Negative and very long numbers become 0, which is invalid in every key. */
function integerAt(der: Uint8Array, { start, end }: Span): bigint {
  const [first, second] = [der[start]!, der[start + 1]!];
  if (start === end || (end - start > 1 && first === 0 && second < 0x80)) throw otherKey();
  return first >= 0x80 || end - start > MAX_NUMBER ? 0n : BigInt(`0x${encodeHex(der.subarray(start, end))}`);
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return equal(bytes.subarray(0, prefix.length), prefix);
}

function otherKey(): MerkleError {
  return badKey(
    'the public key is not ECDSA on P-256, P-384 or P-521 with an uncompressed point, Ed25519 or RSA (SubjectPublicKeyInfo, DER)',
  );
}

function badKey(message: string): MerkleError {
  return new MerkleError('bad-key', message);
}
