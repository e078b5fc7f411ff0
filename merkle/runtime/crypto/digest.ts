/**
 * Checks signatures over a digest.
 *
 * A `hashedrekord` carries the digest of the artifact and not the artifact, and Node's `crypto.verify` only takes the
 * message. So koffi calls ECDSA in the OpenSSL of the Node process, by the symbols that the process exports. Where the
 * symbols are missing, `@noble/curves` gives the same answers. `crypto.publicDecrypt` checks RSA PKCS#1 v1.5 (RFC 8017
 * section 8.2.2), and noble checks Ed25519ph (RFC 8032 section 5.1).
 *
 * CPU time on Node 20.20, 2 busy cores: P-256 with a fresh key each time 87 µs in OpenSSL (104 µs with a new EC_KEY each
 * time), 2,900 µs in noble; RSA-2048 26 µs; Ed25519ph 2,700 µs.
 */
import { constants, publicDecrypt } from 'node:crypto';
import { DIGEST_INFO, DIGEST_SIZE, type HashName } from '../../rekor/hashes.ts';
import { type EcKind, type KeyInfo, pointOf } from '../../rekor/spki.ts';
import { loadKoffi } from '../koffi.ts';
import { nobleCurves, nobleEd25519Digest } from './lazy-noble.ts';
import { keyObjectOf } from './public-key.ts';

export interface DigestVerifier {
  /** ECDSA runs in OpenSSL. */
  readonly fast: boolean;
  /** Where `fast` is false: the reason, in one sentence for the operator. */
  readonly why?: string;
  /**
   * Whether the key made `signature` over `digest`. False for every malformed input, such as a key off its curve.
   *
   * - ECDSA: `signature` is strict DER; `digest` has the length of the curve's own hash (32, 48, 64 bytes).
   * - RSA: PKCS#1 v1.5, `digest` is SHA-256, 32 bytes; `signature` as long as the modulus.
   * - Ed25519: Ed25519ph with an empty context, `digest` is SHA-512, 64 bytes; `signature` 64 bytes.
   */
  verifyDigest(key: KeyInfo, digest: Uint8Array, signature: Uint8Array): boolean;
}

type EcVerify = (curve: EcKind, point: Uint8Array, digest: Uint8Array, signature: Uint8Array) => boolean;

/**
 * A verifier for this thread. Loading takes a few milliseconds: make one and keep it.
 * @param force `noble` never tries OpenSSL. The variable `STELE_NO_FAST_VERIFY=1` does the same.
 */
export function digestVerifier(force?: 'noble'): DigestVerifier {
  if (force === 'noble' || process.env.STELE_NO_FAST_VERIFY === '1') {
    return verifier(nobleVerify, 'it was switched off');
  }
  try {
    const ecVerify = opensslVerify();
    return selfTest(ecVerify) ? verifier(ecVerify) : verifier(nobleVerify, 'OpenSSL failed the self-test');
  } catch {
    return verifier(nobleVerify, 'the OpenSSL inside Node cannot be reached on this platform');
  }
}

function verifier(ecVerify: EcVerify, why?: string): DigestVerifier {
  return {
    fast: why === undefined,
    ...(why === undefined ? {} : { why }),
    verifyDigest(key, digest, signature) {
      switch (key.kind) {
        case 'rsa':
          return rsaVerifyDigest(key, 'sha256', digest, signature);
        case 'ed25519':
          return ed25519phVerify(pointOf(key), digest, signature);
        default:
          return (
            digest.length === CURVE_DIGEST_SIZE[key.kind] &&
            signature.length > 0 &&
            signature.length <= MAX_ECDSA_SIGNATURE &&
            ecVerify(key.kind, pointOf(key), digest, signature)
          );
      }
    },
  };
}

/** Bytes of the digest that is checked on each curve. */
export const CURVE_DIGEST_SIZE = { 'ecdsa-p256': 32, 'ecdsa-p384': 48, 'ecdsa-p521': 64 } as const;

/** `nid` as in OpenSSL's obj_mac.h. */
const CURVES = {
  'ecdsa-p256': { nid: 415, noble: 'p256' },
  'ecdsa-p384': { nid: 715, noble: 'p384' },
  'ecdsa-p521': { nid: 716, noble: 'p521' },
} as const;

