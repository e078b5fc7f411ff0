/**
 * Keys of TUF metadata and their signatures (TUF 1.0.34 section 4.2).
 *
 *   key            keytype                         scheme               keyval.public
 *   Ed25519        ed25519                         ed25519              hex of 32 bytes
 *   ECDSA P-256    ecdsa, or ecdsa-sha2-nistp256   ecdsa-sha2-nistp256  PEM of the SubjectPublicKeyInfo
 *
 * These are the forms that cosign, sigstore-js and python-tuf share. A key of another form may stand in the metadata of
 * others; no signature by it counts.
 */
import { createHash, verify } from 'node:crypto';
import { decodeHex, encodeHex } from '../../../merkle/bytes.ts';
import { isStrongEd25519Key } from '../../../merkle/ed25519-key.ts';
import { formatPem, parsePem, pemBytes } from '../../../merkle/pem.ts';
import { encodeSpki, hasValidPoint, type KeyInfo, pointKey, pointOf } from '../../../merkle/rekor/spki.ts';
import { keyObjectOf } from '../../../merkle/runtime/crypto/public-key.ts';
import { ClientError } from '../../errors.ts';
import { canonicalJson, isTufObject, type TufObject } from './canonical-json.ts';
import { tufMalformed } from './role.ts';

export interface TufKey {
  readonly keyid: string;
  /** The key as it stands in metadata, with all members. */
  readonly json: TufObject;
  /** For people: `Ed25519`, `ECDSA P-256`, or the keytype of a key that counts for nothing. */
  readonly name: string;
  /** SHA-256 of the SubjectPublicKeyInfo in hex: the same for one key in two forms. The text itself of an unknown form. */
  readonly fingerprint: string;
  /** SubjectPublicKeyInfo in DER; undefined for an unknown form. */
  readonly spki: Uint8Array | undefined;
  /** Undefined for a key whose signatures do not count. */
  readonly info: KeyInfo | undefined;
}

const P256_SCHEME = 'ecdsa-sha2-nistp256';
const P256_TYPES: readonly string[] = ['ecdsa', P256_SCHEME];

/**
 * The TUF key of a public key, with its key ID: SHA-256 of its canonical JSON.
 * @param spki SubjectPublicKeyInfo in DER: Ed25519 or ECDSA P-256
 * @throws ClientError `key` for another kind of key
 */
export function tufKey(spki: Uint8Array): TufKey {
  const info = pointKey(Uint8Array.from(spki));
  if (info === undefined || (info.kind !== 'ed25519' && info.kind !== 'ecdsa-p256')) {
    throw new ClientError(
      'key',
      `a key of a TUF repository is Ed25519 or ECDSA P-256${info ? `, and this one is ${info.name}` : ''}`,
    );
  }
  const json: TufObject =
    info.kind === 'ed25519'
      ? { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: encodeHex(pointOf(info)) } }
      : { keytype: 'ecdsa', scheme: P256_SCHEME, keyval: { public: formatPem('PUBLIC KEY', info.spki) } };
  const key = readTufKey(hexSha256(canonicalJson(json, 'the key')), json, 'the key');
  if (key.info === undefined) throw new ClientError('key', 'the public key is not a point on its curve');
  return key;
}

/** Reads a key of metadata. @throws ClientError `tuf-malformed` where it is no key of any form */
export function readTufKey(keyid: string, value: unknown, what: string): TufKey {
  const place = `${what}: the key ${keyid.slice(0, 64)}`;
  if (!isTufObject(value)) throw tufMalformed(place, 'is not an object');
  const { keytype, scheme, keyval } = value;
  if (typeof keytype !== 'string' || typeof scheme !== 'string' || !isTufObject(keyval)) {
    throw tufMalformed(place, 'lacks its keytype, scheme or keyval');
  }
  const { public: text } = keyval;
  if (typeof text !== 'string') throw tufMalformed(place, 'lacks its public value');
  const info = infoOf(keytype, text);
  const counts = info !== undefined && isTaken(info, keytype, scheme, text);
  return {
    keyid,
    json: value,
    name: info?.name ?? keytype,
    fingerprint: info ? hexSha256(info.spki) : text.trim(),
    spki: info?.spki,
    info: counts && isStrong(info) ? info : undefined,
  };
}

/** Whether `signature`, in hex, is by the key over `message`. False for a key that does not count. Does not throw. */
export function verifyTufSignature({ info }: TufKey, message: Uint8Array, signature: string): boolean {
  if (info === undefined || !/^(?:[0-9a-fA-F]{2})+$/.test(signature)) return false;
  const hash = info.kind === 'ed25519' ? null : 'sha256';
  try {
    return verify(hash, message, keyObjectOf(info), Buffer.from(signature, 'hex'));
  } catch {
    return false;
  }
}

/** SHA-256 in hex, as TUF writes digests. */
export function hexSha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The key in any form of it that clients know, so that one key in two forms is seen as one. */
function infoOf(keytype: string, text: string): KeyInfo | undefined {
  try {
    if (text.includes('-----BEGIN')) return pemKey(text);
    const bytes = decodeHex(text.toLowerCase());
    if (keytype === 'ed25519' && bytes.length === 32) return pointKey(encodeSpki('ed25519', bytes));
    if (P256_TYPES.includes(keytype) && bytes.length === 65) return pointKey(encodeSpki('ecdsa-p256', bytes));
  } catch {
    // A form that no client knows.
  }
  return undefined;
}

function pemKey(text: string): KeyInfo | undefined {
  const [block, ...more] = parsePem(text);
  return block?.label === 'PUBLIC KEY' && more.length === 0 ? pointKey(pemBytes(block)) : undefined;
}

function isTaken(info: KeyInfo, keytype: string, scheme: string, text: string): boolean {
  if (info.kind === 'ed25519') return keytype === 'ed25519' && scheme === 'ed25519' && /^[0-9a-f]{64}$/.test(text);
  return info.kind === 'ecdsa-p256' && P256_TYPES.includes(keytype) && scheme === P256_SCHEME && text.includes('BEGIN');
}

/** False for a point off its curve, and for an Ed25519 key under which anybody can sign. */
function isStrong(info: KeyInfo): boolean {
  return info.kind === 'ed25519' ? isStrongEd25519Key(pointOf(info)) : hasValidPoint(info);
}
