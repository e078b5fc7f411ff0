/**
 * Keys of layouts and their signatures, as in-toto-golang 0.11 uses them.
 *
 *   key       keytype   scheme                 keyval.public                    signature
 *   Ed25519   ed25519   ed25519                hex of 32 bytes                  64 bytes
 *   ECDSA     ecdsa     ecdsa-sha2-nistp…      PEM of the SubjectPublicKeyInfo  ASN.1, over the hash of the curve's size
 *   RSA       rsa       rsassa-pss-sha256      PEM of the SubjectPublicKeyInfo  PSS, SHA-256, a salt of 32 bytes
 */
import { createHash, constants as crypto, verify } from 'node:crypto';
import { decodeHex, encodeHex } from '../../../bytes.ts';
import { isStrongEd25519Key } from '../../../ed25519-key.ts';
import { MerkleError } from '../../../errors.ts';
import { formatPem, parsePem, pemBytes } from '../../../pem.ts';
import { printable } from '../../../printable.ts';
import type { HashName } from '../../../rekor/hashes.ts';
import type { JsonRecord } from '../../../rekor/json-value.ts';
import {
  encodeSpki,
  hasValidPoint,
  type KeyInfo,
  type PublicKeyKind,
  parseSpki,
  pointOf,
} from '../../../rekor/spki.ts';
import { keyObjectOf } from '../../crypto/public-key.ts';
import { canonicalText } from './olpc-json.ts';
import type { LayoutKey } from './types.ts';

const SCHEMES: Readonly<Record<string, RegExp>> = {
  ed25519: /^ed25519$/,
  // in-toto-golang writes nistp256 for a key on every curve, and reads the curve from the key.
  ecdsa: /^ecdsa-sha2-nistp(?:256|384|521)$/,
  rsa: /^rsassa-pss-sha256$/,
};

const HASHES: Readonly<Record<PublicKeyKind, HashName | undefined>> = {
  'ecdsa-p256': 'sha256',
  'ecdsa-p384': 'sha384',
  'ecdsa-p521': 'sha512',
  rsa: 'sha256',
  ed25519: undefined,
};

/** A key of a layout. `unusable` says why signatures by it cannot count. */
export function readLayoutKey(keyId: string, keyType: string, scheme: string, value: string): LayoutKey {
  const unusable = (why: string): LayoutKey => ({ keyId, info: undefined, unusable: why });
  const allowed = Object.hasOwn(SCHEMES, keyType) ? SCHEMES[keyType] : undefined;
  if (allowed === undefined) return unusable(`its type "${printable(keyType.slice(0, 60))}" is not supported`);
  if (!allowed.test(scheme)) return unusable(`its scheme "${printable(scheme.slice(0, 60))}" does not fit its type`);
  try {
    const info = infoOf(keyType, value);
    const family = info.kind.startsWith('ecdsa') ? 'ecdsa' : info.kind;
    if (family !== keyType) return unusable(`it is ${info.name}, and its type is ${keyType}`);
    const isStrong = info.kind === 'ed25519' ? isStrongEd25519Key(pointOf(info)) : hasValidPoint(info);
    return isStrong ? { keyId, info } : unusable('it is a point that is no key');
  } catch (cause) {
    if (cause instanceof MerkleError) return unusable(cause.message);
    throw cause;
  }
}

function infoOf(keyType: string, value: string): KeyInfo {
  if (keyType === 'ed25519') return parseSpki(encodeSpki('ed25519', decodeHex(value.toLowerCase())));
  const [block, ...more] = parsePem(value);
  if (block?.label !== 'PUBLIC KEY' || more.length > 0) {
    throw new MerkleError('bad-key', 'it is not one PEM block "PUBLIC KEY"');
  }
  return parseSpki(pemBytes(block));
}

/** A key with the key id that in-toto-golang gives it, when it reads the key from a PEM file. */
export function layoutKeyOf(info: KeyInfo): LayoutKey {
  return { keyId: keyIdOf(info), info };
}

/** SHA-256 over the canonical form of the key, in hex. */
export function keyIdOf(info: KeyInfo): string {
  return createHash('sha256')
    .update(canonicalText(keyObject(info)))
    .digest('hex');
}

function keyObject(info: KeyInfo): JsonRecord {
  const [keytype, scheme, publicValue] =
    info.kind === 'ed25519'
      ? ['ed25519', 'ed25519', encodeHex(pointOf(info))]
      : info.kind === 'rsa'
        ? ['rsa', 'rsassa-pss-sha256', formatPem('PUBLIC KEY', info.spki).trim()]
        : ['ecdsa', 'ecdsa-sha2-nistp256', formatPem('PUBLIC KEY', info.spki).trim()];
  return { keytype, scheme, keyid_hash_algorithms: ['sha256', 'sha512'], keyval: { public: publicValue } };
}

/** Lower-case hex of SHA-256 over the SubjectPublicKeyInfo. */
export function keyFingerprint(info: KeyInfo): string {
  return createHash('sha256').update(info.spki).digest('hex');
}

/** Whether `signature` is by the key over `message`. False for a key that is not usable. Does not throw. */
export function verifyLayoutSignature({ info }: LayoutKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (info === undefined) return false;
  const key = keyObjectOf(info);
  try {
    if (info.kind !== 'rsa') return verify(HASHES[info.kind] ?? null, message, key, signature);
    const pss = { key, padding: crypto.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    return signature.length === info.bits! / 8 && verify('sha256', message, pss, signature);
  } catch {
    return false;
  }
}
