/** From what a token says about a public key to SubjectPublicKeyInfo (RFC 5480, RFC 8410). */
import { createPublicKey } from 'node:crypto';
import { encodeSpki } from '../../../rekor/spki.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import type { KeyAlgorithm } from '../types.ts';
import { CKK_EC, CKK_EC_EDWARDS } from './cryptoki.ts';

/** CKA_EC_PARAMS of the two curves, DER. For Ed25519 both forms of PKCS#11 3.x: the OID and the curve's name. */
const P256_OID = Buffer.from('06082a8648ce3d030107', 'hex');
const ED25519_OID = Buffer.from('06032b6570', 'hex');
const ED25519_NAME = Buffer.from('130c656477617264733235353139', 'hex');

/** CKA_EC_PARAMS to make a key with, in the order to try them. */
export function ecParams(algorithm: KeyAlgorithm): readonly Buffer[] {
  return algorithm === 'ed25519' ? [ED25519_OID, ED25519_NAME] : [P256_OID];
}

/** The algorithm of a key with this CKA_KEY_TYPE and CKA_EC_PARAMS; undefined for any other key. */
export function algorithmOf(keyType: number, params: Uint8Array): KeyAlgorithm | undefined {
  if (keyType === CKK_EC && P256_OID.equals(params)) return 'ecdsa-p256';
  if (keyType === CKK_EC_EDWARDS && (ED25519_OID.equals(params) || ED25519_NAME.equals(params))) return 'ed25519';
  return undefined;
}

/**
 * SPKI in DER from CKA_EC_POINT. Modules give the point as a DER OCTET STRING (the specification's form), as a BIT STRING
 * (some, for Ed25519), or raw.
 * @throws RuntimeError `pkcs11-key`: the value has another form, or is not a point of the curve
 */
export function spkiFromPoint(algorithm: KeyAlgorithm, value: Uint8Array): Uint8Array {
  const point = rawPoint(algorithm, Buffer.from(value));
  const spki = point && encodeSpki(algorithm, point);
  if (spki === undefined || !parses(spki)) {
    throw new RuntimeError('pkcs11-key', `the public key in the token is not a point for ${algorithm}: make a new key`);
  }
  return spki;
}

function rawPoint(algorithm: KeyAlgorithm, value: Buffer): Buffer | undefined {
  const size = algorithm === 'ed25519' ? 32 : 65;
  if (value.length === size) return value;
  if (value.length === size + 2 && value[0] === 0x04 && value[1] === size) return value.subarray(2);
  const bitString = value.length === size + 3 && value[0] === 0x03 && value[1] === size + 1 && value[2] === 0;
  return bitString ? value.subarray(3) : undefined;
}

function parses(spki: Uint8Array): boolean {
  try {
    createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return true;
  } catch {
    return false;
  }
}