/** SEQUENCE of two INTEGERs of up to 66 bytes: 139 for P-521. */
const MAX_ECDSA_SIGNATURE = 139;

function opensslVerify(): EcVerify {
  const koffi = loadKoffi();
  const library = koffi.load(null);
  const newByCurve = library.func('void *EC_KEY_new_by_curve_name(int nid)');
  const setPoint = library.func('int EC_KEY_oct2key(void *key, const uint8_t *point, size_t length, void *context)');
  const check = library.func(
    'int ECDSA_verify(int type, const uint8_t *digest, int digestLength, const uint8_t *signature, int length, void *key)',
  );
  // A failed check leaves a line in OpenSSL's error queue of this thread, which Node's own crypto calls read.
  const clearErrors = library.func('void ERR_clear_error()');

  // One EC_KEY a curve and thread, for ever: each check puts its own point in. Making and freeing one costs 17 µs.
  const keys = new Map<EcKind, unknown>();
  for (const curve of Object.keys(CURVES) as EcKind[]) {
    const key: unknown = newByCurve(CURVES[curve].nid);
    if (key === null) throw new Error('no such curve');
    keys.set(curve, key);
  }
  return (curve, point, digest, signature) => {
    const key = keys.get(curve);
    // EC_KEY_oct2key refuses a point off the curve. ECDSA_verify: 1 good, 0 wrong, -1 not DER; it encodes the signature
    // again and compares, so that only strict DER passes.
    const good =
      setPoint(key, point, point.length, null) === 1 &&
      check(0, digest, digest.length, signature, signature.length, key) === 1;
    if (!good) clearErrors();
    return good;
  };
}

function nobleVerify(curve: EcKind, point: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean {
  try {
    return nobleCurves()[CURVES[curve].noble].verify(signature, digest, point, {
      prehash: false,
      lowS: false,
      format: 'der',
    });
  } catch {
    return false;
  }
}

/** RFC 6979 section A.2.5: P-256, SHA-256, message "sample". */
const KNOWN = {
  point: Buffer.from(
    '0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
    'hex',
  ),
  digest: Buffer.from('af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf', 'hex'),
  signature: Buffer.from(
    '3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
    'hex',
  ),
} as const;

/** The symbols are there, but do they do what they should? Another library may answer to the same names. */
function selfTest(verify: EcVerify): boolean {
  const wrong = Buffer.from(KNOWN.digest);
  wrong[0] = wrong.readUInt8(0) ^ 1;
  return (
    verify('ecdsa-p256', KNOWN.point, KNOWN.digest, KNOWN.signature) &&
    !verify('ecdsa-p256', KNOWN.point, wrong, KNOWN.signature) &&
    !verify('ecdsa-p256', KNOWN.point, KNOWN.digest, KNOWN.signature.subarray(1)) &&
    !verify('ecdsa-p256', KNOWN.point.subarray(1), KNOWN.digest, KNOWN.signature)
  );
}

/** PKCS#1 v1.5 over a digest (RFC 8017 section 8.2.2). False for every malformed input. */
export function rsaVerifyDigest(key: KeyInfo, hash: HashName, digest: Uint8Array, signature: Uint8Array): boolean {
  // OpenSSL would take a signature whose leading zeroes are cut.
  if (digest.length !== DIGEST_SIZE[hash] || signature.length !== key.bits! / 8) return false;
  try {
    const recovered = publicDecrypt({ key: keyObjectOf(key), padding: constants.RSA_PKCS1_PADDING }, signature);
    // The whole DigestInfo is compared and never parsed: forged signatures hide in what a parser overlooks.
    return recovered.equals(Buffer.concat([DIGEST_INFO[hash], digest]));
  } catch {
    return false;
  }
}

function ed25519phVerify(point: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean {
  if (digest.length !== 64 || signature.length !== 64) return false;
  try {
    return nobleEd25519Digest().verify(signature, digest, point, { zip215: false });
  } catch {
    return false;
  }
}
