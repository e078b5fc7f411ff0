/**
 * Public keys as they come in signed requests and bundles: SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7, RFC 5480,
 * RFC 8410, RFC 3279) and X.509 certificates, in DER.
 *
 * A key of each elliptic curve has exactly one encoding that verifiers elsewhere take (named curve, uncompressed point),
 * so it is recognised by its constant prefix and needs no ASN.1 parser; the bytes after the prefix are the point:
 *
 * ```
 * 3059301306072a8648ce3d020106082a8648ce3d030107034200 04 <x, 32 bytes> <y, 32 bytes>     P-256
 * ```
 *
 * RSA keys and certificates are parsed by Node's OpenSSL and must give the same bytes when encoded again.
 */
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { RuntimeError } from '../runtime-errors.ts';

export type EcCurve = 'P-256' | 'P-384' | 'P-521';

/**
 * - `ecdsa`: `point` is 0x04, x, y: 65, 97 or 133 bytes. Whether it is on the curve is known only to `checkKey` and to a
 *   verification, which fails where it is not.
 * - `rsa`: `bits` is the exact length of the modulus, 2048 to 4096.
 * - `ed25519`: `point` is 32 bytes, unchecked likewise.
 */
export type ParsedKey =
  | { readonly type: 'ecdsa'; readonly curve: EcCurve; readonly point: Uint8Array; readonly spki: Uint8Array }
  | { readonly type: 'rsa'; readonly bits: number; readonly key: KeyObject }
  | { readonly type: 'ed25519'; readonly point: Uint8Array };

interface Form {
  readonly prefix: Buffer;
  readonly size: number;
  readonly make: (point: Uint8Array, spki: Uint8Array) => ParsedKey;
}

const FORMS: readonly Form[] = [
  ec('P-256', '3059301306072a8648ce3d020106082a8648ce3d03010703420004', 64),
  ec('P-384', '3076301006072a8648ce3d020106052b8104002203620004', 96),
  ec('P-521', '30819b301006072a8648ce3d020106052b810400230381860004', 132),
  {
    prefix: Buffer.from('302a300506032b6570032100', 'hex'),
    size: 12 + 32,
    make: (spki) => ({ type: 'ed25519', point: spki.subarray(12) }),
  },
];

/** The last byte of the prefix is the 0x04 of an uncompressed point, and belongs to the point. */
function ec(curve: EcCurve, hex: string, coordinates: number): Form {
  const prefix = Buffer.from(hex, 'hex');
  return {
    prefix,
    size: prefix.length + coordinates,
    make: (spki) => ({ type: 'ecdsa', curve, point: spki.subarray(prefix.length - 1), spki }),
  };
}

/** Sizes that other implementations read; a modulus beyond costs more to verify than an entry is worth. */
const RSA_BITS: readonly number[] = [2048, 3072, 4096];
/** An SPKI of RSA-4096 has 550 bytes; nothing larger goes to OpenSSL. */
const MAX_SPKI = 2_048;

/**
 * Reads a SubjectPublicKeyInfo: ECDSA on P-256, P-384 or P-521, RSA of 2048, 3072 or 4096 bits, or Ed25519.
 *
 * The result refers to the bytes of `spki`.
 * @throws RuntimeError `key-format`: not a key, another kind, or an encoding that is not the only one.
 */
export function parsePublicKey(spki: Uint8Array): ParsedKey {
  for (const form of FORMS) {
    if (spki.length === form.size && form.prefix.compare(spki, 0, form.prefix.length) === 0) {
      return form.make(spki, spki);
    }
  }
  return parseOther(spki);
}

function parseOther(spki: Uint8Array): ParsedKey {
  const key = spki.length <= MAX_SPKI ? importKey(spki) : undefined;
  if (key === undefined) {
    throw new RuntimeError('key-format', 'not a public key in DER (SubjectPublicKeyInfo)');
  }
  if (key.asymmetricKeyType === 'rsa') {
    const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
    if (!RSA_BITS.includes(modulusLength)) {
      throw new RuntimeError('key-format', `an RSA key of ${modulusLength} bits; 2048, 3072 and 4096 are taken`);
    }
    // What Go's crypto/rsa takes: with another exponent no Go client could verify the entry.
    if (publicExponent < 3n || publicExponent > 0x7fffffffn || publicExponent % 2n === 0n) {
      throw new RuntimeError('key-format', 'an RSA key with an exponent that is even, below 3 or above 2^31 - 1');
    }
    return { type: 'rsa', bits: modulusLength, key };
  }
  throw new RuntimeError(
    'key-format',
    'a key of a kind, curve or encoding that is not taken; ECDSA on P-256, P-384, P-521, RSA and Ed25519 are',
  );
}

function importKey(spki: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return key.export({ format: 'der', type: 'spki' }).equals(spki) ? key : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether an ECDSA key's point is on its curve. A verification tests this too, but does not say whether the key or the
 * signature was at fault; this costs as much as a verification and is meant for the way of errors.
 */
export function checkKey(key: ParsedKey): boolean {
  return key.type !== 'ecdsa' || importKey(key.spki) !== undefined;
}

/**
 * The SubjectPublicKeyInfo inside an X.509 certificate in DER, as the certificate holds it.
 *
 * Neither the certificate's signature nor its validity nor its chain is looked at.
 * @throws RuntimeError `key-format`: not exactly one certificate in DER.
 */
export function certificateKey(der: Uint8Array): Uint8Array {
  let raw: Buffer;
  try {
    // Takes PEM and trailing bytes too; both show when the certificate is encoded again.
    raw = new X509Certificate(der).raw;
  } catch {
    throw new RuntimeError('key-format', 'not an X.509 certificate in DER');
  }
  if (!raw.equals(der)) {
    throw new RuntimeError('key-format', 'not exactly one X.509 certificate in DER');
  }
  return spkiOf(der);
}

/**
 * Walks to `tbsCertificate.subjectPublicKeyInfo`. The certificate was parsed already, so this only finds the place:
 * `X509Certificate.publicKey` and its export cost 150 µs more where this costs 1 (P-256, Node 20).
 */
function spkiOf(der: Uint8Array): Uint8Array {
  const certificate = element(der, 0);
  const tbs = element(der, certificate.start);
  let at = tbs.start;
  // version [0] is optional; then serialNumber, signature, issuer, validity, subject.
  for (let skip = der[at] === 0xa0 ? 6 : 5; skip > 0; skip--) {
    at = element(der, at).end;
  }
  const spki = element(der, at);
  if (spki.end > tbs.end) {
    throw new RuntimeError('key-format', 'an X.509 certificate without a public key');
  }
  return der.subarray(at, spki.end);
}

/** The bounds of the contents of the DER element at `at`. */
function element(der: Uint8Array, at: number): { start: number; end: number } {
  let start = at + 2;
  let length = der[at + 1] ?? 0;
  if (length >= 0x80) {
    const count = length - 0x80;
    length = 0;
    for (let i = 0; i < count && i < 4; i++) {
      length = length * 256 + (der[start + i] ?? 0);
    }
    start += count;
  }
  if (start + length > der.length) {
    throw new RuntimeError('key-format', 'an X.509 certificate that stops half-way');
  }
  return { start, end: start + length };
}
